-- The events that the changes behind a line came in.
SELECT DISTINCT
    event.*
FROM (
    SELECT
        record_id AS of, CAST(NULL AS VARCHAR) AS extension, 'field_changes' AS "table",
        system, account_id, event_type, event_time, received_at, topic, "partition", "offset"
    FROM field_changes
    WHERE record_type = 'deal'
) AS event
INNER JOIN (SELECT DISTINCT topic, "partition", "offset" FROM items) AS item
    ON item.topic = event.topic
    AND item."partition" = event."partition"
    AND item."offset" = event."offset"
