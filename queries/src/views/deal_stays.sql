-- One stay of a deal in a stage: from its creation or its move there to its next move. The deal's name,
-- owner, pipeline, amount and outcome are those of its newest state.
-- Only for deals that do not tell when they were created are their states looked through.
WITH undated AS (
    SELECT system, account_id, id FROM _deals_newest WHERE created_at IS NULL
),
first_told AS (
    SELECT state.system, state.account_id, state.id, min(state.event_time) AS event_time
    FROM undated
    RIGHT SEMI JOIN deals AS state
        ON (undated.system IS NOT DISTINCT FROM state.system)
        AND (undated.account_id IS NOT DISTINCT FROM state.account_id)
        AND (undated.id IS NOT DISTINCT FROM state.id)
    GROUP BY state.system, state.account_id, state.id
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
    -- What is named first in a join is held: the few, and not all deals.
    FROM first_told
    RIGHT JOIN _deals_newest AS deal
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
        follows IS NOT TRUE AS is_first,
        next_at
    FROM _deal_moves
),
-- A deal's first stay ends with its first move, or goes on; each move begins another.
stays AS (
    SELECT
        * EXCEPT (begins),
        CASE
            WHEN NOT begins THEN new
            WHEN is_first IS NULL THEN newest_stage
            ELSE old
        END AS stage_id,
        CASE WHEN begins THEN created_at ELSE moved_at END AS entered_at,
        CASE WHEN begins THEN moved_at ELSE next_at END AS left_at
    FROM (
        SELECT
            *,
            unnest(CASE
                WHEN is_first IS NULL THEN make_array(true)
                WHEN is_first AND is_known THEN make_array(true, false)
                ELSE make_array(false)
            END) AS begins
        FROM (
            SELECT
                coalesce(newest.system, moves.system) AS system,
                coalesce(newest.account_id, moves.account_id) AS account_id,
                coalesce(newest.deal_id, moves.deal_id) AS deal_id,
                newest.deal_id IS NOT NULL AS is_known,
                newest.deal_name,
                newest.owner_id,
                newest.owner_name,
                newest.deal_pipeline_id,
                newest.deal_pipeline_name,
                newest.stage_id AS newest_stage,
                newest.created_at,
                newest.amount,
                coalesce(newest.is_deleted, false) AS is_deleted,
                moves.old,
                moves.new,
                moves.moved_at,
                moves.next_at,
                moves.is_first
            FROM newest
            -- The number alone is looked for, and the two texts are compared where it is found: that is sooner done than to
            -- look for all three. Each deal here has a number, so that a move without one meets none.
            FULL JOIN moves
                ON (moves.system IS NOT DISTINCT FROM newest.system)
                AND (moves.account_id IS NOT DISTINCT FROM newest.account_id)
                AND (moves.deal_id = newest.deal_id)
        ) AS met
    ) AS ends
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
    looked_up(
        (SELECT stages FROM _deal_stages_held), stays.system, stays.account_id, stays.newest_stage
    )['first']['outcome'] AS deal_outcome,
    stays.is_deleted
FROM stays
LEFT JOIN deal_stages
    ON (deal_stages.system IS NOT DISTINCT FROM stays.system)
    AND (deal_stages.account_id IS NOT DISTINCT FROM stays.account_id)
    AND (CAST(deal_stages.id AS VARCHAR) IS NOT DISTINCT FROM stays.stage_id)
WHERE stays.stage_id IS NOT NULL
