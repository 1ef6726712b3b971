/* apply.c - transactions in, groups out: what is collected, when it is committed, and how it comes
 * back after a failure. */
#include "migrations/sync/apply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "migrations/sync/apply_priv.h"
#include "migrations/sync/source.h"

enum {
    GROUP_BYTES = 1 << 30,
    KEY_MAX_BYTES = 64 << 20,
    RETRIES = 5,
    POSITION_EVERY_BYTES = 16 << 20 /* an idle flow writes its position this often */
};

sync_apply *sync_apply_new(const sync_apply_conf *conf)
{
    sync_apply *s = weir_xcalloc(1, sizeof *s);
    s->conf = *conf;
    s->a = weir_arena_new(GROUP_BYTES);
    s->tables = weir_map_new();
    s->maps = weir_map_new();
    s->sql = weir_map_new();
    s->maps_arena = weir_arena_new(0);
    weir_buf_init(&s->key, KEY_MAX_BYTES);
    sync_exec_init(&s->x);
    s->reread = conf->source_uri ? sync_reread_new(conf->source_uri) : NULL;
    return s;
}

static void forget_tables(sync_apply *s)
{
    weir_map_iter it = {0};
    while (weir_map_next(s->tables, &it)) {
        sync_table *t = it.value;
        sync_rows_fini(&t->rows);
        free(t);
    }
    weir_map_clear(s->tables);
    weir_map_clear(s->maps);
    weir_map_clear(s->sql);
    weir_arena_reset(s->maps_arena);
    weir_arena_reset(s->a);
    s->norder = 0;
}

void sync_apply_free(sync_apply *s)
{
    if (!s) {
        return;
    }
    forget_tables(s);
    sync_exec_fini(&s->x);
    sync_reread_free(s->reread);
    weir_map_free(s->tables);
    weir_map_free(s->maps);
    weir_map_free(s->sql);
    weir_arena_free(s->maps_arena);
    weir_arena_free(s->a);
    weir_buf_fini(&s->key);
    for (size_t i = 0; i < s->nwide; i++) {
        weir_buf_fini(&s->wide[i]);
    }
    free(s->wide);
    free(s->order);
    sync_seen_fini(&s->seen);
    free(s);
}

/* --- groups ---------------------------------------------------------------------------------- */

static weir_rc begin_tx(void *self, const sync_tx *tx, weir_error *err)
{
    sync_apply *s = self;
    bool loose = tx->commit_lsn <= s->loose_until;
    weir_rc rc = WEIR_OK;
    if (loose != s->loose) {
        rc = sync_apply_tables(s, err); /* strict and loose changes do not mix */
        s->loose = loose;
    }
    s->open = true;
    s->acted = false;
    s->xid = tx->xid;
    if (tx->commit_lsn > s->newest_commit) {
        s->newest_commit = tx->commit_lsn;
    }
    s->newest_us = tx->commit_us;
    return rc;
}

static bool careful(const sync_apply *s, const sync_tx *tx)
{
    return s->conf.each || tx->commit_lsn <= s->careful_until;
}

static weir_rc find_map(sync_apply *s, const weir_relation *rel, sync_map **out, weir_error *err)
{
    void **slot = weir_map_slot(
        s->maps, (weir_slice){(const char *)&rel->version, sizeof rel->version}, NULL);
    if (*slot) {
        *out = *slot;
        return WEIR_OK;
    }
    sync_map *m = WEIR_ARENA_ARRAY(s->maps_arena, sync_map, 1);
    sync_route route = {.kind = SYNC_ROUTE_DIRECT, .rules = s->conf.rules};
    route.schema = weir_arena_dupz(s->maps_arena, rel->schema);
    route.name = weir_arena_dupz(s->maps_arena, rel->name);
    weir_rc rc = s->conf.route ? s->conf.route(s->conf.arg, rel, &route, err) : WEIR_OK;
    if (rc == WEIR_OK && route.kind == SYNC_ROUTE_DIRECT) {
        rc = sync_exec_plain(&s->x, err);
    }
    if (rc == WEIR_OK) {
        rc = sync_map_make(s->x.pg, rel, &route, ++s->next_id, s->maps_arena, m, err);
    }
    if (rc == WEIR_OK) {
        *weir_map_slot(s->maps, (weir_slice){(const char *)&rel->version, sizeof rel->version},
                       NULL) = m;
        *out = m;
    } else {
        (void)weir_map_del(s->maps, (weir_slice){(const char *)&rel->version, sizeof rel->version});
    }
    return rc;
}

