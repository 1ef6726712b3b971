/* apply_row.c - one change at a time: look at the row, decide, act, keep a record of what met. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "migrations/sync/apply_priv.h"
#include "migrations/sync/conflict.h"
#include "migrations/sync/merge.h"

enum { JSON_MAX_BYTES = 256 << 20 };

/* What one change wants: the row v at its key, or no row there. */
typedef struct wish {
    const sync_tx *tx;
    const sync_map *m;
    sync_change change;
    const weir_val *v; /* the key's values for a delete */
    sync_local local;
    const char **params; /* scratch */
} wish;

/* Strings of one conflict, in the group's arena. */
typedef struct record {
    const char *id; /* there is one already */
    const char *tab, *kind, *policy, *resolution;
    const char *key, *local_row, *remote_row, *local_us, *remote_us, *lsn;
} record;

static weir_rc ask(sync_apply *s, const sync_map *m, char kind, int n, const char *const *params,
                   weir_pg_rows **rows, weir_error *err)
{
    char name[64];
    const char *sql = sync_apply_stmt(s, m, kind, NULL, name);
    weir_rc rc = sync_apply_begin_tx(s, err);
    rc = rc == WEIR_OK
             ? sync_exec_send(&s->x, name, sql ? sql : "", n, params, SYNC_ANY, m->plain, err)
             : rc;
    return rc == WEIR_OK ? sync_exec_drain(&s->x, rows, err) : rc;
}

/* Was that change made here, unknown to the source when it made its own? */
static void judge(const sync_apply *s, const weir_pg_rows *rows, sync_local *local)
{
    local->has_time = !weir_pg_isnull(rows, 0, 0);
    local->us = weir_pg_i64(rows, 0, 0);
    if (!s->have_origin) {
        local->unknown = true; /* nothing is known about it: an insert meets a row */
        return;
    }
    bool brought = !weir_pg_isnull(rows, 0, 1) && weir_pg_i64(rows, 0, 1) == s->origin_id;
    local->unknown = local->has_time && !brought && !sync_seen_has(&s->seen, local->us);
}

static weir_rc look_tombstone(sync_apply *s, wish *w, int n, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    weir_rc rc = ask(s, w->m, 'T', n, w->params, &rows, err);
    if (rc == WEIR_OK && weir_pg_nrows(rows) > 0) {
        w->local.deleted = true;
        judge(s, rows, &w->local);
    }
    weir_pg_rows_free(rows);
    return rc;
}

