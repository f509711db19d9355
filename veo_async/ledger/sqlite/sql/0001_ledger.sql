-- Schema version 1. Times are seconds since 1970; structures are JSON.

-- The secret, the ledger's id, and its home: see veo_async/ledger/sqlite/home.py.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

-- The current state of each job. Its history is in transition.
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
    submitted_at REAL NOT NULL,
    sent_at REAL,
    deadline REAL,
    ended_at REAL,
    outcome TEXT,
    save_to TEXT,
    budget TEXT,
    price REAL,
    credits REAL,
    submitted_seq INTEGER NOT NULL -- the transition that submitted it: the order of jobs
);
CREATE UNIQUE INDEX job_by_task ON job (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX job_active ON job (account, owner)
WHERE state IN ('queued', 'sending', 'running', 'in_doubt') OR (state = 'ready' AND save_to IS NOT NULL);

-- What the jobs of each budget have spent and reserved. A sum over jobs would forget the jobs that were pruned.
CREATE TABLE budget (
    name TEXT PRIMARY KEY NOT NULL,
    spent REAL NOT NULL,
    reserved REAL NOT NULL
);

-- The callback token of every attempt identifies its job permanently.
CREATE TABLE attempt (
    token TEXT PRIMARY KEY NOT NULL,
    key TEXT NOT NULL REFERENCES job (key),
    number INTEGER NOT NULL,
    sent_at REAL NOT NULL
);
CREATE INDEX attempt_of_job ON attempt (key);

-- The history of all jobs, in order. Rows are never changed.
CREATE TABLE transition (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL REFERENCES job (key),
    event TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    at REAL NOT NULL,
    changes TEXT NOT NULL,
    evidence TEXT NOT NULL,
    session_id TEXT NOT NULL
);
CREATE INDEX transition_of_job ON transition (key, seq);

-- Paid requests that were allowed to be sent. at: when it was sent, then when its response arrived.
CREATE TABLE sent_call (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    session_id TEXT NOT NULL,
    key TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX sent_call_of_account ON sent_call (account, at);
CREATE INDEX sent_call_of_job ON sent_call (key);

-- Until when nothing may be sent after a 429, one row for each session that received one.
CREATE TABLE closure (
    account TEXT NOT NULL,
    session_id TEXT NOT NULL,
    closed_until REAL NOT NULL,
    PRIMARY KEY (account, session_id)
);

-- The learned rate limits of each account.
CREATE TABLE account_limits (
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

-- The last committed batch of each session: shows whether a commit that raised an error took effect.
CREATE TABLE session_batch (
    session_id TEXT PRIMARY KEY NOT NULL,
    batch INTEGER NOT NULL
);
