-- The events that began and ended the phases behind a line.
SELECT DISTINCT
    event.*
FROM (
    SELECT
        interaction_id AS of, CAST(NULL AS VARCHAR) AS extension, 'channel_events' AS "table",
        system, account_id, event_type, event_time, received_at, topic, "partition", "offset"
    FROM channel_events
) AS event
INNER JOIN (
    SELECT topic, "partition", "offset" FROM items
    UNION ALL
    SELECT next_topic, next_partition, next_offset FROM items
) AS item
    ON item.topic = event.topic
    AND item."partition" = event."partition"
    AND item."offset" = event."offset"