static weir_rc look(sync_apply *s, wish *w, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    int n = sync_apply_params(s, w->m, NULL, NULL, w->v, w->params);
    weir_rc rc = ask(s, w->m, 'L', n, w->params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    w->local = (sync_local){.there = weir_pg_nrows(rows) > 0};
    if (w->local.there) {
        judge(s, rows, &w->local);
    }
    weir_pg_rows_free(rows);
    if (!w->local.there && s->have_origin) {
        rc = look_tombstone(s, w, n, err);
    }
    /* We decided on it, and the other side did not know of that either. */
    if (rc == WEIR_OK && s->conf.decides && sync_tell_undecided(s, w->m, w->v)) {
        w->local.unknown = true;
        w->local.deleted = !w->local.there;
    }
    /* Without origins only an insert that meets a row is a conflict. */
    if (!s->have_origin && w->change != SYNC_CHANGE_INSERT) {
        w->local.unknown = false;
    }
    if (sync_loose(s, w->m)) {
        w->local.unknown = false;
    }
    return rc;
}

/* --- acting ---------------------------------------------------------------------------------- */

static weir_rc act(sync_apply *s, wish *w, char kind, const sync_mask *mask, const weir_val *key,
                   weir_error *err)
{
    char name[64];
    const char *sql = sync_apply_stmt(s, w->m, kind, mask, name);
    int n = sync_apply_params(s, w->m, w->v, mask, key, w->params);
    return sync_exec_send(&s->x, name, sql ? sql : "", n, w->params, 1, w->m->plain, err);
}

static void count(sync_apply *s, const wish *w)
{
    if (s->conf.counts) {
        atomic_fetch_add(w->change == SYNC_CHANGE_INSERT   ? &s->conf.counts->inserted
                         : w->change == SYNC_CHANGE_UPDATE ? &s->conf.counts->updated
                                                           : &s->conf.counts->deleted,
                         1);
    }
}

/* Columns that were not sent, from the source. *done false: the row is not there any more, or there
 * is nobody to ask. */
static weir_rc complete(sync_apply *s, wish *w, bool *done, weir_error *err)
{
    const weir_val *now = NULL;
    uint64_t after = 0;
    *done = sync_apply_complete(w->m, w->v);
    if (*done || !s->reread) {
        return WEIR_OK;
    }
    weir_rc rc = sync_reread_row(s->reread, w->m, w->v, w->tx->xid, s->a, &now, &after, err);
    *done = now != NULL;
    w->v = now ? now : w->v;
    return rc;
}

/* The wish comes true. *done false: a row that is not there cannot be made from what came. */
static weir_rc grant(sync_apply *s, wish *w, bool *done, weir_error *err)
{
    *done = true;
    count(s, w);
    if (w->change == SYNC_CHANGE_DELETE) {
        return w->local.there ? act(s, w, 'D', NULL, w->v, err) : WEIR_OK;
    }
    weir_rc rc = w->local.there ? WEIR_OK : complete(s, w, done, err);
    sync_mask present = sync_apply_present(w->m, w->v);
    if (rc != WEIR_OK || !*done) {
        return rc;
    }
    return w->local.there ? act(s, w, 'U', &present, w->v, err)
                          : act(s, w, 'I', &present, NULL, err);
}

/* --- the record ------------------------------------------------------------------------------ */

static void put_json(weir_buf *b, const weir_val *v)
{
    if (v->kind == WEIR_VAL_TEXT) {
        weir_json_quote(b, v->text);
    } else {
        weir_buf_putz(b, "null");
    }
}

static const char *remote_json(sync_apply *s, const wish *w)
{
    weir_buf b;
    int n = 0;
    if (w->change == SYNC_CHANGE_DELETE) {
        return NULL;
    }
    weir_buf_init(&b, JSON_MAX_BYTES);
    for (uint16_t i = 0; i < w->m->n; i++) {
        if (w->v[i].kind != WEIR_VAL_UNCHANGED) {
            weir_buf_putz(&b, n++ ? ", " : "{");
            weir_json_quote(&b, weir_slice_z(w->m->col[i].name));
            weir_buf_putz(&b, ": ");
            put_json(&b, &w->v[i]);
        }
    }
    weir_buf_putz(&b, "}");
    const char *z = b.failed ? NULL : weir_arena_dupz(s->a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

static weir_rc fill_record(sync_apply *s, wish *w, sync_conflict_kind kind, record *r,
                           weir_error *err)
{
    weir_pg_rows *rows = NULL;
    char lsn[WEIR_LSN_TEXT_MAX];
    *r = (record){.tab = w->m->plain,
                  .kind = sync_conflict_name(kind),
                  .policy = sync_policy_name(w->m->rules.policy)};
    weir_rc rc = WEIR_OK;
    if (w->local.there) {
        int n = sync_apply_params(s, w->m, NULL, NULL, w->v, w->params);
        rc = ask(s, w->m, 'J', n, w->params, &rows, err);
    }
    if (rc == WEIR_OK && w->local.there) {
        r->local_row = weir_arena_dupz(s->a, weir_pg_value(rows, 0, 0));
    }
    weir_pg_rows_free(rows);
    r->key = sync_tell_key(s, w->m, w->v);
    r->remote_row = remote_json(s, w);
    r->local_us = w->local.has_time ? weir_arena_printf(s->a, "%" PRId64, w->local.us) : NULL;
    r->remote_us = weir_arena_printf(s->a, "%" PRId64, w->tx->commit_us);
    r->lsn = weir_arena_strdup(s->a, weir_lsn_print(w->tx->commit_lsn, lsn));
    return rc;
}

static const char record_sql[] =
    "INSERT INTO weir_sync.conflict (flow, tab, kind, policy, resolution, key, local_row, "
    "remote_row, local_at, remote_at, lsn) VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb, "
    "$8::jsonb, '2000-01-01 00:00:00+00'::timestamptz + $9::bigint * interval '1 microsecond', "
    "'2000-01-01 00:00:00+00'::timestamptz + $10::bigint * interval '1 microsecond', $11::pg_lsn)";

static void record_params(const sync_apply *s, const wish *w, const record *r, const char **p)
{
    const char *const all[] = {s->conf.flow,  w->m->plain,  r->kind,      r->policy,
                               r->resolution, r->key,       r->local_row, r->remote_row,
                               r->local_us,   r->remote_us, r->lsn};
    memcpy(p, all, sizeof all);
}

static weir_rc keep_record(sync_apply *s, const wish *w, const record *r, weir_error *err)
{
    const char *params[11];
    if (r->id) {
        const char *decided[] = {r->id, r->resolution};
        return sync_exec_send(&s->x, "resolved",
                              "UPDATE weir_sync.conflict SET resolution = $2 WHERE id = $1::bigint",
                              2, decided, SYNC_ANY, NULL, err);
    }
    record_params(s, w, r, params);
    if (s->conf.counts) {
        atomic_fetch_add(&s->conf.counts->conflicts, 1);
    }
    return sync_exec_send(&s->x, "conflict", record_sql, 11, params, SYNC_ANY, NULL, err);
}

/* Nothing of the group stays but the record of why. */
static weir_rc stop(sync_apply *s, const wish *w, record *r, weir_error *err)
{
    const char *params[11];
    r->resolution = "stopped";
    record_params(s, w, r, params);
    weir_rc rc = sync_exec_plain(&s->x, err);
    rc = rc == WEIR_OK ? weir_pg_query(s->x.pg, "ROLLBACK", 0, NULL, NULL, err) : rc;
    rc = rc == WEIR_OK && !r->id ? weir_pg_query(s->x.pg, record_sql, 11, params, NULL, err) : rc;
    s->in_tx = false;
    if (rc != WEIR_OK) {
        return rc;
    }
    return weir_fail(err, WEIR_E_STATE, 0,
                     "table %s: %s at key %.60s: the policy is to stop. Set resolution to 'apply' "
                     "or 'keep' in weir_sync.conflict of the database flow %s writes to, or mend "
                     "the row; or stop, change the policy, and start",
                     w->m->plain, r->kind, r->key ? r->key : "?", s->conf.flow);
}

/* Has somebody said in its record what shall be done? */
static weir_rc ask_operator(sync_apply *s, record *r, sync_verdict *verdict, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    const char *params[] = {s->conf.flow, r->tab, r->key, r->lsn};
    weir_rc rc = sync_exec_send(
        &s->x, "said",
        "SELECT id, resolution FROM weir_sync.conflict WHERE flow = $1 AND tab = $2 AND key = "
        "$3::jsonb AND lsn = $4::pg_lsn AND resolution IN ('stopped', 'apply', 'keep') ORDER BY id "
        "DESC LIMIT 1",
        4, params, SYNC_ANY, NULL, err);
    rc = rc == WEIR_OK ? sync_exec_drain(&s->x, &rows, err) : rc;
    if (rc == WEIR_OK && weir_pg_nrows(rows) > 0) {
        char first = weir_pg_valuez(rows, 0, 1)[0];
        r->id = weir_arena_dupz(s->a, weir_pg_value(rows, 0, 0));
        *verdict = first == 'a' ? SYNC_APPLY : first == 'k' ? SYNC_KEEP : SYNC_STOP;
    }
    weir_pg_rows_free(rows);
    return rc;
}

/* --- a function decides ---------------------------------------------------------------------- */

static weir_rc write_merged(sync_apply *s, wish *w, const char *row, weir_error *err)
{
    char name[64];
    (void)snprintf(name, sizeof name, "W%d%d", w->m->id, w->local.there);
    int n = w->local.there ? sync_apply_params(s, w->m, NULL, NULL, w->v, w->params) : 0;
    const char *sql = sync_sql_merged(w->m, s->a, w->local.there, n + 1);
    w->params[n] = row;
    return sql ? sync_exec_send(&s->x, name, sql, n + 1, w->params, 1, w->m->plain, err)
               : weir_fail(err, WEIR_E_LIMIT, 0, "table %s: too wide", w->m->plain);
}

static weir_rc ask_function(sync_apply *s, wish *w, record *r, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    char name[64];
    const char *sql = sync_sql_ask(w->m, s->a);
    if (!sql) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "table %s: too wide", w->m->plain);
    }
    const char *params[] = {w->m->plain,   r->kind,     r->local_row,
                            r->remote_row, r->local_us, r->remote_us};
    (void)snprintf(name, sizeof name, "F%d", w->m->id);
    weir_rc rc = sync_exec_send(&s->x, name, sql, 6, params, SYNC_ANY, w->m->plain, err);
    rc = rc == WEIR_OK ? sync_exec_drain(&s->x, &rows, err) : rc;
    if (rc != WEIR_OK) {
        return rc;
    }
    if (weir_pg_nrows(rows) == 0 || weir_pg_isnull(rows, 0, 0)) {
        r->resolution = "kept";
    } else {
        r->resolution = "merged";
        rc = write_merged(s, w, weir_arena_dupz(s->a, weir_pg_value(rows, 0, 0)), err);
    }
    weir_pg_rows_free(rows);
    return rc;
}

/* --- one change ------------------------------------------------------------------------------ */

static sync_verdict verdict_of(const sync_apply *s, const wish *w, sync_conflict_kind kind)
{
    return s->conf.defers && sync_conflict_real(kind)
               ? SYNC_DEFER
               : sync_conflict_decide(&w->m->rules, kind, &w->local, w->tx->commit_us,
                                      s->conf.from_source);
}

static weir_rc settle(sync_apply *s, wish *w, sync_conflict_kind kind, weir_error *err)
{
    record r;
    bool done = true;
    sync_verdict verdict = verdict_of(s, w, kind);
    weir_rc rc = fill_record(s, w, kind, &r, err);
    s->careful_until_ms = weir_mono_ms() + SYNC_CAREFUL_MS; /* mostly they come in numbers */
    rc = rc == WEIR_OK && verdict == SYNC_STOP ? ask_operator(s, &r, &verdict, err) : rc;
    if (rc != WEIR_OK) {
        return rc;
    }
    if (verdict == SYNC_STOP) {
        return stop(s, w, &r, err);
    }
    if (s->conf.decides && sync_conflict_real(kind)) {
        sync_tell_decide(s, w->m, w->v);
    }
    r.resolution = verdict == SYNC_APPLY ? "applied" : verdict == SYNC_DEFER ? "deferred" : "kept";
    if (verdict == SYNC_ASK) {
        rc = ask_function(s, w, &r, err);
    } else if (verdict == SYNC_APPLY) {
        rc = grant(s, w, &done, err);
        r.resolution = done ? r.resolution : "kept";
    }
    return rc == WEIR_OK ? keep_record(s, w, &r, err) : rc;
}

static weir_rc one(sync_apply *s, wish *w, weir_error *err)
{
    bool done = true;
    weir_rc rc = look(s, w, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    sync_conflict_kind kind = sync_conflict_find(w->change, &w->local);
    bool missing = kind == SYNC_UPDATE_MISSING || kind == SYNC_DELETE_MISSING;
    if (kind == SYNC_NO_CONFLICT || (missing && sync_loose(s, w->m))) {
        return grant(s, w, &done, err);
    }
    return settle(s, w, kind, err);
}

static bool moved(const sync_map *m, const weir_val *v, const weir_val *old)
{
    for (uint16_t i = 0; i < m->nkey; i++) {
        if (!weir_slice_eq(v[m->key[i]].text, old[m->key[i]].text)) {
            return true;
        }
    }
    return false;
}

/* A moved key: the old key's row goes, the new key's comes; where the row did not come whole, it
 * moves as it is when nothing speaks against it, or is read from the source. */
static weir_rc move(sync_apply *s, wish *w, const weir_val *v, const weir_val *old, weir_error *err)
{
    if (sync_apply_complete(w->m, v)) {
        w->change = SYNC_CHANGE_DELETE;
        w->v = old;
        weir_rc rc = one(s, w, err);
        w->change = SYNC_CHANGE_INSERT;
        w->v = v;
        return rc == WEIR_OK ? one(s, w, err) : rc;
    }
    bool free_to = false;
    if (sync_loose(s, w->m)) {
        return sync_apply_move(s, w->m, v, old, err);
    }
    w->change = SYNC_CHANGE_INSERT;
    w->v = v;
    weir_rc rc = look(s, w, err);
    free_to = !w->local.there && !w->local.unknown;
    w->change = SYNC_CHANGE_UPDATE;
    w->v = old;
    rc = rc == WEIR_OK ? look(s, w, err) : rc;
    if (rc == WEIR_OK && w->local.there && !w->local.unknown && (free_to || !s->reread)) {
        return sync_apply_move(s, w->m, v, old, err);
    }
    w->change = SYNC_CHANGE_DELETE;
    rc = rc == WEIR_OK ? one(s, w, err) : rc;
    w->change = SYNC_CHANGE_INSERT;
    w->v = v;
    bool whole = false;
    rc = rc == WEIR_OK ? complete(s, w, &whole, err) : rc;
    return rc == WEIR_OK && whole ? one(s, w, err) : rc;
}

/* Looks at the row that is there, and gives w its way. */
static weir_rc put_down(sync_apply *s, wish *w, weir_error *err)
{
    bool done = true;
    w->params = weir_xcalloc(SYNC_PARAMS_MAX, sizeof *w->params);
    weir_rc rc = look(s, w, err);
    rc = rc == WEIR_OK && !w->local.unknown ? grant(s, w, &done, err) : rc;
    free(w->params);
    return rc;
}

weir_rc sync_apply_read(sync_apply *s, const sync_tx *tx, const sync_map *m, const weir_ev *ev,
                        weir_error *err)
{
    wish w = {.tx = tx, .m = m, .change = SYNC_CHANGE_UPDATE};
    weir_rc rc = sync_apply_tables(s, err);
    w.v = sync_apply_values(s, m, &ev->new_row, NULL);
    return rc == WEIR_OK ? put_down(s, &w, err) : rc;
}

weir_rc sync_apply_decided(sync_apply *s, const sync_tx *tx, const sync_map *m, const weir_val *v,
                           bool gone, weir_error *err)
{
    wish w = {.tx = tx, .m = m, .v = v};
    w.change = gone ? SYNC_CHANGE_DELETE : SYNC_CHANGE_UPDATE;
    if (gone && m->norphan_sql > 0) {
        sync_orphans_note(s, m, v);
    }
    weir_rc rc = sync_apply_tables(s, err); /* what came before it comes first */
    return rc == WEIR_OK ? put_down(s, &w, err) : rc;
}

weir_rc sync_apply_row(sync_apply *s, const sync_tx *tx, const sync_map *m, const weir_ev *ev,
                       weir_error *err)
{
    wish w = {.tx = tx, .m = m};
    const weir_val *old = NULL;
    weir_rc rc = sync_apply_tables(s, err); /* order: what was collected comes first */
    if (rc != WEIR_OK) {
        return rc;
    }
    w.params = weir_xcalloc(SYNC_PARAMS_MAX, sizeof *w.params);
    switch (ev->kind) {
    case WEIR_EV_INSERT:
        w.change = SYNC_CHANGE_INSERT;
        w.v = sync_apply_values(s, m, &ev->new_row, NULL);
        rc = one(s, &w, err);
        break;
    case WEIR_EV_UPDATE:
        w.change = SYNC_CHANGE_UPDATE;
        w.v = sync_apply_values(s, m, &ev->new_row,
                                ev->old_kind == WEIR_OLD_ROW ? &ev->old_row : NULL);
        old = ev->old_kind != WEIR_OLD_NONE ? sync_apply_values(s, m, &ev->old_row, NULL) : w.v;
        rc = moved(m, w.v, old) ? move(s, &w, w.v, old, err) : one(s, &w, err);
        break;
    case WEIR_EV_DELETE:
        w.change = SYNC_CHANGE_DELETE;
        w.v = sync_apply_values(s, m, &ev->old_row, NULL);
        rc = one(s, &w, err);
        break;
    default: break;
    }
    free(w.params);
    return rc;
}
