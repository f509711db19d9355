-- The ledger's first form. All times are seconds since 1970, all structures are JSON.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

-- The present state of each job; its past is in step.
CREATE TABLE job (
    key TEXT PRIMARY KEY NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    request TEXT,
    kind TEXT NOT NULL,
    tenant TEXT NOT NULL,
    priority TEXT NOT NULL,
    metadata TEXT,
    task_id TEXT,
    token TEXT,
    attempts INTEGER NOT NULL,
    owner TEXT,
    planned_at REAL NOT NULL,
    sent_at REAL,
    deadline REAL,
    ended_at REAL,
    outcome TEXT,
    save_to TEXT,
    planned_seq INTEGER NOT NULL -- the step that planned it: the order of jobs
);
CREATE UNIQUE INDEX job_of_task ON job (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX job_not_over ON job (account, owner)
WHERE state IN ('queued', 'sending', 'running', 'in_doubt') OR (state = 'ready' AND save_to IS NOT NULL);

-- Every attempt's token leads to its job for good.
CREATE TABLE attempt (
    token TEXT PRIMARY KEY NOT NULL,
    key TEXT NOT NULL REFERENCES job (key),
    number INTEGER NOT NULL,
    sent_at REAL NOT NULL
);
CREATE INDEX attempt_of_job ON attempt (key);

-- What happened, in order; nothing here is ever changed.
CREATE TABLE step (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL REFERENCES job (key),
    event TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    at REAL NOT NULL,
    changes TEXT NOT NULL,
    evidence TEXT NOT NULL,
    instance TEXT NOT NULL
);
CREATE INDEX step_of_job ON step (key, seq);

-- Creating calls that were granted; at is when the call left, or later when it was answered.
CREATE TABLE call (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    instance TEXT NOT NULL,
    key TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX call_of_account ON call (account, at);
CREATE INDEX call_of_job ON call (key);

-- Whose word it is that nothing may leave, one row for each book that said so.
CREATE TABLE closing (
    account TEXT NOT NULL,
    instance TEXT NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (account, instance)
);

-- What was last known of an account's limits.
CREATE TABLE gate (
    account TEXT PRIMARY KEY NOT NULL,
    knowledge TEXT NOT NULL
);

CREATE TABLE hint (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL REFERENCES attempt (token),
    task_id TEXT NOT NULL,
    at REAL NOT NULL,
    UNIQUE (token, task_id)
);

-- The last batch of each book that came to be: how a book learns what became of a commit that failed half-way.
CREATE TABLE writer (
    instance TEXT PRIMARY KEY NOT NULL,
    batch INTEGER NOT NULL
);
