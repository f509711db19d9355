-- The route by which a job's task was created, and what the provider says the task has cost.
-- The route of an adopted task is NULL until its record is found. Tasks of older ledgers were all created by the dedicated Veo endpoints.
ALTER TABLE job ADD COLUMN route TEXT DEFAULT 'veo';
ALTER TABLE job ADD COLUMN credits_consumed REAL;
