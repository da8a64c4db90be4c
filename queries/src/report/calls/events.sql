-- The events that told of the calls behind a line.
SELECT DISTINCT
    event.*
FROM (
    SELECT
        call_id AS of, extension, 'calls' AS "table",
        system, account_id, event_type, event_time, received_at, topic, "partition", "offset"
    FROM calls
    UNION ALL
    SELECT
        call_id, CAST(NULL AS VARCHAR), 'calls',
        system, account_id, event_type, event_time, received_at, topic, "partition", "offset"
    FROM call_participants
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
