/* test_crawler_live.c - the direct copy beside writers that never stop, killed again and again:
 * what it copied, and the stream from before it began, make the target equal.
 *
 * WEIR_CRAWL_RUNS=200 makes it long, WEIR_CRAWL_SEED repeats a run.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"
#include "tests/support/pgapply.h"

enum { WRITERS = 3, RUNS = 3, KEYS = 300, COPY_MS = 60000, LOOK_MS = 1500 };
/* A copy gives up on a table that is truncated more often than this while it is copied; how many
 * fit into a copy is a matter of the machine. */
enum { TRUNCATES_MAX = 15 };

static fixture fx;
static weir_pg *target;
static char target_uri[400];
static uint64_t seed0;

static uint64_t next(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static int below(uint64_t *s, int n)
{
    return (int)(next(s) % (uint64_t)n);
}

static weir_pg *connect(const char *uri)
{
    weir_pg_conf conf = {.uri = uri, .application_name = "writer"};
    weir_error err;
    weir_pg *pg = NULL;
    if (weir_pg_open(&pg, &conf, &err) != WEIR_OK) {
        fail_msg("%s", err.msg);
    }
    return pg;
}

static void target_sql(const char *sql)
{
    weir_error err;
    if (weir_pg_script(target, sql, &err) != WEIR_OK) {
        fail_msg("%s: %s", sql, err.msg);
    }
}

static const char *target_value(const char *sql)
{
    weir_error err;
    weir_pg_rows *r = NULL;
    if (weir_pg_query(target, sql, 0, NULL, &r, &err) != WEIR_OK) {
        fail_msg("%s: %s", sql, err.msg);
    }
    const char *v = weir_arena_dupz(fx.a, weir_pg_value(r, 0, 0));
    weir_pg_rows_free(r);
    return v;
}

static int setup(void **state)
{
    (void)state;
    const char *seed = getenv("WEIR_CRAWL_SEED");
    seed0 = seed ? strtoull(seed, NULL, 10) : (uint64_t)weir_wall_us();
    print_message("WEIR_CRAWL_SEED=%llu\n", (unsigned long long)seed0);
    if (fixture_open(&fx, FIXTURE_PG) != 0) {
        return -1;
    }
    if (fx.missing[0]) {
        return 0;
    }
    fixture_sql(&fx, "CREATE DATABASE mirror");
    /* Both databases share a server here: what holds the source's commits must not hold ours. */
    fixture_sql(&fx, "ALTER DATABASE mirror SET synchronous_commit = local");
    (void)snprintf(target_uri, sizeof target_uri, "postgresql://postgres@/mirror?host=%s/sock",
                   fx.pg.dir);
    target = connect(target_uri);
    fixture_sql(&fx, "SET synchronous_commit = local");
    fixture_sql(&fx, "CREATE TABLE a (id int PRIMARY KEY, v int, big text);"
                     "CREATE TABLE t (k1 text, k2 int, v int, big text, PRIMARY KEY (k1, k2));"
                     "CREATE TABLE tr (id int PRIMARY KEY, v int);"
                     "ALTER TABLE a ALTER big SET STORAGE EXTERNAL;"
                     "ALTER TABLE t ALTER big SET STORAGE EXTERNAL;"
                     "CREATE PUBLICATION crawl FOR TABLE a, t, tr");
    fixture_sql(&fx, "SELECT pg_create_logical_replication_slot('crawl', 'pgoutput')");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weir_pg_close(target);
    fixture_close(&fx);
    return 0;
}

/* --- writers -------------------------------------------------------------------------------------
 */

typedef struct writer {
    uint64_t rnd;
    weir_thread *thread;
    int64_t done;
} writer;

/* These outlive a run that fails. */
static writer writers[WRITERS];
static atomic_bool stop;
static atomic_int truncates;

#define BIG "repeat(md5(random()::text), 100)"

static void put_op(weir_buf *b, uint64_t *rnd, bool truncate)
{
    int k = below(rnd, KEYS);
    int k2 = below(rnd, KEYS);
    switch (below(rnd, truncate ? 11 : 10)) {
    case 0:
    case 1:
        weir_buf_printf(b, "INSERT INTO a VALUES (%d, %d, " BIG ") ON CONFLICT DO NOTHING;", k, k2);
        break;
    case 2: weir_buf_printf(b, "UPDATE a SET v = v + 1 WHERE id = %d;", k); break;
    case 3:
        weir_buf_printf(b,
                        "UPDATE a SET id = %d WHERE id = %d AND NOT EXISTS (SELECT FROM a WHERE "
                        "id = %d);",
                        k2, k, k2);
        break;
    case 4:
        weir_buf_printf(b, "DELETE FROM a WHERE id = %d; UPDATE a SET big = " BIG " WHERE id = %d;",
                        k, k2);
        break;
    case 5:
        weir_buf_printf(b,
                        "INSERT INTO t VALUES ('Key ' || %d %% 7, %d, 1, " BIG ") ON CONFLICT DO "
                        "NOTHING;",
                        k, k2);
        break;
    case 6:
        weir_buf_printf(b,
                        "UPDATE t SET k1 = 'key ' || %d %% 9, k2 = %d WHERE k2 = %d AND NOT EXISTS "
                        "(SELECT FROM t WHERE k1 = 'key ' || %d %% 9 AND k2 = %d);",
                        k, k2, k, k, k2);
        break;
    case 7:
        weir_buf_printf(b, "DELETE FROM t WHERE k2 = %d; UPDATE t SET v = v + 1 WHERE k2 = %d;", k,
                        k2);
        break;
    case 10:
        atomic_fetch_add(&truncates, 1);
        weir_buf_putz(b, "TRUNCATE tr;");
        break;
    default:
        weir_buf_printf(b,
                        "INSERT INTO tr SELECT i, %d FROM generate_series(%d, %d) i ON CONFLICT "
                        "(id) DO UPDATE SET v = tr.v + 1;",
                        k2, k, k + 5);
    }
}

static void write_on(void *arg)
{
    writer *w = arg;
    weir_pg *pg = connect(fx.pg.uri);
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_error err;
    /* Moves of several rows to one key and waits in a circle fail, and are forgotten. */
    weir_rc rc = weir_pg_script(pg, "SET lock_timeout = '2s'; SET deadlock_timeout = '50ms'", &err);
    while (!atomic_load(&stop)) {
        weir_buf_reset(&b);
        weir_buf_printf(&b, "BEGIN; SET LOCAL synchronous_commit = %s;",
                        below(&w->rnd, 3) ? "local" : "on");
        for (int n = 1 + below(&w->rnd, 4); n > 0; n--) {
            bool truncate = below(&w->rnd, 12) == 0 && atomic_load(&truncates) < TRUNCATES_MAX;
            put_op(&b, &w->rnd, truncate);
        }
        if (below(&w->rnd, 40) == 0) {
            weir_buf_putz(&b, "SELECT pg_sleep(0.15);");
        }
        weir_buf_putz(&b, below(&w->rnd, 10) ? "COMMIT" : "ROLLBACK");
        weir_buf_u8(&b, 0);
        rc = weir_pg_script(pg, b.p, &err);
        if (rc != WEIR_OK) {
            rc = weir_pg_script(pg, "ROLLBACK", &err);
        }
        w->done++;
    }
    weir_buf_fini(&b);
    weir_pg_close(pg);
}

static void start_writers(uint64_t *rnd)
{
    weir_error err;
    atomic_store(&stop, false);
    atomic_store(&truncates, 0);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.rnd = next(rnd) | 1};
        assert_rc(WEIR_OK,
                  weir_thread_start(&writers[i].thread, "writer", write_on, &writers[i], &err),
                  &err);
    }
}

