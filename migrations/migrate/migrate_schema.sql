-- The migration's part of schema weir_sync in a target database; beside it stand the crawler's tables.
CREATE TABLE IF NOT EXISTS weir_sync.migrate (
    name         text PRIMARY KEY,
    mapping      text NOT NULL,
    phase        text NOT NULL,
    paused       boolean NOT NULL DEFAULT false,
    -- everything the source committed before this is applied; set by the transaction that applied it
    lsn          pg_lsn,
    sub          bigint NOT NULL DEFAULT 0,
    system_id    text NOT NULL DEFAULT '',
    passed       pg_lsn,
    changes      bigint NOT NULL DEFAULT 0,
    truncates    bigint NOT NULL DEFAULT 0,
    -- what the applier says of itself
    seen_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    waits        text NOT NULL DEFAULT '',
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    proof        jsonb,
    cutover_at   timestamptz
);
CREATE TABLE IF NOT EXISTS weir_sync.migrate_table (
    name    text NOT NULL REFERENCES weir_sync.migrate ON DELETE CASCADE,
    tab     text NOT NULL,
    made    boolean NOT NULL,  -- by the tool: abort drops it
    keyed   boolean NOT NULL DEFAULT false,
    built   int NOT NULL DEFAULT 0,   -- how many of its further indexes and constraints
    PRIMARY KEY (name, tab)
);
-- A verification that has not ended goes on behind the last chunk of each table.
CREATE TABLE IF NOT EXISTS weir_sync.migrate_verify (
    name        text NOT NULL REFERENCES weir_sync.migrate ON DELETE CASCADE,
    tab         text NOT NULL,
    no          bigint NOT NULL,
    hi          text[],            -- NULL: to the end
    source_rows bigint NOT NULL,
    target_rows bigint NOT NULL,
    source_h1   numeric NOT NULL,
    source_h2   numeric NOT NULL,
    target_h1   numeric NOT NULL,
    target_h2   numeric NOT NULL,
    rejected    bigint NOT NULL,
    differ      jsonb NOT NULL,    -- [{"key", "kind"}], after they were looked at again
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, tab, no)
);
INSERT INTO weir_sync.migration (part, version) VALUES ('migrate', 1) ON CONFLICT DO NOTHING;
