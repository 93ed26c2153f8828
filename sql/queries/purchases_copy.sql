-- A batch of sold units of which none is there, sorted by key against deadlocks.
COPY purchases (sale_id, sequence, user_id, sku, purchase_no, request_id, decided_at) FROM STDIN (FORMAT binary)
