-- Rows to lock, for partitions that this consumer writes for the first time.
INSERT INTO consumer_offsets (consumer, topic, partition, next_offset)
SELECT $1, wanted.topic, wanted.partition, 0
FROM UNNEST($2::text[], $3::int[]) AS wanted (topic, partition)
ORDER BY wanted.topic, wanted.partition
ON CONFLICT DO NOTHING
