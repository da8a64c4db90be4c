-- One change of a deal's stage, when it was told first, and when the next one was.
-- All moves in one order, deal after deal: windows of their own over many short histories cost several times that.
SELECT
    * EXCEPT (record, place, follows, next_at),
    -- True of the same deal; of another, or of none, it is false or null.
    lag(record) OVER moves = record AS follows,
    CASE WHEN lead(record) OVER moves = record THEN lead(changed_at) OVER moves END AS next_at
FROM (
    SELECT
        * EXCEPT (coming),
        arrival_order(system, account_id, record_id) AS record,
        arrival_order(system, account_id, record_id, changed_at, topic, "partition", "offset") AS place
    FROM (
        SELECT
            *,
            rank() OVER (
                PARTITION BY system, account_id, record_id, event_key
                ORDER BY received_at, topic, "partition", "offset"
            ) AS coming
        FROM _deal_moves_told
    ) AS told
    WHERE coming = 1
) AS told
WINDOW moves AS (ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
