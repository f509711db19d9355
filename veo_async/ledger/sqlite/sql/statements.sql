-- The ledger's statements. "Not over" is always written as in the index job_not_over, or SQLite would not use it.

-- name: secret
SELECT value FROM meta WHERE name = 'secret';

-- name: keep_secret
INSERT INTO meta (name, value) VALUES ('secret', :secret);

-- name: job
SELECT * FROM job WHERE key = :key;

-- name: job_of_task
SELECT * FROM job WHERE task_id = :task_id;

-- name: jobs
SELECT * FROM job WHERE (:account IS NULL OR account = :account) ORDER BY planned_seq;

-- name: jobs_in_states
SELECT * FROM job
WHERE (:account IS NULL OR account = :account) AND state IN (SELECT value FROM json_each(:states))
ORDER BY planned_seq;

-- name: put_job
INSERT INTO job (
    key, account, state, request, kind, tenant, priority, metadata, task_id, token, attempts, owner, planned_at,
    sent_at, deadline, ended_at, outcome, save_to, planned_seq
) VALUES (
    :key, :account, :state, :request, :kind, :tenant, :priority, :metadata, :task_id, :token, :attempts, :owner,
    :planned_at, :sent_at, :deadline, :ended_at, :outcome, :save_to, :seq
)
ON CONFLICT (key) DO UPDATE SET
    account = excluded.account, state = excluded.state, request = excluded.request, kind = excluded.kind,
    tenant = excluded.tenant, priority = excluded.priority, metadata = excluded.metadata, task_id = excluded.task_id,
    token = excluded.token, attempts = excluded.attempts, owner = excluded.owner, planned_at = excluded.planned_at,
    sent_at = excluded.sent_at, deadline = excluded.deadline, ended_at = excluded.ended_at,
    outcome = excluded.outcome, save_to = excluded.save_to,
    planned_seq = excluded.planned_seq;

-- name: move_job
UPDATE job SET
    state = :state, request = :request, kind = :kind, tenant = :tenant, priority = :priority, metadata = :metadata,
    task_id = :task_id, token = :token, attempts = :attempts, owner = :owner, planned_at = :planned_at,
    sent_at = :sent_at, deadline = :deadline, ended_at = :ended_at, outcome = :outcome, save_to = :save_to
WHERE key = :key;

-- name: put_step
INSERT INTO step (key, event, before, after, at, changes, evidence, instance)
VALUES (:key, :event, :before, :after, :at, :changes, :evidence, :instance);

-- name: steps
SELECT * FROM step WHERE key = :key ORDER BY seq;

-- name: last_step
SELECT coalesce(max(seq), 0) FROM step;

-- name: put_attempt
INSERT OR IGNORE INTO attempt (token, key, number, sent_at) VALUES (:token, :key, :number, :sent_at);

-- name: owners
SELECT DISTINCT owner FROM job
WHERE account = :account AND owner <> :instance AND (state IN ('queued', 'sending', 'running', 'in_doubt') OR (state = 'ready' AND save_to IS NOT NULL));

-- name: ownerless
SELECT * FROM job
WHERE account = :account AND (owner IS NULL OR owner IN (SELECT value FROM json_each(:gone)))
    AND (state IN ('queued', 'sending', 'running', 'in_doubt') OR (state = 'ready' AND save_to IS NOT NULL))
ORDER BY planned_seq;

-- name: not_over
SELECT * FROM job
WHERE (:account IS NULL OR account = :account) AND (owner IS NULL OR owner <> :instance)
    AND (state IN ('queued', 'sending', 'running', 'in_doubt') OR (state = 'ready' AND save_to IS NOT NULL))
ORDER BY planned_seq;

-- name: changed
SELECT * FROM job
WHERE (:account IS NULL OR account = :account)
    AND key IN (SELECT key FROM step WHERE seq > :told AND (instance <> :instance OR seq > :unsure))
ORDER BY planned_seq;

-- name: put_hint
INSERT OR REPLACE INTO hint (token, task_id, at)
SELECT :token, :task_id, :at WHERE EXISTS (SELECT 1 FROM attempt WHERE token = :token);

-- name: has_attempt
SELECT 1 FROM attempt WHERE token = :token;

-- name: last_hint
SELECT coalesce(max(seq), 0) FROM hint;

-- name: hints
SELECT job.key, hint.token, hint.task_id FROM hint
JOIN attempt ON attempt.token = hint.token
JOIN job ON job.key = attempt.key
WHERE hint.seq > :told AND job.owner = :instance
    AND (job.state IN ('queued', 'sending', 'running', 'in_doubt') OR (job.state = 'ready' AND job.save_to IS NOT NULL))
ORDER BY hint.seq;

-- name: hints_of_jobs
SELECT hint.seq, job.key, hint.token, hint.task_id FROM job
JOIN attempt ON attempt.key = job.key
JOIN hint ON hint.token = attempt.token
WHERE job.key IN (SELECT value FROM json_each(:keys)) AND hint.seq <= :told AND job.owner = :instance
    AND (job.state IN ('queued', 'sending', 'running', 'in_doubt') OR (job.state = 'ready' AND job.save_to IS NOT NULL))
ORDER BY hint.seq;

-- name: calls_since
SELECT at FROM call WHERE account = :account AND instance <> :instance AND at > :since ORDER BY at;

-- name: calls_untold
SELECT at FROM call WHERE account = :account AND instance <> :instance AND seq > :told ORDER BY at;

-- name: last_call
SELECT coalesce(max(seq), 0) FROM call;

-- name: put_call
INSERT INTO call (account, instance, key, at) VALUES (:account, :instance, :key, :at);

-- name: answer_call
UPDATE call SET at = max(at, :at) WHERE seq = (SELECT max(seq) FROM call WHERE key = :key);

-- name: forget_calls
DELETE FROM call WHERE account = :account AND at < :since;

-- name: closed_until
SELECT coalesce(max(until), 0.0) FROM closing WHERE account = :account AND instance <> :instance;

-- name: put_closing
INSERT INTO closing (account, instance, until) VALUES (:account, :instance, :until)
ON CONFLICT (account, instance) DO UPDATE SET until = max(until, excluded.until);

-- name: knowledge
SELECT knowledge FROM gate WHERE account = :account;

-- name: keep_knowledge
INSERT INTO gate (account, knowledge) VALUES (:account, :knowledge)
ON CONFLICT (account) DO UPDATE SET knowledge = excluded.knowledge;

-- name: put_batch
INSERT INTO writer (instance, batch) VALUES (:instance, :batch)
ON CONFLICT (instance) DO UPDATE SET batch = excluded.batch;

-- name: batch
SELECT batch FROM writer WHERE instance = :instance;

-- name: writers
SELECT instance FROM writer WHERE instance <> :instance;

-- name: forget_writers
DELETE FROM writer WHERE instance IN (SELECT value FROM json_each(:gone));
