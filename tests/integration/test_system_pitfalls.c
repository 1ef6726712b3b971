/* test_system_pitfalls.c - pitfalls of logical decoding, through the whole pipeline: from
 * PostgreSQL to the documents.
 *
 * The services are started one by one, because most of these tests kill, freeze or double them.
 */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge/store.h"
#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "libweir/codec/json.h"
#include "libweir/codec/lsn.h"
#include "tests/support/check.h"
#include "tests/support/sys.h"

enum { BASE_ROWS = 60000, HUGE_ROWS = 200000, STOP_MS = 10000, READY_MS = 30000 };
enum { BRIDGE_MAX_KB = 256 * 1024, PROJECTOR_MAX_KB = 256 * 1024 };

static fixture fx;
static sys pit;

#define S(state)                                                                                   \
    (void)state;                                                                                   \
    fixture_need(&fx);                                                                             \
    sys *s = &pit

static int open_group(void **state)
{
    (void)state;
    if (fixture_open(&fx, FIXTURE_PG | FIXTURE_REDIS) != 0) {
        return -1;
    }
    if (fx.missing[0]) {
        return 0;
    }
    sys *s = &pit;
    sys_new(s, WEIR_BIN_DIR, &fx, "[app]\nname = pit\n[bridge]\nheartbeat_ms = 300\n");
    sys_put(
        s, "schema/0001_init.sql",
        "CREATE TABLE grp (id int PRIMARY KEY, name text);\n"
        "CREATE TABLE t (id int PRIMARY KEY, k int NOT NULL UNIQUE, grp int, v text, big text);\n"
        "ALTER TABLE t ALTER big SET STORAGE EXTERNAL;\n"
        "CREATE TABLE u (id int PRIMARY KEY, t_id int REFERENCES t ON UPDATE CASCADE ON DELETE "
        "CASCADE, w text);\n"
        "CREATE INDEX ON u (t_id);\n"
        "CREATE TABLE huge (id int PRIMARY KEY, grp int NOT NULL, v text);\n"
        "INSERT INTO grp SELECT i, 'g' || i FROM generate_series(0, 9) i;\n"
        "INSERT INTO t SELECT i, i + 1000000, i % 10, 'v' || i, CASE WHEN i % 100 = 0 THEN "
        "repeat(md5(i::text), 90) END\n"
        "  FROM generate_series(1, 60000) i;\n"
        "INSERT INTO u SELECT i, i % 5000 + 1, 'w' || i FROM generate_series(1, 10000) i;\n");
    sys_put(s, "read-models/t_view.sql",
            "-- @key id\nSELECT t.id, t.k, t.v, t.big, g.name AS grp,\n"
            "       (SELECT jsonb_agg(jsonb_build_object('id', u.id, 'w', u.w) ORDER BY u.id) FROM "
            "u WHERE u.t_id = t.id) AS us\n"
            "  FROM t LEFT JOIN grp g ON g.id = t.grp WHERE t.id < 3000 OR t.id > 59000\n");
    sys_put(s, "read-models/huge_view.sql", "-- @key id\nSELECT h.id, h.v FROM huge h\n");
    sys_put(
        s, "read-models/grp_view.sql",
        "-- @key id\nSELECT g.id, g.name, (SELECT count(*) FROM huge h WHERE h.grp = g.id) AS n,\n"
        "       (SELECT sum(h.id) FROM huge h WHERE h.grp = g.id) AS total FROM grp g\n");
    sys_weir(s, "deploy", s->app.dir, "--no-wait", NULL);
    sys_said(s, "revision");
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    sys_end(&pit);
    fixture_close(&fx);
    return 0;
}

