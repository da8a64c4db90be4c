-- What happened to the deals, change by change.
SELECT
    arrow_cast(change.changed_at, 'Timestamp(Microsecond, Some("{zone}"))') AS changed_at,
    change.deal_id,
    change.deal_name,
    change.field,
    change.label,
    change.old,
    old_names.name AS old_name,
    change.new,
    new_names.name AS new_name,
    change.delta,
    change.currency,
    change.changed_by,
    change.changed_by_name
FROM items AS change
LEFT JOIN deal_value_names AS old_names
    ON (old_names.system IS NOT DISTINCT FROM change.system)
    AND (old_names.account_id IS NOT DISTINCT FROM change.account_id)
    AND (old_names.field IS NOT DISTINCT FROM change.field)
    AND (old_names.id IS NOT DISTINCT FROM change.old)
LEFT JOIN deal_value_names AS new_names
    ON (new_names.system IS NOT DISTINCT FROM change.system)
    AND (new_names.account_id IS NOT DISTINCT FROM change.account_id)
    AND (new_names.field IS NOT DISTINCT FROM change.field)
    AND (new_names.id IS NOT DISTINCT FROM change.new)
ORDER BY changed_at, deal_id, field, change.topic, change."partition", change."offset"
