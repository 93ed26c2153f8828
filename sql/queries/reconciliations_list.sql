-- The newest comparisons first, of one SKU or ($1 is null) of all.
SELECT run_id, sale_id, sku, finished_at, mode, trigger, compared, found, repaired, discrepancies::text AS discrepancies
FROM reconciliations
WHERE $1::text IS NULL OR sku = $1
ORDER BY finished_at DESC, run_id DESC
LIMIT $2
