/* test_system_verify.c - what `weir verify` must find, what it must not report, and that `weir
 * down` leaves no process behind.
 */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/codec/json.h"
#include "tests/support/check.h"
#include "tests/support/sys.h"

enum {
    ITEMS = 2000,
    STEP = 40,
    PROCESSES = 6,
    LOOKS = 5,
    TURNS = 80,
    PACE_MS = 5, /* unthrottled, a slow build's projector would be minutes behind in the end */
    WAIT_MS = 20000,
    AFTER_DOWN_MS = 2000
};

static sys app;
static int pids[PROCESSES + 1]; /* of everything that `weir up` started, the supervisor last */

static int open_group(void **state)
{
    (void)state;
    sys *s = &app;
    sys_new(s, WEIR_BIN_DIR, NULL, "[app]\nname = verify_it\n");
    sys_put(s, "schema/0001_init.sql",
            "CREATE TABLE item (id int PRIMARY KEY, n int, name text);\n"
            "INSERT INTO item SELECT i, 0, 'i' || i FROM generate_series(1, 2000) i;\n");
    sys_put(s, "read-models/item_view.sql", "-- @key id\nSELECT i.id, i.n, i.name FROM item i\n");
    sys_put(s, "read-models/name_view.sql",
            "-- @key name\nSELECT i.name, i.n FROM item i WHERE i.id <= 20\n");
    sys_put(s, "schema/0002_name.sql",
            "CREATE UNIQUE INDEX ON item (name);\n"
            "ALTER TABLE item ALTER name SET NOT NULL;\n");
    sys_up(s);
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    for (int i = 0; i < PROCESSES + 1; i++) {
        if (pids[i] > 0 && sys_memory_kb(pids[i], "VmRSS") > 0) {
            (void)kill(pids[i], SIGKILL); /* only a failed test leaves one */
        }
    }
    sys_end(&app);
    return 0;
}

static void redis(sys *s, const char *verb, const char *key, const char *value)
{
    weir_error err = {0};
    const weir_redis_reply *r = NULL;
    weir_slice argv[] = {weir_slice_z(verb),
                         weir_slice_z(weir_arena_printf(s->app.a, "%s:%s", s->app.ns, key)),
                         weir_slice_z(value ? value : "")};
    assert_rc(WEIR_OK, weir_redisc_call(s->app.redis, &r, value ? 3 : 2, argv, &err), &err);
}

static void test_every_kind_of_difference(void **state)
{
    (void)state;
    sys *s = &app;
    sys_same(s, ITEMS);
    sys_verify(s);
    redis(s, "DEL", "item_view:1:7", NULL);
    redis(s, "SET", "item_view:1:8", "{\"n\": 1, \"id\": 8, \"name\": \"i8\"}");
    redis(s, "SET", "item_view:1:4711", "{\"n\": 0, \"id\": 4711, \"name\": \"i4711\"}");
    redis(s, "SET", "name_view:1:i21",
          "{\"n\": 0, \"name\": \"i21\"}"); /* its row is filtered out */
    assert_int_equal(1, sys_weir(s, "verify", s->app.dir, NULL));
    sys_said(s, "missing in Redis");
    sys_said(s, "different");
    sys_said(s, "left over in Redis");
    sys_said(s, "4 differences");
    assert_int_equal(1, sys_weir(s, "verify", s->app.dir, "item_view", "--json", NULL));
    sys_said(s, "\"missing\": 1, \"different\": 1, \"left_over\": 1");
    assert_int_equal(1, sys_weir(s, "verify", s->app.dir, "name_view", "--json", NULL));
    sys_said(s, "\"missing\": 0, \"different\": 0, \"left_over\": 1");
}

static void test_repair(void **state)
{
    (void)state;
    sys *s = &app;
    assert_int_equal(0, sys_weir(s, "verify", s->app.dir, "--repair", NULL));
    assert_null(sys_redis_get(s, "item_view:1:4711"));
    sys_same(s, ITEMS);
    sys_verify(s);
}

/* PostgreSQL refuses the whole SELECT for one row of it; the other models are looked at all the
 * same.
 */
