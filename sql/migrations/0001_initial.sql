-- Texts collate "C": ids are compared byte by byte, which is their order in Rust and the fastest to index.

-- The sale configuration. This is where it is authoritative; Redis and the log hold copies.
CREATE TABLE products (
    sku           text COLLATE "C" PRIMARY KEY,
    sale_id       text COLLATE "C" NOT NULL UNIQUE,
    product_name  text NOT NULL,
    initial_stock bigint NOT NULL CHECK (initial_stock > 0),
    start_time    timestamptz NOT NULL,
    end_time      timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (end_time > start_time)
);

-- Sold units, as the log has them. No reference to products: the log is read at its own pace.
CREATE TABLE purchases (
    sale_id     text COLLATE "C" NOT NULL,
    sequence    bigint NOT NULL CHECK (sequence >= 1),
    user_id     text COLLATE "C" NOT NULL,
    sku         text COLLATE "C" NOT NULL,
    purchase_no text COLLATE "C" NOT NULL UNIQUE,
    request_id  text COLLATE "C" NOT NULL,
    decided_at  timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sale_id, sequence),
    UNIQUE (sale_id, user_id)
);
CREATE INDEX purchases_by_holder ON purchases (sku, user_id);

-- How many attempts of a second had which outcome; of SALE_NOT_ACTIVE with the reason after a colon.
CREATE TABLE decision_counts (
    sale_id text COLLATE "C" NOT NULL,
    second  timestamptz NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    count   bigint NOT NULL CHECK (count >= 0),
    PRIMARY KEY (sale_id, second, outcome)
);

-- How far a consumer got, written in the transaction of its results, and what became of what it read:
-- consumed = applied + duplicate + rejected + skipped (I10). Rewritten all the time, hence the room for
-- new versions of a row beside the old.
CREATE TABLE consumer_offsets (
    consumer    text COLLATE "C" NOT NULL,
    topic       text COLLATE "C" NOT NULL,
    partition   integer NOT NULL CHECK (partition >= 0),
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    consumed    bigint NOT NULL DEFAULT 0,
    applied     bigint NOT NULL DEFAULT 0,
    duplicate   bigint NOT NULL DEFAULT 0,
    rejected    bigint NOT NULL DEFAULT 0,
    skipped     bigint NOT NULL DEFAULT 0,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 20);
