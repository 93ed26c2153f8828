-- What a user holds of a SKU. Sale ids ascend with their creation: a unit of a sale before the current one
-- says nothing about this one.
SELECT sale_id, sequence, decided_at
FROM purchases
WHERE sku = $1 AND user_id = $2
  AND sale_id >= coalesce((SELECT sale_id FROM products WHERE sku = $1), '')
ORDER BY sale_id DESC
LIMIT 1
