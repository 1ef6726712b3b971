-- Weir's own tables. Only `weir deploy` writes them; the services read.
CREATE SCHEMA IF NOT EXISTS weir;
COMMENT ON SCHEMA weir IS 'Weir: what is deployed. Written by `weir deploy` only.';

CREATE TABLE weir.setting (
    key   text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE weir.control_migration (
    version    int PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE weir.schema_migration (
    version    bigint PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- One row per command; file is the one that defined the function, NULL when it was there without one.
CREATE TABLE weir.command_catalog (
    name         text PRIMARY KEY,
    signature    text NOT NULL,
    args         jsonb NOT NULL,
    result_type  text NOT NULL,
    isolated     boolean NOT NULL DEFAULT false,
    serializable boolean NOT NULL DEFAULT false,
    description  text,
    openapi      jsonb NOT NULL,
    revision     bigint NOT NULL,
    file         text,
    identity     text NOT NULL,
    wrapper      text NOT NULL
);

CREATE TABLE weir.read_model (
    name        text PRIMARY KEY,
    file        text NOT NULL,
    source      text NOT NULL,
    fingerprint text NOT NULL,
    revision    bigint NOT NULL,
    deployed_at timestamptz NOT NULL DEFAULT now()
);

CREATE SCHEMA IF NOT EXISTS command;
COMMENT ON SCHEMA command IS 'Weir: every function here is a command, its signature is the contract.';

INSERT INTO weir.setting (key, value) VALUES ('instance', gen_random_uuid()::text), ('revision', '0');
