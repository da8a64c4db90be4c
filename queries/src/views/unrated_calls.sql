-- One call without any cost, and why: no length is known yet, or no tariff is for it.
SELECT
    system,
    account_id,
    call_id,
    extension,
    started_at,
    direction,
    "number",
    customer_number,
    agent_id,
    status,
    talk_seconds,
    CASE
        WHEN coalesce(talk_seconds, bill_duration_seconds) IS NULL THEN 'no-duration'
        ELSE 'no-tariff'
    END AS reason
FROM calls_current
WHERE cost IS NULL
