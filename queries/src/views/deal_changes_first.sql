-- What changed, when it was told first: an event that came again, by a retry or by an import of what is there,
-- counts once. An update that tells the amount in base currency is summed by that one.
SELECT
    * EXCEPT (coming)
    REPLACE (
        bool_or(has_base_amount) OVER (PARTITION BY system, account_id, event_key) AS has_base_amount
    )
FROM (
    SELECT
        *,
        rank() OVER (
            PARTITION BY system, account_id, event_key
            ORDER BY received_at, topic, "partition", "offset"
        ) AS coming
    FROM _deal_changes_told
) AS told
WHERE coming = 1
