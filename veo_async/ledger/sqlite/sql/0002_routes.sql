-- The route by which a job's task was created, and what the provider says the task has cost.
-- The route of an adopted task is NULL until its record is found. Tasks of older ledgers were all created by the
-- dedicated Veo endpoints.
ALTER TABLE job ADD COLUMN route TEXT DEFAULT 'veo';
ALTER TABLE job ADD COLUMN credits_consumed REAL;

-- The clip from which an upgrade or extension continues: the key of its job, or its task.
ALTER TABLE job ADD COLUMN source TEXT;
UPDATE job SET source = coalesce(json_extract(request, '$.after_key'), json_extract(request, '$.task_id'))
WHERE kind <> 'generate' AND json_valid(request);
CREATE INDEX job_by_source ON job (source) WHERE source IS NOT NULL;

-- The columns in the order of JobRow, regardless of the migration that added them.
CREATE VIEW job_row AS
SELECT
    key, account, state, request, kind, tenant, priority, metadata, task_id, token, attempts, owner, submitted_at,
    sent_at, deadline, ended_at, outcome, save_to, budget, price, credits, route, credits_consumed, source,
    submitted_seq
FROM job;
