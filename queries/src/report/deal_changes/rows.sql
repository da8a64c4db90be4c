-- One row for each change.
SELECT
    {values}
    concat_ws('/', change.system, change.account_id, CAST(change.deal_id AS VARCHAR)) AS deal_key,
    change.*
FROM deal_changes AS change
WHERE {filters}
