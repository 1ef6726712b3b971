-- What every part of schema weir_sync begins with.
CREATE SCHEMA IF NOT EXISTS weir_sync;
CREATE TABLE IF NOT EXISTS weir_sync.migration (
    part       text NOT NULL,
    version    int NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (part, version)
);