/* The collection of a target table; another layout of its rows first sends what is there. */
static weir_rc find_table(sync_apply *s, const sync_map *m, sync_table **out, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    void **slot = weir_map_slot(s->tables, weir_slice_z(m->table), NULL);
    sync_table *t = *slot;
    if (t && t->m != m) {
        rc = sync_apply_table(s, t, err);
        sync_rows_fini(&t->rows);
    }
    if (!t) {
        t = weir_xcalloc(1, sizeof *t);
        *slot = t;
    }
    if (t->m != m) {
        bool no_replace = false;
        for (uint16_t i = 0; i < m->n; i++) {
            no_replace = no_replace || (m->col[i].always && !m->col[i].key);
        }
        t->m = m;
        sync_rows_init(&t->rows, m->n, no_replace);
    }
    if (!t->used) {
        if (s->norder == s->order_cap) {
            s->order_cap = s->order_cap ? s->order_cap * 2 : 16;
            s->order = weir_xrealloc(s->order, s->order_cap * sizeof(sync_table *));
        }
        s->order[s->norder++] = t;
        t->used = true;
    }
    *out = t;
    return rc;
}

static weir_rc odd(const sync_map *m, weir_error *err)
{
    return weir_fail(err, WEIR_E_CONFLICT, 0, "table %s: the changes of one key do not follow",
                     m->plain);
}

static weir_rc put(sync_apply *s, const sync_map *m, sync_op op, const weir_val *v, weir_error *err)
{
    sync_table *t = NULL;
    weir_rc rc = find_table(s, m, &t, err);
    for (int tries = 0; rc == WEIR_OK && tries < 2; tries++) {
        switch (sync_rows_put(&t->rows, sync_apply_key(s, m, v), op, v, s->a)) {
        case SYNC_PUT_OK: return WEIR_OK;
        case SYNC_PUT_ODD: return odd(m, err);
        case SYNC_PUT_BARRIER: rc = sync_apply_table(s, t, err); break;
        }
    }
    return rc == WEIR_OK ? weir_fail(err, WEIR_E_LIMIT, 0, "table %s: a row is too large", m->plain)
                         : rc;
}

static bool same_key(const sync_map *m, const weir_val *a, const weir_val *b)
{
    for (uint16_t i = 0; i < m->nkey; i++) {
        const weir_val *x = &a[m->key[i]];
        const weir_val *y = &b[m->key[i]];
        if (x->kind != y->kind || !weir_slice_eq(x->text, y->text)) {
            return false;
        }
    }
    return true;
}

static weir_rc fast_update(sync_apply *s, const sync_map *m, const weir_ev *ev, weir_error *err)
{
    const weir_tuple *whole = ev->old_kind == WEIR_OLD_ROW ? &ev->old_row : NULL;
    const weir_val *v = sync_apply_values(s, m, &ev->new_row, whole);
    const weir_val *old =
        ev->old_kind != WEIR_OLD_NONE ? sync_apply_values(s, m, &ev->old_row, NULL) : v;
    if (!same_key(m, v, old)) {
        sync_table *t = NULL;
        weir_rc rc = find_table(s, m, &t, err);
        rc = rc == WEIR_OK ? sync_apply_table(s, t, err) : rc;
        return rc == WEIR_OK ? sync_apply_move(s, m, v, old, err) : rc;
    }
    bool upsert = s->loose && sync_apply_complete(m, v);
    return put(s, m, upsert ? SYNC_OP_UPSERT : SYNC_OP_UPDATE, v, err);
}

