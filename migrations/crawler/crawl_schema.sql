-- The crawler's part of schema weir_sync in a target database.
-- One row per table of a job. plan: hash of key, columns and filter; shape: of the source's columns; storage: of its files.
CREATE TABLE IF NOT EXISTS weir_sync.crawl_table (
    job       text NOT NULL,
    tab       text NOT NULL,
    plan      text NOT NULL,
    shape     text NOT NULL,
    storage   text NOT NULL,
    created   boolean NOT NULL DEFAULT false,
    copied_at timestamptz,
    PRIMARY KEY (job, tab)
);
-- Rows with lo < key <= hi (NULL: open end) are in the target; committed in their transaction.
CREATE TABLE IF NOT EXISTS weir_sync.chunk (
    job      text NOT NULL,
    tab      text NOT NULL,
    no       bigint NOT NULL,
    lo       text[],
    hi       text[],
    rows     bigint NOT NULL,
    bytes    bigint NOT NULL,
    snapshot text NOT NULL,
    lsn      pg_lsn NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, tab, no)
);
-- Source rows the target (or an expression) would not take.
CREATE TABLE IF NOT EXISTS weir_sync.reject (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job       text NOT NULL,
    tab       text NOT NULL,
    key       text[],
    sqlstate  text NOT NULL,
    reason    text NOT NULL,
    source_row jsonb,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Indexes, constraints and the like to be built after the rows.
CREATE TABLE IF NOT EXISTS weir_sync.crawl_step (
    job     text NOT NULL,
    no      int NOT NULL,
    tab     text NOT NULL,
    kind    text NOT NULL, -- key, index, foreign, analyze
    what    text NOT NULL,
    command text NOT NULL,
    done_at timestamptz,
    PRIMARY KEY (job, no)
);
INSERT INTO weir_sync.migration (part, version) VALUES ('crawl', 1) ON CONFLICT DO NOTHING;
