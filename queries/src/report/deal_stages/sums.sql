-- How deals go through the stages. The median is by nearest rank.
SELECT
    {shown}
    entered,
    "left",
    "open",
    amount_open,
    ratio(stayed_seconds, "left" * 86400) AS mean_days,
    ratio(median_seconds, 86400) AS median_days
FROM (
    SELECT
        {regroups}
        sum(entered) AS entered,
        sum("left") AS "left",
        sum("open") AS "open",
        coalesce(sum(amount_open), 0) AS amount_open,
        sum(stayed) AS stayed_seconds,
        min(stayed_seconds) FILTER (WHERE upto * 100 >= all_left * 50) AS median_seconds
    FROM (
        SELECT
            *,
            sum("left") OVER (PARTITION BY {group_keys} true ORDER BY stayed_seconds NULLS LAST) AS upto,
            sum("left") OVER (PARTITION BY {group_keys} true) AS all_left
        FROM (
            SELECT
                {groups}
                stayed_seconds,
                sum(stayed_seconds) AS stayed,
                count(*) FILTER (WHERE has_entered) AS entered,
                count(*) FILTER (WHERE has_left) AS "left",
                count(*) FILTER (WHERE is_open) AS "open",
                sum(amount_open) AS amount_open
            FROM picked
            GROUP BY {keys} stayed_seconds
        ) AS stays
    ) AS ranked
    GROUP BY {group_keys} true
) AS summed
ORDER BY {order} entered
