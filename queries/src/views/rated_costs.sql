-- One row per call and currency: what the vendor told of the legs or the call, or what a tariff makes of
-- the call.
SELECT
    told.system, told.account_id, told.call_id, CAST(NULL AS VARCHAR) AS extension,
    told.currency, told.cost, told.cost_source, CAST(NULL AS VARCHAR) AS tariff
FROM call_costs_told AS told
UNION ALL
SELECT system, account_id, call_id, extension, currency, cost, cost_source, tariff
FROM calls_current
WHERE cost_source = 'tariff'
