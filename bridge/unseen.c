/* unseen.c - finds changes that send no event, by the catalog, and orders a crawl of their tables.
 */
#include "bridge/unseen.h"

#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/pg.h"

enum {
    LOOK_MS = 1000,
    LOOK_SHARE = 50,     /* of all time, a look may take one part in so many … */
    LOOK_MAX_MS = 10000, /* … but looks are never further apart */
    WHOLE_MS = 60000,    /* a whole look now and then, whatever the mark says, within its share */
    AWAY_MS = 2000,
    SLICE_MS = 100,
    CHUNK_MS = 250,
    LOAD_PERCENT = 50,
};

extern const char weir_sql_unseen[], weir_sql_unseen_mark[];

/* In the log's database `crawl`; a new crawl removes the keys from 'a' to 'z' only. */
#define SHAPE_KEY WEIR_SLICE_LIT("S")

struct brg_unseen {
    brg_shared *s;
    brg_crawl *crawl;
    weir_monitor *m;
    weir_pg *pg;
    char *known;           /* the shape that the log remembers; NULL: not read yet, or none */
    bool unsaved;          /* known is that of a first copy's beginning, and not in the log yet */
    bool gone;             /* a table went or means something else, and nobody was told yet */
    char *snapshot, *mark; /* of the catalog when it was as known says; NULL: not looked yet */
    int64_t whole_ms;      /* when all of it is looked at again */

    /* one question to the loop at a time: written by the thread while nothing is asked */
    weir_arena *a;
    char id[33];
    weir_slice shape;
    size_t n;
    weir_feed_table *tables;
    bool asked, kept; /* under m */
};

brg_unseen *brg_unseen_new(brg_shared *s, brg_crawl *crawl)
{
    brg_unseen *u = weir_xcalloc(1, sizeof *u);
    u->s = s;
    u->crawl = crawl;
    u->m = weir_monitor_new();
    u->a = weir_arena_new(0);
    return u;
}

static void forget_mark(brg_unseen *u)
{
    free(u->snapshot);
    free(u->mark);
    u->snapshot = u->mark = NULL;
}

void brg_unseen_free(brg_unseen *u)
{
    if (u) {
        weir_pg_close(u->pg);
        weir_arena_free(u->a);
        weir_monitor_free(u->m);
        forget_mark(u);
        free(u->known);
        free(u);
    }
}

/* --- on the loop
 * ------------------------------------------------------------------------------------------------
 */

static void answer(brg_unseen *u, bool kept)
{
    weir_monitor_lock(u->m);
    u->asked = false;
    u->kept = kept;
    weir_monitor_wake(u->m);
    weir_monitor_unlock(u->m);
}

static void durable(void *order)
{
    brg_order *o = order;
    brg_unseen *u = o->arg;
    weir_error err;
    if (o->rc == WEIR_OK && u->n > 0 && brg_crawl_go(u->crawl, &err) != WEIR_OK) {
        WEIR_ERROR("BRG-CRAWL-THREAD", "%s", err.msg);
    }
    answer(u, o->rc == WEIR_OK);
    brg_order_free(o);
}

static weir_rc begin(brg_unseen *u, weir_buf *batch, weir_error *err)
{
    weir_feed_req q = {.op = WEIR_FEED_CRAWL,
                       .action = WEIR_CRAWL_START,
                       .copy_id = weir_slice_z(u->id),
                       .ntables = u->n,
                       .tables = u->tables,
                       .parallel = 1,
                       .chunk_ms = CHUNK_MS,
                       .load_percent = LOAD_PERCENT};
    return u->n > 0 ? brg_crawl_change(u->crawl, &q, batch, err) : WEIR_OK;
}

