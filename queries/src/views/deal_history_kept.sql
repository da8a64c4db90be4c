-- Of what tells of a deal what counts: its newest state, which knows when the first one was, and each change of its stage
-- when it was told first.
SELECT * EXCEPT (place)
FROM (
    SELECT
        * REPLACE (min(first_told) OVER (PARTITION BY system, account_id, record_id) AS first_told),
        row_number() OVER (
            PARTITION BY system, account_id, record_id
            ORDER BY event_time DESC, received_at DESC, topic DESC, "partition" DESC, "offset" DESC
        ) AS place
    FROM _deal_history_told
    WHERE NOT is_move
) AS states
WHERE place = 1
UNION ALL
SELECT * EXCEPT (coming)
FROM (
    SELECT
        *,
        rank() OVER (
            PARTITION BY system, account_id, record_id, event_key
            ORDER BY received_at, topic, "partition", "offset"
        ) AS coming
    FROM _deal_history_told
    WHERE is_move
) AS moves
WHERE coming = 1
