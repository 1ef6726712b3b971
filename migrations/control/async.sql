-- Asynchronous commands: accepted, claimed, executed, called back, forgotten. Replaced as a whole when this file changes.
--
-- A row of weir.command changes its state in the transaction of the command's effects (weir.run_stored), under its row lock: so it is
-- executed once, whoever claims it how often. Claims (owner) only keep two services from trying the same thing; one whose owner's
-- connection is gone is free again. Of one ordering key the earliest unfinished command is executed and no other: run_stored looks;
-- blocked only spares it useless tries. What unblocks the next (promote) runs after the commit of what made it the first.

-- The status a SQLSTATE is answered with: what the write-service's own table says.
CREATE OR REPLACE FUNCTION weir.http_status(sqlstate text) RETURNS int
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN sqlstate IN ('23505', '23P01') THEN 409
                WHEN sqlstate = '42501' OR sqlstate LIKE '28%' THEN 403
                WHEN sqlstate = 'WE412' THEN 412
                WHEN sqlstate = '57014' THEN 504
                WHEN sqlstate = '55P03' OR left(sqlstate, 2) IN ('08', '40', '53', '57') THEN 503
                WHEN sqlstate IN ('P0000', 'P0004') THEN 500
                WHEN left(sqlstate, 2) IN ('02', '03', '09', '0A', '0B', '0F', '0L', '0P', '0Z', '20', '21', '24', '25', '26', '27', '2B',
                    '2D', '2F', '34', '38', '39', '3B', '3D', '3F', '42', '54', '55', '58', '72', 'F0', 'HV', 'XX') THEN 500
                WHEN length(sqlstate) = 5 THEN 422 ELSE 500 END;
$$;

-- What GET /commands/{id} and a callback tell.
CREATE OR REPLACE FUNCTION weir.command_document(c weir.command) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
               'command_id', c.id, 'name', c.name,
               'state', CASE WHEN c.state = 'accepted' AND c.owner IS NOT NULL THEN 'running' ELSE c.state END,
               'correlation_id', c.correlation_id, 'priority', c.priority, 'ordering_key', c.ordering_key, 'attempts', c.attempts,
               'accepted_at', c.accepted_at, 'finished_at', c.finished_at, 'deadline', c.deadline,
               'due_at', CASE WHEN c.state = 'accepted' THEN c.due_at END, 'reason', c.reason,
               'problem', CASE WHEN c.answer ? 'error' THEN jsonb_build_object(
                   'type', 'about:blank', 'status', weir.http_status(e ->> 'sqlstate'), 'detail', e -> 'message', 'sqlstate', e -> 'sqlstate',
                   'pg_detail', coalesce(e -> 'pg_detail', e -> 'detail'), 'hint', e -> 'hint', 'constraint', e -> 'constraint',
                   'column', e -> 'column', 'table', e -> 'table', 'pointer', e -> 'pointer') END))
           || CASE WHEN c.answer ? 'ok' THEN jsonb_build_object('result', c.answer -> 'ok') ELSE '{}' END
      FROM (SELECT c.answer -> 'error') x(e);
$$;

-- list: [{"id","name","body","correlation_id","traceparent"?,"priority","ordering_key"?,"delay_us"?,"deadline_us"?,"callback_url"?,
-- "role"?,"claims"?,"caller"?,"idempotency_key"?,"expected_version"?}…] in order.
-- A list given a second time, because the first answer was lost, changes nothing.
CREATE OR REPLACE FUNCTION weir.accept_commands(list jsonb) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO weir.command (id, name, body, correlation_id, traceparent, priority, ordering_key, blocked, due_at, deadline, callback_url,
                              role, claims, caller, idempotency_key, expected_version)
    SELECT a.id, a.name, a.body, a.correlation_id, a.traceparent, a.priority, a.ordering_key,
           a.ordering_key IS NOT NULL AND (a.nth > 1 OR EXISTS (SELECT FROM weir.command e
               WHERE e.ordering_key = a.ordering_key AND e.state = 'accepted')),
           clock_timestamp() + coalesce(a.delay_us, 0) * interval '1 microsecond',
           clock_timestamp() + a.deadline_us * interval '1 microsecond', a.callback_url, a.role, a.claims, a.caller,
           a.idempotency_key, a.expected_version
      FROM (SELECT r.*, row_number() OVER (PARTITION BY r.ordering_key ORDER BY r.ord) AS nth
              FROM ROWS FROM (jsonb_to_recordset(list) AS (id text, name text, body text, correlation_id text, traceparent text,
                   priority smallint, ordering_key text, delay_us bigint, deadline_us bigint, callback_url text, role text, claims text, caller text,
                   idempotency_key text, expected_version text))
                   WITH ORDINALITY AS r(id, name, body, correlation_id, traceparent, priority, ordering_key, delay_us, deadline_us,
                                        callback_url, role, claims, caller, idempotency_key, expected_version, ord)) a
     ORDER BY a.ord
        ON CONFLICT (id) DO NOTHING;
