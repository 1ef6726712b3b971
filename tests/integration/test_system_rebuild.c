/* test_system_rebuild.c - `weir rebuild` while transactions and queries go on: no gap, no mixture,
 * a comparison before every switch, a way back that is right, and no crash that loses what serves.
 *
 * WEIR_REBUILD_ORDERS=1000000 runs it on as many orders (default 4,000); WEIR_REBUILD_ONLY=1 ends
 * after the rebuild under load. WEIR_TEST_SEED chooses when processes are killed.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/codec/json.h"
#include "tests/support/check.h"
#include "tests/support/sys.h"

enum {
    ORDERS = 4000,
    READY_MS = 60000,
    READERS = 2,
    CRASHES = 4,
    DOC_MAX = 100000,
    KEYS_MAX = 64,
    PLANNER_ROWS = 32
};

static sys app;
static long orders = ORDERS;

#define MODEL(extra)                                                                               \
    "-- @key id\nSELECT o.id, o.mark, " extra "c.name AS customer,\n"                              \
    "       (SELECT jsonb_agg(jsonb_build_object('no', l.line_no, 'mark', l.mark) ORDER BY "       \
    "l.line_no) FROM order_line l WHERE l.order_id = o.id) AS lines,\n"                            \
    "       (SELECT min(l.mark) FROM order_line l WHERE l.order_id = o.id) AS low,\n"              \
    "       (SELECT max(l.mark) FROM order_line l WHERE l.order_id = o.id) AS high\n"              \
    "  FROM orders o JOIN customer c ON c.id = o.customer_id\n"

static int open_group(void **state)
{
    (void)state;
    sys *s = &app;
    const char *env = getenv("WEIR_REBUILD_ORDERS"); /* NOLINT(concurrency-mt-unsafe) */
    orders = env && strtol(env, NULL, 10) > 0 ? strtol(env, NULL, 10) : ORDERS;
    sys_new(s, WEIR_BIN_DIR, NULL,
            "[app]\nname = rebuild_it\n[projector]\ncheckpoint_ms = 100\nmulti_max_bytes = 64K\n");
    sys_put(s, "schema/0001_init.sql",
            weir_arena_printf(
                s->app.a,
                "CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);\n"
                "CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, mark int NOT "
                "NULL);\n"
                "CREATE TABLE order_line (order_id int, line_no int, mark int NOT NULL, PRIMARY "
                "KEY (order_id, line_no));\n"
                "INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 100) i;\n"
                "INSERT INTO orders SELECT i, 1 + i %% 100, 0 FROM generate_series(1, %ld) i;\n"
                "INSERT INTO order_line SELECT i, n, 0 FROM generate_series(1, %ld) i, "
                "generate_series(1, 3) n;\n",
                orders, orders));
    sys_put(s, "read-models/order_view.sql", MODEL(""));
    int64_t t0 = weir_mono_ms();
    sys_up(s);
    print_message("system.rebuild: %ld orders, up in %lld ms\n", orders,
                  (long long)(weir_mono_ms() - t0));
    return 0;
}

/* --- load ------------------------------------------------------------------------------------- */

/* Every transaction gives one order and its lines a new mark; its position and mark are what
 * readers then demand of that order. */
static struct load {
    atomic_bool stop;
    atomic_ullong last; /* order << 32 | mark of the newest transaction */
    char position[64];  /* under lock */
    weir_monitor *lock;
    atomic_int transactions, reads, gaps, mixtures, stale, backwards, switches;
    char bad[400]; /* the first answer that was none */
    bool versioned;
    weir_thread *writer, *reader[READERS];
    weir_pg *pg;
} load;

static void note_bad(int status, const char *body)
{
    weir_monitor_lock(load.lock);
    if (!load.bad[0]) {
        (void)snprintf(load.bad, sizeof load.bad, "%d %.380s", status, body);
    }
    weir_monitor_unlock(load.lock);
}

