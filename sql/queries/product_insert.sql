-- A new product; no row when the SKU exists. Its sale id is new by construction, so a clash there is an error.
INSERT INTO products (sku, sale_id, product_name, initial_stock, start_time, end_time, challenge)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (sku) DO NOTHING
RETURNING sku, sale_id, product_name, initial_stock, start_time, end_time, challenge, created_at, updated_at
