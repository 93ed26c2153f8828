-- New configuration of a sale; no row when the SKU is gone or sold by another sale meanwhile.
UPDATE products
SET product_name = $3, initial_stock = $4, start_time = $5, end_time = $6, challenge = $7, updated_at = now()
WHERE sku = $1 AND sale_id = $2
RETURNING sku, sale_id, product_name, initial_stock, start_time, end_time, challenge, created_at, updated_at
