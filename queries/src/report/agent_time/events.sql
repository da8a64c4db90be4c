-- The events that began and ended the states behind a line, and those of its calls.
SELECT DISTINCT
    event.*
FROM (
    SELECT
        agent_id AS of, CAST(NULL AS VARCHAR) AS extension, 'agent_events' AS "table",
        system, account_id, event_type, event_time, received_at, topic, "partition", "offset"
    FROM agent_events
) AS event
INNER JOIN (
    SELECT topic, "partition", "offset" FROM items
    UNION ALL
    SELECT next_topic, next_partition, next_offset FROM items
) AS item
    ON item.topic = event.topic
    AND item."partition" = event."partition"
    AND item."offset" = event."offset"
UNION ALL
SELECT DISTINCT
    event.*
FROM (
    SELECT
        call_id AS of, extension, 'calls' AS "table",
        system, account_id, event_type, event_time, received_at, topic, "partition", "offset"
    FROM calls
    UNION ALL
    SELECT
        interaction_id, CAST(NULL AS VARCHAR), 'channel_events',
        system, account_id, event_type, event_time, received_at, topic, "partition", "offset"
    FROM channel_events
) AS event
INNER JOIN (SELECT DISTINCT system, account_id, call_id, extension FROM items) AS item
    ON item.system = event.system
    AND (item.account_id IS NOT DISTINCT FROM event.account_id)
    AND item.call_id = event.of
WHERE event.extension IS NULL OR item.extension IS NULL OR event.extension = item.extension
