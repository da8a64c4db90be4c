-- An amount without a currency is in its account's configured one.
SELECT
    system,
    account_id,
    call_id,
    upper(coalesce(currency, account_currency(account_id))) AS currency,
    sum(cost) AS cost
FROM _split_cost_lines
GROUP BY 1, 2, 3, 4
