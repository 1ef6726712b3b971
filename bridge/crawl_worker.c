/* crawl_worker.c - a worker of the crawl: takes table after table and copies it, at the pace that
 * was ordered. */
#include <inttypes.h>
#include <stdio.h>

#include "bridge/crawl_priv.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"

enum {
    IDLE_MS = 250,
    RETRY_MS = 1000,
    FIRST_ROWS = 1000,
    LOG_SHARE = 60, /* percent of bridge.log_max_bytes */
};

/* --- pace
 * --------------------------------------------------------------------------------------------------------
 */

/* What a crawl puts into the log must not push a subscriber out of it. */
static bool log_is_full(const brg_crawl *c)
{
    uint64_t most = (uint64_t)c->s->settings->bridge_log_max_bytes / 100 * LOG_SHARE;
    return atomic_load(&c->s->log_bytes) > most;
}

static int64_t hold_ms(brg_crawl_worker *w)
{
    brg_crawl *c = w->c;
    int64_t now = weir_mono_ms();
    c->holds = NULL;
    if (c->r.state == BRG_CRAWL_PAUSED) {
        return IDLE_MS;
    }
    if (log_is_full(c)) {
        c->holds = "the log is more than 60 % of bridge.log_max_bytes: subscribers are behind";
        return IDLE_MS;
    }
    if (c->r.order.rate > 0 && c->next_row_ms > (double)now) {
        return (int64_t)c->next_row_ms - now + 1;
    }
    return w->rest_until_ms > now ? w->rest_until_ms - now : 0;
}

static weir_rc gate(void *arg, weir_error *err)
{
    brg_crawl_worker *w = arg;
    brg_crawl *c = w->c;
    weir_monitor_lock(c->m);
    int64_t ms = hold_ms(w);
    while (ms > 0 && !brg_stopping(c->s) && brg_crawl_is_open(c)) {
        (void)weir_monitor_wait(c->m, ms < IDLE_MS ? ms : IDLE_MS);
        ms = hold_ms(w);
    }
    bool go = !brg_stopping(c->s) && brg_crawl_is_open(c);
    weir_monitor_unlock(c->m);
    return go ? WEIR_OK : weir_fail(err, WEIR_E_EOF, 0, "stopping");
}

static void on_read(void *arg, uint64_t seen, int64_t ms, const char *again)
{
    brg_crawl_worker *w = arg;
    brg_crawl *c = w->c;
    int64_t now = weir_mono_ms();
    weir_monitor_lock(c->m);
    if (again) {
        c->redone++;
        (void)snprintf(c->again, sizeof c->again, "%.150s", again);
    }
    if (c->r.order.rate > 0) {
        double from = c->next_row_ms > (double)now ? c->next_row_ms : (double)now;
        c->next_row_ms = from + (double)seen * 1000.0 / (double)c->r.order.rate;
    }
    w->rest_until_ms = now + ms * (100 - c->r.order.load_percent) / c->r.order.load_percent;
    weir_monitor_unlock(c->m);
}

/* --- what is kept
 * ------------------------------------------------------------------------------------------------
 */

static void on_begins(brg_crawl_table *t, const brg_crawl_worker *w, const brg_copy_step *step)
{
    t->restarts += t->step == BRG_TABLE_WAITING ? 0 : 1;
    t->step = BRG_TABLE_RUNNING;
    t->window = (uint8_t)(w->number + 1);
    t->oid = step->table->rel.oid;
    t->nkey = step->table->nkey;
    memcpy(t->key, step->table->key, sizeof t->key);
    t->shape = step->shape;
    t->rows = t->seen = 0;
    brg_crawl_table_at(t, &(weir_tuple){0, NULL});
}

/* Reader thread; the worker waits for it. */
static void on_note(void *arg, const brg_copy_step *step, weir_buf *batch)
{
    brg_crawl_worker *w = arg;
    brg_crawl *c = w->c;
    weir_monitor_lock(c->m);
    brg_crawl_table *t = &c->r.tables[w->table];
    t->rows += step->rows;
    t->seen += step->seen;
    switch (step->at) {
    case BRG_COPY_BEGINS:
        on_begins(t, w, step);
        brg_crawl_del_moved(batch, w->table, UINT64_MAX);
        break;
    case BRG_COPY_CHUNK: brg_crawl_table_at(t, &step->lo); break;
    case BRG_COPY_READ: t->step = BRG_TABLE_READ; break;
    case BRG_COPY_MOVED: brg_crawl_del_moved(batch, w->table, step->moved_below); break;
    case BRG_COPY_ENDS:
        t->step = BRG_TABLE_DONE;
        brg_crawl_del_moved(batch, w->table, UINT64_MAX);
        break;
    }
    brg_crawl_put_table(batch, &c->r, w->table);
    weir_monitor_unlock(c->m);
}

