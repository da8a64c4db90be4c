-- One row per call and currency. An amount without a currency is in its account's configured one.
SELECT
    costs.system,
    costs.account_id,
    costs.call_id,
    upper(coalesce(costs.currency, account_currency(costs.account_id))) AS currency,
    sum(costs.cost) AS cost,
    'vendor' AS cost_source
FROM _call_cost_lines AS costs
GROUP BY 1, 2, 3, 4