/* A text member of an object within /status of a service; "" when absent. */
static const char *status_text(sys *s, const char *service, const char *object, const char *key)
{
    weir_error err = {0};
    weir_json *j = NULL;
    weir_slice text = {0};
    const char *out = "";
    (void)sys_http(s, "GET", weir_arena_printf(s->app.a, "%s/status", sys_url(s, service)), NULL,
                   NULL);
    if (s->status == 200 && weir_json_parse(&j, weir_slice_z(s->body), &err) == WEIR_OK) {
        const weir_json *from = object ? weir_json_get(j, object) : j;
        if (weir_json_str(from, key, &text)) {
            out = weir_arena_dupz(s->app.a, text);
        }
    }
    weir_json_free(j);
    return out;
}

/* --- the first copy
 * ---------------------------------------------------------------------------------------------------
 */

static bool is_copying(void *arg)
{
    return strcmp(status_text(arg, "bridge", "slot", "state"), "copying") == 0;
}

static const char slots_sql[] =
    "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'weir_pit'";

static void test_killed_during_the_first_copy(void **state)
{
    S(state);
    for (int i = 0; i < 2; i++) {
        sys_start(s, "bridge", false);
        sys_await(s, is_copying, s, 20000, "the first copy");
        fixture_kill9(sys_proc(s, "bridge"));
        sys_sql(s,
                "UPDATE t SET v = v || '!' WHERE id % 1000 = 7; DELETE FROM u WHERE id % 1000 = 3");
    }
    sys_start_all(s);
    assert_int_equal(1, sys_number(s, slots_sql));
    sys_await_model(s, "t_view", "ready", READY_MS);
    sys_await_model(s, "huge_view", "ready", READY_MS);
    sys_await_model(s, "grp_view", "ready", READY_MS);
    sys_same(s, 3000);
}

/* --- rows and keys
 * -----------------------------------------------------------------------------------------------------
 */

static void test_unchanged_toast_and_moved_keys(void **state)
{
    S(state);
    static const char *const identities[] = {"DEFAULT", "FULL", "USING INDEX t_k_key", "DEFAULT"};
    for (int i = 0; i < 4; i++) {
        sys_sql(s, weir_arena_printf(s->app.a, "ALTER TABLE t REPLICA IDENTITY %s", identities[i]));
        sys_sql(s, "UPDATE t SET v = v || '+' WHERE id BETWEEN 100 AND 400");
        sys_sql(s, "UPDATE t SET id = -id, v = 'moved' WHERE id IN (100, 200, -300, 300)");
        sys_sql(s, "UPDATE t SET k = -k WHERE id IN (400, 500, 501)");
        sys_sql(s, "UPDATE t SET id = id + 1000000, k = k + 5000000 WHERE id IN (600, 601)");
        sys_sql(s,
                "UPDATE t SET id = id - 1000000, k = k - 5000000 WHERE id IN (1000600, 1000601)");
        sys_sql(s, "BEGIN; INSERT INTO t VALUES (59999999, 1, 1, 'new', repeat(md5('x'), 100));"
                   "UPDATE t SET v = 'changed' WHERE id = 59999999; UPDATE t SET id = 59999998 "
                   "WHERE id = 59999999;"
                   "SAVEPOINT a; UPDATE t SET big = 'undone' WHERE id = 59999998; ROLLBACK TO a;"
                   "UPDATE t SET grp = 2 WHERE id = 59999998; COMMIT");
        sys_sql(s, "DELETE FROM t WHERE id = 59999998 OR id = 700 + (SELECT count(*) FROM t WHERE "
                   "id = 0)");
        sys_sql(s, "UPDATE grp SET id = id + 100 WHERE id = 5; UPDATE grp SET id = id - 100 WHERE "
                   "id = 105");
        /* Rows known by another key than before: the model is stalled until it is built anew, which
         * a deploy waits for. */
        sys_deploy(s, 0);
        sys_same(s, 3000);
    }
    /* Without an identity PostgreSQL refuses the application's own writes to a published table, and
     * what reads it stands still until it has one again. */
    sys_sql(s, "ALTER TABLE u REPLICA IDENTITY NOTHING");
    assert_string_equal("55000", sys_sql_error(s, "UPDATE u SET w = 'x' WHERE id = 1"));
    sys_deploy(s, 1); /* a read model needs it */
    sys_said(s, "t_view.sql");
    sys_said(s, "REPLICA IDENTITY");
    assert_has(sys_await_model(s, "t_view", "stalled", READY_MS), "no row identity");
    sys_sql(s, "ALTER TABLE u REPLICA IDENTITY DEFAULT; UPDATE u SET w = 'y' WHERE id < 50");
    (void)sys_await_model(s, "t_view", "ready", READY_MS);
    sys_same(s, 3000);
}

