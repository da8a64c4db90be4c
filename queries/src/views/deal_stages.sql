-- Each deal stage as the newest event that showed it. `forecast_type` says won or lost, the name may
-- lie.
WITH states AS (
    SELECT *, arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM deals
    WHERE deal_stage_id IS NOT NULL
        AND (deal_stage_name IS NOT NULL OR deal_stage_forecast_type IS NOT NULL)
)
SELECT
    *,
    CASE
        WHEN lower(forecast_type) IN ('closed won', 'won') THEN 'won'
        WHEN lower(forecast_type) IN ('closed lost', 'lost') THEN 'lost'
        WHEN forecast_type IS NOT NULL THEN 'open'
    END AS outcome
FROM (
    SELECT
        system,
        account_id,
        deal_stage_id AS id,
        last_value(deal_stage_name ORDER BY arrival) AS name,
        last_value(deal_stage_position ORDER BY arrival) AS position,
        last_value(deal_stage_forecast_type ORDER BY arrival) AS forecast_type,
        max(event_time) AS last_seen
    FROM states
    GROUP BY system, account_id, deal_stage_id
) AS stages
