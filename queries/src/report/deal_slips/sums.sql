-- Deals whose expected close moved to a later day, summed: deal by deal first, each with the amount of its newest move,
-- which is where `amount` stands in the rows. A window over so many short histories takes longer than all the rest.
SELECT
    {groups}
    sum(times) AS times,
    CAST(sum(days) AS BIGINT) AS days,
    coalesce(sum(amount), 0) AS amount
FROM (
    SELECT
        {parts}
        count(*) AS times,
        sum(days) AS days,
        last_value(deal_amount ORDER BY arrival) AS amount
    FROM picked
    GROUP BY {keys} system, account_id, deal_id
) AS part
GROUP BY {keys} true
ORDER BY {order} times
