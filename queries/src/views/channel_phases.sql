-- One phase of an agent's channel: it lasts until the channel's next event. Parked goes before held, and
-- both before talking. The positions are those of the events that began and ended it.
WITH told AS (
    SELECT
        *,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival,
        -- One key costs a window over many short channels less than four columns do.
        arrival_order(system, account_id, interaction_id, channel_id) AS channel_key
    FROM channel_events
    WHERE party_role = 'agent'
),
phases AS (
    SELECT
        *,
        last_told(agent_id) OVER channel AS agent_of,
        channel_state(phase) OVER channel AS state,
        lead(event_time) OVER channel AS next_time,
        lead(topic) OVER channel AS next_topic,
        lead("partition") OVER channel AS next_partition,
        lead("offset") OVER channel AS next_offset
    FROM told
    WINDOW channel AS (
        PARTITION BY channel_key ORDER BY arrival
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
)
SELECT
    system,
    account_id,
    interaction_id AS call_id,
    channel_id,
    agent_of AS agent_id,
    state,
    event_time AS began_at,
    next_time AS ended_at,
    topic,
    "partition",
    "offset",
    next_topic,
    next_partition,
    next_offset
FROM phases
WHERE next_time IS NOT NULL AND state IS NOT NULL
