-- All that is known of each call, from all systems, with no setting in it: a folded call stays right when
-- the settings change. Deleted calls are among them.
WITH phased AS (
    SELECT
        *,
        coalesce(dial_time, answer_time, hangup_time) IS NOT NULL AS has_phases
    FROM _calls_stated
),
-- Legs, first by currency, so that the larger leg's currency can be told from the others.
legs_by_currency AS (
    SELECT
        system, account_id, call_id, currency,
        sum(cost) AS cost,
        max(cost) AS largest_cost,
        sum(duration_seconds) FILTER (WHERE participant_type = 'Customer') AS talk_seconds,
        max(caller_number) FILTER (WHERE participant_type = 'Customer') AS customer_number,
        max(caller_name) FILTER (WHERE participant_type = 'Customer') AS customer_name,
        count(*) AS leg_count
    FROM call_participants_current
    GROUP BY system, account_id, call_id, currency
),
legs AS (
    SELECT
        system, account_id, call_id,
        last_value(cost ORDER BY largest_cost, currency DESC) FILTER (WHERE cost IS NOT NULL) AS cost,
        last_value(currency ORDER BY largest_cost, currency DESC) FILTER (WHERE cost IS NOT NULL) AS currency,
        sum(talk_seconds) AS talk_seconds,
        max(customer_number) AS customer_number,
        max(customer_name) AS customer_name,
        CAST(sum(leg_count) AS BIGINT) AS leg_count
    FROM legs_by_currency
    GROUP BY system, account_id, call_id
),
-- What the events tell of a call, and what its phases do.
timed AS (
    SELECT
        *,
        CASE WHEN has_phases THEN coalesce(dial_time, first_event_time) ELSE coalesce(started_at, created_at, first_event_time) END AS start_time,
        CASE
            WHEN NOT has_phases OR hangup_time IS NULL THEN NULL
            WHEN answer_time IS NOT NULL THEN 'answer-to-hangup'
            WHEN upper(status) = 'ANSWER' AND dial_time IS NOT NULL THEN 'dial-to-hangup'
        END AS phase_basis
    FROM phased
)
SELECT
    timed.system,
    timed.account_id,
    timed.call_id,
    root_call_id,
    parent_call_id,
    extension,
    lower(direction) AS direction,
    number,
    number_id,
    coalesce(timed.customer_number, legs.customer_number) AS customer_number,
    coalesce(timed.customer_name, legs.customer_name) AS customer_name,
    customer_id,
    agent_id,
    agent_name,
    team_id,
    team_name,
    queue_id,
    queue_name,
    start_time AS started_at,
    CASE WHEN has_phases THEN answer_time ELSE answered_at END AS answered_at,
    CASE WHEN has_phases THEN hangup_time ELSE ended_at END AS ended_at,
    status,
    bill_duration_seconds,
    CASE
        WHEN NOT has_phases THEN coalesce(timed.talk_seconds, legs.talk_seconds)
        WHEN phase_basis = 'answer-to-hangup' THEN seconds_between(answer_time, hangup_time)
        WHEN phase_basis = 'dial-to-hangup' THEN seconds_between(dial_time, hangup_time)
        WHEN hangup_time IS NOT NULL AND upper(status) <> 'ANSWER' THEN 0
    END AS talk_seconds,
    CASE
        WHEN has_phases THEN phase_basis
        WHEN timed.talk_seconds IS NOT NULL THEN 'call-duration'
        WHEN legs.talk_seconds IS NOT NULL THEN 'customer-legs'
    END AS talk_basis,
    coalesce(timed.cost, legs.cost) AS cost,
    CASE
        WHEN timed.cost IS NOT NULL THEN timed.currency
        ELSE legs.currency
    END AS currency,
    timed.cost IS NOT NULL AS cost_is_own,
    legs.leg_count,
    notes,
    recording_url,
    is_deleted,
    first_event_time,
    last_event_time
FROM timed
LEFT JOIN legs
    ON (legs.system IS NOT DISTINCT FROM timed.system)
    AND (legs.account_id IS NOT DISTINCT FROM timed.account_id)
    AND (legs.call_id IS NOT DISTINCT FROM timed.call_id)
UNION ALL
SELECT
    system,
    account_id,
    call_id,
    NULL AS root_call_id,
    NULL AS parent_call_id,
    NULL AS extension,
    NULL AS direction,
    NULL AS number,
    NULL AS number_id,
    NULL AS customer_number,
    NULL AS customer_name,
    NULL AS customer_id,
    agent_id,
    NULL AS agent_name,
    NULL AS team_id,
    NULL AS team_name,
    NULL AS queue_id,
    NULL AS queue_name,
    started_at,
    answered_at,
    ended_at,
    status,
    NULL AS bill_duration_seconds,
    talk_seconds,
    'connected-time' AS talk_basis,
    NULL AS cost,
    NULL AS currency,
    false AS cost_is_own,
    NULL AS leg_count,
    NULL AS notes,
    NULL AS recording_url,
    NULL AS is_deleted,
    started_at AS first_event_time,
    last_event_time
FROM channel_calls_current
