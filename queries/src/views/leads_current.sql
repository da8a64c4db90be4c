-- The newest row of each record, whole: null is a value here. Deleted ones are out.
SELECT * EXCEPT (state_number)
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY system, account_id, id
        ORDER BY event_time DESC, received_at DESC, topic DESC, "partition" DESC, "offset" DESC
    ) AS state_number
    FROM leads
) AS states
WHERE state_number = 1
    AND is_deleted IS NOT TRUE
    AND event_type NOT LIKE '%Delete'
