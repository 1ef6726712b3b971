/* job_copy.c - subscription, copy, position: in this order, each durable before the next. */
#include "migrations/sync/job_copy.h"

#include <inttypes.h>
#include <stdio.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/thread.h"
#include "migrations/crawler/crawler.h"
#include "migrations/sync/apply.h"
#include "migrations/sync/literal.h"
#include "migrations/sync/source.h"

enum { COPY_LOOK_MS = 200 };
/* A position whose copy is not done: everything is loose. */
#define COPYING UINT64_MAX

extern const char weir_sql_tombstones[];

static weir_rc open_target(const sync_begin *b, weir_pg **pg, weir_error *err)
{
    weir_pg_conf conf = {
        .uri = b->target_uri, .application_name = "weir-sync begin", .wait_max_ms = 600000};
    weir_rc rc = weir_pg_open(pg, &conf, err);
    rc = rc == WEIR_OK ? sync_schema(*pg, err) : rc;
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "the database flow %s writes to", b->flow);
    }
    return rc;
}

/* What a source table is called in the database that is written. */
static sync_name written_name(const sync_begin *b, const sync_name *n)
{
    const sync_table_conf *t =
        sync_conf_table(b->conf, weir_slice_z(n->schema), weir_slice_z(n->name));
    bool there = b->target_uri == b->conf->target.uri;
    return t && there ? (sync_name){t->to_schema, t->to_name} : *n;
}

/* Two ways: deletes leave a note, so that a later change of the other side finds out. */
static weir_rc note_deletes(const sync_begin *b, weir_pg *pg, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    sync_name *names = NULL;
    size_t n = 0;
    weir_rc rc = b->conf->both ? sync_conf_resolve(b->conf, a, &names, &n, err) : WEIR_OK;
    for (size_t i = 0; rc == WEIR_OK && i < n; i++) {
        sync_name here = written_name(b, &names[i]);
        const char *params[] = {here.schema, here.name};
        weir_pg_rows *rows = NULL;
        rc = weir_pg_query(pg, weir_sql_tombstones, 2, params, &rows, err);
        if (rc == WEIR_OK && weir_pg_nrows(rows) == 0) {
            rc = weir_fail(err, WEIR_E_STATE, 0,
                           "table %s.%s: two ways need the table on both sides, with a primary key",
                           params[0], params[1]);
        } else if (rc == WEIR_OK && weir_pg_valuez(rows, 0, 1)[0] != 't') {
            rc = weir_pg_script(pg, weir_pg_valuez(rows, 0, 0), err);
        }
        weir_pg_rows_free(rows);
    }
    weir_arena_free(a);
    return rc;
}

/* The first place: durable as a subscription at the bridge, then in the target. */
static weir_rc subscribe(const sync_begin *b, weir_pg *pg, weir_error *err)
{
    sync_source *s = NULL;
    weir_cursor at = {0, 0};
    sync_source_conf conf = {.feed = b->feed, .name = b->subscription};
    weir_rc rc = sync_source_open(&s, &conf, err);
    rc = rc == WEIR_OK ? sync_source_start(s, NULL, 10000, &at, err) : rc;
    if (rc == WEIR_OK) {
        char lsn[WEIR_LSN_TEXT_MAX];
        WEIR_INFO("SYNC-BEGIN", "flow=%s position=%s", b->flow, weir_lsn_print(at.lsn, lsn));
        rc = sync_position_begin(pg, b->flow, at, b->copy ? COPYING : 0, sync_source_system_id(s),
                                 err);
    }
    sync_source_close(s);
    return rc;
}

/* --- the copy -------------------------------------------------------------------------------- */

typedef struct copying {
    const sync_begin *b;
    weir_arena *a;
    crw_table *tables;
    crw_conf conf;
    crw *c;
    weir_monitor *m;
    bool over;
} copying;

