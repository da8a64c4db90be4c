-- One field of one update of a deal whose old and new value differ, with the deal as it stood in
-- that event, and the names and outcomes of stages.
WITH changed AS (
    SELECT
        *,
        CASE WHEN field = 'deal_stage_id' THEN old END AS from_stage,
        CASE WHEN field = 'deal_stage_id' THEN new END AS to_stage
    FROM _deal_changes_first
    WHERE differs
),
staged AS (
    SELECT
        *,
        looked_up((SELECT stages FROM _deal_stages_held), system, account_id, from_stage, to_stage) AS stages
    FROM changed
)
SELECT
    system,
    account_id,
    topic,
    "partition",
    "offset",
    changed_at,
    deal_id,
    deal_name,
    field,
    label,
    old,
    new,
    delta,
    CASE
        WHEN field <> 'base_currency_amount' OR exchange_rate = 1
            THEN currency_code
        ELSE account_currency(account_id)
    END AS currency,
    actor_id AS changed_by,
    actor_name AS changed_by_name,
    owner_id,
    owner_name,
    deal_pipeline_id,
    deal_pipeline_name,
    CASE
        WHEN field = 'base_currency_amount' THEN delta
        WHEN field = 'amount' AND NOT has_base_amount THEN delta
    END AS amount_delta,
    amount,
    from_stage,
    to_stage,
    coalesce(outcome, stages['second']['outcome']) AS outcome,
    stages['first']['outcome'] AS old_outcome,
    stages['first']['name'] AS from_stage_name,
    coalesce(stages['second']['name'], deal_stage_name) AS to_stage_name
FROM staged
