-- Each deal stage as the newest event that showed it. `forecast_type` says won or lost, the name may
-- lie.
SELECT
    system, account_id, id, name, position, forecast_type,
    event_time AS last_seen,
    CASE
        WHEN lower(forecast_type) IN ('closed won', 'won') THEN 'won'
        WHEN lower(forecast_type) IN ('closed lost', 'lost') THEN 'lost'
        WHEN forecast_type IS NOT NULL THEN 'open'
    END AS outcome
FROM _deal_stages_newest
