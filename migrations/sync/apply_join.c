/* apply_join.c - tables that join a running flow: their rows come from the bridge through the
 * stream, beside the changes of the others. Until all are there (COPIED) the table is loose: a row
 * may be missing, or be there already. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/hash.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "migrations/sync/apply_priv.h"
#include "migrations/sync/source.h"

enum { ASK_EVERY_MS = 1000, NAMES_MAX_BYTES = 16 << 20 };

struct sync_joining {
    weir_arena *a;
    weir_map *tables; /* schema.name -> the same text */
    char copy_id[40];
    int64_t asked_ms;
};

sync_joining *sync_joining_new(void)
{
    sync_joining *j = weir_xcalloc(1, sizeof *j);
    j->a = weir_arena_new(0);
    j->tables = weir_map_new();
    return j;
}

void sync_joining_free(sync_joining *j)
{
    weir_arena_free(j->a);
    weir_map_free(j->tables);
    free(j);
}

weir_rc sync_join_resume(sync_apply *s, weir_error *err)
{
    sync_joining *j = s->joining;
    weir_pg_rows *rows = NULL;
    weir_buf b;
    const char *params[] = {s->conf.flow};
    weir_map_clear(j->tables);
    weir_arena_reset(j->a);
    weir_rc rc = weir_pg_query(s->x.pg,
                               "SELECT tab, no FROM weir_sync.flow_table WHERE flow = $1 AND "
                               "joined_at IS NULL ORDER BY no",
                               1, params, &rows, err);
    weir_buf_init(&b, NAMES_MAX_BYTES);
    weir_buf_putz(&b, s->conf.flow);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(rows); i++) {
        char *name = weir_arena_dupz(j->a, weir_pg_value(rows, i, 0));
        *weir_map_slot(j->tables, weir_slice_z(name), NULL) = name;
        weir_buf_printf(&b, " %" PRId64, weir_pg_i64(rows, i, 1));
    }
    /* The same question keeps its id; a table that left and joins again has another number. */
    (void)snprintf(j->copy_id, sizeof j->copy_id, "sync-%016" PRIx64,
                   weir_hash64(weir_buf_slice(&b)));
    weir_buf_fini(&b);
    weir_pg_rows_free(rows);
    return rc;
}

static const char *name_of(sync_apply *s, weir_slice schema, weir_slice name)
{
    return weir_arena_printf(s->a, "%.*s.%.*s", WEIR_SLICE_ARG(schema), WEIR_SLICE_ARG(name));
}

bool sync_join_has(sync_apply *s, const weir_relation *rel)
{
    return weir_map_len(s->joining->tables) > 0 &&
           weir_map_has(s->joining->tables, weir_slice_z(name_of(s, rel->schema, rel->name)));
}

void sync_join_ask(sync_apply *s)
{
    sync_joining *j = s->joining;
    weir_error err = {.code = WEIR_OK};
    weir_map_iter it = {0};
    size_t n = 0;
    int64_t now_ms = weir_mono_ms();
    if (weir_map_len(j->tables) == 0 || !s->conf.feed || now_ms - j->asked_ms < ASK_EVERY_MS) {
        return;
    }
    j->asked_ms = now_ms;
    weir_arena *a = weir_arena_new(NAMES_MAX_BYTES);
    weir_feed_table *tables = WEIR_ARENA_ARRAY(a, weir_feed_table, weir_map_len(j->tables));
    while (weir_map_next(j->tables, &it)) {
        const char *name = it.value;
        const char *dot = strchr(name, '.');
        tables[n++] =
            (weir_feed_table){weir_slice_of(name, (size_t)(dot - name)), weir_slice_z(dot + 1)};
    }
    if (sync_source_copy(s->conf.feed, j->copy_id, tables, n, &err) != WEIR_OK) {
        WEIR_WARN("SYNC-JOIN", "flow=%s the bridge does not copy yet: %s", s->conf.flow, err.msg);
    }
    weir_arena_free(a);
}

