-- What the ids in a deal's fields are called, by field.
SELECT 'deal_stage_id' AS field, system, account_id, CAST(id AS VARCHAR) AS id, name
FROM deal_stages
UNION ALL
SELECT 'deal_pipeline_id', system, account_id, CAST(id AS VARCHAR), name FROM deal_pipelines
UNION ALL
SELECT 'owner_id', system, account_id, user_id, name FROM users
