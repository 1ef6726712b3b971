-- The appliers' part of schema weir_sync in a target database.
SELECT pg_advisory_xact_lock(hashtext('weir_sync schema'));
CREATE SCHEMA IF NOT EXISTS weir_sync;
CREATE TABLE IF NOT EXISTS weir_sync.migration (
    part       text NOT NULL,
    version    int NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (part, version)
);
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
-- What met, who won. key and rows as JSON; NULL: there was none.
CREATE TABLE IF NOT EXISTS weir_sync.conflict (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    flow         text NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    tab          text NOT NULL,
    kind         text NOT NULL,
    policy       text NOT NULL,
    resolution   text NOT NULL, -- applied, kept, merged, stopped
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
CREATE OR REPLACE FUNCTION weir_sync.note_delete() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    k jsonb := '[]';
    n text;
BEGIN
    FOREACH n IN ARRAY TG_ARGV LOOP
        k := k || jsonb_build_array(to_jsonb(OLD) -> n);
    END LOOP;
    INSERT INTO weir_sync.tombstone (tab, key, xid)
    VALUES (format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME), k::text, pg_current_xact_id())
    ON CONFLICT (tab, key) DO UPDATE SET xid = excluded.xid, at = clock_timestamp();
    RETURN NULL;
END $$;
INSERT INTO weir_sync.migration (part, version) VALUES ('sync', 1) ON CONFLICT DO NOTHING;
