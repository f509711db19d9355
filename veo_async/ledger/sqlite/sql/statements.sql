-- The ledger's statements. "Active" is always spelled as in the index job_active, and "finished" as in job_finished;
-- otherwise SQLite does not use the index. An optional condition on a column by which we search needs a statement of its
-- own, because SQLite plans a statement before it knows the values.

-- name: secret
SELECT value FROM meta WHERE name = 'secret';

-- name: meta
SELECT name, value FROM meta;

-- name: home_id
SELECT value FROM meta WHERE name = 'home_id';

-- name: save_meta
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: unfinished_prices
SELECT state, price FROM job
WHERE (state IN ('queued', 'sending', 'running', 'in_doubt') OR (state = 'ready' AND save_to IS NOT NULL));

-- name: job
SELECT * FROM job_row WHERE key = :key;

-- name: job_of_task
SELECT * FROM job_row WHERE task_id = :task_id;

-- name: follow_ups
SELECT * FROM job_row WHERE source IN (SELECT value FROM json_each(:sources)) ORDER BY submitted_seq;

-- name: jobs
SELECT * FROM job_row WHERE (:account IS NULL OR account = :account) ORDER BY submitted_seq;

-- name: jobs_in_states
SELECT * FROM job_row
WHERE (:account IS NULL OR account = :account) AND state IN (SELECT value FROM json_each(:states))
ORDER BY submitted_seq;

-- name: page
SELECT * FROM job_row
WHERE (submitted_at, submitted_seq) > (:at, :number) AND (:account IS NULL OR account = :account) AND (:tenant IS NULL OR tenant = :tenant)
ORDER BY submitted_at, submitted_seq LIMIT :size;

-- name: page_in_state
SELECT * FROM job_row
WHERE state = :state AND (submitted_at, submitted_seq) > (:at, :number)
    AND (:account IS NULL OR account = :account) AND (:tenant IS NULL OR tenant = :tenant)
ORDER BY submitted_at, submitted_seq LIMIT :size;

-- name: before_newest
SELECT submitted_at, submitted_seq FROM job
WHERE submitted_at >= :since AND (:account IS NULL OR account = :account) AND (:tenant IS NULL OR tenant = :tenant)
ORDER BY submitted_at DESC, submitted_seq DESC LIMIT 1 OFFSET :count;

-- name: before_newest_in_state
SELECT submitted_at, submitted_seq FROM job
WHERE state = :state AND submitted_at >= :since
    AND (:account IS NULL OR account = :account) AND (:tenant IS NULL OR tenant = :tenant)
ORDER BY submitted_at DESC, submitted_seq DESC LIMIT 1 OFFSET :count;

-- name: states
WITH RECURSIVE found (state) AS (
    SELECT min(state) FROM job
    UNION ALL
    SELECT (SELECT min(state) FROM job WHERE state > found.state) FROM found WHERE found.state IS NOT NULL
)
SELECT state FROM found WHERE state IS NOT NULL;

-- name: count_in_state
SELECT count(*) FROM job
WHERE state = :state AND submitted_at >= :since
    AND (:account IS NULL OR account = :account) AND (:tenant IS NULL OR tenant = :tenant);

-- name: insert_job
INSERT INTO job (
    key, account, state, request, kind, tenant, priority, metadata, task_id, token, attempts, owner, submitted_at,
    sent_at, deadline, ended_at, outcome, save_to, budget, price, credits, route, credits_consumed, source,
    submitted_seq
) VALUES (
    :key, :account, :state, :request, :kind, :tenant, :priority, :metadata, :task_id, :token, :attempts, :owner,
    :submitted_at, :sent_at, :deadline, :ended_at, :outcome, :save_to, :budget, :price, :credits,
    :route, :credits_consumed, :source, :seq
)
ON CONFLICT (key) DO UPDATE SET
    account = excluded.account, state = excluded.state, request = excluded.request, kind = excluded.kind,
    tenant = excluded.tenant, priority = excluded.priority, metadata = excluded.metadata, task_id = excluded.task_id,
    token = excluded.token, attempts = excluded.attempts, owner = excluded.owner, submitted_at = excluded.submitted_at,
    sent_at = excluded.sent_at, deadline = excluded.deadline, ended_at = excluded.ended_at,
    outcome = excluded.outcome, save_to = excluded.save_to, budget = excluded.budget, price = excluded.price,
    credits = excluded.credits, route = excluded.route, credits_consumed = excluded.credits_consumed,
    source = excluded.source, submitted_seq = excluded.submitted_seq;