$$;

-- The first unfinished command of each key may run. After the commit of what accepted or finished one of them.
CREATE OR REPLACE FUNCTION weir.promote_commands(keys text[]) RETURNS void
LANGUAGE sql AS $$
    UPDATE weir.command c SET blocked = false
      FROM (SELECT DISTINCT unnest(keys) AS key) k,
           LATERAL (SELECT q.id, q.blocked FROM weir.command q WHERE q.ordering_key = k.key AND q.state = 'accepted'
                     ORDER BY q.seq LIMIT 1) h
     WHERE c.id = h.id AND h.blocked AND c.state = 'accepted';
$$;

CREATE OR REPLACE FUNCTION weir.promote_callbacks(keys text[]) RETURNS void
LANGUAGE sql AS $$
    UPDATE weir.callback c SET blocked = false
      FROM (SELECT DISTINCT unnest(keys) AS key) k,
           LATERAL (SELECT q.id, q.blocked FROM weir.callback q WHERE q.ordering_key = k.key AND q.state = 'pending'
                     ORDER BY q.id LIMIT 1) h
     WHERE c.id = h.id AND h.blocked AND c.state = 'pending';
$$;

DROP FUNCTION IF EXISTS weir.claim_commands(int, int); -- it may have had fewer columns
CREATE FUNCTION weir.claim_commands(me int, most int)
RETURNS TABLE (id text, name text, correlation_id text, traceparent text, ordering_key text, body text, role text, caller text)
LANGUAGE sql AS $$
    WITH picked AS MATERIALIZED (
        SELECT d.id FROM generate_series(9, 0, -1) p, LATERAL (
            SELECT q.id FROM weir.command q
             WHERE q.state = 'accepted' AND q.owner IS NULL AND NOT q.blocked AND q.priority = p AND q.due_at <= clock_timestamp()
             ORDER BY q.due_at, q.seq LIMIT most FOR UPDATE SKIP LOCKED) d
         LIMIT most
    ), taken AS (
        UPDATE weir.command c SET owner = me FROM picked WHERE c.id = picked.id RETURNING c.*
    )
    SELECT t.id, t.name, t.correlation_id, t.traceparent, t.ordering_key, t.body, t.role, t.claims::jsonb ->> 'sub' FROM taken t ORDER BY t.priority DESC, t.due_at, t.seq;
$$;