static void on_progress(void *arg, uint64_t rows)
{
    (void)arg; /* rows are counted with what is kept */
    (void)rows;
}

static void on_connected(void *arg, weir_pg *pg)
{
    brg_crawl_worker *w = arg;
    weir_monitor_lock(w->c->m);
    w->pg = pg;
    weir_monitor_unlock(w->c->m);
}

static void on_waits(void *arg, const char *who)
{
    brg_crawl_worker *w = arg;
    weir_monitor_lock(w->c->m);
    w->waits[0] = '\0';
    if (who) {
        (void)snprintf(w->waits, sizeof w->waits, "transactions older than the crawl: %s", who);
    }
    weir_monitor_unlock(w->c->m);
}

static bool has_ended(void *arg)
{
    brg_crawl_worker *w = arg;
    weir_monitor_lock(w->c->m);
    bool ended = !brg_crawl_is_open(w->c);
    weir_monitor_unlock(w->c->m);
    return ended;
}

/* Something to keep without a chunk; as often as it takes, for it must get there. */
static weir_rc keep(brg_crawl_worker *w, brg_ask *q, weir_error *err)
{
    weir_rc rc;
    q->window = w->number + 1;
    q->note_arg = w;
    do {
        q->redo = NULL;
        rc = brg_port_ask(w->c->port, q, BRG_STREAM_WAIT_MS, err);
    } while ((rc == WEIR_E_TIMEOUT || (rc == WEIR_OK && q->redo)) && !brg_stopping(w->c->s));
    return rc;
}

static void unwatch(brg_crawl_worker *w)
{
    weir_error err;
    brg_ask q = {.kind = BRG_ASK_UNWATCH};
    if (keep(w, &q, &err) != WEIR_OK) {
        WEIR_DEBUG("BRG-STOP", "%s", err.msg);
    }
}

/* --- tables
 * ------------------------------------------------------------------------------------------------------
 */

static void note_failed(void *arg, const brg_ask *q, weir_buf *batch)
{
    brg_crawl_worker *w = arg;
    (void)q;
    weir_monitor_lock(w->c->m);
    brg_crawl_del_moved(batch, w->table, UINT64_MAX);
    brg_crawl_put_table(batch, &w->c->r, w->table);
    weir_monitor_unlock(w->c->m);
}

static weir_rc table_failed(brg_crawl_worker *w, const weir_error *why, weir_error *err)
{
    brg_crawl *c = w->c;
    brg_crawl_table *t = &c->r.tables[w->table];
    weir_monitor_lock(c->m);
    t->step = BRG_TABLE_FAILED;
    (void)snprintf(t->error, sizeof t->error, "%.190s", why->msg);
    weir_monitor_unlock(c->m);
    WEIR_ERROR("BRG-CRAWL-TABLE", "id=%s table=%s.%s: %s", c->r.order.id, t->schema, t->name,
               why->msg);
    brg_ask q = {.kind = BRG_ASK_NOTE, .note = note_failed};
    return keep(w, &q, err);
}

static brg_table_copy copy_of(brg_crawl_worker *w)
{
    brg_crawl *c = w->c;
    weir_monitor_lock(c->m);
    brg_crawl_table *t = &c->r.tables[w->table];
    int64_t first = c->s->settings->bridge_copy_chunk_rows;
    brg_table_copy tc = {.src = &w->src,
                         .copy_id = weir_slice_z(c->r.order.id),
                         .schema = t->schema,
                         .name = t->name,
                         .where = c->r.order.where,
                         .target_ms = c->r.order.chunk_ms,
                         .rows_first = first < FIRST_ROWS ? first : FIRST_ROWS,
                         .patient = true,
                         .crawl_table = (int)w->table,
                         .resume = t->step == BRG_TABLE_RUNNING || t->step == BRG_TABLE_READ,
                         .read_all = t->step == BRG_TABLE_READ,
                         .lo = t->lo,
                         .shape = t->shape,
                         .arg = w,
                         .gate = gate,
                         .read = on_read,
                         .note = on_note,
                         .progress = on_progress};
    weir_monitor_unlock(c->m);
    return tc;
}

