-- For ledgers with many finished jobs: indexes for pages and counts, and less space for each job.

-- In order of time. The last columns save reading the rows of other accounts and tenants.
CREATE INDEX job_by_time ON job (submitted_at, submitted_seq, account, tenant);
CREATE INDEX job_by_state ON job (state, submitted_at, submitted_seq, account, tenant);

-- The jobs that can be pruned.
CREATE INDEX job_finished ON job (ended_at)
WHERE state IN ('saved', 'refused', 'failed', 'expired', 'abandoned') OR (state = 'ready' AND save_to IS NULL);

-- The number and time of an attempt are in the history of its job; the token itself needs no second index.
CREATE TABLE new_attempt (
    token TEXT PRIMARY KEY NOT NULL,
    key TEXT NOT NULL REFERENCES job (key)
) WITHOUT ROWID;
INSERT INTO new_attempt (token, key) SELECT token, key FROM attempt;
CREATE TABLE new_hint (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL REFERENCES new_attempt (token),
    task_id TEXT NOT NULL,
    at REAL NOT NULL,
    UNIQUE (token, task_id)
);
INSERT INTO new_hint (seq, token, task_id, at) SELECT seq, token, task_id, at FROM hint;
DROP TABLE hint;
DROP TABLE attempt;
ALTER TABLE new_attempt RENAME TO attempt;
ALTER TABLE new_hint RENAME TO hint;
CREATE INDEX attempt_of_job ON attempt (key);

-- Its entries are in the order of seq.
DROP INDEX transition_of_job;
CREATE INDEX transition_of_job ON transition (key);