static void test_a_model_that_cannot_be_compared(void **state)
{
    (void)state;
    sys *s = &app;
    sys_put(s, "schema/0003_share.sql",
            "CREATE TABLE share (id int PRIMARY KEY, a int, b int);\n"
            "INSERT INTO share VALUES (1, 6, 3), (2, 1, 0);\n");
    sys_put(s, "read-models/half_view.sql",
            "-- @key id\nSELECT s.id, s.a / s.b AS q FROM share s\n");
    sys_deploy(s, 0);
    assert_int_equal(1, sys_weir(s, "verify", s->app.dir, NULL));
    sys_said(s, "half_view");
    sys_said(s, "cannot be compared: division by zero");
    sys_said(s, "name_view");
    sys_said(s, "2020 documents, 0 differences, 1 of 3 read models not compared");
    assert_int_equal(1, sys_weir(s, "verify", s->app.dir, "--json", NULL));
    sys_said(s, "{\"model\": \"half_view\", \"error\": \"division by zero\"}, {");
    sys_said(s, "\"differences\": 0, \"not_compared\": 1}");
    sys_remove(s, "read-models/half_view.sql");
    sys_deploy(s, 0);
    sys_verify(s);
}

static bool says_why(void *arg)
{
    sys *s = arg;
    return sys_readyz(s, "projector") == 503 && strstr(s->body, "Redis refuses writes: OOM");
}

static bool is_ready(void *arg)
{
    return sys_readyz(arg, "projector") == 200;
}

static void redis_set(sys *s, const char *option, const char *value)
{
    weir_error err = {0};
    const weir_redis_reply *r = NULL;
    weir_slice argv[] = {WEIR_SLICE_LIT("CONFIG"), WEIR_SLICE_LIT("SET"), weir_slice_z(option),
                         weir_slice_z(value)};
    assert_rc(WEIR_OK, weir_redisc_call(s->app.redis, &r, 4, argv, &err), &err);
}

/* What is told is what Redis said, not that the EXEC behind it was void. */
static void test_a_full_redis(void **state)
{
    (void)state;
    sys *s = &app;
    redis_set(s, "maxmemory", "1");
    sys_sql(s, "UPDATE item SET n = n + 1 WHERE id < 9");
    sys_await(s, says_why, s, WAIT_MS, "the projector to say that Redis is full");
    redis_set(s, "maxmemory", "0");
    sys_await(s, is_ready, s, WAIT_MS, "the projector to be ready again");
    sys_verify(s);
}

static bool says_evicts(void *arg)
{
    sys *s = arg;
    return sys_readyz(s, "projector") == 503 && strstr(s->body, "noeviction");
}

static bool has_all(void *arg)
{
    sys *s = arg;
    return sys_keys(s, "verify_it:*_view:*") == 2020;
}

/* What it evicted comes back by itself once it keeps what it is given. */
static void test_a_redis_that_evicts(void **state)
{
    (void)state;
    sys *s = &app;
    assert_true(has_all(s));
    redis_set(s, "maxmemory-policy", "allkeys-random");
    redis_set(s, "maxmemory", "1");
    sys_sql(s, "UPDATE item SET n = n + 1 WHERE id < 9");
    sys_await(s, says_evicts, s, WAIT_MS, "the projector to say that Redis evicts");
    redis_set(s, "maxmemory-policy", "noeviction");
    redis_set(s, "maxmemory", "0");
    sys_await(s, has_all, s, WAIT_MS, "all documents to be there again");
    sys_await(s, is_ready, s, WAIT_MS, "the projector to be ready again");
    sys_verify(s);
}

static bool is_served(void *arg)
{
    return sys_query(arg, "item_view/7") == 200;
}

/* A stranger's DEL of the models' entries is noticed as a flush would be. */
static void test_lost_entries(void **state)
{
    (void)state;
    sys *s = &app;
    weir_error err = {0};
    const weir_redis_reply *r = NULL;
    weir_slice argv[] = {WEIR_SLICE_LIT("DEL"), WEIR_SLICE_LIT("verify_it:models")};
    assert_rc(WEIR_OK, weir_redisc_call(s->app.redis, &r, 2, argv, &err), &err);
    sys_sql(s, "UPDATE item SET n = n + 1 WHERE id = 9");
    sys_await(s, is_served, s, WAIT_MS, "the models' entries to be written again");
    sys_verify(s);
}

/* --- while others write ----------------------------------------------------------------------- */

struct load {
    weir_pg *pg;
    int projector;
    atomic_bool stop;
    atomic_int turns;
};

/* Every other STEP turns the projector stands still: then Redis is behind for long, and steadily.
 */

