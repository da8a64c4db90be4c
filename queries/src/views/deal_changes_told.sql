-- One field of one update of a deal that changed, each time that the update was told, with the deal as it
-- stood in that event. Numbers compare as numbers, whatever they are written like.
SELECT
    pair.system,
    pair.account_id,
    pair.event_key,
    pair.received_at,
    pair.topic,
    pair."partition",
    pair."offset",
    coalesce(pair.changed_at, pair.event_time) AS changed_at,
    pair.record_id,
    coalesce(deals.id, TRY_CAST(pair.record_id AS BIGINT)) AS deal_id,
    deals.name AS deal_name,
    pair.field,
    pair.label,
    pair.old,
    pair.new,
    NOT same_value(pair.old, pair.new) AS differs,
    -- The difference of two ids means nothing.
    CASE
        WHEN pair.field NOT LIKE '%\_id' THEN exact_number(pair.new) - exact_number(pair.old)
    END AS delta,
    pair.actor_id,
    pair.actor_name,
    deals.owner_id,
    deals.owner_name,
    deals.deal_pipeline_id,
    deals.deal_pipeline_name,
    deals.deal_stage_name,
    CASE
        WHEN pair.field <> 'deal_stage_id' THEN NULL
        WHEN lower(deals.deal_stage_forecast_type) IN ('closed won', 'won') THEN 'won'
        WHEN lower(deals.deal_stage_forecast_type) IN ('closed lost', 'lost') THEN 'lost'
        WHEN deals.deal_stage_forecast_type IS NOT NULL THEN 'open'
    END AS outcome,
    deals.currency_code,
    deals.exchange_rate,
    coalesce(deals.base_currency_amount, deals.amount) AS amount,
    pair.field = 'base_currency_amount' AS has_base_amount
FROM (
    SELECT *, coalesce(old_value, removed) AS old, coalesce(new_value, added) AS new
    FROM field_changes
    WHERE record_type = 'deal'
) AS pair
LEFT JOIN deals
    ON deals.topic = pair.topic
    AND deals."partition" = pair."partition"
    AND deals."offset" = pair."offset"
-- That the amount in base currency is told at all decides what is summed.
WHERE pair.field = 'base_currency_amount' OR NOT same_value(pair.old, pair.new)