static void write_all(void *arg)
{
    (void)arg;
    weir_error err = {0};
    for (unsigned n = 1; !atomic_load(&load.stop); n++) {
        char sql[300];
        weir_pg_rows *r = NULL;
        unsigned id = 1 + n * 7919U % (unsigned)orders;
        (void)snprintf(sql, sizeof sql,
                       "WITH o AS (UPDATE orders SET mark = %u WHERE id = %u) UPDATE order_line "
                       "SET mark = %u WHERE order_id = %u",
                       n, id, n, id);
        if (weir_pg_query(load.pg, sql, 0, NULL, NULL, &err) != WEIR_OK ||
            weir_pg_query(load.pg, "SELECT pg_current_wal_flush_lsn()", 0, NULL, &r, &err) !=
                WEIR_OK) {
            note_bad(0, err.msg);
            return;
        }
        weir_monitor_lock(load.lock);
        (void)snprintf(load.position, sizeof load.position, "%s", weir_pg_valuez(r, 0, 0));
        atomic_store(&load.last, (uint64_t)id << 32 | n);
        weir_monitor_unlock(load.lock);
        weir_pg_rows_free(r);
        atomic_fetch_add(&load.transactions, 1);
    }
}

static int64_t member(const weir_json *j, const char *name)
{
    int64_t n = -1;
    return weir_json_i64(j, name, &n) ? n : -1;
}

static void judge(const weir_curl_response *r, uint32_t mark, int64_t *version)
{
    weir_error err = {0};
    weir_json *j = NULL;
    if (r->status != 200 || weir_json_parse(&j, r->body, &err) != WEIR_OK) {
        char text[300];
        (void)snprintf(text, sizeof text, "%.*s", (int)(r->body.n < 290 ? r->body.n : 290),
                       r->body.p ? r->body.p : "");
        note_bad(r->status, text);
        atomic_fetch_add(&load.gaps, 1);
        return;
    }
    int64_t now = member(j, "v");
    atomic_fetch_add(&load.mixtures, member(j, "low") != member(j, "mark") ||
                                         member(j, "high") != member(j, "mark"));
    atomic_fetch_add(&load.stale, member(j, "mark") < (int64_t)mark);
    atomic_fetch_add(&load.backwards, load.versioned && now < *version);
    atomic_fetch_add(&load.switches, now != *version);
    *version = now;
    atomic_fetch_add(&load.reads, 1);
    weir_json_free(j);
}

static void read_all(void *arg)
{
    (void)arg;
    weir_arena *a = weir_arena_new(0);
    int64_t version = -1; /* as for a document without v */
    while (!atomic_load(&load.stop)) {
        weir_error err = {0};
        weir_curl_response r = {0};
        char position[64];
        weir_arena_reset(a);
        weir_monitor_lock(load.lock);
        uint64_t last = atomic_load(&load.last);
        (void)snprintf(position, sizeof position, "%s", load.position);
        weir_monitor_unlock(load.lock);
        if (last == 0) {
            continue;
        }
        const char *url =
            weir_arena_printf(a, "%s/queries/order_view/%u?min_position=%s&wait_ms=10000",
                              app.app.read_url, (unsigned)(last >> 32), position);
        if (weir_curl("GET", url, NULL, (weir_slice){NULL, 0}, 20000, a, &r, &err) != WEIR_OK) {
            r.status = 0;
            r.body = weir_slice_z(weir_arena_strdup(a, err.msg));
        }
        judge(&r, (uint32_t)last, &version);
    }
    weir_arena_free(a);
}

static void begin_load(bool versioned)
{
    weir_error err = {0};
    memset(&load, 0, sizeof load);
    load.versioned = versioned;
    load.lock = weir_monitor_new();
    load.pg = sys_connect(&app);
    assert_rc(WEIR_OK, weir_thread_start(&load.writer, "writer", write_all, NULL, &err), &err);
    for (int i = 0; i < READERS; i++) {
        assert_rc(WEIR_OK, weir_thread_start(&load.reader[i], "reader", read_all, NULL, &err),
                  &err);
    }
}

