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
    FROM (
        -- One key costs a window over many short histories less than three columns do.
        SELECT *, arrival_order(system, account_id, record_id) AS record
        FROM _deal_changes_first
        WHERE field = 'deal_stage_id' AND differs
    ) AS told
    WINDOW deal AS (PARTITION BY record ORDER BY changed_at, topic, "partition", "offset")
),
-- A deal's first stay ends with its first move, or goes on; each move begins another.
stays AS (
    SELECT
        coalesce(newest.system, moves.system) AS system,
        coalesce(newest.account_id, moves.account_id) AS account_id,
        coalesce(newest.deal_id, moves.deal_id) AS deal_id,
        newest.deal_name,
        newest.owner_id,
        newest.owner_name,
        newest.deal_pipeline_id,
        newest.deal_pipeline_name,
        CASE
            WHEN NOT is_first THEN moves.new
            WHEN moves.place IS NULL THEN newest.stage_id
            ELSE moves.old
        END AS stage_id,
        CASE WHEN is_first THEN newest.created_at ELSE moves.moved_at END AS entered_at,
        CASE WHEN is_first THEN moves.moved_at ELSE moves.next_at END AS left_at,
        newest.amount,
        coalesce(newest.is_deleted, false) AS is_deleted
    FROM newest
    FULL JOIN moves
        ON (moves.system IS NOT DISTINCT FROM newest.system)
        AND (moves.account_id IS NOT DISTINCT FROM newest.account_id)
        AND (moves.deal_id IS NOT DISTINCT FROM newest.deal_id)
    CROSS JOIN (VALUES (true), (false)) AS ends(is_first)
    WHERE CASE
        WHEN is_first THEN newest.deal_id IS NOT NULL AND coalesce(moves.place, 1) = 1
        ELSE moves.place IS NOT NULL
    END
)
SELECT
    stays.system,
    stays.account_id,
    stays.deal_id,
    stays.deal_name,
    stays.owner_id,
    stays.owner_name,
    stays.deal_pipeline_id,
    stays.deal_pipeline_name,
    stays.stage_id,
    deal_stages.name AS stage_name,
    deal_stages.outcome,
    stays.entered_at,
    stays.left_at,
    stays.amount,
    stays.is_deleted
FROM stays
LEFT JOIN deal_stages
    ON (deal_stages.system IS NOT DISTINCT FROM stays.system)
    AND (deal_stages.account_id IS NOT DISTINCT FROM stays.account_id)
    AND (CAST(deal_stages.id AS VARCHAR) IS NOT DISTINCT FROM stays.stage_id)
WHERE stays.stage_id IS NOT NULL
