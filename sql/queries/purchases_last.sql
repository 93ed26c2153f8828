-- When the last unit of a sale was sold; null before the first.
SELECT max(decided_at) FROM purchases WHERE sale_id = $1