static void test_truncate(void **state)
{
    S(state);
    sys_sql(s, "CREATE TABLE saved AS SELECT * FROM t; CREATE TABLE saved_u AS SELECT * FROM u");
    sys_sql(s, "BEGIN; UPDATE t SET v = 'before' WHERE id < 50; TRUNCATE t, u, huge; INSERT INTO t "
               "SELECT * FROM saved WHERE id < 500;"
               "INSERT INTO u SELECT * FROM saved_u WHERE t_id < 400 AND t_id IN (SELECT id FROM "
               "t); COMMIT");
    sys_same(s, 400);
    sys_sql(s, "BEGIN; SAVEPOINT a; TRUNCATE t CASCADE; ROLLBACK TO a; UPDATE t SET v = 'kept' "
               "WHERE id = 5; COMMIT");
    sys_same(s, 400);
    sys_sql(s, "TRUNCATE t CASCADE");
    sys_same(s, 10);
    assert_int_equal(0, sys_keys(s, "pit:t_view:*"));
    sys_sql(s, "INSERT INTO t SELECT * FROM saved WHERE id < 500; DROP TABLE saved, saved_u");
    sys_same(s, 400);
}

/* A message outside of transactions ends where the commit record of an open transaction begins. */
static void test_commit_behind_a_message(void **state)
{
    S(state);
    static const char *const prefixes[] = {"weir.heartbeat", "somebody"};
    weir_error err = {0};
    weir_pg *pg = sys_connect(s);
    for (int i = 0; i < 20; i++) {
        const char *mine =
            weir_arena_printf(s->app.a, "BEGIN; UPDATE grp SET name = 'round %d' WHERE id = 3", i);
        assert_rc(WEIR_OK, weir_pg_script(pg, mine, &err), &err);
        sys_sql(s, weir_arena_printf(s->app.a, "SELECT pg_logical_emit_message(false, '%s', 'x')",
                                     prefixes[i % 2]));
        assert_rc(WEIR_OK, weir_pg_query(pg, "COMMIT", 0, NULL, NULL, &err), &err);
        sys_settle(s);
        const char *doc = sys_redis_get(s, "grp_view:1:3");
        assert_non_null(doc);
        assert_has(doc, weir_arena_printf(s->app.a, "\"round %d\"", i));
    }
    weir_pg_close(pg);
}

/* --- a huge transaction
 * ------------------------------------------------------------------------------------------------------
 */

struct watcher {
    sys *s;
    atomic_bool stop;
    atomic_int looks, partial;
    atomic_llong bridge_kb, projector_kb;
    weir_redisc *redis;
};

static void peak(atomic_llong *to, int pid)
{
    long long kb = sys_memory_kb(pid, "RssAnon");
    if (kb > atomic_load(to)) {
        atomic_store(to, kb);
    }
}

