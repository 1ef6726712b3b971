-- The folder source's part of schema weir_sync in a target database. The crawler's part is there.
-- One row per file (name, size and content) of a flow; changed in the transactions that load its rows.
CREATE TABLE IF NOT EXISTS weir_sync.file (
    flow     text NOT NULL,
    name     text NOT NULL,
    size     bigint NOT NULL,
    hash     text NOT NULL,
    target   text NOT NULL,
    stamp    text NOT NULL,            -- device, inode and times: the same stamp needs no second look at the content
    pos      bigint NOT NULL DEFAULT 0, -- bytes of the file that are loaded
    line     bigint NOT NULL DEFAULT 1, -- the line there
    rows     bigint NOT NULL DEFAULT 0,
    rejects  bigint NOT NULL DEFAULT 0,
    error    text,                      -- why it stands still
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at  timestamptz,
    PRIMARY KEY (flow, name, size, hash)
);
ALTER TABLE weir_sync.reject ADD COLUMN IF NOT EXISTS file text;
ALTER TABLE weir_sync.reject ADD COLUMN IF NOT EXISTS line bigint;
ALTER TABLE weir_sync.reject ADD COLUMN IF NOT EXISTS source_text text;
INSERT INTO weir_sync.migration (part, version) VALUES ('lake', 1) ON CONFLICT DO NOTHING;
