-- The appliers' part of schema weir_sync in a target database.
-- Up to where a flow's source is in this database; written by the transaction that brings the rows.
CREATE TABLE IF NOT EXISTS weir_sync.position (
    flow        text PRIMARY KEY,
    lsn         pg_lsn NOT NULL,
    sub         bigint NOT NULL,
    system_id   text NOT NULL,
    loose_until pg_lsn NOT NULL DEFAULT '0/0', -- up to here rows may be there already (initial copy)
    seen_us     bigint NOT NULL DEFAULT 0,     -- changes of ours up to this commit time are known at the source
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
-- Later commit times that are known as well, each by itself: a change that is not known may be older than one that is.
ALTER TABLE weir_sync.position ADD COLUMN IF NOT EXISTS recent bigint[] NOT NULL DEFAULT '{}';
-- What met, who won. key and rows as JSON; NULL: there was none.
CREATE TABLE IF NOT EXISTS weir_sync.conflict (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    flow         text NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    tab          text NOT NULL,
    kind         text NOT NULL,
    policy       text NOT NULL,
    resolution   text NOT NULL, -- applied, kept, merged, deferred (the other side decides), stopped (apply, keep: an operator's word)
    key          jsonb,
    local_row    jsonb,
    remote_row   jsonb,
    local_at     timestamptz,
    remote_at    timestamptz,
    lsn          pg_lsn
);
-- Keys that were deleted here, with the transaction that did it (two-way syncs only).
CREATE TABLE IF NOT EXISTS weir_sync.tombstone (
    tab text NOT NULL,
    key text NOT NULL,
    xid xid8 NOT NULL,
    at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tab, key)
);
CREATE INDEX IF NOT EXISTS tombstone_at ON weir_sync.tombstone (at);
-- The tables of a flow: tab in its source, here in this database. joined_at NULL: its rows are still being copied.
CREATE TABLE IF NOT EXISTS weir_sync.flow_table (
    flow      text NOT NULL,
    tab       text NOT NULL,
    here      text NOT NULL,
    no        bigint GENERATED ALWAYS AS IDENTITY,
    joined_at timestamptz,
    PRIMARY KEY (flow, tab)
);
-- Rows the deciding side of a two-way sync decided on, until the other side confirms that it knows.
CREATE TABLE IF NOT EXISTS weir_sync.decision (
    flow text NOT NULL,
    tab  text NOT NULL,
    key  text NOT NULL,
    id   bigint NOT NULL,
    PRIMARY KEY (flow, tab, key)
);
-- A key is spelled as the applier's session spells it (libweir/io/pg_conn.c), whatever the session that deletes has set.
CREATE OR REPLACE FUNCTION weir_sync.note_delete() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET extra_float_digits = 1
SET bytea_output = 'hex' SET lc_monetary = 'C' AS $$
DECLARE
    k    jsonb := '[]';
    n    text;
    root oid := pg_partition_root(TG_RELID); -- the trigger of the whole fires as its partition's
BEGIN
    FOREACH n IN ARRAY TG_ARGV LOOP
        k := k || jsonb_build_array(to_jsonb(OLD) -> n);
    END LOOP;
    INSERT INTO weir_sync.tombstone (tab, key, xid)
    SELECT CASE WHEN root IS NULL THEN format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME)
                ELSE (SELECT format('%I.%I', s.nspname, c.relname) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE c.oid = root) END,
           k::text, pg_current_xact_id()
    ON CONFLICT (tab, key) DO UPDATE SET xid = excluded.xid, at = clock_timestamp();
    RETURN NULL;
END $$;
-- TRUNCATE tells nothing of the rows it removes: they are deleted first. Children of plain inheritance have triggers of their own.
-- The search_path stays the session's: the table's own triggers fire within.
CREATE OR REPLACE FUNCTION weir_sync.note_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE pg_catalog.format('DELETE FROM %s %I.%I', CASE WHEN pg_catalog.pg_partition_root(TG_RELID) IS NULL THEN 'ONLY' END, TG_TABLE_SCHEMA, TG_TABLE_NAME);
    RETURN NULL;
END $$;
INSERT INTO weir_sync.migration (part, version) VALUES ('sync', 1) ON CONFLICT DO NOTHING;
