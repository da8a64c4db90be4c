-- Who a deal's state says are its people. What a webhook names and what an import tells count both.
SELECT
    system,
    account_id,
    id,
    event_type,
    event_time,
    received_at,
    topic,
    "partition",
    "offset",
    is_deleted,
    sales_account_id,
    array_concat(coalesce(contact_ids, make_array()), json_texts(associations, 'contacts', 'id')) AS contact_ids
FROM deals