static void end_load(const char *what)
{
    atomic_store(&load.stop, true);
    weir_thread_join(load.writer);
    for (int i = 0; i < READERS; i++) {
        weir_thread_join(load.reader[i]);
    }
    weir_pg_close(load.pg);
    weir_monitor_free(load.lock);
    print_message("system.rebuild: %s: %d transactions, %d reads beside it\n", what,
                  atomic_load(&load.transactions), atomic_load(&load.reads));
    if (load.bad[0]) {
        print_error("the first bad answer: %s\n", load.bad);
    }
    assert_int_equal(0, atomic_load(&load.gaps));
    assert_int_equal(0, atomic_load(&load.mixtures));
    assert_int_equal(0, atomic_load(&load.stale));
    assert_int_equal(0, atomic_load(&load.backwards));
    assert_true(atomic_load(&load.reads) > 0);
}

static bool did_some(void *arg)
{
    return atomic_load(&load.reads) >= *(int *)arg;
}

/* --- helpers ---------------------------------------------------------------------------------- */

static int rebuild(sys *s, const char *flag, const char *value)
{
    return value ? sys_weir(s, "rebuild", s->app.dir, "order_view", "--yes", flag, value, NULL)
                 : sys_weir(s, "rebuild", s->app.dir, "order_view", "--yes", flag, NULL);
}

struct keys {
    const char *pattern;
};

static bool no_keys(void *arg)
{
    return sys_keys(&app, ((struct keys *)arg)->pattern) == 0;
}

static void await_no_keys(sys *s, const char *pattern)
{
    struct keys k = {pattern};
    sys_await(s, no_keys, &k, READY_MS, weir_arena_printf(s->app.a, "no key like %s", pattern));
}

/* Documents of two generations are the same ones, with the same bytes. */
static void same_generations(sys *s, int a, int b)
{
    sys_settle(s);
    int64_t n = sys_keys(s, weir_arena_printf(s->app.a, "rebuild_it:order_view:%d:*", a));
    assert_int_equal(orders, n);
    assert_int_equal(n, sys_keys(s, weir_arena_printf(s->app.a, "rebuild_it:order_view:%d:*", b)));
    for (unsigned i = 1; i <= KEYS_MAX; i++) {
        unsigned id = 1 + i * 7919U % (unsigned)orders;
        const char *x = sys_redis_get(s, weir_arena_printf(s->app.a, "order_view:%d:%u", a, id));
        const char *y = sys_redis_get(s, weir_arena_printf(s->app.a, "order_view:%d:%u", b, id));
        assert_non_null(x);
        assert_non_null(y);
        assert_string_equal(x, y);
    }
}

/* --- tests, in this order
 * --------------------------------------------------------------------------------------- */

static void test_under_load(void **state)
{
    (void)state;
    sys *s = &app;
    int few = 20;
    begin_load(false);
    sys_await(s, did_some, &few, READY_MS, "the first reads");
    int64_t t0 = weir_mono_ms();
    int rc = rebuild(s, "--json", NULL);
    int64_t ms = weir_mono_ms() - t0;
    int more = atomic_load(&load.reads) + few;
    sys_await(s, did_some, &more, READY_MS, "reads after the switch");
    end_load("rebuild");
    SYS_CHECK(s, rc == 0);
    sys_said(s, "\"state\": \"done\", \"generation\": 2");
    sys_said(s, "0 differ");
    const char *last = strstr(s->said, "\"note\"");
    print_message("system.rebuild: %ld orders in %lld ms; %.160s\n", orders, (long long)ms,
                  last ? last : "");
    print_message("system.rebuild: projector %lld kB at most, %lld kB of its own\n",
                  (long long)sys_memory_kb(sys_pid(s, "projector"), "VmHWM"),
                  (long long)sys_memory_kb(sys_pid(s, "projector"), "RssAnon"));
    assert_int_equal(2, sys_model_generation(s, "order_view"));
    sys_verify(s);
}

