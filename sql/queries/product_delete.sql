-- Removes a product, and with it what its sale left; no row when there is none.
WITH gone AS (
    DELETE FROM products WHERE sku = $1
    RETURNING sku, sale_id, product_name, initial_stock, start_time, end_time, challenge, created_at, updated_at
), gone_purchases AS (
    DELETE FROM purchases USING gone WHERE purchases.sale_id = gone.sale_id
), gone_counts AS (
    DELETE FROM decision_counts USING gone WHERE decision_counts.sale_id = gone.sale_id
)
SELECT * FROM gone
