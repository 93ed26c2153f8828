-- The end of a write, last because all writers of a sale meet in its counts: $1 consumer, $2.. the partitions
-- read with their numbers, $10.. the counts to add, sorted by key against deadlocks.
WITH counted AS (
    INSERT INTO decision_counts (sale_id, second, outcome, count)
    SELECT * FROM UNNEST($10::text[], $11::timestamptz[], $12::text[], $13::bigint[])
    ON CONFLICT (sale_id, second, outcome) DO UPDATE SET count = decision_counts.count + excluded.count
)
UPDATE consumer_offsets o
SET next_offset = greatest(o.next_offset, read.next_offset),
    counted_to = greatest(o.counted_to, read.next_offset),
    consumed = o.consumed + read.consumed,
    applied = o.applied + read.applied,
    duplicate = o.duplicate + read.duplicate,
    rejected = o.rejected + read.rejected,
    skipped = o.skipped + read.skipped,
    updated_at = now()
FROM UNNEST(
    $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]
) AS read (topic, partition, next_offset, consumed, applied, duplicate, rejected, skipped)
WHERE o.consumer = $1 AND o.topic = read.topic AND o.partition = read.partition
