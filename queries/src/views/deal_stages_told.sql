-- Each time that a deal's event showed a stage.
SELECT
    system, account_id, deal_stage_id AS id, deal_stage_name AS name, deal_stage_position AS position,
    deal_stage_forecast_type AS forecast_type,
    event_time, received_at, topic, "partition", "offset"
FROM deals
WHERE deal_stage_id IS NOT NULL
    AND (deal_stage_name IS NOT NULL OR deal_stage_forecast_type IS NOT NULL)
