-- One row for each phase of an agent's channel and day that it lasted in, cut at the period's ends. A
-- phase lasts until the next event of its channel; parked goes before held, and both before talking.
WITH told AS (
    SELECT
        *,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival,
        -- One key costs a window over many short channels less than four columns do.
        arrival_order(system, account_id, interaction_id, channel_id) AS channel_key
    FROM channel_events
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
    WHERE party_role = 'agent'
    WINDOW channel AS (
        PARTITION BY channel_key ORDER BY arrival
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
parts AS (
    SELECT *, unnest(day_parts(began_at, ended_at, '{zone}')) AS part
    FROM (
        SELECT
            *,
            greatest(event_time, {since}) AS began_at,
            least(next_time, {until}) AS ended_at
        FROM phases
        WHERE next_time IS NOT NULL AND state IS NOT NULL
    ) AS spans
),
told_of AS (
    SELECT
        system, account_id, interaction_id AS call_id, channel_id, agent_of AS agent_id, state,
        began_at, ended_at, part['day'] AS day, part['seconds'] AS seconds,
        topic, "partition", "offset", next_topic, next_partition, next_offset
    FROM parts
    WHERE part IS NOT NULL
)
SELECT
    {values}
    told_of.*
FROM told_of
{joins}
WHERE {filters}
