-- The next offset of each of these partitions ($2 topics, $3 numbers), by its place among them, and how far its
-- refusals were ever counted; nobody else moves them until we commit. Locked in the order of the key, so that two writers never wait for each other.
SELECT wanted.place, o.next_offset, o.counted_to
FROM consumer_offsets o
JOIN UNNEST($2::text[], $3::int[]) WITH ORDINALITY AS wanted (topic, partition, place) USING (topic, partition)
WHERE o.consumer = $1
ORDER BY o.topic, o.partition
FOR UPDATE OF o
