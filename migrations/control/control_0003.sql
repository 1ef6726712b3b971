-- What each Idempotency-Key led to, stored in the transaction of its command. Rows older than write.idempotency_keep_ms are removed by
-- the write-service.
CREATE TABLE weir.idempotency (
    key        text PRIMARY KEY,
    command_id text NOT NULL,
    print      bytea NOT NULL, -- of command, body and expected version
    reply      jsonb,          -- the wrapper's; NULL only while the command runs
    stored_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX idempotency_stored_at ON weir.idempotency (stored_at);

-- The argument by whose value calls are executed in order; NULL: none.
ALTER TABLE weir.command_catalog ADD COLUMN serialize_by text;