static weir_rc fast_row(sync_apply *s, const sync_map *m, const weir_ev *ev, weir_error *err)
{
    switch (ev->kind) {
    case WEIR_EV_INSERT:
        return put(s, m, s->loose ? SYNC_OP_UPSERT : SYNC_OP_INSERT,
                   sync_apply_values(s, m, &ev->new_row, NULL), err);
    case WEIR_EV_UPDATE: return fast_update(s, m, ev, err);
    case WEIR_EV_DELETE:
        return put(s, m, SYNC_OP_DELETE, sync_apply_values(s, m, &ev->old_row, NULL), err);
    default: return WEIR_OK;
    }
}

/* A crawled row: the state at this place, whatever is there. Mixed with strict changes of the same
 * key it would not collapse, so what is collected goes first. */
static weir_rc read_row(sync_apply *s, const sync_map *m, const weir_ev *ev, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    if (!s->loose) {
        rc = sync_apply_tables(s, err);
        s->loose = true; /* until the next transaction begins */
    }
    return rc == WEIR_OK
               ? put(s, m, SYNC_OP_UPSERT, sync_apply_values(s, m, &ev->new_row, NULL), err)
               : rc;
}

static weir_rc before_commit(sync_apply *s, weir_error *err)
{
    if (!s->conf.before_commit) {
        return WEIR_OK;
    }
    weir_rc rc = sync_apply_begin_tx(s, err);
    rc = rc == WEIR_OK ? sync_exec_plain(&s->x, err) : rc;
    return rc == WEIR_OK ? s->conf.before_commit(s->conf.arg, s->x.pg, s->place, err) : rc;
}

static weir_rc truncate_tables(sync_apply *s, const sync_tx *tx, const weir_ev *ev, weir_error *err)
{
    weir_buf b;
    int n = 0;
    bool events = false;
    weir_rc rc = sync_apply_tables(s, err);
    rc = rc == WEIR_OK ? before_commit(s, err) : rc;
    weir_buf_init(&b, 1 << 20);
    for (uint32_t i = 0; rc == WEIR_OK && i < ev->nrels; i++) {
        const weir_relation *rel = sync_source_relation(tx->source, ev->rels[i]);
        sync_map *m = NULL;
        rc = rel ? find_map(s, rel, &m, err)
                 : weir_fail(err, WEIR_E_PROTO, WEIR_EF_RETRY, "TRUNCATE of an unknown relation");
        if (rc == WEIR_OK && m->kind == SYNC_ROUTE_DIRECT) {
            weir_buf_printf(&b, "%s%s", n++ ? ", " : "TRUNCATE ", m->table);
        }
        if (rc == WEIR_OK && m->kind == SYNC_ROUTE_EVENTS) {
            events = true;
        }
    }
    if (rc == WEIR_OK && n > 0) {
        weir_buf_printf(&b, "%s%s", (ev->flags & 2) != 0 ? " RESTART IDENTITY" : "",
                        (ev->flags & 1) != 0 ? " CASCADE" : "");
        weir_buf_u8(&b, '\0');
        rc = sync_apply_begin_tx(s, err);
        rc = rc == WEIR_OK ? sync_exec_plain(&s->x, err) : rc;
        rc = rc == WEIR_OK ? weir_pg_query(s->x.pg, b.p, 0, NULL, NULL, err) : rc;
    }
    weir_buf_fini(&b);
    if (rc == WEIR_OK && events) {
        rc = s->conf.on_event(s->conf.arg, tx, NULL, ev, err);
    }
    if (rc == WEIR_OK && s->conf.counts) {
        atomic_fetch_add(&s->conf.counts->truncated, 1);
    }
    return rc;
}

