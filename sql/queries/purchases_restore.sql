-- Units that the log has and this table lost, with their counts. Those that are there are left as they are, so the
-- sink may write the same units at the same time.
WITH restored AS (
    INSERT INTO purchases (sale_id, sequence, user_id, sku, purchase_no, request_id, decided_at)
    SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
    ON CONFLICT DO NOTHING
    RETURNING sale_id, decided_at
), counted AS (
    INSERT INTO decision_counts AS counts (sale_id, second, outcome, count)
    SELECT sale_id, date_trunc('second', decided_at), 'ACCEPTED', count(*) FROM restored GROUP BY 1, 2
    ORDER BY 1, 2
    ON CONFLICT (sale_id, second, outcome) DO UPDATE SET count = counts.count + excluded.count
)
SELECT count(*) FROM restored
