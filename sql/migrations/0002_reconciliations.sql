-- What each comparison of Redis, log and Postgres found in one sale. A copy of the topic for people who ask SQL.
CREATE TABLE reconciliations (
    run_id        text COLLATE "C" NOT NULL,
    sale_id       text COLLATE "C" NOT NULL,
    sku           text COLLATE "C" NOT NULL,
    finished_at   timestamptz NOT NULL,
    mode          text COLLATE "C" NOT NULL,
    trigger       text COLLATE "C" NOT NULL,
    compared      bigint NOT NULL CHECK (compared >= 0),
    found         bigint NOT NULL CHECK (found >= 0),
    repaired      bigint NOT NULL CHECK (repaired >= 0),
    -- [{"class", "subject", "detail", "repaired"}, ...]; bounded, so it may list fewer than were found.
    discrepancies jsonb NOT NULL,
    PRIMARY KEY (run_id, sale_id)
);
CREATE INDEX reconciliations_by_sku ON reconciliations (sku, finished_at DESC);