static weir_rc row_event(sync_apply *s, const sync_tx *tx, const weir_relation *rel,
                         const weir_ev *ev, weir_error *err)
{
    sync_map *m = NULL;
    weir_rc rc = find_map(s, rel, &m, err);
    if (rc != WEIR_OK || m->kind == SYNC_ROUTE_NONE) {
        return rc;
    }
    if (m->kind == SYNC_ROUTE_EVENTS) {
        return s->conf.on_event(s->conf.arg, tx, rel, ev, err);
    }
    if (ev->kind == WEIR_EV_RANGE || ev->kind == WEIR_EV_COPIED) {
        return WEIR_OK;
    }
    if (m->nkey == 0) {
        return sync_apply_keyless(s, m, ev, err);
    }
    if (ev->kind == WEIR_EV_READ) {
        return read_row(s, m, ev, err);
    }
    return careful(s, tx) ? sync_apply_row(s, tx, m, ev, err) : fast_row(s, m, ev, err);
}

/* A group that failed for a reason of its rows comes again, row by row: then the reason has a row.
 */
static weir_rc again(sync_apply *s, const sync_tx *tx, weir_rc rc, weir_error *err)
{
    if (rc == WEIR_OK) {
        return rc;
    }
    uint64_t upto = tx ? tx->commit_lsn : s->newest_commit;
    upto = s->newest_commit > upto ? s->newest_commit : upto;
    bool data = rc != WEIR_E_CONN && rc != WEIR_E_TIMEOUT && rc != WEIR_E_STATE &&
                rc != WEIR_E_PROTO && (err->flags & (WEIR_EF_RETRY | WEIR_EF_FATAL)) == 0;
    if (data && !s->conf.each && s->careful_until < upto) {
        char lsn[WEIR_LSN_TEXT_MAX];
        WEIR_INFO("SYNC-CAREFUL", "flow=%s until=%s %s", s->conf.flow, weir_lsn_print(upto, lsn),
                  err->msg);
        s->careful_until = upto;
        err->flags |= WEIR_EF_RETRY;
        if (s->conf.counts) {
            atomic_fetch_add(&s->conf.counts->careful, 1);
        }
    }
    /* Somebody else wrote the same row at the same time: look again, a few times. */
    if (data && s->conf.each) {
        s->retried = s->retried_lsn == upto ? s->retried + 1 : 1;
        s->retried_lsn = upto;
        if (s->retried < RETRIES && strncmp(err->sqlstate, "23", 2) == 0) {
            err->flags |= WEIR_EF_RETRY;
        }
    }
    return rc;
}

static weir_rc event(void *self, const sync_tx *tx, const weir_relation *rel, const weir_ev *ev,
                     weir_error *err)
{
    sync_apply *s = self;
    weir_rc rc = WEIR_OK;
    if (ev->kind == WEIR_EV_TRUNCATE) {
        rc = truncate_tables(s, tx, ev, err);
    } else if (rel) {
        rc = row_event(s, tx, rel, ev, err);
    }
    return again(s, tx, rc, err);
}

/* --- commit ---------------------------------------------------------------------------------- */

static weir_rc send_position(sync_apply *s, weir_error *err)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    char sub[24];
    char seen[24];
    (void)snprintf(sub, sizeof sub, "%u", s->place.sub);
    (void)snprintf(seen, sizeof seen, "%" PRId64,
                   s->conf.origin ? sync_seen_newest(&s->seen) : (int64_t)0);
    const char *params[] = {s->conf.flow, weir_lsn_print(s->place.lsn, lsn), sub,
                            s->conf.system_id ? s->conf.system_id : "", seen};
    return sync_exec_send(
        &s->x, "position",
        "INSERT INTO weir_sync.position AS p (flow, lsn, sub, system_id, seen_us) VALUES ($1, "
        "$2::pg_lsn, $3::bigint, $4, $5::bigint) ON CONFLICT (flow) DO UPDATE SET lsn = "
        "excluded.lsn, sub = excluded.sub, seen_us = greatest(p.seen_us, excluded.seen_us), at = "
        "clock_timestamp() WHERE p.lsn <= excluded.lsn",
        5, params, 1, NULL, err);
}