/* Looks at a document that sums the whole transaction up: all of it or nothing of it. */
static void watch_huge(void *arg)
{
    struct watcher *w = arg;
    weir_arena *a = weir_arena_new(0);
    int bridge = sys_pid(w->s, "bridge"), projector = sys_pid(w->s, "projector");
    while (!atomic_load(&w->stop)) {
        weir_error err = {0};
        const weir_redis_reply *r = NULL;
        weir_slice get[] = {WEIR_SLICE_LIT("GET"), WEIR_SLICE_LIT("pit:grp_view:1:7")};
        int64_t n = -1;
        weir_json *j = NULL;
        if (weir_redisc_call(w->redis, &r, 2, get, &err) == WEIR_OK &&
            weir_json_parse(&j, weir_redis_reply_str(r), &err) == WEIR_OK &&
            weir_json_i64(j, "n", &n)) {
            atomic_fetch_add(&w->looks, 1);
            atomic_fetch_add(&w->partial, n != 0 && n != HUGE_ROWS);
        }
        weir_json_free(j);
        peak(&w->bridge_kb, bridge);
        peak(&w->projector_kb, projector);
        (void)poll(NULL, 0, 1);
    }
    weir_arena_free(a);
}

static void test_huge_transaction(void **state)
{
    S(state);
    weir_error err = {0};
    weir_thread *t = NULL;
    struct watcher w = {.s = s};
    assert_rc(WEIR_OK, weir_redisc_open(&w.redis, s->app.redis_uri, 10000, &err), &err);
    assert_rc(WEIR_OK, weir_thread_start(&t, "watcher", watch_huge, &w, &err), &err);
    int64_t t0 = weir_mono_ms();
    sys_sql(s,
            weir_arena_printf(
                s->app.a,
                "INSERT INTO huge SELECT i, 7, repeat('v' || i, 10) FROM generate_series(1, %d) i",
                HUGE_ROWS));
    int64_t t1 = weir_mono_ms();
    sys_settle(s);
    int64_t t2 = weir_mono_ms();
    atomic_store(&w.stop, true);
    weir_thread_join(t);
    weir_redisc_close(w.redis);
    print_message("system.pitfalls: %d rows inserted in %lld ms, in Redis %lld ms later; peak of "
                  "private memory: bridge %lld kB "
                  "(VmHWM %lld), projector %lld kB (VmHWM %lld)\n",
                  HUGE_ROWS, (long long)(t1 - t0), (long long)(t2 - t1), atomic_load(&w.bridge_kb),
                  (long long)sys_memory_kb(sys_pid(s, "bridge"), "VmHWM"),
                  atomic_load(&w.projector_kb),
                  (long long)sys_memory_kb(sys_pid(s, "projector"), "VmHWM"));
    assert_int_equal(0, atomic_load(&w.partial));
    assert_true(atomic_load(&w.looks) > 10);
    if (!weir_test_sanitized()) { /* a sanitizer keeps what was freed */
        assert_true(atomic_load(&w.bridge_kb) < BRIDGE_MAX_KB);
        assert_true(sys_memory_kb(sys_pid(s, "bridge"), "VmHWM") < BRIDGE_MAX_KB);
        assert_true(atomic_load(&w.projector_kb) < PROJECTOR_MAX_KB);
    }
    sys_same(s, HUGE_ROWS);
    sys_sql(s, "TRUNCATE huge");
    sys_same(s, 10);
}

struct unready {
    sys *s;
    const char *service, *text;
};

static bool says_on_readyz(void *arg)
{
    struct unready *u = arg;
    return sys_readyz(u->s, u->service) == 503 && strstr(u->s->body, u->text) != NULL;
}

static void await_unready(sys *s, const char *service, const char *text)
{
    struct unready u = {s, service, text};
    sys_await(s, says_on_readyz, &u, 15000,
              weir_arena_printf(s->app.a, "\"%s\" on /readyz of %s", text, service));
}

/* --- what is confirmed
 * ----------------------------------------------------------------------------------------------------------
 */

struct hammer {
    weir_pg *pg;
    atomic_bool stop;
};

static void hammer(void *arg)
{
    struct hammer *h = arg;
    weir_error err = {0};
    for (int i = 0; !atomic_load(&h->stop); i++) {
        char sql[120];
        (void)snprintf(sql, sizeof sql, "UPDATE t SET v = 'h%d' WHERE id BETWEEN %d AND %d", i,
                       i % 400, i % 400 + i % 60);
        if (weir_pg_query(h->pg, sql, 0, NULL, NULL, &err) != WEIR_OK) {
            break;
        }
    }
}

