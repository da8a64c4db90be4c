-- One call per interaction, from the phases of its channels. Talked is the time in which an agent's
-- channel is connected and neither held, parked nor interrupted: each phase lasts until the next
-- event of its channel, by the time that the phase began.
WITH phases AS (
    SELECT
        *,
        lead(event_time) OVER channel AS next_time,
        last_value(CASE
            WHEN phase = 'connected' THEN true
            WHEN phase IN ('disconnected', 'connectionfailed', 'wrapstarted', 'ended') THEN false
        END) IGNORE NULLS OVER channel AS is_connected,
        last_value(CASE phase WHEN 'held' THEN true WHEN 'retrieved' THEN false END)
            IGNORE NULLS OVER channel AS is_held,
        last_value(CASE phase WHEN 'parked' THEN true WHEN 'unparked' THEN false END)
            IGNORE NULLS OVER channel AS is_parked,
        last_value(CASE phase WHEN 'interrupted' THEN true WHEN 'resumed' THEN false END)
            IGNORE NULLS OVER channel AS is_interrupted
    FROM (
        SELECT *, arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
        FROM channel_events
    ) AS events
    WINDOW channel AS (
        PARTITION BY system, account_id, interaction_id, channel_id ORDER BY arrival
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
)
SELECT
    system,
    account_id,
    interaction_id AS call_id,
    last_value(agent_id ORDER BY arrival) IGNORE NULLS AS agent_id,
    min(event_time) AS started_at,
    min(event_time) FILTER (WHERE phase = 'connected' AND party_role = 'agent') AS answered_at,
    coalesce(
        max(event_time) FILTER (WHERE phase = 'disconnected'),
        max(event_time) FILTER (WHERE phase = 'ended')
    ) AS ended_at,
    last_value(phase ORDER BY arrival) AS status,
    coalesce(sum(seconds_between(event_time, next_time)) FILTER (
        WHERE party_role = 'agent'
            AND is_connected
            AND is_held IS NOT TRUE
            AND is_parked IS NOT TRUE
            AND is_interrupted IS NOT TRUE
            AND next_time IS NOT NULL
    ), 0) AS talk_seconds,
    max(event_time) AS last_event_time
FROM phases
GROUP BY system, account_id, interaction_id
