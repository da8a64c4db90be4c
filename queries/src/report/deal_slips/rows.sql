-- One row for each time that an expected close moved to a later day. A deal's amount stands on its
-- newest one in the group, so that it is summed once.
SELECT
    *,
    CASE
        WHEN row_number() OVER (
            PARTITION BY {keys} system, account_id, deal_id
            ORDER BY arrival DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) = 1 THEN deal_amount
    END AS amount
FROM (
    SELECT
        {values}
        change.system,
        change.account_id,
        change.deal_id,
        change.deal_name,
        change.changed_at,
        change.changed_by,
        change.topic,
        change."partition",
        change."offset",
        arrival_order(change.changed_at, change.topic, change."partition", change."offset") AS arrival,
        TRY_CAST(substr(change.old, 1, 10) AS DATE) AS old_close,
        TRY_CAST(substr(change.new, 1, 10) AS DATE) AS new_close,
        CAST(arrow_cast(TRY_CAST(substr(change.new, 1, 10) AS DATE), 'Int32') AS BIGINT)
            - CAST(arrow_cast(TRY_CAST(substr(change.old, 1, 10) AS DATE), 'Int32') AS BIGINT)
            AS days,
        change.amount AS deal_amount
    FROM deal_changes AS change
    WHERE change.field = 'expected_close' AND {filters}
) AS moved
WHERE days > 0
