-- One field of one update of a deal whose old and new value differ, with the deal as it stood in
-- that event, and the names and outcomes of stages.
SELECT
    changed.system,
    changed.account_id,
    changed.topic,
    changed."partition",
    changed."offset",
    changed.changed_at,
    changed.deal_id,
    changed.deal_name,
    changed.field,
    changed.label,
    changed.old,
    changed.new,
    changed.delta,
    CASE
        WHEN changed.field <> 'base_currency_amount' OR changed.exchange_rate = 1
            THEN changed.currency_code
        ELSE account_currency(changed.account_id)
    END AS currency,
    changed.actor_id AS changed_by,
    changed.actor_name AS changed_by_name,
    changed.owner_id,
    changed.owner_name,
    changed.deal_pipeline_id,
    changed.deal_pipeline_name,
    CASE
        WHEN changed.field = 'base_currency_amount' THEN changed.delta
        WHEN changed.field = 'amount' AND NOT changed.has_base_amount THEN changed.delta
    END AS amount_delta,
    changed.amount,
    CASE WHEN changed.field = 'deal_stage_id' THEN changed.old END AS from_stage,
    CASE WHEN changed.field = 'deal_stage_id' THEN changed.new END AS to_stage,
    coalesce(changed.outcome, new_stages.outcome) AS outcome,
    old_stages.outcome AS old_outcome,
    old_stages.name AS from_stage_name,
    coalesce(new_stages.name, changed.deal_stage_name) AS to_stage_name
FROM _deal_changes_first AS changed
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
WHERE changed.differs
