-- The counts of one sale ($1), made from the log.
INSERT INTO decision_counts (sale_id, second, outcome, count)
SELECT $1, * FROM UNNEST($2::timestamptz[], $3::text[], $4::bigint[])