static void test_the_kept_one_is_maintained(void **state)
{
    (void)state;
    sys *s = &app;
    int few = 50;
    begin_load(false);
    sys_await(s, did_some, &few, READY_MS, "reads");
    (void)kill(sys_pid(s, "projector"), SIGKILL); /* it remembers which one it keeps */
    few += atomic_load(&load.reads);
    sys_await(s, did_some, &few, READY_MS, "reads after a restart");
    end_load("kept");
    same_generations(s, 1, 2);
    assert_int_equal(0, sys_weir(s, "rebuild", s->app.dir, "--status", NULL));
    sys_said(s, "kept");
    sys_said(s, "until weir rebuild --drop-old");
}

static void test_back_and_forth(void **state)
{
    (void)state;
    sys *s = &app;
    begin_load(false);
    for (int i = 0; i < 2; i++) {
        int more = atomic_load(&load.reads) + 20;
        assert_int_equal(0, rebuild(s, "--rollback", NULL));
        sys_said(s, i ? "generation 2 serves again" : "generation 1 serves again");
        assert_int_equal(i ? 2 : 1, sys_model_generation(s, "order_view"));
        sys_await(s, did_some, &more, READY_MS, "reads after the rollback");
    }
    end_load("rollback, twice");
    sys_verify(s);
    assert_int_equal(0, rebuild(s, "--drop-old", NULL));
    await_no_keys(s, "rebuild_it:order_view:1:*");
    assert_int_equal(1, rebuild(s, "--rollback", NULL));
    sys_said(s, "no earlier generation is kept");
    assert_int_equal(orders, sys_keys(s, "rebuild_it:order_view:2:*"));
}

/* A changed SELECT does the same by itself, and a rollback holds until another SELECT comes. */
static void test_deploy_and_back(void **state)
{
    (void)state;
    sys *s = &app;
    begin_load(true);
    sys_put(s, "read-models/order_view.sql", MODEL("7 AS v, "));
    sys_deploy(s, 0);
    int more = atomic_load(&load.reads) + 20;
    sys_await(s, did_some, &more, READY_MS, "reads after the switch");
    assert_int_equal(3, sys_model_generation(s, "order_view"));
    end_load("deploy of a changed SELECT");
    assert_true(atomic_load(&load.switches) > 0);
    sys_verify(s);
    assert_int_equal(0, rebuild(s, "--rollback", NULL));
    sys_deploy(s, 0);
    assert_int_equal(2, sys_model_generation(s, "order_view"));
    assert_int_equal(1, sys_weir(s, "verify", s->app.dir, NULL));
    sys_said(s, "rolled back");
    SYS_CHECK(s, sys_query(s, "order_view/7") == 200);
    assert_null(strstr(s->body, "\"v\""));
    assert_int_equal(0, rebuild(s, "--keep-old", "0"));
    assert_int_equal(4, sys_model_generation(s, "order_view"));
    sys_verify(s);
    await_no_keys(s, "rebuild_it:order_view:2:*");
    await_no_keys(s, "rebuild_it:order_view:3:*");
}

/* What Redis has of the new generation is not what PostgreSQL says: no switch. */
static void test_differences_refuse(void **state)
{
    (void)state;
    sys *s = &app;
    weir_error err = {0};
    const weir_redis_reply *r = NULL;
    weir_slice set[] = {WEIR_SLICE_LIT("SET"), WEIR_SLICE_LIT("rebuild_it:order_view:5:99999999"),
                        WEIR_SLICE_LIT("{}")};
    assert_rc(WEIR_OK, weir_redisc_call(s->app.redis, &r, 3, set, &err), &err);
    begin_load(false);
    assert_int_equal(1, rebuild(s, "--json", NULL));
    sys_said(s, "99999999 left over");
    end_load("refused");
    assert_int_equal(4, sys_model_generation(s, "order_view"));
    assert_int_equal(0, sys_weir(s, "status", s->app.dir, NULL));
    sys_said(s, "refused");
    weir_slice del[] = {WEIR_SLICE_LIT("DEL"), set[1]};
    assert_rc(WEIR_OK, weir_redisc_call(s->app.redis, &r, 2, del, &err), &err);
    await_no_keys(s, "rebuild_it:order_view:5:*");
    sys_verify(s);
    assert_int_equal(0, rebuild(s, "--keep-old", "0"));
    assert_int_equal(6, sys_model_generation(s, "order_view"));
}

