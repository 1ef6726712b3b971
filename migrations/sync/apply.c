/* apply.c - transactions in, groups out: what is collected, when it is committed, and how it comes
 * back after a failure. */
#include "migrations/sync/apply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "migrations/sync/apply_priv.h"
#include "migrations/sync/merge.h"
#include "migrations/sync/source.h"

enum {
    GROUP_BYTES = 1 << 30,
    KEY_MAX_BYTES = 64 << 20,
    RETRIES = 5,
    /* an idle flow writes its position so often; each one moves the WAL of the target, and so, both
     * ways, the other flow's position */
    POSITION_EVERY_BYTES = 16 << 20,
    POSITION_EVERY_MS = 5000
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
    s->tell = sync_telling_new();
    s->piece = sync_piece_new();
    s->joining = sync_joining_new();
    s->orphans = sync_orphans_new();
    return s;
}

static void forget_tables(sync_apply *s)
{
    weir_map_iter it = {0};
    sync_orphans_forget(s->orphans);
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
    sync_telling_free(s->tell);
    sync_piece_free(s->piece);
    sync_joining_free(s->joining);
    sync_orphans_free(s->orphans);
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

/* Changes made here so long before the newest one that the source confirmed are known to it too:
 * it takes them in the order of their commits, and that is nearly the order of their times. A row
 * that is wrongly taken for known by one side is met by the other, which decides. */
static void begin_group(sync_apply *s)
{
    int64_t known_us = sync_seen_newest(&s->seen) - (int64_t)SYNC_CAREFUL_MS * 1000;
    s->known_us = known_us > s->seen.floor_us ? known_us : s->seen.floor_us;
    s->group = true;
}

static bool careful(const sync_apply *s, const sync_tx *tx)
{
    return tx->commit_lsn <= s->careful_until ||
           (s->have_origin && weir_mono_ms() < s->careful_until_ms);
}

static weir_rc begin_tx(void *self, const sync_tx *tx, weir_error *err)
{
    sync_apply *s = self;
    bool loose = tx->commit_lsn <= s->loose_until;
    weir_rc rc = WEIR_OK;
    if (!s->group) {
        begin_group(s);
    }
    if (tx->kind != WEIR_FRAME_CHUNK) {
        sync_piece_forget(s->piece); /* what was cut off begins anew */
    }
    if (loose != s->loose) {
        rc = sync_apply_tables(s, err); /* strict and loose changes do not mix */
        s->loose = loose;
    }
    s->open = true;
    s->careful = careful(s, tx);
    s->xid = tx->xid;
    if (tx->commit_lsn > s->newest_commit) {
        s->newest_commit = tx->commit_lsn;
    }
    s->newest_us = tx->commit_us;
    return rc;
}

weir_rc sync_apply_route(sync_apply *s, weir_slice slot, const weir_relation *rel, sync_map **out,
                         weir_error *err)
{
    *out = weir_map_get(s->maps, slot);
    if (*out) {
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
        rc = route.kind == SYNC_ROUTE_DIRECT ? sync_orphans_learn(s, m, err) : rc;
    }
    if (rc == WEIR_OK && m->kind == SYNC_ROUTE_DIRECT && m->rules.policy == SYNC_FUNCTION &&
        !s->conf.defers) {
        rc = sync_function_check(s->x.pg, m, err); /* now, not in the night of the first conflict */
    }
    if (rc == WEIR_OK) {
        m->joining = sync_join_has(s, rel);
        *weir_map_slot(s->maps, slot, NULL) = m;
        *out = m;
    }
    return rc;
}

static weir_rc find_map(sync_apply *s, const weir_relation *rel, sync_map **out, weir_error *err)
{
    weir_slice slot = {(const char *)&rel->version, sizeof rel->version};
    return sync_apply_route(s, slot, rel, out, err);
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
    if (sync_tell_undecided(s, m, v)) {
        return odd(m, err);
    }
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
        if (s->have_origin && !sync_loose(s, m)) {
            return odd(m, err);
        }
        weir_rc rc = find_table(s, m, &t, err);
        rc = rc == WEIR_OK ? sync_apply_table(s, t, err) : rc;
        return rc == WEIR_OK ? sync_apply_move(s, m, v, old, err) : rc;
    }
    bool upsert = sync_loose(s, m) && sync_apply_complete(m, v);
    return put(s, m, upsert ? SYNC_OP_UPSERT : SYNC_OP_UPDATE, v, err);
}

