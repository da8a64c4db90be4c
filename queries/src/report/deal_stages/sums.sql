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
        {groups}
        count(*) FILTER (WHERE has_entered) AS entered,
        count(*) FILTER (WHERE has_left) AS "left",
        count(*) FILTER (WHERE is_open) AS "open",
        coalesce(sum(amount_open), 0) AS amount_open,
        sum(stayed_seconds) AS stayed_seconds,
        nearest_rank(stayed_seconds, 50) AS median_seconds
    FROM picked
    GROUP BY {keys} true
) AS summed
ORDER BY {order} entered
