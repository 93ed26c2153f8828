SELECT sku, sale_id, product_name, initial_stock, start_time, end_time, challenge, created_at, updated_at
FROM products
WHERE sku = $1