static weir_rc fast_row(sync_apply *s, const sync_map *m, const weir_ev *ev, weir_error *err)
{
    switch (ev->kind) {
    case WEIR_EV_INSERT:
        return put(s, m, sync_loose(s, m) ? SYNC_OP_UPSERT : SYNC_OP_INSERT,
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
    if (!sync_loose(s, m)) {
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
    if (s->conf.trace) {
        return rc; /* two ways: its rows were deleted first (tombstones.sql) */
    }
    rc = rc == WEIR_OK ? before_commit(s, err) : rc;
    weir_buf_init(&b, 1 << 20);
    for (uint32_t i = 0; rc == WEIR_OK && i < ev->nrels; i++) {
        const weir_relation *rel = sync_source_relation(tx->source, ev->rels[i]);
        sync_map *m = NULL;
        rc = rel ? find_map(s, rel, &m, err)
                 : weir_fail(err, WEIR_E_PROTO, WEIR_EF_RETRY, "TRUNCATE of an unknown relation");
        if (rc == WEIR_OK && m->kind == SYNC_ROUTE_DIRECT) {
            weir_buf_printf(&b, "%s%s", n++ ? ", " : "TRUNCATE ", m->from);
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

/* The key of a parent goes, or becomes another. */
static void note_parent(sync_apply *s, const sync_map *m, const weir_ev *ev)
{
    bool moved = ev->kind == WEIR_EV_UPDATE && ev->old_kind != WEIR_OLD_NONE;
    if (!moved && ev->kind != WEIR_EV_DELETE) {
        return;
    }
    const weir_val *old = sync_apply_values(s, m, &ev->old_row, NULL);
    if (!moved || !same_key(m, sync_apply_values(s, m, &ev->new_row, &ev->old_row), old)) {
        sync_orphans_note(s, m, old);
    }
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
    if (ev->kind == WEIR_EV_RANGE) {
        return sync_piece_range(s, m, ev, err);
    }
    if (tx->kind == WEIR_FRAME_CHUNK && m->nkey > 0) {
        sync_piece_name(s, m, sync_apply_values(s, m, &ev->new_row, NULL));
    }
    if (m->nkey == 0) {
        return sync_apply_keyless(s, m, ev, err);
    }
    if (ev->kind == WEIR_EV_READ) {
        return s->have_origin ? sync_apply_read(s, tx, m, ev, err) : read_row(s, m, ev, err);
    }
    if (m->norphan_sql > 0) {
        note_parent(s, m, ev);
    }
    return s->careful ? sync_apply_row(s, tx, m, ev, err) : fast_row(s, m, ev, err);
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
    bool looked = s->careful_until >= upto;
    if (data && !looked) {
        char lsn[WEIR_LSN_TEXT_MAX];
        WEIR_INFO("SYNC-CAREFUL", "flow=%s until=%s %s", s->conf.flow, weir_lsn_print(upto, lsn),
                  err->msg);
        s->careful_until = upto;
        s->careful_until_ms = weir_mono_ms() + SYNC_CAREFUL_MS;
        err->flags |= WEIR_EF_RETRY;
        if (s->conf.counts) {
            atomic_fetch_add(&s->conf.counts->careful, 1);
        }
    }
    /* Somebody else wrote the same row at the same time: look again, a few times. */
    if (data && looked && s->have_origin) {
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
    } else if (ev->kind == WEIR_EV_COPIED) {
        rc = sync_join_copied(s, ev, err);
    } else if (rel) {
        rc = row_event(s, tx, rel, ev, err);
    }
    return again(s, tx, rc, err);
}

/* --- commit ---------------------------------------------------------------------------------- */

/* What is known of our side's changes, for a restart; an array's text into recent. */
static int64_t put_seen(const sync_apply *s, char *recent, size_t size)
{
    int64_t floor_us = 0;
    int64_t kept_us[SYNC_SEEN_KEPT];
    size_t n = s->conf.origin ? sync_seen_keep(&s->seen, &floor_us, kept_us) : 0;
    size_t at = (size_t)snprintf(recent, size, "{");
    for (size_t i = 0; i < n; i++) {
        at += (size_t)snprintf(recent + at, size - at, "%s%" PRId64, i ? "," : "", kept_us[i]);
    }
    (void)snprintf(recent + at, size - at, "}");
    return floor_us;
}

static weir_rc send_position(sync_apply *s, weir_error *err)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    char sub[24];
    char seen[24];
    char recent[SYNC_SEEN_KEPT * 21 + 3];
    (void)snprintf(sub, sizeof sub, "%u", s->place.sub);
    (void)snprintf(seen, sizeof seen, "%" PRId64, put_seen(s, recent, sizeof recent));
    const char *params[] = {s->conf.flow, weir_lsn_print(s->place.lsn, lsn),
                            sub,          s->conf.system_id ? s->conf.system_id : "",
                            seen,         recent};
    return sync_exec_send(
        &s->x, "position",
        "INSERT INTO weir_sync.position AS p (flow, lsn, sub, system_id, seen_us, recent) VALUES "
        "($1, $2::pg_lsn, $3::bigint, $4, $5::bigint, $6::bigint[]) ON CONFLICT (flow) DO UPDATE "
        "SET lsn = excluded.lsn, sub = excluded.sub, seen_us = greatest(p.seen_us, "
        "excluded.seen_us), recent = excluded.recent, at = clock_timestamp() WHERE p.lsn <= "
        "excluded.lsn",
        6, params, 1, NULL, err);
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
static weir_rc commit_group(sync_apply *s, weir_error *err)
{
    weir_rc rc = sync_apply_tables(s, err);
    rc = rc == WEIR_OK ? sync_orphans_look(s, err) : rc;
    rc = rc == WEIR_OK ? before_commit(s, err) : rc;
    rc = rc == WEIR_OK ? sync_apply_begin_tx(s, err) : rc;
    rc = rc == WEIR_OK ? sync_tell_send(s, err) : rc;
    rc = rc == WEIR_OK ? send_origin(s, err) : rc;
    rc = rc == WEIR_OK ? send_position(s, err) : rc;
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
        s->place_moved = s->group = false;
        s->committed = s->place;
        s->position_ms = weir_mono_ms() + POSITION_EVERY_MS;
        sync_tell_sent(s);
        if (s->conf.counts) {
            atomic_fetch_add(&s->conf.counts->groups, 1);
        }
    }
    return rc;
}

static void move_place(sync_apply *s, weir_cursor after)
{
    s->open = false;
    if (!sync_piece_open(s->piece)) {
        s->place = after;
        s->place_moved = true;
    }
}

static weir_rc commit_tx(void *self, const sync_tx *tx, weir_error *err)
{
    sync_apply *s = self;
    (void)err;
    move_place(s, tx->after);
    if (s->conf.trace && tx->kind == WEIR_FRAME_TX) {
        sync_tell_note(s, tx->commit_us);
    }
    return WEIR_OK;
}

static weir_rc told(void *self, const sync_tx *tx, weir_slice content, weir_error *err)
{
    sync_apply *s = self;
    (void)tx;
    return s->conf.trace ? sync_tell_hear(s, content, err) : WEIR_OK;
}

static weir_rc skip_tx(void *self, const sync_tx *tx, weir_error *err)
{
    sync_apply *s = self;
    if (tx->kind == WEIR_FRAME_TX) {
        sync_piece_forget(s->piece);
    }
    move_place(s, tx->after);
    return again(s, tx, sync_tell_heard(s, tx, err), err);
}

/* Who waits for the position to reach an LSN of the source must see it do so also when nothing of
 * the flow's tables lies before that LSN. */
static bool position_due(const sync_apply *s, bool caught_up)
{
    return s->place.lsn > s->committed.lsn + POSITION_EVERY_BYTES ||
           (caught_up && s->place.lsn > s->committed.lsn && weir_mono_ms() >= s->position_ms);
}

static weir_rc flush(void *self, bool caught_up, weir_cursor *durable, weir_error *err)
{
    sync_apply *s = self;
    weir_rc rc = WEIR_OK;
    if (!s->open && (s->in_tx || s->norder > 0 || position_due(s, caught_up) || sync_tell_due(s) ||
                     (s->conf.before_commit && s->place_moved))) {
        rc = commit_group(s, err);
    } else {
        rc = sync_apply_tables(s, err); /* the transaction goes on in the next batch */
        rc = rc == WEIR_OK ? sync_exec_drain(&s->x, NULL, err) : rc;
        if (rc == WEIR_OK && s->x.mismatch) {
            rc = mismatch(s, err);
        }
    }
    rc = rc == WEIR_OK && !s->open && !s->in_tx ? sync_apply_prune(s, err) : rc;
    sync_join_ask(s);
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

static weir_rc resume(void *self, bool *known, weir_cursor *durable, weir_error *err)
{
    sync_apply *s = self;
    forget_tables(s);
    sync_exec_fini(&s->x); /* whatever was open there is rolled back */
    s->in_tx = s->open = s->loose = s->have_origin = s->place_moved = s->group = false;
    s->newest_commit = 0;
    sync_piece_forget(s->piece);
    weir_rc rc = sync_apply_connect(s, known, err);
    rc = rc == WEIR_OK ? sync_tell_resume(s, err) : rc;
    rc = rc == WEIR_OK ? sync_join_resume(s, err) : rc;
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
                       .told = told,
                       .flush = flush};
}
