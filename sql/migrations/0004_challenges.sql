-- What a try to buy must bring along. No CHECK: a new kind needs no migration, and the code reads none that it does not
-- know.
ALTER TABLE products ADD COLUMN challenge text COLLATE "C" NOT NULL DEFAULT 'NONE';