/* How many transactions they had. */
static int64_t stop_writers(void)
{
    int64_t done = 0;
    atomic_store(&stop, true);
    for (int i = 0; i < WRITERS; i++) {
        if (writers[i].thread) {
            weir_thread_join(writers[i].thread);
            writers[i].thread = NULL;
        }
        done += writers[i].done;
    }
    return done;
}

/* --- a standby that does not answer --------------------------------------------------------------
 */

static void hold_commits(bool on)
{
    fixture_sql(&fx, on ? "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
                        : "ALTER SYSTEM RESET synchronous_standby_names");
    fixture_sql(&fx, "SELECT pg_reload_conf()");
}

static bool somebody_is_held(void *arg)
{
    (void)arg;
    return strcmp(fixture_sql_value(&fx, "SELECT count(*) > 0 FROM pg_stat_activity WHERE "
                                         "wait_event = 'SyncRep'"),
                  "t") == 0;
}

/* --- one run -------------------------------------------------------------------------------------
 */

static void begin_run(uint64_t *rnd)
{
    fixture_sql(&fx, "TRUNCATE a, t, tr");
    target_sql("DROP TABLE IF EXISTS a, t, tr");
    if (strcmp(target_value("SELECT to_regclass('weir_sync.chunk') IS NULL"), "f") == 0) {
        target_sql("DELETE FROM weir_sync.chunk; DELETE FROM weir_sync.crawl_table; DELETE FROM "
                   "weir_sync.crawl_step");
    }
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_buf_printf(
        &b,
        "INSERT INTO a SELECT i * 2, i, " BIG " FROM generate_series(1, %d) i; INSERT INTO "
        "t SELECT 'Key ' || i %% 7, i, i, " BIG " FROM generate_series(1, %d) i; INSERT "
        "INTO tr SELECT i, 0 FROM generate_series(1, 200) i",
        KEYS / 3, below(rnd, KEYS));
    weir_buf_u8(&b, 0);
    fixture_sql(&fx, b.p);
    weir_buf_fini(&b);
}