static void writer(void *arg)
{
    struct load *l = arg;
    weir_error err = {0};
    for (int i = 0; !atomic_load(&l->stop); i++) {
        char sql[96];
        if (i % STEP == 0) {
            (void)kill(l->projector, i / STEP % 2 ? SIGCONT : SIGSTOP);
        }
        (void)snprintf(sql, sizeof sql, "UPDATE item SET n = n + 1 WHERE id %% %d = %d", STEP,
                       i % STEP);
        if (weir_pg_query(l->pg, sql, 0, NULL, NULL, &err) == WEIR_OK) {
            atomic_fetch_add(&l->turns, 1);
        }
        (void)poll(NULL, 0, PACE_MS);
    }
    (void)kill(l->projector, SIGCONT);
}

static bool has_turned(void *arg)
{
    struct load *l = arg;
    return atomic_load(&l->turns) >= TURNS;
}

/* Both sides are read at different moments: what differs only because of that is no difference. */
static void test_no_false_alarm_under_writes(void **state)
{
    (void)state;
    sys *s = &app;
    weir_error err = {0};
    weir_thread *t = NULL;
    struct load l = {.pg = sys_connect(s), .projector = sys_pid(s, "projector")};
    int rc = 0;
    assert_rc(WEIR_OK, weir_thread_start(&t, "writer", writer, &l, &err), &err);
    for (int i = 0; i < LOOKS && rc == 0; i++) {
        rc = sys_weir(s, "verify", s->app.dir, NULL);
    }
    bool wrote = weir_wait_until(has_turned, &l, WAIT_MS, "the writer to write");
    atomic_store(&l.stop, true);
    weir_thread_join(t);
    weir_pg_close(l.pg);
    if (rc != 0) {
        fail_msg("weir verify ended with %d:\n%s", rc, s->said);
    }
    assert_true(wrote);
    sys_same(s, ITEMS);
}

/* --- the end ---------------------------------------------------------------------------------- */

static int supervisor_pid(sys *s)
{
    weir_error err = {0};
    weir_slice text;
    weir_json *j = NULL;
    int64_t pid = 0;
    const char *path = weir_arena_printf(s->app.a, "%s/.weir/up.json", s->app.dir);
    assert_rc(WEIR_OK, weir_file_read(path, 1 << 20, s->app.a, &text, &err), &err);
    assert_rc(WEIR_OK, weir_json_parse(&j, text, &err), &err);
    assert_true(weir_json_i64(j, "supervisor", &pid));
    weir_json_free(j);
    return (int)pid;
}

static void note_pids(sys *s)
{
    static const char *const names[PROCESSES] = {"postgres",  "redis", "bridge",
                                                 "projector", "write", "read"};
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = sys_pid(s, names[i]);
        assert_true(pids[i] > 0);
        assert_int_equal(0, kill(pids[i], 0));
    }
    pids[PROCESSES] = supervisor_pid(s);
    assert_int_equal(0, kill(pids[PROCESSES], 0));
}

static bool all_gone(void *arg)
{
    (void)arg;
    for (int i = 0; i < PROCESSES + 1; i++) {
        if (sys_memory_kb(pids[i], "VmRSS") > 0) { /* 0 also for what nobody has waited for */
            return false;
        }
    }
    return true;
}

static void test_killed_supervisor_leaves_nothing(void **state)
{
    (void)state;
    sys *s = &app;
    note_pids(s);
    assert_int_equal(0, kill(pids[PROCESSES], SIGKILL));
    sys_await(s, all_gone, NULL, WAIT_MS, "every process to follow its supervisor");
    sys_up(s);
    sys_same(s, ITEMS);
}

static void test_down_leaves_nothing(void **state)
{
    (void)state;
    sys *s = &app;
    note_pids(s);
    assert_int_equal(0, sys_weir(s, "down", s->app.dir, NULL));
    sys_await(s, all_gone, NULL, AFTER_DOWN_MS, "every process to be gone after weir down");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_difference),
        cmocka_unit_test(test_repair),
        cmocka_unit_test(test_a_model_that_cannot_be_compared),
        cmocka_unit_test(test_a_full_redis),
        cmocka_unit_test(test_a_redis_that_evicts),
        cmocka_unit_test(test_lost_entries),
        cmocka_unit_test(test_no_false_alarm_under_writes),
        cmocka_unit_test(test_killed_supervisor_leaves_nothing),
        cmocka_unit_test(test_down_leaves_nothing),
    };
    sys_filter();
    return cmocka_run_group_tests_name("system.verify", tests, open_group, close_group);
}
