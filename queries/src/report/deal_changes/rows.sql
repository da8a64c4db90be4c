-- One row for each change.
SELECT
    {values}
    change.*
FROM deal_changes AS change
WHERE {filters}