static bool has_ended(void *arg)
{
    return !fixture_running(arg);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

/* chunk 0: tables in one piece. */
static fixture_proc *start_copy(const char *program, int chunk, int workers, int rate)
{
    char path[300];
    char rows[24];
    char lanes[24];
    char pace[24];
    (void)snprintf(path, sizeof path, "%s/../tests/%s", WEIR_BIN_DIR, program);
    (void)snprintf(rows, sizeof rows, "%d", chunk);
    (void)snprintf(lanes, sizeof lanes, "%d", workers);
    (void)snprintf(pace, sizeof pace, "%d", rate);
    const char *const argv[] = {path,    "--source",    fx.pg.uri,   "--target", target_uri,
                                "--job", "live",        "--workers", lanes,      "--chunk-rows",
                                rows,    "--chunk-max", rows,        "--rate",   pace,
                                "a",     "t",           "tr",        NULL};
    const char *const whole[] = {path,    "--source", fx.pg.uri,   "--target", target_uri,
                                 "--job", "live",     "--workers", lanes,      "a",
                                 "t",     "tr",       NULL};
    fx.nprocs = 0; /* each run has one program, and it has ended */
    fixture_proc *p = fixture_spawn(&fx, "copy", chunk ? argv : whole, NULL);
    assert_non_null(p);
    return p;
}

static bool is_copied(void)
{
    return strcmp(target_value("SELECT count(*) FROM weir_sync.crawl_step WHERE done_at IS NULL"),
                  "0") == 0 &&
           strcmp(target_value("SELECT count(copied_at) FROM weir_sync.crawl_table"), "3") == 0;
}

/* Kills it now and then, for so many times; then lets it end. */
static void copy_with_kills(fixture_proc *p, uint64_t *rnd, int kills)
{
    for (; kills > 0; kills--) {
        if (wait_until(has_ended, p, 1 + below(rnd, 250))) {
            break;
        }
        fixture_kill9(p);
        assert_true(fixture_restart(p));
    }
    fixture_wait(&fx, has_ended, p, COPY_MS, "the copy to end");
    if (!is_copied()) {
        fixture_tail(p, 20);
        fail_msg("the copy failed");
    }
}

/* "" or the name of the first table that differs. */
static const char *differs(void)
{
    static const char *const sql[] = {
        "SELECT 'a ' || coalesce(md5(string_agg(x::text, ',' ORDER BY id)), '') FROM a x",
        "SELECT 't ' || coalesce(md5(string_agg(x::text, ',' ORDER BY k2, k1)), '') FROM t x",
        "SELECT 'tr ' || coalesce(md5(string_agg(x::text, ',' ORDER BY id)), '') FROM tr x"};
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        if (strcmp(fixture_sql_value(&fx, sql[i]), target_value(sql[i])) != 0) {
            static const char *const names[] = {"a", "t", "tr"};
            return names[i];
        }
    }
    return "";
}

static void catch_up(pgapply *ap)
{
    weir_error err;
    if (pgapply_run(ap, false, &err) != WEIR_OK) {
        fail_msg("applier: %s", err.msg);
    }
}

static void one_run(uint64_t seed)
{
    uint64_t rnd = seed * 2654435761u + 88172645463325252u;
    weir_error err;
    weir_pg *pg = connect(fx.pg.uri);
    pgapply ap = {.source = pg, .target = target, .slot = "crawl", .publication = "crawl"};
    begin_run(&rnd);
    start_writers(&rnd);
    bool hold = below(&rnd, 2);
    if (hold) {
        hold_commits(true);
        fixture_wait(&fx, somebody_is_held, NULL, 30000, "a commit that waits for the standby");
    }
    /* P0: what is in the stream up to here nobody will see again. */
    if (pgapply_run(&ap, true, &err) != WEIR_OK) {
        fail_msg("%s", err.msg);
    }
    static const int chunks[] = {1, 3, 17, 80, 100000, 0};
    int chunk = chunks[below(&rnd, 6)];
    fixture_proc *p = start_copy("crawl-driver", chunk, 1 + below(&rnd, 4),
                                 below(&rnd, 3) ? 300 + below(&rnd, 2000) : 0);
    if (hold) {
        (void)wait_until(never, NULL, below(&rnd, 300));
        hold_commits(false);
    }
    copy_with_kills(p, &rnd, below(&rnd, 6));
    (void)wait_until(never, NULL, below(&rnd, 100));
    int64_t done = stop_writers();
    catch_up(&ap);
    const char *table = differs();
    if (table[0]) {
        fail_msg("table %s differs; WEIR_CRAWL_SEED=%llu WEIR_CRAWL_RUNS=1", table,
                 (unsigned long long)seed);
    }
    print_message("run %llu: %lld transactions, %lld events, %lld rows read again, %s chunks%s\n",
                  (unsigned long long)seed, (long long)done, (long long)ap.events,
                  (long long)ap.reread, target_value("SELECT count(*) FROM weir_sync.chunk"),
                  hold ? ", commits held back" : "");
    weir_pg_close(pg);
}

