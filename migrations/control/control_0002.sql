-- Orders to the projector: `weir rebuild` writes a row and a logical message weir.rebuild, the projector takes it over once and says
-- here what became of it.
CREATE TABLE weir.rebuild (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model        text NOT NULL,
    action       text NOT NULL CHECK (action IN ('rebuild', 'rollback', 'drop_old')),
    keep_ms      bigint NOT NULL DEFAULT -1 CHECK (keep_ms >= -1),          -- of the generation replaced; -1: until told
    verify_every bigint NOT NULL DEFAULT 1 CHECK (verify_every BETWEEN 0 AND 1000000000),
    asked_at     timestamptz NOT NULL DEFAULT now(),
    asked_by     text NOT NULL DEFAULT session_user,
    state        text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'building', 'done', 'refused')),
    generation   bigint,
    note         text NOT NULL DEFAULT '',
    finished_at  timestamptz
);
