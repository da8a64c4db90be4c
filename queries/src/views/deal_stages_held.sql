-- All stages in one list, for `looked_up`.
SELECT
    array_agg(
        named_struct(
            'system', system,
            'account_id', account_id,
            'id', CAST(id AS VARCHAR),
            'name', name,
            'outcome', outcome
        )
    ) AS stages
FROM deal_stages