-- The end of a command: its state, and the callback that tells of it.
CREATE OR REPLACE FUNCTION weir.finish_command(command_id text, new_state text, new_answer jsonb, why text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    c weir.command%ROWTYPE;
BEGIN
    UPDATE weir.command q
       SET state = new_state, owner = NULL, blocked = false, finished_at = clock_timestamp(), answer = new_answer, reason = why,
           attempts = q.attempts + 1
     WHERE q.id = command_id AND q.state = 'accepted' RETURNING * INTO c;
    IF FOUND AND c.idempotency_key IS NOT NULL THEN
        UPDATE weir.idempotency i SET reply = coalesce(new_answer, '{"dead": true}'), stored_at = clock_timestamp()
         WHERE i.key = c.idempotency_key AND i.command_id = c.id;
    END IF;
    IF c.callback_url IS NOT NULL THEN
        INSERT INTO weir.callback (command_id, url, payload, ordering_key, blocked)
        VALUES (c.id, c.callback_url, weir.command_document(c), c.ordering_key, c.ordering_key IS NOT NULL AND EXISTS (
            SELECT FROM weir.callback e WHERE e.ordering_key = c.ordering_key AND e.state = 'pending'));
    END IF;
END $$;

-- Executes the stored command whose id is in meta as its wrapper would, and finishes it in the same transaction. {"ok": what became of it};
-- an error that another try may cure, or that needs an operator, is given back as it is and leaves the row alone.
CREATE OR REPLACE FUNCTION weir.run_stored(meta text, body text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    c weir.command%ROWTYPE;
    r jsonb;
BEGIN
    SELECT * INTO c FROM weir.command q WHERE q.id = meta::jsonb ->> 'id' AND q.state = 'accepted' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN '{"ok": "skipped"}';
    END IF;
    IF c.ordering_key IS NOT NULL AND EXISTS (SELECT FROM weir.command e WHERE e.ordering_key = c.ordering_key AND e.state = 'accepted'
                                                 AND e.seq < c.seq) THEN
        UPDATE weir.command q SET blocked = true, owner = NULL WHERE q.id = c.id;
        RETURN '{"ok": "blocked"}';
    END IF;
    IF c.deadline <= clock_timestamp() THEN
        PERFORM weir.finish_command(c.id, 'dead', NULL, 'its deadline passed before it was executed');
        RETURN '{"ok": "dead"}';
    END IF;
    PERFORM set_config('weir.expected_version', c.expected_version, true) WHERE c.expected_version IS NOT NULL;
    IF c.name = '(batch)' THEN
        r := weir.run_batch(meta, c.body, c.role, c.claims);
    ELSIF to_regprocedure(format('weir.%I(text,text)', 'run_' || c.name)) IS NULL THEN
        r := jsonb_build_object('error', jsonb_build_object('sqlstate', '0A000', 'message',
            format('the command %s is not deployed any more', c.name)));
    ELSIF c.role IS NOT NULL AND to_regprocedure(format('%I.%I(text,text,text)', 'weir_as_' || c.role, c.name)) IS NULL THEN
        r := jsonb_build_object('error', jsonb_build_object('sqlstate', '42501', 'message',
            format('the role %s is not deployed any more', c.role)));
    ELSE
        r := weir.run_as(c.role, c.claims, c.name, meta, c.body);
    END IF;
    PERFORM set_config('weir.expected_version', '', true) WHERE c.expected_version IS NOT NULL;
    IF r ? 'ok' THEN
        PERFORM weir.finish_command(c.id, 'completed', r, NULL);
        RETURN '{"ok": "completed"}';
    ELSIF weir.http_status(r -> 'error' ->> 'sqlstate') BETWEEN 400 AND 499 THEN
        PERFORM weir.finish_command(c.id, 'rejected', r, NULL);
        RETURN '{"ok": "rejected"}';
    END IF;
    RETURN r;
END $$;

-- When to try again after so many attempts: from 200 ms, doubled each time, with jitter.
CREATE OR REPLACE FUNCTION weir.retry_delay(attempts int, most_ms bigint) RETURNS interval
LANGUAGE sql VOLATILE AS $$
    SELECT least(most_ms, 200 * 2 ^ least(attempts, 12)) * (0.5 + random()) * interval '1 millisecond';
$$;

-- What the lanes could not finish. list: [{"id","verdict","reason"?,"answer"?}…]; verdict: later (not its fault), retry, dead, rejected.
CREATE OR REPLACE FUNCTION weir.settle_commands(me int, list jsonb, attempts_max int, pause_max_ms bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v record;
    c weir.command%ROWTYPE;
BEGIN
    FOR v IN SELECT * FROM jsonb_to_recordset(list) AS x(id text, verdict text, reason text, answer jsonb) ORDER BY x.id LOOP
        SELECT * INTO c FROM weir.command q WHERE q.id = v.id AND q.state = 'accepted' AND q.owner = me FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        IF v.verdict = 'later' THEN
            UPDATE weir.command q SET owner = NULL, due_at = clock_timestamp() + interval '200 milliseconds' WHERE q.id = v.id;
        ELSIF v.verdict = 'rejected' THEN
            PERFORM weir.finish_command(v.id, 'rejected', v.answer, NULL);
        ELSIF v.verdict = 'retry' AND c.attempts + 1 < attempts_max THEN
            UPDATE weir.command q SET owner = NULL, attempts = q.attempts + 1, reason = v.reason,
                   due_at = least(clock_timestamp() + weir.retry_delay(q.attempts, pause_max_ms), q.deadline) WHERE q.id = v.id;
        ELSE
            PERFORM weir.finish_command(v.id, 'dead', v.answer, v.reason);
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION weir.claim_callbacks(me int, most int)
RETURNS TABLE (id bigint, command_id text, url text, attempts int, ordering_key text, payload text)
LANGUAGE sql AS $$
    WITH picked AS MATERIALIZED (
        SELECT q.id FROM weir.callback q WHERE q.state = 'pending' AND q.owner IS NULL AND NOT q.blocked AND q.due_at <= clock_timestamp()
         ORDER BY q.due_at, q.id LIMIT most FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE weir.callback c SET owner = me FROM picked WHERE c.id = picked.id RETURNING c.*
    )
    SELECT t.id, t.command_id, t.url, t.attempts, t.ordering_key,
           (t.payload || jsonb_build_object('position', CASE current_setting('synchronous_commit') WHEN 'off'
                THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END))::text
      FROM taken t ORDER BY t.due_at, t.id;
$$;

-- list: [{"id","ok","reason"?}…]. What was acknowledged is forgotten.
CREATE OR REPLACE FUNCTION weir.settle_callbacks(me int, list jsonb, attempts_max int, pause_max_ms bigint) RETURNS void
LANGUAGE sql AS $$
    WITH told AS (
        SELECT * FROM jsonb_to_recordset(list) AS x(id bigint, ok boolean, reason text)
    ), gone AS (
        DELETE FROM weir.callback c USING told WHERE c.id = told.id AND c.owner = me AND told.ok
    )
    UPDATE weir.callback c
       SET owner = NULL, attempts = c.attempts + 1, reason = told.reason, due_at = clock_timestamp() + weir.retry_delay(c.attempts, pause_max_ms),
           state = CASE WHEN c.attempts + 1 >= attempts_max THEN 'dead' ELSE 'pending' END,
           finished_at = CASE WHEN c.attempts + 1 >= attempts_max THEN clock_timestamp() END
      FROM told WHERE c.id = told.id AND c.owner = me AND NOT told.ok;
$$;

-- A number of one's own, and a lock that shows that its holder lives.
CREATE OR REPLACE FUNCTION weir.take_epoch() RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    me int := nextval('weir.owner_epoch');
BEGIN
    PERFORM pg_advisory_lock(1464158546, me);
    RETURN me;
END $$;

CREATE OR REPLACE FUNCTION weir.live_epochs() RETURNS int[]
LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(l.objid::int), '{}') FROM pg_locks l
     WHERE l.locktype = 'advisory' AND l.classid = 1464158546 AND l.objsubid = 2 AND l.granted
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
$$;

-- What a service that ended had in hand is free again.
CREATE OR REPLACE FUNCTION weir.free_orphans() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    live int[] := weir.live_epochs();
BEGIN
    UPDATE weir.command SET owner = NULL WHERE state = 'accepted' AND owner IS NOT NULL AND owner <> ALL (live);
    UPDATE weir.callback SET owner = NULL WHERE state = 'pending' AND owner IS NOT NULL AND owner <> ALL (live);
END $$;

-- What a crash between a commit and its promote left blocked: the head of every key.
CREATE OR REPLACE FUNCTION weir.promote_all() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    keys text[];
BEGIN
    WITH RECURSIVE k(key) AS (
        SELECT min(ordering_key) FROM weir.command WHERE state = 'accepted' AND ordering_key IS NOT NULL
        UNION ALL
        SELECT (SELECT min(c.ordering_key) FROM weir.command c WHERE c.state = 'accepted' AND c.ordering_key > k.key) FROM k WHERE k.key IS NOT NULL
    ) SELECT array_agg(key) INTO keys FROM k WHERE key IS NOT NULL;
    PERFORM weir.promote_commands(keys);
    WITH RECURSIVE k(key) AS (
        SELECT min(ordering_key) FROM weir.callback WHERE state = 'pending' AND ordering_key IS NOT NULL
        UNION ALL
        SELECT (SELECT min(c.ordering_key) FROM weir.callback c WHERE c.state = 'pending' AND c.ordering_key > k.key) FROM k WHERE k.key IS NOT NULL
    ) SELECT array_agg(key) INTO keys FROM k WHERE key IS NOT NULL;
    PERFORM weir.promote_callbacks(keys);
END $$;

-- Forgets what finished long ago, at most `most` rows of each kind. true: there is more.
CREATE OR REPLACE FUNCTION weir.forget_commands(keep_ms bigint, dead_keep_ms bigint, most int) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    n    bigint;
    more boolean := false;
BEGIN
    DELETE FROM weir.command WHERE id IN (SELECT c.id FROM weir.command c WHERE c.state IN ('completed', 'rejected')
        AND c.finished_at < now() - keep_ms * interval '1 millisecond' ORDER BY c.finished_at LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    more := n >= most;
    DELETE FROM weir.command WHERE id IN (SELECT c.id FROM weir.command c WHERE c.state = 'dead'
        AND c.finished_at < now() - dead_keep_ms * interval '1 millisecond' ORDER BY c.finished_at LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    more := more OR n >= most;
    DELETE FROM weir.callback WHERE id IN (SELECT c.id FROM weir.callback c WHERE c.state = 'dead'
        AND c.finished_at < now() - dead_keep_ms * interval '1 millisecond' ORDER BY c.finished_at LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN more OR n >= most;
END $$;

-- For GET /commands/{id}.
DROP FUNCTION IF EXISTS weir.command_documents(text[]); -- it may have had fewer columns
CREATE FUNCTION weir.command_documents(ids text[]) RETURNS TABLE (id text, finished boolean, version text, document text, caller text)
LANGUAGE sql STABLE AS $$
    SELECT c.id, c.state <> 'accepted',
           CASE WHEN c.state = 'accepted' AND c.owner IS NOT NULL THEN 'running' ELSE c.state END || ':' || c.attempts, (weir.command_document(c)
           || CASE WHEN c.state = 'accepted' THEN '{}'
                   ELSE jsonb_build_object('position', CASE current_setting('synchronous_commit') WHEN 'off'
                        THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END) END
           || CASE WHEN c.callback_url IS NULL THEN '{}'
                   ELSE jsonb_build_object('callback', coalesce((SELECT k.state FROM weir.callback k WHERE k.command_id = c.id LIMIT 1),
                        CASE WHEN c.state = 'accepted' THEN 'waiting' ELSE 'acknowledged' END)) END)::text, c.caller
      FROM weir.command c WHERE c.id = ANY (ids);
$$;

-- An application event: in the change feed with the transaction's changes, and gone with them when it is rolled back.
CREATE OR REPLACE FUNCTION weir.emit(topic text, payload jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    event text;
BEGIN
    IF topic IS NULL OR topic !~ '^[A-Za-z0-9_.:/-]{1,100}$' THEN
        RAISE EXCEPTION 'weir.emit: the topic must have 1 to 100 of the characters A-Z a-z 0-9 _ . : / -' USING ERRCODE = '22023';
    END IF;
    event := jsonb_build_object('topic', topic, 'payload', payload)::text;
    IF octet_length(event) > 1048576 THEN
        RAISE EXCEPTION 'weir.emit: an event of % bytes, at most 1 MiB', octet_length(event) USING ERRCODE = '54000';
    END IF;
    PERFORM pg_logical_emit_message(true, 'weir.event', event);
END $$;

-- Everything dead, for `weir dead`. An id of a callback is callback-N.
CREATE OR REPLACE FUNCTION weir.dead_list(most int)
RETURNS TABLE (id text, kind text, name text, finished_at timestamptz, attempts int, reason text, detail jsonb)
LANGUAGE sql STABLE AS $$
    SELECT * FROM (
        SELECT c.id, 'command', c.name, c.finished_at, c.attempts, c.reason,
               weir.command_document(c) || jsonb_build_object('body', c.body) FROM weir.command c WHERE c.state = 'dead'
        UNION ALL
        SELECT 'callback-' || k.id, 'callback', k.url, k.finished_at, k.attempts, k.reason,
               jsonb_build_object('command_id', k.command_id, 'url', k.url, 'payload', k.payload) FROM weir.callback k WHERE k.state = 'dead'
    ) x ORDER BY x.finished_at, x.id LIMIT most;
$$;

-- Gives dead ones another life, as if they had just been accepted; a deadline that has passed does not count any more. NULL: all.
CREATE OR REPLACE FUNCTION weir.dead_retry(ids text[]) RETURNS SETOF text
LANGUAGE sql AS $$
    WITH c AS (
        UPDATE weir.command c SET state = 'accepted', blocked = false, owner = NULL, attempts = 0, due_at = clock_timestamp(),
               deadline = CASE WHEN c.deadline > clock_timestamp() THEN c.deadline END, finished_at = NULL, answer = NULL
         WHERE c.state = 'dead' AND (ids IS NULL OR c.id = ANY (ids)) RETURNING c.id
    ), k AS (
        UPDATE weir.callback k SET state = 'pending', blocked = false, owner = NULL, attempts = 0, due_at = clock_timestamp(), finished_at = NULL
         WHERE k.state = 'dead' AND (ids IS NULL OR 'callback-' || k.id = ANY (ids)) RETURNING 'callback-' || k.id
    ) SELECT * FROM c UNION ALL SELECT * FROM k;
$$;

CREATE OR REPLACE FUNCTION weir.dead_discard(ids text[]) RETURNS SETOF text
LANGUAGE sql AS $$
    WITH c AS (
        DELETE FROM weir.command c WHERE c.state = 'dead' AND (ids IS NULL OR c.id = ANY (ids)) RETURNING c.id
    ), k AS (
        DELETE FROM weir.callback k WHERE k.state = 'dead' AND (ids IS NULL OR 'callback-' || k.id = ANY (ids)) RETURNING 'callback-' || k.id
    ) SELECT * FROM c UNION ALL SELECT * FROM k;
$$;
