-- What stands for each row of a batch that was not inserted whole: the same unit from before, the same unit
-- from this very transaction (fresh), or another one, told in words.
SELECT
    same.sale_id IS NOT NULL AS same,
    coalesce(same.xmin = pg_current_xact_id()::xid, false) AS fresh,
    CASE WHEN same.sale_id IS NULL THEN (
        SELECT string_agg(
            format('unit %s of %s by request %s at %s', other.sequence, other.user_id, other.request_id, other.decided_at),
            ' and ' ORDER BY other.sequence
        )
        FROM purchases other
        WHERE other.sale_id = batch.sale_id AND (other.sequence = batch.sequence OR other.user_id = batch.user_id)
    ) END AS stored
FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
    WITH ORDINALITY AS batch (sale_id, sequence, user_id, sku, purchase_no, request_id, decided_at, place)
LEFT JOIN purchases same USING (sale_id, sequence, user_id, sku, request_id, decided_at)
ORDER BY batch.place
