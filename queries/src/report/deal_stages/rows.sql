-- One row for each stay that begins, ends or goes on in the period.
SELECT
    *,
    CASE WHEN has_left THEN seconds_between(entered_at, left_at) END AS stayed_seconds,
    CASE WHEN is_open THEN amount END AS amount_open
FROM (
    SELECT
        {values}
        stay.*,
        stay.entered_at >= {since} AND stay.entered_at < {until} AS has_entered,
        coalesce(stay.left_at >= {since} AND stay.left_at < {until}, false) AS has_left,
        NOT stay.is_deleted AND stay.entered_at < {until} AND coalesce(stay.left_at >= {until}, true)
            AS is_open
    FROM deal_stays AS stay
    WHERE {filters}
) AS told
WHERE has_entered OR has_left OR is_open