weir_rc sync_join_copied(sync_apply *s, const weir_ev *ev, weir_error *err)
{
    weir_map_iter it = {0};
    const char *name = name_of(s, ev->a, ev->b);
    if (!weir_map_has(s->joining->tables, weir_slice_z(name))) {
        return WEIR_OK;
    }
    weir_rc rc = sync_apply_tables(s, err);
    while (weir_map_next(s->maps, &it)) {
        sync_map *m = it.value;
        bool it_is = weir_slice_eq(m->rel->schema, ev->a) && weir_slice_eq(m->rel->name, ev->b);
        m->joining = m->joining && !it_is;
    }
    (void)weir_map_del(s->joining->tables, weir_slice_z(name));
    WEIR_INFO("SYNC-JOINED", "flow=%s table=%s", s->conf.flow, name);
    const char *params[] = {s->conf.flow, name};
    rc = rc == WEIR_OK ? sync_apply_begin_tx(s, err) : rc;
    return rc == WEIR_OK
               ? sync_exec_send(&s->x, "joined",
                                "UPDATE weir_sync.flow_table SET joined_at = clock_timestamp() "
                                "WHERE flow = $1 AND tab = $2",
                                2, params, SYNC_ANY, "weir_sync.flow_table", err)
               : rc;
}

/* --- what is kept for a time ----------------------------------------------------------------- */

/* Of changes that the source knows: whatever comes from it later knows of the delete. */
static weir_rc prune_tombstones(sync_apply *s, weir_error *err)
{
    char keep[24];
    char known[24];
    int64_t known_us = sync_seen_newest(&s->seen) - (int64_t)SYNC_CAREFUL_MS * 1000;
    (void)snprintf(keep, sizeof keep, "%" PRId64, s->conf.tombstones_keep_ms);
    (void)snprintf(known, sizeof known, "%" PRId64, known_us);
    const char *params[] = {s->conf.flow, keep, known};
    return sync_exec_send(
        &s->x, "prune",
        "DELETE FROM weir_sync.tombstone WHERE ctid = ANY (ARRAY(SELECT d.ctid FROM "
        "weir_sync.tombstone d JOIN weir_sync.flow_table f ON f.flow = $1 AND f.here = d.tab, "
        "LATERAL pg_xact_commit_timestamp_origin(d.xid::xid) o WHERE d.at < now() - $2::bigint * "
        "interval '1 millisecond' AND (o.timestamp IS NULL OR o.timestamp <= '2000-01-01 "
        "00:00:00+00'::timestamptz + $3::bigint * interval '1 microsecond') ORDER BY d.at LIMIT "
        "10000))",
        3, params, SYNC_ANY, "weir_sync.tombstone", err);
}

/* A conflict that waits for a word stays. */
static weir_rc prune_conflicts(sync_apply *s, weir_error *err)
{
    char keep[24];
    (void)snprintf(keep, sizeof keep, "%" PRId64, s->conf.conflicts_keep_ms);
    const char *params[] = {s->conf.flow, keep};
    return sync_exec_send(
        &s->x, "prune conflicts",
        "DELETE FROM weir_sync.conflict WHERE id = ANY (ARRAY(SELECT id FROM weir_sync.conflict "
        "WHERE flow = $1 AND resolution <> 'stopped' AND at < now() - $2::bigint * interval '1 "
        "millisecond' ORDER BY id LIMIT 10000))",
        2, params, SYNC_ANY, "weir_sync.conflict", err);
}

weir_rc sync_apply_prune(sync_apply *s, weir_error *err)
{
    int64_t now_ms = weir_mono_ms();
    weir_rc rc = WEIR_OK;
    if (now_ms < s->prune_ms) {
        return WEIR_OK;
    }
    s->prune_ms = now_ms + SYNC_PRUNE_EVERY_MS;
    if (s->conf.tombstones_keep_ms > 0) {
        rc = prune_tombstones(s, err);
    }
    if (rc == WEIR_OK && s->conf.conflicts_keep_ms > 0) {
        rc = prune_conflicts(s, err);
    }
    return rc == WEIR_OK ? sync_exec_drain(&s->x, NULL, err) : rc;
}
