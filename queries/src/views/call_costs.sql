-- One row per call and currency: the sum of its legs' costs, or the cost that the call itself has.
-- An amount without a currency is in its account's configured one. Amounts are never added across
-- currencies.
WITH leg_costs AS (
    SELECT system, account_id, call_id, currency, cost
    FROM call_participants_current
    WHERE cost IS NOT NULL
),
own_costs AS (
    SELECT
        system,
        account_id,
        call_id,
        last_value(currency ORDER BY arrival) IGNORE NULLS AS currency,
        last_value(cost ORDER BY arrival) IGNORE NULLS AS cost
    FROM (
        SELECT *, arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
        FROM calls
        WHERE cost IS NOT NULL OR currency IS NOT NULL
    ) AS states
    GROUP BY system, account_id, call_id
),
costs AS (
    SELECT * FROM leg_costs
    UNION ALL
    SELECT * FROM own_costs WHERE cost IS NOT NULL
)
SELECT
    costs.system,
    costs.account_id,
    costs.call_id,
    upper(coalesce(costs.currency, account_currencies.currency)) AS currency,
    sum(costs.cost) AS cost,
    'vendor' AS cost_source
FROM costs
LEFT JOIN account_currencies ON account_currencies.account_id = costs.account_id
GROUP BY 1, 2, 3, 4