static void on_asked(void *arg)
{
    brg_unseen *u = arg;
    weir_error err;
    weir_buf batch;
    weir_buf_init(&batch, BRG_BATCH_MAX_BYTES);
    if (begin(u, &batch, &err) != WEIR_OK) {
        WEIR_DEBUG("BRG-UNSEEN-WAITS", "%s", err.msg); /* another crawl: asked again */
        weir_buf_fini(&batch);
        answer(u, false);
        return;
    }
    brg_batch_put(&batch, SHAPE_KEY, u->shape);
    for (size_t i = 0; i < u->n; i++) {
        WEIR_WARN("BRG-UNSEEN",
                  "table=" WEIR_SLICE_FMT "." WEIR_SLICE_FMT
                  " changed in a way that sends no event; it is read again",
                  WEIR_SLICE_ARG(u->tables[i].schema), WEIR_SLICE_ARG(u->tables[i].name));
    }
    brg_order *o = weir_xcalloc(1, sizeof *o);
    o->kind = BRG_ORDER_CRAWL;
    o->p = weir_buf_take(&batch, &o->n);
    o->done = durable;
    o->arg = u;
    if (!brg_ring_order(u->s->ring, o)) {
        brg_order_free(o);
        answer(u, false);
    }
    weir_buf_fini(&batch);
}

/* --- the thread
 * -------------------------------------------------------------------------------------------------
 */

static bool ask_loop(brg_unseen *u)
{
    weir_monitor_lock(u->m);
    u->asked = true;
    u->kept = false;
    weir_monitor_unlock(u->m);
    if (!weir_loop_post(u->s->loop, on_asked, u)) {
        return false; /* the bridge ends */
    }
    weir_monitor_lock(u->m);
    while (u->asked && !brg_stopping(u->s)) {
        (void)weir_monitor_wait(u->m, SLICE_MS);
    }
    bool kept = !u->asked && u->kept;
    weir_monitor_unlock(u->m);
    return kept;
}

static void know(brg_unseen *u, weir_slice shape, bool unsaved)
{
    free(u->known);
    u->known = weir_xmalloc(shape.n + 1);
    memcpy(u->known, shape.n ? shape.p : "", shape.n);
    u->known[shape.n] = '\0';
    u->unsaved = unsaved;
}

static void take_shape(void *arg, weir_slice key, weir_slice value)
{
    brg_unseen *u = arg;
    if (weir_slice_eq(key, SHAPE_KEY)) {
        know(u, value, false);
    }
}

static weir_rc remembered(brg_unseen *u, weir_error *err)
{
    return u->known ? WEIR_OK : brg_store_each(&u->s->store, u->s->store.crawl, take_shape, u, err);
}

static weir_rc query(brg_unseen *u, const char *since, weir_pg_rows **rows, weir_error *err)
{
    const char *params[] = {u->s->settings->bridge_publication, since};
    weir_rc rc = weir_pg_query(u->pg, weir_sql_unseen, 2, params, rows, err);
    if (rc == WEIR_OK && weir_pg_nrows(*rows) < 1) {
        weir_pg_rows_free(*rows);
        *rows = NULL;
        rc = weir_fail(err, WEIR_E_PROTO, 0, "PostgreSQL told no shape of the tables");
    }
    return rc;
}

/* A first copy begins with an empty log: what changes after this is compared with what is now. */
static weir_rc look_early(brg_unseen *u, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    if (u->known && u->unsaved) {
        return WEIR_OK;
    }
    weir_rc rc = query(u, NULL, &rows, err);
    if (rc == WEIR_OK) {
        know(u, weir_pg_value(rows, 0, 0), true);
        weir_pg_rows_free(rows);
    }
    return rc;
}

static void take_tables(brg_unseen *u, const weir_pg_rows *rows)
{
    u->n = (size_t)weir_pg_nrows(rows) - 1;
    u->tables = WEIR_ARENA_ARRAY(u->a, weir_feed_table, u->n);
    for (size_t i = 0; i < u->n; i++) {
        u->tables[i] =
            (weir_feed_table){.schema = weir_arena_dup(u->a, weir_pg_value(rows, (int)i + 1, 1)),
                              .name = weir_arena_dup(u->a, weir_pg_value(rows, (int)i + 1, 2))};
    }
    weir_random_id(u->id);
}

/* A table is gone or means something else: whoever compiles over the catalog does so anew
 * (docs/internals.md, weir.deploy). */
static weir_rc tell_gone(brg_unseen *u, weir_error *err)
{
    weir_rc rc = u->gone ? weir_pg_query(u->pg,
                                         "SELECT pg_logical_emit_message(true, 'weir.deploy', "
                                         "'{}')",
                                         0, NULL, NULL, err)
                         : WEIR_OK;
    u->gone = u->gone && rc != WEIR_OK;
    return rc;
}

