-- What each call cost in each currency, as it was told: the sum of its legs' costs, or the cost that the
-- call itself has. Null is a currency of its own here. Amounts are never added across currencies.
SELECT system, account_id, call_id, currency, sum(cost) AS cost
FROM (
    SELECT system, account_id, call_id, currency, cost
    FROM call_participants_current
    WHERE cost IS NOT NULL
    UNION ALL
    SELECT system, account_id, call_id, upper(currency), cost
    FROM _calls_stated
    WHERE cost IS NOT NULL
) AS costs
GROUP BY system, account_id, call_id, currency
