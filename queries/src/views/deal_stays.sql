-- One stay of a deal in a stage: from its creation or its move there to its next move. The deal's name,
-- owner, pipeline and amount are those of its newest state.
WITH first_told AS (
    SELECT system, account_id, id, min(event_time) AS event_time
    FROM deals
    GROUP BY system, account_id, id
),
newest AS (
    SELECT
        deal.system,
        deal.account_id,
        deal.id AS deal_id,
        deal.name AS deal_name,
        deal.owner_id,
        deal.owner_name,
        deal.deal_pipeline_id,
        deal.deal_pipeline_name,
        CAST(deal.deal_stage_id AS VARCHAR) AS stage_id,
        coalesce(deal.base_currency_amount, deal.amount) AS amount,
        coalesce(deal.is_deleted, false) OR deal.event_type LIKE '%Delete' AS is_deleted,
        coalesce(deal.created_at, first_told.event_time) AS created_at
    FROM _deals_newest AS deal
    LEFT JOIN first_told
        ON (first_told.system IS NOT DISTINCT FROM deal.system)
        AND (first_told.account_id IS NOT DISTINCT FROM deal.account_id)
        AND (first_told.id IS NOT DISTINCT FROM deal.id)
    WHERE deal.id IS NOT NULL
),
moves AS (
    SELECT
        system,
        account_id,
        TRY_CAST(record_id AS BIGINT) AS deal_id,
        old,
        new,
        changed_at AS moved_at,
        row_number() OVER deal AS place,
        lead(changed_at) OVER deal AS next_at
    FROM _deal_changes_first
    WHERE field = 'deal_stage_id' AND differs
    WINDOW deal AS (
        PARTITION BY system, account_id, record_id ORDER BY changed_at, topic, "partition", "offset"
    )
),
stays AS (
    SELECT
        newest.system,
        newest.account_id,
        newest.deal_id,
        CASE WHEN moves.deal_id IS NULL THEN newest.stage_id ELSE moves.old END AS stage_id,
        newest.created_at AS entered_at,
        moves.moved_at AS left_at
    FROM newest
    LEFT JOIN moves
        ON (moves.system IS NOT DISTINCT FROM newest.system)
        AND (moves.account_id IS NOT DISTINCT FROM newest.account_id)
        AND (moves.deal_id IS NOT DISTINCT FROM newest.deal_id)
        AND (moves.place = 1)
    UNION ALL
    SELECT system, account_id, deal_id, new, moved_at, next_at
    FROM moves
)
SELECT
    stays.system,
    stays.account_id,
    stays.deal_id,
    newest.deal_name,
    newest.owner_id,
    newest.owner_name,
    newest.deal_pipeline_id,
    newest.deal_pipeline_name,
    stays.stage_id,
    deal_stages.name AS stage_name,
    deal_stages.outcome,
    stays.entered_at,
    stays.left_at,
    newest.amount,
    coalesce(newest.is_deleted, false) AS is_deleted
FROM stays
LEFT JOIN newest
    ON (newest.system IS NOT DISTINCT FROM stays.system)
    AND (newest.account_id IS NOT DISTINCT FROM stays.account_id)
    AND (newest.deal_id IS NOT DISTINCT FROM stays.deal_id)
LEFT JOIN deal_stages
    ON (deal_stages.system IS NOT DISTINCT FROM stays.system)
    AND (deal_stages.account_id IS NOT DISTINCT FROM stays.account_id)
    AND (CAST(deal_stages.id AS VARCHAR) IS NOT DISTINCT FROM stays.stage_id)
WHERE stays.stage_id IS NOT NULL
