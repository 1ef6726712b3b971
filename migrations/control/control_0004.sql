-- Asynchronous commands and their callbacks. The write-service and `weir dead` write these tables.
CREATE TABLE weir.command (
    id             text PRIMARY KEY,
    seq            bigint GENERATED ALWAYS AS IDENTITY,
    name           text NOT NULL,
    body           text NOT NULL,
    correlation_id text NOT NULL,
    traceparent    text,
    priority       smallint NOT NULL DEFAULT 5 CHECK (priority BETWEEN 0 AND 9),
    ordering_key   text,
    state          text NOT NULL DEFAULT 'accepted' CHECK (state IN ('accepted', 'completed', 'rejected', 'dead')),
    blocked        boolean NOT NULL DEFAULT false, -- an earlier one of the same key was not finished
    owner          int,                            -- epoch of the service that has it in hand
    attempts       int NOT NULL DEFAULT 0,
    accepted_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at         timestamptz NOT NULL,
    deadline       timestamptz,
    finished_at    timestamptz,
    answer         jsonb,                          -- the wrapper's
    reason         text,                           -- of a dead one; of the last failure before
    callback_url   text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX command_due ON weir.command (priority, due_at, seq) WHERE state = 'accepted' AND owner IS NULL AND NOT blocked;
CREATE INDEX command_key ON weir.command (ordering_key, seq) WHERE state = 'accepted' AND ordering_key IS NOT NULL;
CREATE INDEX command_owner ON weir.command (owner) WHERE state = 'accepted' AND owner IS NOT NULL;
CREATE INDEX command_finished ON weir.command (finished_at) WHERE state IN ('completed', 'rejected');
CREATE INDEX command_dead ON weir.command (finished_at) WHERE state = 'dead';

CREATE TABLE weir.callback (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command_id   text NOT NULL,
    url          text NOT NULL,
    payload      jsonb NOT NULL,
    ordering_key text,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'dead')),
    blocked      boolean NOT NULL DEFAULT false,
    owner        int,
    attempts     int NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    reason       text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX callback_command ON weir.callback (command_id);
CREATE INDEX callback_due ON weir.callback (due_at, id) WHERE state = 'pending' AND owner IS NULL AND NOT blocked;
CREATE INDEX callback_key ON weir.callback (ordering_key, id) WHERE state = 'pending' AND ordering_key IS NOT NULL;
CREATE INDEX callback_owner ON weir.callback (owner) WHERE state = 'pending' AND owner IS NOT NULL;
CREATE INDEX callback_dead ON weir.callback (finished_at) WHERE state = 'dead';

-- Each connection that takes commands or callbacks in hand draws a number and holds an advisory lock on it.
CREATE SEQUENCE weir.owner_epoch AS int CYCLE;
