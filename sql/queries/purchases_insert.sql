-- A batch of sold units, sorted by key against deadlocks. A unit that the log repeats is left as it is.
INSERT INTO purchases (sale_id, sequence, user_id, sku, purchase_no, request_id, decided_at)
SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
ON CONFLICT DO NOTHING
