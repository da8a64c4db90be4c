-- Each time that a deal's event showed a pipeline.
SELECT
    system, account_id, deal_pipeline_id AS id, deal_pipeline_name AS name,
    event_time, received_at, topic, "partition", "offset"
FROM deals
WHERE deal_pipeline_id IS NOT NULL AND deal_pipeline_name IS NOT NULL
