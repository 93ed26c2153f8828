-- How far a consumer got in these partitions ($2 topics, $3 numbers); those never written are absent.
SELECT o.topic, o.partition, o.next_offset, o.consumed, o.applied, o.duplicate, o.rejected, o.skipped
FROM consumer_offsets o
JOIN UNNEST($2::text[], $3::int[]) AS wanted (topic, partition) USING (topic, partition)
WHERE o.consumer = $1
ORDER BY o.topic, o.partition
