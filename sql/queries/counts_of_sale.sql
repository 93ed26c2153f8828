SELECT second, outcome, count
FROM decision_counts
WHERE sale_id = $1
ORDER BY second, outcome
