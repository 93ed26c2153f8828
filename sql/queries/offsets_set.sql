-- Puts a consumer elsewhere: $1 consumer, $2 topics, $3 numbers, $4 next offsets.
INSERT INTO consumer_offsets AS o (consumer, topic, partition, next_offset)
SELECT $1, wanted.topic, wanted.partition, wanted.next_offset
FROM UNNEST($2::text[], $3::int[], $4::bigint[]) AS wanted (topic, partition, next_offset)
ORDER BY wanted.topic, wanted.partition
ON CONFLICT (consumer, topic, partition) DO UPDATE SET next_offset = excluded.next_offset, updated_at = now()
