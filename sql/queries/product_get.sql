SELECT sku, sale_id, product_name, initial_stock, start_time, end_time, created_at, updated_at
FROM products
WHERE sku = $1
