-- One row for each state of an agent and day that it lasted in, cut at the period's ends, and one for
-- each call that the agent talked in, with the state in which it began. The newest state lasts as long
-- as its account's events tell of anything.
WITH told AS (
    SELECT
        *,
        coalesce(
            lower(category) IN ('loggedout', 'offline') OR available_on = 0
                OR lower(state) IN ('logged out', 'loggedout', 'offline'),
            false
        ) AS is_offline,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM (
        SELECT
            *,
            CASE
                WHEN available_on = 0 THEN 'offline'
                ELSE coalesce(presence, status_name, category,
                    CASE available_on WHEN 1 THEN 'browser' WHEN 2 THEN 'mobile' END)
            END AS state
        FROM agent_events
        WHERE agent_id IS NOT NULL
    ) AS named
    WHERE state IS NOT NULL
),
states AS (
    SELECT
        *,
        coalesce(
            lead(event_time) OVER agent,
            max(event_time) OVER (PARTITION BY system, account_id)
        ) AS next_time,
        lead(topic) OVER agent AS next_topic,
        lead("partition") OVER agent AS next_partition,
        lead("offset") OVER agent AS next_offset
    FROM told
    WINDOW agent AS (
        PARTITION BY system, account_id, agent_id ORDER BY arrival
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
parts AS (
    SELECT *, unnest(day_parts(began_at, ended_at, '{zone}')) AS part
    FROM (
        SELECT *, greatest(event_time, {since}) AS began_at, least(next_time, {until}) AS ended_at
        FROM states
    ) AS spans
),
told_agents AS (
    SELECT DISTINCT system, account_id, agent_id FROM told
),
talks AS (
    SELECT system, account_id, agent_id, started_at AS at, call_id, extension, talk_seconds
    FROM calls_current
    WHERE agent_id IS NOT NULL AND talk_seconds > 0 AND started_at < {until}
),
timeline AS (
    SELECT
        system, account_id, agent_id, event_time AS at, 0 AS is_call, arrival, state, is_offline,
        CAST(NULL AS VARCHAR) AS call_id, CAST(NULL AS VARCHAR) AS extension,
        CAST(NULL AS DECIMAL(18, 6)) AS talk_seconds
    FROM told
    UNION ALL
    SELECT
        talks.system, talks.account_id, talks.agent_id, at, 1, NULL, NULL, NULL, call_id, extension, talk_seconds
    FROM told_agents
    RIGHT SEMI JOIN talks
        ON (told_agents.system IS NOT DISTINCT FROM talks.system)
        AND (told_agents.account_id IS NOT DISTINCT FROM talks.account_id)
        AND (told_agents.agent_id = talks.agent_id)
),
handled AS (
    SELECT
        system, account_id, agent_id, at, is_call, call_id, extension, talk_seconds,
        last_told(state) OVER agent AS state,
        last_told(is_offline) OVER agent AS is_offline
    FROM timeline
    WINDOW agent AS (
        PARTITION BY system, account_id, agent_id ORDER BY at, is_call, arrival
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
    -- Calls of agents of whom no state is told need no place among states.
    UNION ALL
    SELECT
        talks.system, talks.account_id, talks.agent_id, at, 1, call_id, extension, talk_seconds, NULL, NULL
    FROM told_agents
    RIGHT ANTI JOIN talks
        ON (told_agents.system IS NOT DISTINCT FROM talks.system)
        AND (told_agents.account_id IS NOT DISTINCT FROM talks.account_id)
        AND (told_agents.agent_id = talks.agent_id)
),
told_of AS (
    SELECT
        system, account_id, agent_id, state AS presence, is_offline, began_at, ended_at,
        part['day'] AS day, part['seconds'] AS seconds,
        CAST(NULL AS VARCHAR) AS call_id, CAST(NULL AS VARCHAR) AS extension,
        CAST(NULL AS DECIMAL(18, 6)) AS talked_seconds,
        topic, "partition", "offset", next_topic, next_partition, next_offset
    FROM parts
    WHERE part IS NOT NULL
    UNION ALL
    SELECT
        system, account_id, agent_id, state, is_offline, at, NULL,
        CAST(arrow_cast(at, 'Timestamp(Microsecond, Some("{zone}"))') AS DATE), NULL,
        call_id, extension, talk_seconds, NULL, NULL, NULL, NULL, NULL, NULL
    FROM handled
    WHERE is_call = 1 AND at >= {since} AND at < {until}
)
SELECT
    {values}
    told_of.*
FROM told_of
{joins}
WHERE {filters}
