-- How the billed durations lie: calls in each bin, which holds its upper bound and not its lower one.
-- The bins are always the same, so that two periods can be laid side by side.
bins AS (
    SELECT CAST(column1 AS BIGINT) AS bin, column2 AS over_seconds, column3 AS to_seconds
    FROM (VALUES
        (1, CAST(NULL AS BIGINT), 0), (2, 0, 6), (3, 6, 30), (4, 30, 60), (5, 60, 120), (6, 120, 180),
        (7, 180, 300), (8, 300, 600), (9, 600, 900), (10, 900, 1800), (11, 1800, 3600),
        (12, 3600, 7200), (13, 7200, CAST(NULL AS BIGINT))
    ) AS listed
),
counted AS (
    SELECT {groups} bin, sum(calls) AS calls
    FROM (
        SELECT {parts} system, account_id, bin, count(*) AS calls
        FROM (
            SELECT
                *,
                CASE
                    WHEN billed_seconds <= 0 THEN 1 WHEN billed_seconds <= 6 THEN 2
                    WHEN billed_seconds <= 30 THEN 3 WHEN billed_seconds <= 60 THEN 4
                    WHEN billed_seconds <= 120 THEN 5 WHEN billed_seconds <= 180 THEN 6
                    WHEN billed_seconds <= 300 THEN 7 WHEN billed_seconds <= 600 THEN 8
                    WHEN billed_seconds <= 900 THEN 9 WHEN billed_seconds <= 1800 THEN 10
                    WHEN billed_seconds <= 3600 THEN 11 WHEN billed_seconds <= 7200 THEN 12
                    ELSE 13
                END AS bin
            FROM picked
            WHERE billed_seconds IS NOT NULL
        ) AS binned
        GROUP BY {keys} system, account_id, bin
    ) AS part
    {agents}
    GROUP BY {keys} bin
),
-- Every bin from the first that holds a call to the last, so that the shape is not torn.
spans AS (
    SELECT {regroups} min(bin) AS first_bin, max(bin) AS last_bin FROM counted GROUP BY {group_keys} true
)
SELECT
    {of_spans}
    bins.over_seconds,
    bins.to_seconds,
    coalesce(counted.calls, 0) AS calls
FROM spans
INNER JOIN bins ON bins.bin >= spans.first_bin AND bins.bin <= spans.last_bin
LEFT JOIN counted ON counted.bin = bins.bin {same_group}
ORDER BY {order_of_spans} bins.bin
