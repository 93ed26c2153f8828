-- All of what lies before the next offsets of a consumer ($1) in a topic ($2) is counted now, also what it left out.
UPDATE consumer_offsets
SET counted_to = greatest(counted_to, next_offset)
WHERE consumer = $1 AND topic = $2