/* One table, until it is done, failed, or everything ends. */
static weir_rc run_table(brg_crawl_worker *w, weir_error *err)
{
    weir_rc rc;
    do {
        brg_table_copy tc = copy_of(w);
        weir_arena *a = weir_arena_new(0); /* the kept lo moves on while the copy starts from it */
        tc.lo = (weir_tuple){tc.lo.n, WEIR_ARENA_ARRAY(a, weir_val, tc.lo.n)};
        for (uint16_t i = 0; i < tc.lo.n; i++) {
            tc.lo.v[i] =
                (weir_val){WEIR_VAL_TEXT, weir_arena_dup(a, w->c->r.tables[w->table].lo.v[i].text)};
        }
        rc = brg_copy_table(&tc, err);
        weir_arena_free(a);
        if (rc != WEIR_OK && rc != WEIR_E_EOF && (err->flags & WEIR_EF_RETRY)) {
            WEIR_WARN("BRG-CRAWL-RETRY", "id=%s %s", w->c->r.order.id, err->msg);
            brg_pause(w->c->s, RETRY_MS);
        } else {
            break;
        }
    } while (!brg_stopping(w->c->s) && !has_ended(w));
    if (rc != WEIR_OK && rc != WEIR_E_EOF && !brg_stopping(w->c->s) && !has_ended(w)) {
        weir_error why = *err;
        rc = table_failed(w, &why, err);
    }
    return rc;
}

/* The table it had before a restart, then whatever waits. */
static bool next_table(brg_crawl_worker *w)
{
    brg_crawl *c = w->c;
    bool found = false;
    weir_monitor_lock(c->m);
    for (size_t i = 0; i < c->r.n && !found; i++) {
        const brg_crawl_table *t = &c->r.tables[i];
        found = (t->step == BRG_TABLE_RUNNING || t->step == BRG_TABLE_READ) &&
                t->window == w->number + 1;
        w->table = i;
    }
    for (size_t i = 0; i < c->r.n && !found; i++) {
        brg_crawl_table *t = &c->r.tables[i];
        bool taken = false;
        for (unsigned k = 0; k < BRG_CRAWL_WORKERS_MAX; k++) {
            taken = taken || (k != w->number && c->w[k].src.s && c->w[k].table == i);
        }
        found = t->step == BRG_TABLE_WAITING && !taken;
        w->table = i;
    }
    w->table = found ? w->table : SIZE_MAX;
    weir_monitor_unlock(c->m);
    return found;
}

/* --- which tables
 * -------------------------------------------------------------------------------------------------
 */

/* The largest first, so that the last one to end is not one that began last. */
static const char tables_sql[] =
    "SELECT pt.schemaname, pt.tablename, coalesce((SELECT sum(CASE WHEN leaf.reltuples > 0 AND "
    "leaf.relpages > 0 THEN leaf.reltuples / leaf.relpages * (pg_relation_size(leaf.oid) / "
    "current_setting('block_size')::int) ELSE pg_relation_size(leaf.oid) / 100 END)::bigint FROM "
    "pg_partition_tree(c.oid) pa JOIN pg_class leaf ON leaf.oid = pa.relid WHERE pa.isleaf), 0) AS "
    "estimate "
    "FROM pg_publication_tables pt JOIN pg_namespace n ON n.nspname = pt.schemaname "
    "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = pt.tablename "
    "WHERE pt.pubname = $1 ORDER BY estimate DESC, 1, 2";

static bool is_asked(const brg_crawl_order *o, const weir_pg_rows *rows, int row, size_t *which)
{
    for (size_t i = 0; i < o->ntables; i++) {
        if (strcmp(o->tables[i].name, weir_pg_valuez(rows, row, 1)) == 0 &&
            (o->tables[i].schema[0] == '\0' ||
             strcmp(o->tables[i].schema, weir_pg_valuez(rows, row, 0)) == 0)) {
            *which = i;
            return true;
        }
    }
    return o->ntables == 0;
}