/* *done: what is known now is the catalog. */
static weir_rc order(brg_unseen *u, bool *done, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    weir_rc rc = query(u, u->known, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_arena_reset(u->a);
    u->shape = weir_arena_dup(u->a, weir_pg_value(rows, 0, 0));
    take_tables(u, rows);
    /* what is remembered of tables that left makes a shape look new at first */
    bool same = u->known && !u->unsaved && weir_slice_eqz(u->shape, u->known);
    *done = same || ask_loop(u);
    if (*done && !same) {
        know(u, u->shape, false);
        u->gone = u->gone || !weir_pg_isnull(rows, 0, 1);
    }
    weir_pg_rows_free(rows);
    return WEIR_OK;
}

static weir_rc look_at_all(brg_unseen *u, bool *done, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    weir_rc rc = query(u, NULL, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    *done = u->known && !u->unsaved && weir_slice_eqz(weir_pg_value(rows, 0, 0), u->known);
    weir_pg_rows_free(rows);
    return *done ? WEIR_OK : order(u, done, err);
}

/* The mark was taken before all was looked at: what changes in between shows in the next mark. */
static weir_rc look(brg_unseen *u, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    bool done = false;
    const char *params[] = {u->s->settings->bridge_publication, u->snapshot, u->mark};
    weir_rc rc = remembered(u, err);
    rc = rc == WEIR_OK ? weir_pg_query(u->pg, weir_sql_unseen_mark, 3, params, &rows, err) : rc;
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_slice mark = weir_pg_value(rows, 0, 1);
    int64_t now_ms = weir_mono_ms();
    if (!u->mark || !weir_slice_eqz(mark, u->mark) || now_ms >= u->whole_ms) {
        forget_mark(u);
        rc = look_at_all(u, &done, err);
        int64_t rest_ms = (weir_mono_ms() - now_ms) * LOOK_SHARE;
        u->whole_ms = weir_mono_ms() + (rest_ms > WHOLE_MS ? rest_ms : WHOLE_MS);
    }
    if (rc == WEIR_OK && (u->mark || done)) {
        forget_mark(u);
        u->snapshot = weir_xstrdup(weir_pg_valuez(rows, 0, 0));
        u->mark = weir_xstrdup(weir_pg_valuez(rows, 0, 1));
    }
    weir_pg_rows_free(rows);
    return rc == WEIR_OK ? tell_gone(u, err) : rc;
}

static weir_rc connect_pg(brg_unseen *u, weir_error *err)
{
    if (u->pg && weir_pg_ok(u->pg)) {
        return WEIR_OK;
    }
    weir_pg_close(u->pg);
    u->pg = NULL;
    forget_mark(u); /* it may be another server */
    /* Somebody's lock on a new partition must not hold us: we look again. */
    weir_pg_conf conf = {.uri = u->s->settings->postgres_uri,
                         .application_name = "weir-bridge-unseen",
                         .wait_max_ms = 10000,
                         .options = "-c lock_timeout=500 -c jit=off"};
    return weir_pg_open(&u->pg, &conf, err);
}

static weir_rc turn(brg_unseen *u, brg_state state, weir_error *err)
{
    weir_rc rc = connect_pg(u, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    return state == BRG_COPYING ? look_early(u, err) : look(u, err);
}

void brg_unseen_run(void *arg)
{
    brg_unseen *u = arg;
    while (!brg_stopping(u->s)) {
        weir_error err = {0};
        weir_rc rc = WEIR_OK;
        int64_t begun_ms = weir_mono_ms();
        brg_state state = brg_get_state(u->s, NULL, 0);
        if (state == BRG_STREAMING || state == BRG_COPYING) {
            rc = turn(u, state, &err);
        }
        if (rc != WEIR_OK) {
            WEIR_DEBUG("BRG-UNSEEN-RETRY", "%s", err.msg); /* the reader says the same, louder */
        }
        int64_t rest_ms = (weir_mono_ms() - begun_ms) * LOOK_SHARE;
        rest_ms = rest_ms < LOOK_MS ? LOOK_MS : rest_ms > LOOK_MAX_MS ? LOOK_MAX_MS : rest_ms;
        brg_pause(u->s, rc != WEIR_OK ? AWAY_MS : state == BRG_STREAMING ? rest_ms : SLICE_MS);
    }
    atomic_fetch_sub(&u->s->running, 1);
}
