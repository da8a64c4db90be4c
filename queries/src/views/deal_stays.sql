-- One stay of a deal in a stage: from its creation or its move there to its next move. The deal's name, owner, pipeline,
-- amount and outcome are those of its newest state.
SELECT
    stays.system,
    stays.account_id,
    stays.deal_id,
    stays.deal_name,
    stays.owner_id,
    stays.owner_name,
    stays.deal_pipeline_id,
    stays.deal_pipeline_name,
    stays.stay['stage_id'] AS stage_id,
    deal_stages.name AS stage_name,
    deal_stages.outcome,
    stays.stay['entered_at'] AS entered_at,
    stays.stay['left_at'] AS left_at,
    stays.amount,
    looked_up(
        (SELECT stages FROM _deal_stages_held), stays.system, stays.account_id, stays.stage_id
    )['first']['outcome'] AS deal_outcome,
    coalesce(stays.is_deleted, false) AS is_deleted
FROM (SELECT * EXCEPT (stays), unnest(stays) AS stay FROM _deal_histories) AS stays
LEFT JOIN deal_stages
    ON (deal_stages.system IS NOT DISTINCT FROM stays.system)
    AND (deal_stages.account_id IS NOT DISTINCT FROM stays.account_id)
    AND (CAST(deal_stages.id AS VARCHAR) = stays.stay['stage_id'])
