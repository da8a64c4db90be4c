-- What each call cost in each currency, as it was told: the sum of its legs' costs, or the cost that the
-- call itself has. Null is a currency of its own here. Amounts are never added across currencies.
-- Most calls cost one amount, which stands in the call's own row; `is_split` says which do not.
SELECT
    system,
    account_id,
    call_id,
    currency,
    cost,
    bool_or(own_costs > 1 OR (leg_costs > 0 AND (own_costs > 0 OR currency IS NULL))) OVER call
        OR count(*) OVER call > 1 AS is_split
FROM (
    SELECT
        system, account_id, call_id, currency, sum(cost) AS cost,
        count(*) FILTER (WHERE is_own) AS own_costs,
        count(*) FILTER (WHERE NOT is_own) AS leg_costs
    FROM (
        SELECT system, account_id, call_id, currency, cost, false AS is_own
        FROM call_participants_current
        WHERE cost IS NOT NULL
        UNION ALL
        SELECT system, account_id, call_id, upper(currency), cost, true
        FROM _calls_stated
        WHERE cost IS NOT NULL
    ) AS costs
    GROUP BY system, account_id, call_id, currency
) AS summed
WINDOW call AS (PARTITION BY system, account_id, call_id)