static uint64_t confirmed_flush(sys *s)
{
    uint64_t lsn = 0;
    const char *sql = weir_arena_printf(
        s->app.a, "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '%s'",
        s->s.bridge_slot);
    assert_true(weir_lsn_parse(weir_slice_z(sys_value(s, sql)), &lsn));
    return lsn;
}

/* The end of the log of a bridge that does not run. */
static uint64_t log_end(sys *s)
{
    weir_error err = {0};
    brg_store store;
    brg_meta meta;
    assert_rc(WEIR_OK,
              brg_store_open(&store, s->s.bridge_data_dir, (size_t)s->s.bridge_log_map_bytes, &err),
              &err);
    assert_rc(WEIR_OK, brg_store_meta(&store, &meta, &err), &err);
    brg_store_close(&store);
    return meta.end.lsn;
}

static bool slot_is_free(void *arg)
{
    sys *s = arg;
    return sys_number(s, weir_arena_printf(s->app.a,
                                           "SELECT count(*) FROM pg_replication_slots WHERE active "
                                           "AND slot_name = '%s'",
                                           s->s.bridge_slot)) == 0;
}

static void check_confirmed(sys *s)
{
    fixture_kill9(sys_proc(s, "bridge"));
    sys_await(s, slot_is_free, s, 10000, "the slot to be free");
    uint64_t confirmed = confirmed_flush(s), end = log_end(s);
    if (confirmed > end) {
        char a[WEIR_LSN_TEXT_MAX], b[WEIR_LSN_TEXT_MAX];
        fail_msg("confirmed %s, the log ends at %s", weir_lsn_print(confirmed, a),
                 weir_lsn_print(end, b));
    }
}

static void test_confirmed_is_in_the_log(void **state)
{
    S(state);
    weir_error err = {0};
    weir_thread *t = NULL;
    static struct hammer h; /* outlives a failure */
    h = (struct hammer){.pg = sys_connect(s)};
    uint64_t seed = weir_test_seed();
    assert_rc(WEIR_OK, weir_thread_start(&t, "hammer", hammer, &h, &err), &err);
    for (int i = 0; i < 6; i++) {
        (void)poll(NULL, 0, 100 + (int)(weir_test_random(&seed) % 200));
        check_confirmed(s);
        sys_start(s, "bridge", true);
    }
    atomic_store(&h.stop, true);
    weir_thread_join(t);
    weir_pg_close(h.pg);
    sys_same(s, 400);
}

static int end_full(void **state)
{
    if (*state) {
        sys_end(*state);
    }
    return 0;
}

/* A log that takes nothing for a while: what is decoded and waits must not be confirmed. */
static void test_full_log_confirms_nothing(void **state)
{
    static sys full;
    fixture_need(&fx);
    sys *s = &full;
    sys_new(s, WEIR_BIN_DIR, &fx,
            "[app]\nname = full\n[bridge]\nlog_map_bytes = 4M\n"
            "log_keep_ms = 1h\nheartbeat_ms = 100\n");
    *state = s;
    sys_put(s, "schema/0001_init.sql", "CREATE TABLE wide (id int PRIMARY KEY, v text);\n");
    sys_weir(s, "deploy", s->app.dir, "--no-wait", NULL);
    sys_start(s, "bridge", true);
    sys_sql(s, "INSERT INTO wide VALUES (0, 'fits')");
    for (int i = 1; i < 90; i++) {
        sys_sql(s, weir_arena_printf(s->app.a,
                                     "INSERT INTO wide SELECT %d, string_agg(md5(i::text), '') "
                                     "FROM generate_series(1, 2000) i",
                                     i));
    }
    await_unready(s, "bridge", "full");
    /* Sooner or later room is made, since nobody subscribes; until then several feedbacks go out.
     */
    (void)poll(NULL, 0, 150);
    check_confirmed(s);
}

