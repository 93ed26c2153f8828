-- Which of these refusals ($1 origins) were never counted: notes them, and returns those that are new.
INSERT INTO redriven_refusals (origin)
SELECT DISTINCT wanted.origin FROM UNNEST($1::text[]) AS wanted (origin)
ON CONFLICT DO NOTHING
RETURNING origin
