-- One field of one update of a deal whose old and new value differ, with the deal as it stood in
-- that event. Numbers compare as numbers, whatever they are written like.
WITH pairs AS (
    SELECT
        system, account_id, topic, "partition", "offset", record_id, field, label,
        coalesce(old_value, removed) AS old,
        coalesce(new_value, added) AS new,
        actor_id,
        actor_name,
        coalesce(changed_at, event_time) AS changed_at,
        -- An update that tells the amount in base currency is summed by that one.
        bool_or(field = 'base_currency_amount')
            OVER (PARTITION BY topic, "partition", "offset") AS has_base_amount,
        -- An event that came again, by a retry or by an import of what is there, counts once.
        rank() OVER (
            PARTITION BY system, account_id, event_key
            ORDER BY received_at, topic, "partition", "offset"
        ) AS coming
    FROM field_changes
    WHERE record_type = 'deal'
),
changed AS (
    SELECT
        *,
        -- The difference of two ids means nothing.
        CASE WHEN field NOT LIKE '%\_id' THEN exact_number(new) - exact_number(old) END AS delta
    FROM pairs
    WHERE coming = 1 AND NOT same_value(old, new)
)
SELECT
    changed.system,
    changed.account_id,
    changed.topic,
    changed."partition",
    changed."offset",
    changed.changed_at,
    coalesce(deals.id, TRY_CAST(changed.record_id AS BIGINT)) AS deal_id,
    deals.name AS deal_name,
    changed.field,
    changed.label,
    changed.old,
    changed.new,
    changed.delta,
    CASE
        WHEN changed.field <> 'base_currency_amount' OR deals.exchange_rate = 1 THEN deals.currency_code
        ELSE account_currencies.currency
    END AS currency,
    changed.actor_id AS changed_by,
    changed.actor_name AS changed_by_name,
    deals.owner_id,
    deals.owner_name,
    deals.deal_pipeline_id,
    deals.deal_pipeline_name,
    CASE
        WHEN changed.field = 'base_currency_amount' THEN delta
        WHEN changed.field = 'amount' AND NOT has_base_amount THEN delta
    END AS amount_delta,
    coalesce(deals.base_currency_amount, deals.amount) AS amount,
    CASE WHEN changed.field = 'deal_stage_id' THEN changed.old END AS from_stage,
    CASE WHEN changed.field = 'deal_stage_id' THEN changed.new END AS to_stage,
    CASE
        WHEN changed.field <> 'deal_stage_id' THEN NULL
        WHEN lower(deals.deal_stage_forecast_type) IN ('closed won', 'won') THEN 'won'
        WHEN lower(deals.deal_stage_forecast_type) IN ('closed lost', 'lost') THEN 'lost'
        WHEN deals.deal_stage_forecast_type IS NOT NULL THEN 'open'
        ELSE new_stages.outcome
    END AS outcome,
    old_stages.outcome AS old_outcome,
    old_stages.name AS from_stage_name,
    coalesce(new_stages.name, deals.deal_stage_name) AS to_stage_name
FROM changed
LEFT JOIN deals
    ON deals.topic = changed.topic
    AND deals."partition" = changed."partition"
    AND deals."offset" = changed."offset"
LEFT JOIN deal_stages AS old_stages
    ON (old_stages.system IS NOT DISTINCT FROM changed.system)
    AND (old_stages.account_id IS NOT DISTINCT FROM changed.account_id)
    AND (
        CAST(old_stages.id AS VARCHAR)
        IS NOT DISTINCT FROM CASE WHEN changed.field = 'deal_stage_id' THEN changed.old END
    )
LEFT JOIN deal_stages AS new_stages
    ON (new_stages.system IS NOT DISTINCT FROM changed.system)
    AND (new_stages.account_id IS NOT DISTINCT FROM changed.account_id)
    AND (
        CAST(new_stages.id AS VARCHAR)
        IS NOT DISTINCT FROM CASE WHEN changed.field = 'deal_stage_id' THEN changed.new END
    )
LEFT JOIN account_currencies ON account_currencies.account_id = changed.account_id