/* Every asked table must be there, once. */
static weir_rc check_asked(const brg_crawl *c, const weir_pg_rows *rows, weir_error *err)
{
    const brg_crawl_order *o = &c->r.order;
    for (size_t i = 0; i < o->ntables; i++) {
        int n = 0;
        for (int row = 0; row < weir_pg_nrows(rows); row++) {
            size_t which = SIZE_MAX;
            n += is_asked(o, rows, row, &which) && which == i;
        }
        if (n == 0) {
            return weir_fail(err, WEIR_E_NOTFOUND, 0,
                             "table %s%s%s is not in publication %s: run `weir deploy`, or name "
                             "another",
                             o->tables[i].schema, o->tables[i].schema[0] ? "." : "",
                             o->tables[i].name, c->s->settings->bridge_publication);
        }
        if (n > 1) {
            return weir_fail(err, WEIR_E_INPUT, 0,
                             "table %s is in several schemas: write schema.%s", o->tables[i].name,
                             o->tables[i].name);
        }
    }
    return WEIR_OK;
}

static void take_tables(brg_crawl *c, const weir_pg_rows *rows)
{
    size_t n = 0;
    size_t which;
    for (int row = 0; row < weir_pg_nrows(rows); row++) {
        n += is_asked(&c->r.order, rows, row, &which);
    }
    n = n < BRG_CRAWL_TABLES_MAX ? n : BRG_CRAWL_TABLES_MAX;
    brg_crawl_record_tables(&c->r, n);
    size_t i = 0;
    for (int row = 0; row < weir_pg_nrows(rows) && i < n; row++) {
        if (is_asked(&c->r.order, rows, row, &which)) {
            brg_crawl_table *t = &c->r.tables[i++];
            t->schema = weir_arena_strdup(c->r.a, weir_pg_valuez(rows, row, 0));
            t->name = weir_arena_strdup(c->r.a, weir_pg_valuez(rows, row, 1));
            t->estimate = (uint64_t)weir_pg_i64(rows, row, 2);
        }
    }
}

static void note_tables(void *arg, const brg_ask *q, weir_buf *batch)
{
    brg_crawl_worker *w = arg;
    (void)q;
    weir_monitor_lock(w->c->m);
    for (size_t i = 0; i < w->c->r.n; i++) {
        brg_crawl_put_table(batch, &w->c->r, i);
    }
    weir_monitor_unlock(w->c->m);
}

/* A filter is tried before anything is read: an error in it must not come up row by row. */
static weir_rc try_filter(brg_crawl_worker *w, const brg_crawl_table *t, weir_error *err)
{
    brg_crawl *c = w->c;
    brg_table *tables = NULL;
    size_t n = 0;
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = brg_catalog_tables(w->src.pg, c->s->settings->bridge_publication, t->schema,
                                    t->name, a, &tables, &n, err);
    if (rc == WEIR_OK && n == 1 && tables[0].nkey == 0) {
        rc = weir_fail(err, WEIR_E_INPUT, 0,
                       "table %s.%s has no key: it is read whole, without a filter", t->schema,
                       t->name);
    }
    if (rc == WEIR_OK && n == 1) {
        rc = weir_pg_query(
            w->src.pg,
            weir_arena_printf(a, "EXPLAIN %s",
                              brg_catalog_chunk_sql(&tables[0], a, false, 1, c->r.order.where)),
            0, NULL, NULL, err);
    }
    weir_arena_free(a);
    return rc;
}