/* --- a switch and a Redis that lost something ------------------------------------------------- */

enum { SEEN_DOCS = 64, LOOKS_MAX = 200000 };

static void redis(sys *s, size_t argc, const char *const *words)
{
    weir_error err = {0};
    const weir_redis_reply *r = NULL;
    weir_slice argv[SEEN_DOCS + 2];
    for (size_t i = 0; i < argc; i++) {
        argv[i] = weir_slice_z(words[i]);
    }
    assert_rc(WEIR_OK, weir_redisc_call(s->app.redis, &r, argc, argv, &err), &err);
    assert_true(weir_redis_reply_type(r) != WEIR_REDIS_ERROR);
}

/* In one look: does Redis send readers to generation g, and does it have these documents? */
static void look(sys *s, size_t n, const weir_slice *exists, int g, bool *sent, bool *whole)
{
    weir_error err = {0};
    const weir_redis_reply *r = NULL;
    char want[40];
    weir_slice multi = WEIR_SLICE_LIT("MULTI");
    weir_slice hget[] = {WEIR_SLICE_LIT("HGET"), WEIR_SLICE_LIT("rebuild_it:models"),
                         WEIR_SLICE_LIT("order_view")};
    weir_slice exec = WEIR_SLICE_LIT("EXEC");
    (void)snprintf(want, sizeof want, "{\"generation\":%d,", g);
    assert_rc(WEIR_OK, weir_redisc_append(s->app.redis, 1, &multi, &err), &err);
    assert_rc(WEIR_OK, weir_redisc_append(s->app.redis, 3, hget, &err), &err);
    assert_rc(WEIR_OK, weir_redisc_append(s->app.redis, n, exists, &err), &err);
    assert_rc(WEIR_OK, weir_redisc_append(s->app.redis, 1, &exec, &err), &err);
    for (int i = 0; i < 4; i++) {
        assert_rc(WEIR_OK, weir_redisc_get(s->app.redis, &r, &err), &err);
    }
    assert_int_equal(2, weir_redis_reply_len(r));
    weir_slice entry = weir_redis_reply_str(weir_redis_reply_at(r, 0));
    *sent = weir_slice_starts(entry, weir_slice_z(want));
    *whole = weir_redis_reply_int(weir_redis_reply_at(r, 1)) == (int64_t)(n - 1);
}

/* The EXEC with the switch was lost together with some of the new documents (as by a Redis that was
 * killed): readers are sent to the new generation only when all of it is there again. */
static void test_a_switch_waits_for_redis(void **state)
{
    (void)state;
    sys *s = &app;
    int pid = sys_pid(s, "projector");
    int old = (int)sys_model_generation(s, "order_view");
    assert_int_equal(0, rebuild(s, "--json", NULL));
    int now = (int)sys_model_generation(s, "order_view");
    assert_true(now > old);
    const char *docs[SEEN_DOCS + 1];
    weir_slice exists[SEEN_DOCS + 1] = {WEIR_SLICE_LIT("EXISTS")};
    for (int i = 1; i <= SEEN_DOCS; i++) {
        docs[i] = weir_arena_printf(s->app.a, "rebuild_it:order_view:%d:%ld", now,
                                    orders * i / SEEN_DOCS);
        exists[i] = weir_slice_z(docs[i]);
    }
    const char *was = weir_arena_printf(
        s->app.a, "{\"generation\":%d,\"newest\":%d,\"state\":\"ready\",\"key\":[\"id\"]}", old,
        now);
    (void)kill(pid, SIGSTOP);
    docs[0] = "UNLINK";
    redis(s, SEEN_DOCS + 1, docs);
    redis(s, 4, (const char *const[]){"HSET", "rebuild_it:models", "order_view", was});
    redis(s, 3, (const char *const[]){"SET", "rebuild_it:position", "0/1"});
    sys_sql(s, "UPDATE orders SET mark = mark WHERE id = 4");
    (void)kill(pid, SIGCONT);
    bool sent = false;
    bool whole = false;
    for (int i = 0; i < LOOKS_MAX && !(sent && whole); i++) {
        look(s, SEEN_DOCS + 1, exists, now, &sent, &whole);
        assert_true(!sent || whole);
    }
    assert_true(sent && whole);
    sys_same(s, (uint64_t)orders);
    assert_int_equal(0, rebuild(s, "--drop-old", NULL));
}