static weir_rc crawl_conf(copying *k, weir_error *err)
{
    const sync_conf *c = k->b->conf;
    sync_name *names = NULL;
    size_t n = 0;
    weir_rc rc = sync_conf_resolve(c, k->a, &names, &n, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    k->tables = WEIR_ARENA_ARRAY(k->a, crw_table, n);
    for (size_t i = 0; i < n; i++) {
        const sync_table_conf *t =
            sync_conf_table(c, weir_slice_z(names[i].schema), weir_slice_z(names[i].name));
        k->tables[i] = (crw_table){.source_schema = names[i].schema,
                                   .source_name = names[i].name,
                                   .target_schema = t ? t->to_schema : names[i].schema,
                                   .target_name = t ? t->to_name : names[i].name};
    }
    k->conf = (crw_conf){.source_uri = k->b->source_uri,
                         .target_uri = k->b->target_uri,
                         .job = k->b->flow,
                         .tables = k->tables,
                         .ntables = n,
                         .source_keep_pct = c->source_keep_pct,
                         .rejects_max = -1};
    return WEIR_OK;
}

static void tell(copying *k)
{
    static const char *const phases[] = {"preparing the copy", "waiting for older transactions",
                                         "copying", "building indexes", "copied"};
    crw_state st;
    sync_copy_view v = {0};
    crw_progress(k->c, &st);
    v.tables = st.tables;
    v.tables_done = st.tables_done;
    v.rows = st.rows;
    v.rows_total = st.rows_total;
    v.rows_per_s = st.rows_per_s;
    v.eta_s = st.eta_s;
    (void)snprintf(v.text, sizeof v.text, "%s%s%.150s", phases[st.phase], st.waits[0] ? ": " : "",
                   st.waits);
    k->b->progress(k->b->arg, &v);
}

/* Beside the copy: progress out, stop in. */
static void attend(void *arg)
{
    copying *k = arg;
    weir_monitor_lock(k->m);
    while (!k->over) {
        weir_monitor_unlock(k->m);
        tell(k);
        if (!k->b->on(k->b->arg)) {
            crw_stop(k->c);
        }
        weir_monitor_lock(k->m);
        if (!k->over) {
            (void)weir_monitor_wait(k->m, COPY_LOOK_MS);
        }
    }
    weir_monitor_unlock(k->m);
}

typedef weir_rc crawl_fn(crw *c, weir_error *err);

static weir_rc attended(copying *k, crawl_fn *fn, weir_error *err)
{
    weir_thread *t = NULL;
    k->over = false;
    weir_rc rc = weir_thread_start(&t, "sync-attend", attend, k, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = fn(k->c, err);
    weir_monitor_lock(k->m);
    k->over = true;
    weir_monitor_wake(k->m);
    weir_monitor_unlock(k->m);
    weir_thread_join(t);
    return rc;
}

static weir_rc with_crawler(const sync_begin *b, crawl_fn *first, crawl_fn *then, uint64_t *passed,
                            weir_error *err)
{
    copying k = {.b = b, .a = weir_arena_new(0), .m = weir_monitor_new()};
    weir_rc rc = crawl_conf(&k, err);
    rc = rc == WEIR_OK ? crw_open(&k.c, &k.conf, err) : rc;
    rc = rc == WEIR_OK && first ? first(k.c, err) : rc;
    rc = rc == WEIR_OK ? attended(&k, then, err) : rc;
    if (rc == WEIR_OK && passed) {
        *passed = crw_passed_lsn(k.c);
    }
    crw_close(k.c);
    weir_monitor_free(k.m);
    weir_arena_free(k.a);
    return rc;
}

static weir_rc copy(const sync_begin *b, weir_pg *pg, weir_error *err)
{
    uint64_t passed = 0;
    char lsn[WEIR_LSN_TEXT_MAX];
    weir_rc rc = with_crawler(b, crw_create, crw_copy, &passed, err);
    if (rc != WEIR_OK) {
        /* Opened again, the job copies what is missing: chunks that a crashed target lost, or
         * those of a statement that somebody cancelled. */
        err->flags |= rc == WEIR_E_AGAIN || rc == WEIR_E_TIMEOUT ? WEIR_EF_RETRY : 0;
        return rc;
    }
    const char *params[] = {b->flow, weir_lsn_print(passed, lsn)};
    WEIR_INFO("SYNC-COPIED", "flow=%s loose_until=%s", b->flow, lsn);
    return weir_pg_query(pg,
                         "UPDATE weir_sync.position SET loose_until = $2::pg_lsn WHERE flow = $1",
                         2, params, NULL, err);
}

static weir_rc copy_state(const sync_begin *b, weir_pg *pg, bool *known, bool *is_copying,
                          weir_error *err)
{
    weir_pg_rows *rows = NULL;
    const char *params[] = {b->flow};
    weir_rc rc = weir_pg_query(
        pg, "SELECT loose_until = 'FFFFFFFF/FFFFFFFF' FROM weir_sync.position WHERE flow = $1", 1,
        params, &rows, err);
    if (rc == WEIR_OK) {
        *known = weir_pg_nrows(rows) > 0;
        *is_copying = *known && weir_pg_valuez(rows, 0, 0)[0] == 't';
        weir_pg_rows_free(rows);
    }
    return rc;
}

/* Which tables the flow has. Those that are new to a flow that has begun join: with initial = copy
 * their rows come through the stream, beside the changes of the others. */
static weir_rc note_tables(const sync_begin *b, weir_pg *pg, bool joins, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    sync_name *names = NULL;
    size_t n = 0;
    const char *ours[] = {b->flow};
    weir_buf all;
    weir_buf_init(&all, 16 << 20);
    weir_rc rc = sync_conf_resolve(b->conf, a, &names, &n, err);
    weir_buf_u8(&all, '{');
    for (size_t i = 0; rc == WEIR_OK && i < n; i++) {
        const char *tab = weir_arena_printf(a, "%s.%s", names[i].schema, names[i].name);
        sync_name here = written_name(b, &names[i]);
        const char *params[] = {b->flow, tab, here.schema, here.name, joins ? "t" : "f"};
        weir_val v = {WEIR_VAL_TEXT, weir_slice_z(tab)};
        weir_buf_putz(&all, i ? "," : "");
        sync_put_element(&all, &v);
        rc = weir_pg_query(pg,
                           "INSERT INTO weir_sync.flow_table (flow, tab, here, joined_at) VALUES "
                           "($1, $2, format('%I.%I', $3::text, $4::text), CASE WHEN NOT $5::bool "
                           "THEN clock_timestamp() END) ON CONFLICT DO NOTHING",
                           5, params, NULL, err);
    }
    weir_buf_put(&all, "}", 2); /* with the NUL */
    const char *gone[] = {b->flow, all.p};
    rc = rc == WEIR_OK ? weir_pg_query(pg,
                                       "DELETE FROM weir_sync.flow_table WHERE flow = $1 AND tab "
                                       "<> ALL ($2::text[])",
                                       2, gone, NULL, err)
                       : rc;
    rc = rc == WEIR_OK && !b->conf->copy
             ? weir_pg_query(pg,
                             "UPDATE weir_sync.flow_table SET joined_at = clock_timestamp() WHERE "
                             "flow = $1 AND joined_at IS NULL",
                             1, ours, NULL, err)
             : rc;
    weir_buf_fini(&all);
    weir_arena_free(a);
    return rc;
}

static weir_rc begin(const sync_begin *b, weir_pg *pg, weir_error *err)
{
    bool known = false;
    bool is_copying = false;
    weir_rc rc = note_deletes(b, pg, err);
    rc = rc == WEIR_OK ? copy_state(b, pg, &known, &is_copying, err) : rc;
    /* Those of the first copy must be noted before there is a position: afterwards they are new. */
    rc = rc == WEIR_OK ? note_tables(b, pg, known && !is_copying && b->copy, err) : rc;
    if (rc == WEIR_OK && !known) {
        rc = subscribe(b, pg, err);
        is_copying = b->copy;
    }
    return rc == WEIR_OK && is_copying ? copy(b, pg, err) : rc;
}

weir_rc sync_begin_flow(const sync_begin *b, weir_error *err)
{
    weir_pg *pg = NULL;
    weir_rc rc = open_target(b, &pg, err);
    if (rc == WEIR_OK) {
        rc = begin(b, pg, err);
    }
    weir_pg_close(pg);
    return rc;
}

weir_rc sync_begin_left(const sync_begin *b, bool *left, uint64_t *loose_until, weir_error *err)
{
    weir_pg *pg = NULL;
    weir_pg_rows *rows = NULL;
    const char *params[] = {b->flow};
    weir_rc rc = open_target(b, &pg, err);
    rc = rc == WEIR_OK ? crw_schema(pg, err) : rc;
    if (rc == WEIR_OK) {
        rc = weir_pg_query(pg,
                           "SELECT EXISTS (SELECT FROM weir_sync.crawl_step WHERE job = $1 AND "
                           "done_at IS NULL), (SELECT loose_until - '0/0'::pg_lsn FROM "
                           "weir_sync.position WHERE flow = $1)",
                           1, params, &rows, err);
    }
    if (rc == WEIR_OK) {
        *left = weir_pg_valuez(rows, 0, 0)[0] == 't';
        *loose_until = (uint64_t)weir_pg_i64(rows, 0, 1);
        weir_pg_rows_free(rows);
    }
    weir_pg_close(pg);
    return rc;
}

weir_rc sync_begin_finish(const sync_begin *b, weir_error *err)
{
    return with_crawler(b, NULL, crw_finish, NULL, err);
}