/* The source's commit time and position travel in the target's commit record: loops and conflicts
 * are decided by them. */
static weir_rc send_origin(sync_apply *s, weir_error *err)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    char us[24];
    if (!s->have_origin) {
        return WEIR_OK;
    }
    (void)snprintf(us, sizeof us, "%" PRId64, s->newest_us);
    const char *params[] = {weir_lsn_print(s->place.lsn, lsn), us};
    return sync_exec_send(&s->x, "xact_setup",
                          "SELECT pg_replication_origin_xact_setup($1::pg_lsn, '2000-01-01 "
                          "00:00:00+00'::timestamptz + $2::bigint * interval '1 microsecond')",
                          2, params, SYNC_ANY, NULL, err);
}

static weir_rc mismatch(const sync_apply *s, weir_error *err)
{
    return weir_fail(err, WEIR_E_CONFLICT, 0,
                     "table %s: a row is missing in the target, or one is there that should not be",
                     s->x.what ? s->x.what : "?");
}

/* The group's rows, its position, and the commit: the position is durable exactly with the rows. */
static weir_rc commit_group(sync_apply *s, bool wait_durable, weir_error *err)
{
    weir_rc rc = sync_apply_tables(s, err);
    rc = rc == WEIR_OK ? before_commit(s, err) : rc;
    rc = rc == WEIR_OK ? sync_apply_begin_tx(s, err) : rc;
    rc = rc == WEIR_OK ? send_origin(s, err) : rc;
    rc = rc == WEIR_OK ? send_position(s, err) : rc;
    if (rc == WEIR_OK && !wait_durable) {
        rc = sync_exec_send(&s->x, "async", "SET LOCAL synchronous_commit = off", 0, NULL, SYNC_ANY,
                            NULL, err);
    }
    rc = rc == WEIR_OK ? sync_exec_drain(&s->x, NULL, err) : rc;
    if (rc == WEIR_OK && s->x.mismatch) {
        rc = s->x.what
                 ? mismatch(s, err)
                 : weir_fail(err, WEIR_E_STATE, 0,
                             "weir_sync.position of flow %s is ahead of this applier: another "
                             "one wrote it",
                             s->conf.flow);
    }
    if (rc == WEIR_OK) {
        rc = sync_exec_send(&s->x, "commit", "COMMIT", 0, NULL, SYNC_ANY, NULL, err);
    }
    rc = rc == WEIR_OK ? sync_exec_drain(&s->x, NULL, err) : rc;
    if (rc == WEIR_OK) {
        s->in_tx = false;
        s->place_moved = false;
        s->unsynced = !wait_durable;
        s->committed = wait_durable ? s->place : s->committed;
        if (s->conf.counts) {
            atomic_fetch_add(&s->conf.counts->groups, 1);
        }
    }
    return rc;
}

/* Without a change pgoutput would not tell of this transaction at all, and the other side would
 * take every later change of those rows for one that did not know of it. */
static weir_rc leave_trace(sync_apply *s, weir_error *err)
{
    weir_rc rc = sync_apply_begin_tx(s, err);
    return rc == WEIR_OK ? sync_exec_send(&s->x, "trace",
                                          "SELECT pg_logical_emit_message(true, 'weir.sync', '')",
                                          0, NULL, SYNC_ANY, NULL, err)
                         : rc;
}