/* --- doubles
 * ----------------------------------------------------------------------------------------------------------------------
 */

/* A further process of a service with its own ports; overrides are further environment settings. */
static fixture_proc *second(sys *s, const char *service, const char *name, const char *data_dir)
{
    weir_arena *a = s->app.a;
    const char *const argv[] = {weir_arena_printf(a, "%s/weir-%s", s->app.bin, service),
                                "--config",
                                weir_arena_printf(a, "%s/weir.ini", s->app.dir),
                                "--app",
                                s->app.dir,
                                NULL};
    const char *const env[] = {
        weir_arena_printf(a, "WEIR_BRIDGE_PORT=%d", fixture_free_port()),
        weir_arena_printf(a, "WEIR_PROJECTOR_PORT=%d", fixture_free_port()),
        strcmp(service, "bridge") == 0
            ? weir_arena_printf(a, "WEIR_BRIDGE_FEED=tcp://127.0.0.1:%d", fixture_free_port())
            : "X=",
        data_dir
            ? weir_arena_printf(a, "WEIR_%s_DATA_DIR=%s",
                                strcmp(service, "bridge") == 0 ? "BRIDGE" : "PROJECTOR", data_dir)
            : "Y=",
        NULL};
    fixture_proc *p = fixture_spawn(&fx, name, argv, env);
    assert_non_null(p);
    return p;
}

static bool has_ended(void *arg)
{
    return !fixture_running(arg);
}

/* A file's text must come to hold text. */
struct in_log {
    const char *path, *text;
};

static bool log_says(void *arg)
{
    struct in_log *l = arg;
    return orc_run(false, (const char *const[]){"grep", "-qF", l->text, l->path, NULL}) == 0;
}

static void await_log(sys *s, const fixture_proc *p, const char *text)
{
    struct in_log l = {p->log, text};
    sys_await(s, log_says, &l, 15000, weir_arena_printf(s->app.a, "\"%s\" in %s", text, p->log));
}

static void test_second_processes(void **state)
{
    S(state);
    /* On the same data: refused before it touches anything. */
    fixture_proc *p = second(s, "bridge", "second-bridge", NULL);
    sys_await(s, has_ended, p, 10000, "the second bridge to give up");
    await_log(s, p, "in use by another process");
    p = second(s, "projector", "second-projector", NULL);
    sys_await(s, has_ended, p, 10000, "the second projector to give up");
    await_log(s, p, "in use by another process");
    /* Another log on the same slot: neither steals it, nor copies, nor drops it. */
    p = second(s, "bridge", "foreign-bridge", weir_arena_printf(s->app.a, "%s/other-log", s->top));
    await_log(s, p, "slot weir_pit exists");
    assert_int_equal(0, fixture_stop(p, STOP_MS));
    sys_sql(s, "UPDATE grp SET name = 'one bridge' WHERE id = 1");
    sys_same(s, 400);
    /* Another projector on the same documents: one of the two writes, and the other says so. */
    p = second(s, "projector", "foreign-projector",
               weir_arena_printf(s->app.a, "%s/other-state", s->top));
    await_unready(s, "projector", "another projector took over");
    await_log(s, p, "model=grp_view generation=2 state=ready");
    assert_int_equal(0, fixture_stop(p, STOP_MS));
    assert_int_equal(0, fixture_stop(sys_proc(s, "projector"), STOP_MS));
    sys_start(s, "projector", true);
    sys_sql(s, "UPDATE grp SET name = 'one projector' WHERE id = 2");
    sys_same(s, 400);
}

/* --- the slot behind the bridge's back
 * -------------------------------------------------------------------------------------------- */

static const char *const VIEWS[] = {"t_view", "grp_view", "huge_view"};
enum { NVIEWS = sizeof VIEWS / sizeof *VIEWS };

typedef struct anew {
    sys *s;
    int64_t before[NVIEWS]; /* generations */
} anew;

