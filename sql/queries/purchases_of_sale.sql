SELECT sale_id, sequence, user_id, request_id, decided_at
FROM purchases
WHERE sale_id = $1
ORDER BY sequence