static weir_rc find_tables(brg_crawl_worker *w, weir_error *err)
{
    brg_crawl *c = w->c;
    weir_pg_rows *rows = NULL;
    const char *params[] = {c->s->settings->bridge_publication};
    weir_rc rc = brg_source_connect(&w->src, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(w->src.pg, tables_sql, 1, params, &rows, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = check_asked(c, rows, err);
    if (rc == WEIR_OK) {
        weir_monitor_lock(c->m);
        take_tables(c, rows);
        weir_monitor_unlock(c->m);
        brg_ask q = {.kind = BRG_ASK_NOTE, .note = note_tables};
        rc = c->r.order.where && c->r.n == 1 ? try_filter(w, &c->r.tables[0], err) : WEIR_OK;
        rc = rc == WEIR_OK ? keep(w, &q, err) : rc;
    }
    weir_pg_rows_free(rows);
    return rc;
}

/* One worker finds them, the others wait for it. */
static weir_rc resolve(brg_crawl_worker *w, weir_error *err)
{
    brg_crawl *c = w->c;
    weir_monitor_lock(c->m);
    while (c->resolving && brg_crawl_is_open(c) && !brg_stopping(c->s)) {
        (void)weir_monitor_wait(c->m, IDLE_MS);
    }
    bool mine = !c->r.resolved && brg_crawl_is_open(c);
    c->resolving = mine;
    weir_monitor_unlock(c->m);
    weir_rc rc = WEIR_OK;
    while (mine && !brg_stopping(c->s) && !has_ended(w)) {
        rc = find_tables(w, err);
        if (rc == WEIR_OK || !(err->flags & WEIR_EF_RETRY)) {
            break;
        }
        brg_pause(c->s, RETRY_MS);
    }
    weir_monitor_lock(c->m);
    c->resolving = mine ? false : c->resolving;
    if (rc != WEIR_OK && rc != WEIR_E_EOF && mine && brg_crawl_is_open(c)) {
        c->r.state = BRG_CRAWL_FAILED;
        (void)snprintf(c->r.error, sizeof c->r.error, "%.290s", err->msg);
    }
    weir_monitor_wake(c->m);
    weir_monitor_unlock(c->m);
    return rc;
}

/* --- the worker
 * --------------------------------------------------------------------------------------------------
 */

static void note_end(void *arg, const brg_ask *q, weir_buf *batch)
{
    brg_crawl_worker *w = arg;
    (void)q;
    weir_monitor_lock(w->c->m);
    brg_crawl_put_end(batch, &w->c->r);
    weir_monitor_unlock(w->c->m);
}

/* By the last worker: nothing is left to do, or the tables could not be found. */
static void end_crawl(brg_crawl_worker *w)
{
    brg_crawl *c = w->c;
    size_t failed = 0;
    uint64_t rows = 0;
    weir_monitor_lock(c->m);
    for (size_t i = 0; i < c->r.n; i++) {
        failed += c->r.tables[i].step == BRG_TABLE_FAILED;
        rows += c->r.tables[i].rows;
    }
    if (brg_crawl_is_open(c)) {
        c->r.state = failed ? BRG_CRAWL_FAILED : BRG_CRAWL_DONE;
        if (failed) {
            (void)snprintf(c->r.error, sizeof c->r.error, "%zu of %zu tables could not be read",
                           failed, c->r.n);
        }
    }
    c->r.ended_us = weir_wall_us();
    weir_monitor_unlock(c->m);
    WEIR_INFO("BRG-CRAWL-END", "id=%s state=%s rows=%" PRIu64 " %s", c->r.order.id,
              brg_crawl_state_name(c->r.state), rows, c->r.error);
    weir_error err;
    brg_ask q = {.kind = BRG_ASK_NOTE, .note = note_end};
    if (keep(w, &q, &err) != WEIR_OK) {
        WEIR_DEBUG("BRG-STOP", "%s", err.msg);
    }
}

static void work(brg_crawl_worker *w)
{
    brg_crawl *c = w->c;
    weir_error err;
    bool settled = false;
    while (brg_get_state(c->s, NULL, 0) != BRG_STREAMING && !brg_stopping(c->s) && !has_ended(w)) {
        brg_pause(c->s, IDLE_MS);
    }
    weir_rc rc = gate(w, &err);
    if (rc == WEIR_OK) {
        rc = resolve(w, &err);
    }
    while (rc == WEIR_OK && !brg_stopping(c->s) && next_table(w)) {
        while (!settled && !brg_stopping(c->s) && !has_ended(w)) {
            rc = brg_source_barrier(&w->src, &err);
            settled = rc == WEIR_OK;
            if (!settled) {
                brg_pause(c->s, RETRY_MS);
            }
        }
        rc = settled ? run_table(w, &err) : WEIR_E_EOF;
        if (!brg_stopping(c->s)) {
            unwatch(w);
        }
    }
}

void brg_crawl_worker_run(void *arg)
{
    brg_crawl_worker *w = arg;
    brg_crawl *c = w->c;
    weir_monitor_lock(c->m);
    w->src = (brg_source){.s = c->s,
                          .port = c->port,
                          .window = w->number + 1,
                          .connected = on_connected,
                          .waits = on_waits,
                          .stop = has_ended,
                          .arg = w};
    w->table = SIZE_MAX;
    w->rest_until_ms = 0;
    weir_monitor_unlock(c->m);
    work(w);
    brg_source_close(&w->src);
    weir_monitor_lock(c->m);
    w->table = SIZE_MAX;
    c->working--;
    bool ends = c->working == 0 && !brg_stopping(c->s) && c->r.state != BRG_CRAWL_CANCELLED;
    weir_monitor_unlock(c->m);
    if (ends) {
        end_crawl(w);
    }
    weir_monitor_lock(c->m);
    c->running--;
    weir_monitor_unlock(c->m);
    atomic_fetch_sub(&c->s->running, 1);
}