/* Until the projector has heard of the new bridge, everything is ready, as it was before. */
static bool made_anew(void *arg)
{
    anew *w = arg;
    bool all = true;
    for (int i = 0; i < NVIEWS; i++) {
        all = all && sys_model_generation(w->s, VIEWS[i]) > w->before[i] &&
              strcmp(sys_model_state(w->s, VIEWS[i], NULL), "ready") == 0;
    }
    return all;
}

/* What the text on /readyz says: stop, empty the folder, drop the slot, start. */
static void take_the_remedy(sys *s)
{
    anew w = {.s = s};
    for (int i = 0; i < NVIEWS; i++) {
        w.before[i] = sys_model_generation(s, VIEWS[i]);
    }
    assert_int_equal(0, fixture_stop(sys_proc(s, "bridge"), STOP_MS));
    assert_int_equal(0,
                     orc_run(true, (const char *const[]){"rm", "-rf", s->s.bridge_data_dir, NULL}));
    sys_sql(s, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE "
               "slot_name = 'weir_pit'");
    sys_start(s, "bridge", true);
    sys_await(s, made_anew, &w, READY_MS, "every model to be made anew");
    sys_same(s, 400);
}

static void test_slot_advanced(void **state)
{
    S(state);
    assert_int_equal(0, fixture_stop(sys_proc(s, "bridge"), STOP_MS));
    sys_await(s, slot_is_free, s, 10000, "the slot to be free");
    sys_sql(
        s, "UPDATE t SET v = 'skipped' WHERE id < 100; DELETE FROM t WHERE id BETWEEN 200 AND 210");
    sys_sql(s, "SELECT pg_replication_slot_advance('weir_pit', pg_current_wal_flush_lsn())");
    uint64_t confirmed = confirmed_flush(s);
    sys_start(s, "bridge", false);
    await_unready(s, "bridge", "changes between are missing");
    assert_string_equal("gap", status_text(s, "bridge", "slot", "state"));
    sys_weir(s, "status", s->app.dir, NULL);
    sys_said(s, "gap");
    assert_true(confirmed == confirmed_flush(s));
    assert_true(fixture_running(sys_proc(s, "bridge")));
    take_the_remedy(s);
}

static bool slot_dropped(void *arg)
{
    sys *s = arg;
    sys_sql(s, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name "
               "= 'weir_pit'");
    return sys_sql_error(s, "SELECT pg_drop_replication_slot('weir_pit')")[0] == '\0';
}

static void test_slot_dropped(void **state)
{
    S(state);
    sys_await(s, slot_dropped, s, 10000, "the slot to be dropped");
    sys_sql(s, "UPDATE t SET v = 'lost' WHERE id < 100");
    await_unready(s, "bridge", "slot weir_pit is gone");
    assert_string_equal("lost", status_text(s, "bridge", "slot", "state"));
    sys_weir(s, "status", s->app.dir, NULL);
    sys_said(s, "lost");
    /* It must not help itself, not even after a restart. */
    assert_int_equal(0, fixture_stop(sys_proc(s, "bridge"), STOP_MS));
    sys_start(s, "bridge", false);
    await_unready(s, "bridge", "slot weir_pit is gone");
    assert_int_equal(0, sys_number(s, slots_sql));
    take_the_remedy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_during_the_first_copy),
        cmocka_unit_test(test_unchanged_toast_and_moved_keys),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_commit_behind_a_message),
        cmocka_unit_test(test_huge_transaction),
        cmocka_unit_test(test_confirmed_is_in_the_log),
        cmocka_unit_test_teardown(test_full_log_confirms_nothing, end_full),
        cmocka_unit_test(test_second_processes),
        cmocka_unit_test(test_slot_advanced),
        cmocka_unit_test(test_slot_dropped),
    };
    sys_filter();
    return cmocka_run_group_tests_name("system.pitfalls", tests, open_group, close_group);
}