/* --- crashes */

struct ended {
    int64_t order;
};

static bool is_over(void *arg)
{
    const struct ended *e = arg;
    return sys_number(&app, weir_arena_printf(app.app.a,
                                              "SELECT count(*) FROM weir.rebuild WHERE id = %lld "
                                              "AND state IN ('done', 'refused')",
                                              (long long)e->order)) == 1;
}

static void pause_ms(int64_t ms)
{
    weir_monitor *m = weir_monitor_new(); /* a moment chosen by the seed, not a condition */
    int64_t until = weir_mono_ms() + ms;
    weir_monitor_lock(m);
    for (int64_t left = ms; left > 0; left = until - weir_mono_ms()) {
        (void)weir_monitor_wait(m, left);
    }
    weir_monitor_unlock(m);
    weir_monitor_free(m);
}

static void test_crashes(void **state)
{
    (void)state;
    sys *s = &app;
    static const char *const victims[] = {"projector", "redis", "projector", "bridge"};
    const char *env = getenv("WEIR_TEST_SEED"); /* NOLINT(concurrency-mt-unsafe) */
    unsigned seed = env ? (unsigned)strtoul(env, NULL, 10) : (unsigned)weir_wall_us();
    print_message("system.rebuild: crashes, WEIR_TEST_SEED=%u\n", seed);
    for (int i = 0; i < CRASHES; i++) {
        int64_t before = sys_model_generation(s, "order_view");
        assert_int_equal(0, rebuild(s, "--no-wait", NULL));
        struct ended e = {sys_number(s, "SELECT max(id) FROM weir.rebuild")};
        seed = seed * 1664525U + 1013904223U;
        pause_ms(seed >> 16 & 255);
        (void)kill(sys_pid(s, victims[i]), SIGKILL);
        sys_sql(s, weir_arena_printf(s->app.a, "UPDATE orders SET mark = mark WHERE id = %d", i));
        sys_await(s, is_over, &e, READY_MS, "the end of a rebuild");
        SYS_CHECK(s, sys_number(s, weir_arena_printf(
                                       s->app.a,
                                       "SELECT count(*) FROM weir.rebuild WHERE id = %lld AND "
                                       "state = 'done'",
                                       (long long)e.order)) == 1);
        sys_await_model(s, "order_view", "ready", READY_MS);
        sys_same(s, (uint64_t)orders);
        assert_true(sys_model_generation(s, "order_view") > before);
    }
    sys_verify(s);
}

/* --- no read ---------------------------------------------------------------------------------- */

static bool are_gone(void *arg)
{
    return sys_number(&app, weir_arena_printf(app.app.a,
                                              "SELECT count(*) FROM pg_stat_activity WHERE pid = "
                                              "ANY ('{%s}')",
                                              (const char *)arg)) == 0;
}

/* Rows read from the tables so far. A session tells that when it ends, at the latest. */
static int64_t rows_read(sys *s)
{
    const char *pids = sys_value(
        s, "SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE application_name LIKE "
           "'weir%' AND backend_type = 'client backend' AND pg_terminate_backend(pid)");
    sys_await(s, are_gone, (void *)pids, READY_MS, "the end of the services' sessions");
    sys_settle(s);
    (void)sys_value(s, "SELECT pg_stat_force_next_flush()");
    return sys_number(s, "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM "
                         "pg_stat_user_tables WHERE relname IN ('customer', 'orders', "
                         "'order_line')");
}

