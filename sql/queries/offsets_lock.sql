-- The next offsets of these partitions ($2 topics, $3 numbers), which nobody else moves until we commit.
-- Locked in the order of the key, so that two writers never wait for each other.
SELECT o.topic, o.partition, o.next_offset
FROM consumer_offsets o
JOIN UNNEST($2::text[], $3::int[]) AS wanted (topic, partition) USING (topic, partition)
WHERE o.consumer = $1
ORDER BY o.topic, o.partition
FOR UPDATE OF o
