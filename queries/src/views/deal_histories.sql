-- One deal: what its newest state tells, and its stays in stages, the first from its creation, or from when it
-- was told first, and each other from a move to the next. A deal of which only moves are known has but these.
WITH placed AS (
    SELECT
        *,
        arrival_order(system, account_id, record_id) AS record,
        -- A deal's state comes before its moves.
        arrival_order(system, account_id, record_id, is_move, changed_at, topic, "partition", "offset") AS place
    FROM _deal_history_kept
),
-- All in one order, deal after deal: windows of their own over many short histories cost several times that. A stay begins
-- with each row, and ends with the next one of the same deal.
followed AS (
    SELECT
        *,
        lead(record) OVER history IS NOT DISTINCT FROM record AS goes_on,
        lead(old) OVER history AS next_old,
        lead(changed_at) OVER history AS next_at
    FROM placed
    WINDOW history AS (ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),
stays AS (
    SELECT
        system,
        account_id,
        record_id,
        CASE WHEN is_move THEN new WHEN goes_on THEN next_old ELSE stage_id END AS stage_id,
        CASE WHEN is_move THEN changed_at ELSE coalesce(created_at, first_told) END AS entered_at,
        CASE WHEN goes_on THEN next_at END AS left_at
    FROM followed
),
listed AS (
    SELECT
        system,
        account_id,
        record_id,
        array_agg(named_struct('stage_id', stage_id, 'entered_at', entered_at, 'left_at', left_at))
            FILTER (WHERE stage_id IS NOT NULL) AS stays
    FROM stays
    GROUP BY system, account_id, record_id
)
SELECT
    listed.system,
    listed.account_id,
    listed.record_id,
    TRY_CAST(listed.record_id AS BIGINT) AS deal_id,
    state.deal_name,
    state.owner_id,
    state.owner_name,
    state.deal_pipeline_id,
    state.deal_pipeline_name,
    state.stage_id,
    state.amount,
    state.is_deleted,
    state.sales_account_id,
    state.contact_ids,
    listed.stays
FROM (SELECT * FROM _deal_history_kept WHERE NOT is_move) AS state
RIGHT JOIN listed
    ON (state.system IS NOT DISTINCT FROM listed.system)
    AND (state.account_id IS NOT DISTINCT FROM listed.account_id)
    AND (state.record_id = listed.record_id)