static weir_rc commit_tx(void *self, const sync_tx *tx, weir_error *err)
{
    sync_apply *s = self;
    s->open = false;
    s->place = tx->after;
    s->place_moved = true;
    if (!s->conf.each) {
        return WEIR_OK;
    }
    weir_rc rc = s->conf.trace && !s->acted ? leave_trace(s, err) : WEIR_OK;
    if (rc != WEIR_OK || !s->in_tx) {
        return again(s, tx, rc, err);
    }
    /* Durable with the batch's last: until then nothing is acknowledged. */
    return again(s, tx, commit_group(s, false, err), err);
}

static weir_rc skip_tx(void *self, const sync_tx *tx, weir_error *err)
{
    sync_apply *s = self;
    (void)err;
    s->open = false;
    s->place = tx->after;
    s->place_moved = true;
    if (s->conf.origin && tx->origin.n > 0) {
        sync_seen_add(&s->seen, tx->commit_us);
    }
    return WEIR_OK;
}

static weir_rc flush(void *self, bool caught_up, weir_cursor *durable, weir_error *err)
{
    sync_apply *s = self;
    weir_rc rc = WEIR_OK;
    (void)caught_up;
    bool far = s->place.lsn > s->committed.lsn + POSITION_EVERY_BYTES;
    if (!s->open && (s->in_tx || s->norder > 0 || far || s->unsynced ||
                     (s->conf.before_commit && s->place_moved))) {
        rc = commit_group(s, true, err);
    } else {
        rc = sync_apply_tables(s, err); /* the transaction goes on in the next batch */
        rc = rc == WEIR_OK ? sync_exec_drain(&s->x, NULL, err) : rc;
        if (rc == WEIR_OK && s->x.mismatch) {
            rc = mismatch(s, err);
        }
    }
    weir_arena_reset(s->a);
    *durable = s->committed;
    return again(s, NULL, rc, err);
}

/* --- start ----------------------------------------------------------------------------------- */

weir_rc sync_apply_begin_tx(sync_apply *s, weir_error *err)
{
    if (s->in_tx) {
        return WEIR_OK;
    }
    s->in_tx = true;
    s->x.mismatch = false;
    s->x.what = NULL;
    return sync_exec_send(&s->x, "begin", "BEGIN", 0, NULL, SYNC_ANY, NULL, err);
}

static weir_rc lock_flow(sync_apply *s, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    const char *params[] = {s->conf.flow};
    weir_rc rc = weir_pg_query(
        s->x.pg, "SELECT pg_try_advisory_lock(hashtextextended('weir_sync ' || $1, 0))", 1, params,
        &rows, err);
    if (rc == WEIR_OK && weir_pg_valuez(rows, 0, 0)[0] != 't') {
        rc = weir_fail(err, WEIR_E_CONFLICT, WEIR_EF_RETRY,
                       "another weir-sync writes flow %s into this target", s->conf.flow);
    }
    weir_pg_rows_free(rows);
    return rc;
}

