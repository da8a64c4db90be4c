-- The events of the deals behind a line that came while they stayed, the one that ended the stay
-- among them; that of the creation tells its time later than it happened.
SELECT DISTINCT
    event.*
FROM (
    SELECT
        CAST(id AS VARCHAR) AS of, CAST(NULL AS VARCHAR) AS extension, 'deals' AS "table",
        system, account_id, event_type, event_time, received_at, topic, "partition", "offset"
    FROM deals
) AS event
INNER JOIN items AS item
    ON (item.system IS NOT DISTINCT FROM event.system)
    AND (item.account_id IS NOT DISTINCT FROM event.account_id)
    AND CAST(item.deal_id AS VARCHAR) = event.of
WHERE event.event_time >= item.entered_at
    AND (item.left_at IS NULL OR event.event_time <= item.left_at)
