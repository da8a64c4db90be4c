-- Each deal pipeline as the newest event that showed it.
WITH states AS (
    SELECT *, arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM deals
    WHERE deal_pipeline_id IS NOT NULL AND deal_pipeline_name IS NOT NULL
)
SELECT
    system,
    account_id,
    deal_pipeline_id AS id,
    last_value(deal_pipeline_name ORDER BY arrival) AS name,
    max(event_time) AS last_seen
FROM states
GROUP BY system, account_id, deal_pipeline_id