static weir_rc setup_session(sync_apply *s, weir_error *err)
{
    weir_error denied;
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(s->x.pg, "SELECT current_setting('track_commit_timestamp') = 'on'",
                               0, NULL, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    s->tracked = weir_pg_valuez(rows, 0, 0)[0] == 't';
    weir_pg_rows_free(rows);
    if (weir_pg_query(s->x.pg, "SET session_replication_role = replica", 0, NULL, NULL, &denied) !=
        WEIR_OK) {
        WEIR_WARN(
            "SYNC-TRIGGERS-FIRE",
            "flow=%s the target's triggers and foreign keys act on what is applied: GRANT SET "
            "ON PARAMETER session_replication_role to its user to have them quiet",
            s->conf.flow);
    }
    if (!s->conf.origin) {
        return WEIR_OK;
    }
    if (!s->tracked) {
        return weir_fail(err, WEIR_E_STATE, 0,
                         "conflicts are decided by commit times: ALTER SYSTEM SET "
                         "track_commit_timestamp = on and restart the database flow %s writes to",
                         s->conf.flow);
    }
    const char *params[] = {s->conf.origin};
    rc = weir_pg_query(s->x.pg,
                       "SELECT CASE WHEN EXISTS (SELECT FROM pg_replication_origin WHERE roname = "
                       "$1) THEN 0 ELSE pg_replication_origin_create($1) END",
                       1, params, NULL, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(s->x.pg, "SELECT pg_replication_origin_session_setup($1)", 1, params,
                           NULL, err);
    }
    if (rc != WEIR_OK) {
        weir_error_wrap(err,
                        "replication origin %s (superuser, or GRANT EXECUTE on the "
                        "pg_replication_origin functions)",
                        s->conf.origin);
        if (strcmp(err->sqlstate, "55006") == 0) {
            err->flags |= WEIR_EF_RETRY; /* the old session is about to end */
        }
        return rc;
    }
    s->have_origin = true;
    rc = weir_pg_query(s->x.pg, "SELECT roident FROM pg_replication_origin WHERE roname = $1", 1,
                       params, &rows, err);
    s->origin_id = rc == WEIR_OK ? weir_pg_i64(rows, 0, 0) : 0;
    if (rc == WEIR_OK) {
        weir_pg_rows_free(rows);
    }
    return rc;
}

static weir_rc read_position(sync_apply *s, bool *known, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    const char *params[] = {s->conf.flow};
    weir_rc rc = weir_pg_query(
        s->x.pg,
        "SELECT lsn, sub, system_id, loose_until - '0/0'::pg_lsn, seen_us FROM weir_sync.position "
        "WHERE flow = $1",
        1, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    *known = weir_pg_nrows(rows) > 0;
    int64_t floor_us = 0;
    if (*known) {
        (void)weir_lsn_parse(weir_pg_value(rows, 0, 0), &s->committed.lsn);
        s->committed.sub = (uint32_t)weir_pg_i64(rows, 0, 1);
        s->loose_until = (uint64_t)weir_pg_i64(rows, 0, 3);
        floor_us = weir_pg_i64(rows, 0, 4);
        const char *id = weir_pg_valuez(rows, 0, 2);
        if (s->conf.system_id && id[0] && strcmp(id, s->conf.system_id) != 0) {
            rc = weir_fail(err, WEIR_E_STATE, 0,
                           "flow %s was begun from another database cluster (system id %s, now %s)",
                           s->conf.flow, id, s->conf.system_id);
        }
    }
    weir_pg_rows_free(rows);
    s->place = s->committed;
    sync_seen_fini(&s->seen);
    sync_seen_init(&s->seen, floor_us);
    return rc;
}

static weir_rc resume(void *self, bool *known, weir_cursor *durable, weir_error *err)
{
    sync_apply *s = self;
    forget_tables(s);
    sync_exec_fini(&s->x); /* whatever was open there is rolled back */
    s->in_tx = s->open = s->loose = s->have_origin = s->place_moved = false;
    s->unsynced = false;
    s->newest_commit = 0;
    weir_pg_conf pc = {.uri = s->conf.uri,
                       .application_name =
                           weir_arena_printf(s->maps_arena, "weir-sync %s", s->conf.flow),
                       .wait_max_ms = 600000};
    weir_rc rc = weir_pg_open(&s->x.pg, &pc, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "the target");
        return rc;
    }
    rc = sync_schema(s->x.pg, err);
    rc = rc == WEIR_OK ? lock_flow(s, err) : rc;
    rc = rc == WEIR_OK ? setup_session(s, err) : rc;
    rc = rc == WEIR_OK ? read_position(s, known, err) : rc;
    *durable = s->committed;
    return rc;
}

sync_dest sync_apply_dest(sync_apply *s)
{
    return (sync_dest){.self = s,
                       .resume = resume,
                       .begin = begin_tx,
                       .event = event,
                       .commit = commit_tx,
                       .skip = skip_tx,
                       .flush = flush};
}