/* A new model over tables and columns that are kept: from the state alone. */
static void test_a_new_model_reads_nothing(void **state)
{
    (void)state;
    sys *s = &app;
    int64_t before = rows_read(s);
    sys_put(s, "read-models/mark_view.sql",
            "-- @key id\nSELECT o.id, o.mark, c.name FROM orders o JOIN customer c ON c.id = "
            "o.customer_id\n");
    sys_deploy(s, 0);
    assert_int_equal(1, sys_model_generation(s, "mark_view"));
    assert_int_equal(orders, sys_keys(s, "rebuild_it:mark_view:1:*"));
    /* The planner looks at the ends of an index when weir deploy explains the SELECT. */
    assert_in_range(rows_read(s), before, before + PLANNER_ROWS);
    sys_verify(s);
}

/* --- a reconnect ------------------------------------------------------------------------------ */

/* How many times the projector has caught up with Redis, and how many documents it looked at for
 * the last. */
struct caught_up {
    int times;
    long long looked_at;
};

static struct caught_up caught_up(void)
{
    static const char mark[] = "looked_at=";
    struct caught_up c = {0, 0};
    weir_error err = {0};
    weir_arena *a = weir_arena_new(0);
    weir_slice text = {NULL, 0};
    const char *path = weir_arena_printf(a, "%s/.weir/log/projector.log", app.app.dir);
    if (weir_file_read(path, 1 << 24, a, &text, &err) == WEIR_OK && text.n > 0) {
        const char *at = weir_arena_dupz(a, text);
        while ((at = strstr(at, mark)) != NULL) {
            at += strlen(mark);
            c.times++;
            c.looked_at = strtoll(at, NULL, 10);
        }
    }
    weir_arena_free(a);
    return c;
}

static bool once_more(void *arg)
{
    return caught_up().times > *(int *)arg;
}

/* What Redis may lack after a lost connection is found by position, not by looking at every
 * document. */
static void test_a_reconnect_looks_at_little(void **state)
{
    (void)state;
    sys *s = &app;
    weir_error err = {0};
    const weir_redis_reply *r = NULL;
    sys_sql(s, "UPDATE orders SET mark = mark + 1 WHERE id <= 3; UPDATE order_line SET mark = mark "
               "+ 1 WHERE order_id <= 3");
    sys_settle(s);
    int before = caught_up().times;
    weir_slice kill_all[] = {WEIR_SLICE_LIT("CLIENT"), WEIR_SLICE_LIT("KILL"),
                             WEIR_SLICE_LIT("TYPE"),   WEIR_SLICE_LIT("normal"),
                             WEIR_SLICE_LIT("SKIPME"), WEIR_SLICE_LIT("yes")};
    assert_rc(WEIR_OK, weir_redisc_call(s->app.redis, &r, 6, kill_all, &err), &err);
    sys_sql(s, "UPDATE orders SET mark = mark WHERE id = 4");
    sys_await(s, once_more, &before, READY_MS, "the projector to catch up with Redis");
    assert_in_range(caught_up().looked_at, 0, 10);
    sys_same(s, (uint64_t)orders);
}

static int close_group(void **state)
{
    (void)state;
    sys_end(&app);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_under_load),
        cmocka_unit_test(test_the_kept_one_is_maintained),
        cmocka_unit_test(test_back_and_forth),
        cmocka_unit_test(test_deploy_and_back),
        cmocka_unit_test(test_differences_refuse),
        cmocka_unit_test(test_a_new_model_reads_nothing),
        cmocka_unit_test(test_a_reconnect_looks_at_little),
        cmocka_unit_test(test_a_switch_waits_for_redis),
        cmocka_unit_test(test_crashes),
    };
    const struct CMUnitTest only[] = {cmocka_unit_test(test_under_load)};
    sys_filter();
    if (getenv("WEIR_REBUILD_ONLY")) { /* NOLINT(concurrency-mt-unsafe) */
        return cmocka_run_group_tests_name("system.rebuild", only, open_group, close_group);
    }
    return cmocka_run_group_tests_name("system.rebuild", tests, open_group, close_group);
}