-- name: budget_use
SELECT spent, reserved FROM budget WHERE name = :budget;

-- name: use_budget
INSERT INTO budget (name, spent, reserved) VALUES (:budget, :spent, :reserved)
ON CONFLICT (name) DO UPDATE SET spent = spent + excluded.spent, reserved = reserved + excluded.reserved;

-- name: insert_transition
INSERT INTO transition (key, event, before, after, at, changes, evidence, session_id)
VALUES (:key, :event, :before, :after, :at, :changes, :evidence, :session_id);

-- name: transitions
SELECT * FROM transition WHERE key = :key ORDER BY seq;

-- name: last_transition
SELECT coalesce(max(seq), 0) FROM sqlite_sequence -- also counts the transitions of pruned jobs
WHERE name = 'transition';

-- name: insert_attempt
INSERT OR IGNORE INTO attempt (token, key) VALUES (:token, :key);

-- name: owners
SELECT DISTINCT owner FROM job
WHERE account = :account AND owner <> :session_id AND (state IN ('queued', 'sending', 'running', 'in_doubt') OR (state = 'ready' AND save_to IS NOT NULL));

-- name: orphaned_jobs
SELECT * FROM job_row
WHERE account = :account AND (owner IS NULL OR owner IN (SELECT value FROM json_each(:dead)))
    AND (state IN ('queued', 'sending', 'running', 'in_doubt') OR (state = 'ready' AND save_to IS NOT NULL))
ORDER BY submitted_seq;

-- name: active_jobs
SELECT * FROM job_row
WHERE (:account IS NULL OR account = :account) AND (owner IS NULL OR owner <> :session_id)
    AND (state IN ('queued', 'sending', 'running', 'in_doubt') OR (state = 'ready' AND save_to IS NOT NULL))
ORDER BY submitted_seq;

-- name: changed
SELECT * FROM job_row
WHERE (:account IS NULL OR account = :account)
    AND key IN (SELECT key FROM transition WHERE seq > :after AND (session_id <> :session_id OR seq > :uncertain_after))
ORDER BY submitted_seq;

-- name: insert_hint
INSERT OR REPLACE INTO hint (token, task_id, at)
SELECT :token, :task_id, :at WHERE EXISTS (SELECT 1 FROM attempt WHERE token = :token);

-- name: drop_hints
DELETE FROM hint WHERE seq IN (SELECT seq FROM hint WHERE token = :token ORDER BY seq DESC LIMIT -1 OFFSET :max_hints);

-- name: has_attempt
SELECT 1 FROM attempt WHERE token = :token;

-- name: last_hint
SELECT coalesce(max(seq), 0) FROM hint;

-- name: hints
SELECT job.key, hint.token, hint.task_id FROM hint
JOIN attempt ON attempt.token = hint.token
JOIN job ON job.key = attempt.key
WHERE hint.seq > :after AND job.owner = :session_id
    AND (job.state IN ('queued', 'sending', 'running', 'in_doubt') OR (job.state = 'ready' AND job.save_to IS NOT NULL))
ORDER BY hint.seq;

-- name: hints_of_jobs
SELECT job.key, hint.token, hint.task_id FROM job
JOIN attempt ON attempt.key = job.key
JOIN hint ON hint.token = attempt.token
WHERE job.key IN (SELECT value FROM json_each(:keys)) AND hint.seq <= :after AND job.owner = :session_id
    AND (job.state IN ('queued', 'sending', 'running', 'in_doubt') OR (job.state = 'ready' AND job.save_to IS NOT NULL))
