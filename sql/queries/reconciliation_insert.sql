-- One finished comparison; told twice it is kept once.
INSERT INTO reconciliations
    (run_id, sale_id, sku, finished_at, mode, trigger, compared, found, repaired, discrepancies)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb)
ON CONFLICT DO NOTHING