static void equals_after_catching_up(void **state)
{
    (void)state;
    fixture_need(&fx);
    const char *runs = getenv("WEIR_CRAWL_RUNS");
    int64_t n = runs ? strtoll(runs, NULL, 10) : RUNS;
    for (int64_t i = 0; i < n; i++) {
        one_run(seed0 + (uint64_t)i);
    }
}

static int end_run(void **state)
{
    (void)state;
    if (!fx.missing[0]) {
        hold_commits(false);
        (void)stop_writers();
    }
    return 0;
}

/* The last statement of this test's session has got as far as it gets: held, or over. */
static bool is_settled(void *arg)
{
    return strcmp(
               fixture_sql_value(
                   &fx, weir_arena_printf(fx.a,
                                          "SELECT count(*) > 0 FROM pg_stat_activity WHERE query "
                                          "= %s AND (wait_event = 'SyncRep' OR state = 'idle')",
                                          weir_pg_literal(fx.a, weir_slice_z(arg)))),
               "t") == 0;
}

/* Leaves an insert that is committed in the log and that nobody sees yet. */
static void hold_a_row(weir_pg *held)
{
    weir_error err;
    const weir_pg_rows *row = NULL;
    hold_commits(true);
    /* The setting takes a moment to be everywhere: sooner or later one of these is held. */
    int64_t until = weir_mono_ms() + INT64_C(20000) * weir_test_timeout_x();
    for (int i = 0; weir_mono_ms() < until; i++) {
        char *sql = weir_arena_printf(fx.a, "INSERT INTO a VALUES (%d, 1, 'held')", 90000 + i);
        assert_int_equal(weir_pg_stream_start(held, sql, 0, NULL, &err), WEIR_OK);
        fixture_wait(&fx, is_settled, sql, 20000, "an insert to be held, or over");
        if (somebody_is_held(NULL)) {
            return;
        }
        assert_int_equal(weir_pg_stream_next(held, &row, &err), WEIR_E_EOF);
    }
    fail_msg("no commit is held");
}

/* The barrier asks again and again, each time with this. */
static bool waits_at_the_barrier(void *arg)
{
    (void)arg;
    return strcmp(fixture_sql_value(&fx, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query "
                                         "LIKE 'SELECT pg\\_snapshot\\_xmin%'"),
                  "t") == 0;
}

/* A row whose commit is in the stream before P0 and not yet visible: only the barrier saves it. */
static const char *held_row(const char *program, bool barrier)
{
    uint64_t rnd = seed0 | 1;
    weir_error err;
    weir_pg *pg = connect(fx.pg.uri);
    weir_pg *held = connect(fx.pg.uri);
    pgapply ap = {.source = pg, .target = target, .slot = "crawl", .publication = "crawl"};
    const weir_pg_rows *row = NULL;
    begin_run(&rnd);
    hold_a_row(held);
    assert_int_equal(pgapply_run(&ap, true, &err), WEIR_OK);
    fixture_proc *p = start_copy(program, 20, 2, 0);
    if (barrier) {
        fixture_wait(&fx, waits_at_the_barrier, NULL, 30000, "the copy to come to its barrier");
        assert_false(wait_until(has_ended, p, LOOK_MS));
    } else {
        /* All of it while the row cannot be seen, however long that takes. */
        fixture_wait(&fx, has_ended, p, COPY_MS, "the copy to end");
    }
    assert_true(somebody_is_held(NULL));
    hold_commits(false);
    copy_with_kills(p, &rnd, 0);
    assert_int_equal(weir_pg_stream_next(held, &row, &err), WEIR_E_EOF);
    catch_up(&ap);
    const char *table = differs();
    print_message("%s: ended %s the held commit became visible; differs: %s\n", program,
                  barrier ? "after" : "before", table[0] ? table : "nothing");
    weir_pg_close(held);
    weir_pg_close(pg);
    return table;
}

static void the_barrier_is_needed(void **state)
{
    (void)state;
    fixture_need(&fx);
    assert_string_equal(held_row("crawl-driver", true), "");
    assert_string_equal(held_row("crawl-no-barrier", false), "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(equals_after_catching_up, end_run),
        cmocka_unit_test(the_barrier_is_needed),
    };
    return cmocka_run_group_tests_name("crawler_live", tests, setup, teardown);
}
