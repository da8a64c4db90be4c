-- What tells of a deal: each of its states, and each change of its stage, each time that it was told. What a webhook names
-- and what an import tells are its contacts alike, each once.
SELECT
    system,
    account_id,
    CAST(id AS VARCHAR) AS record_id,
    false AS is_move,
    CAST(NULL AS VARCHAR) AS event_key,
    event_time,
    received_at,
    topic,
    "partition",
    "offset",
    arrow_cast(NULL, 'Timestamp(Microsecond, Some("UTC"))') AS changed_at,
    CAST(NULL AS VARCHAR) AS old,
    CAST(NULL AS VARCHAR) AS new,
    event_time AS first_told,
    name AS deal_name,
    owner_id,
    owner_name,
    deal_pipeline_id,
    deal_pipeline_name,
    CAST(deal_stage_id AS VARCHAR) AS stage_id,
    coalesce(base_currency_amount, amount) AS amount,
    coalesce(is_deleted, false) OR coalesce(event_type LIKE '%Delete', false) AS is_deleted,
    created_at,
    sales_account_id,
    array_distinct(
        TRY_CAST(
            array_concat(coalesce(contact_ids, make_array()), json_texts(associations, 'contacts', 'id')) AS BIGINT[]
        )
    ) AS contact_ids
FROM deals
WHERE id IS NOT NULL
UNION ALL
SELECT
    system,
    account_id,
    coalesce(CAST(TRY_CAST(record_id AS BIGINT) AS VARCHAR), record_id),
    true,
    event_key,
    event_time,
    received_at,
    topic,
    "partition",
    "offset",
    coalesce(changed_at, event_time),
    old,
    new,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL
FROM (
    SELECT *, coalesce(old_value, removed) AS old, coalesce(new_value, added) AS new
    FROM field_changes
    WHERE record_type = 'deal' AND field = 'deal_stage_id'
) AS pair
WHERE NOT same_value(old, new)