ORDER BY hint.seq;

-- name: prunable_jobs
SELECT key FROM job AS old INDEXED BY job_finished
WHERE (:account IS NULL OR account = :account) AND ended_at < :before
    AND (state IN ('saved', 'refused', 'failed', 'expired', 'abandoned') OR (state = 'ready' AND save_to IS NULL))
    AND NOT EXISTS (
        SELECT 1 FROM job WHERE source IN (old.key, old.task_id)
            AND (state IN ('queued', 'sending', 'running', 'in_doubt') OR (state = 'ready' AND save_to IS NOT NULL))
    )
LIMIT :size;

-- name: prunable_count
SELECT count(*) FROM job AS old INDEXED BY job_finished
WHERE (:account IS NULL OR account = :account) AND ended_at < :before
    AND (state IN ('saved', 'refused', 'failed', 'expired', 'abandoned') OR (state = 'ready' AND save_to IS NULL))
    AND NOT EXISTS (
        SELECT 1 FROM job WHERE source IN (old.key, old.task_id)
            AND (state IN ('queued', 'sending', 'running', 'in_doubt') OR (state = 'ready' AND save_to IS NOT NULL))
    );

-- name: delete_hints
DELETE FROM hint WHERE token IN (SELECT token FROM attempt WHERE key = :key);

-- name: delete_attempts
DELETE FROM attempt WHERE key = :key;

-- name: delete_transitions
DELETE FROM transition WHERE key = :key;

-- name: delete_calls
DELETE FROM sent_call WHERE key = :key AND at < :since;

-- name: delete_job
DELETE FROM job WHERE key = :key;

-- name: calls_since
SELECT at FROM sent_call
WHERE account = :account AND session_id <> :session_id AND at > :since AND at <= :latest -- no text: it is greater than any number
ORDER BY at;

-- name: calls_after
SELECT at FROM sent_call
WHERE account = :account AND session_id <> :session_id AND seq > :after AND at <= :latest
ORDER BY at;

-- name: has_future
SELECT EXISTS (SELECT 1 FROM sent_call WHERE account = :account AND at > :latest)
    OR EXISTS (SELECT 1 FROM closure WHERE account = :account AND closed_until > :latest);

-- name: last_call
SELECT coalesce(max(seq), 0) FROM sent_call;

-- name: last_sent
SELECT coalesce(max(seq), 0) FROM sqlite_sequence -- also counts the calls that were deleted
WHERE name = 'sent_call';

-- name: insert_call
INSERT INTO sent_call (account, session_id, key, at) VALUES (:account, :session_id, :key, :at);

-- name: record_response
UPDATE sent_call SET at = max(at, :at) WHERE seq = (SELECT max(seq) FROM sent_call WHERE key = :key);

-- name: delete_old_calls
DELETE FROM sent_call WHERE account = :account AND at < :since;

-- name: closed_until
SELECT coalesce(max(closed_until), 0.0) FROM closure
WHERE account = :account AND session_id <> :session_id AND closed_until <= :latest;

-- name: save_closure
INSERT INTO closure (account, session_id, closed_until) VALUES (:account, :session_id, :closed_until)
ON CONFLICT (account, session_id) DO UPDATE SET closed_until = max(closed_until, excluded.closed_until);

-- name: knowledge
SELECT knowledge FROM account_limits WHERE account = :account;

-- name: save_knowledge
INSERT INTO account_limits (account, knowledge) VALUES (:account, :knowledge)
ON CONFLICT (account) DO UPDATE SET knowledge = excluded.knowledge;

-- name: save_batch
INSERT INTO session_batch (session_id, batch) VALUES (:session_id, :batch)
ON CONFLICT (session_id) DO UPDATE SET batch = excluded.batch;

-- name: last_batch
SELECT batch FROM session_batch WHERE session_id = :session_id;

-- name: known_sessions
SELECT session_id FROM session_batch WHERE session_id <> :session_id;

-- name: delete_sessions
DELETE FROM session_batch WHERE session_id IN (SELECT value FROM json_each(:dead));
