-- One change of a deal's stage, each time that it was told. What follows of its neighbours is null here, so that
-- what is folded of a deal and what came since are rows of one kind.
SELECT
    system,
    account_id,
    record_id,
    event_key,
    received_at,
    topic,
    "partition",
    "offset",
    changed_at,
    old,
    new,
    CAST(NULL AS BOOLEAN) AS follows,
    arrow_cast(NULL, 'Timestamp(Microsecond, Some("UTC"))') AS next_at
FROM (
    SELECT
        * EXCEPT (changed_at),
        coalesce(changed_at, event_time) AS changed_at,
        coalesce(old_value, removed) AS old,
        coalesce(new_value, added) AS new
    FROM field_changes
    WHERE record_type = 'deal' AND field = 'deal_stage_id'
) AS pair
WHERE NOT same_value(old, new)
