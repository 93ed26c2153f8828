-- A consumer may be put back, and dead letters may be sent again: what was counted once must not be counted twice.

-- How far refusals were ever counted. Ahead of next_offset once a consumer was put back.
ALTER TABLE consumer_offsets ADD COLUMN counted_to bigint NOT NULL DEFAULT 0;
UPDATE consumer_offsets SET counted_to = next_offset;

-- Refusals that were dead letters once, by where they stood first. Units need no such list: each is a row.
CREATE TABLE redriven_refusals (
    origin     text COLLATE "C" PRIMARY KEY,
    counted_at timestamptz NOT NULL DEFAULT now()
);
