/* test_system_crawl.c - `weir crawl`: what never was in the WAL's stream comes into the read
 * models, for numeric, text and composite keys; its options, and what it refuses.
 */
#include "tests/support/check.h"
#include "tests/support/sys.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static sys crawled;

#define S(state) sys *s = (sys *)*(state)

static int open_crawled(void **state)
{
    sys *s = &crawled;
    sys_new(s, WEIR_BIN_DIR, NULL, "[app]\nname = crawled\n[bridge]\ncopy_chunk_rows = 100\n");
    sys_put(s, "schema/0001_init.sql",
            "CREATE TABLE num (id bigint PRIMARY KEY, v text, w text);\n"
            "CREATE TABLE txt (k text, j int, v text, PRIMARY KEY (k, j));\n"
            "CREATE TABLE uid (id uuid PRIMARY KEY, v text);\n"
            "CREATE TABLE empty (id int PRIMARY KEY, v text);\n"
            "INSERT INTO num SELECT i, 'v' || i, repeat(md5(i::text), 90) FROM generate_series(1, "
            "1000) i;\n"
            "INSERT INTO txt SELECT 'k' || i % 37, i, 'v' || i FROM generate_series(1, 1000) i;\n"
            "INSERT INTO uid SELECT md5(i::text)::uuid, 'v' || i FROM generate_series(1, 1000) "
            "i;\n");
    sys_put(s, "read-models/num_view.sql", "-- @key id\nSELECT id, v, w FROM num\n");
    sys_put(s, "read-models/txt_view.sql", "-- @key k, j\nSELECT k, j, v FROM txt\n");
    sys_put(s, "read-models/uid_view.sql", "-- @key id\nSELECT id, v FROM uid\n");
    sys_up(s);
    *state = s;
    return 0;
}

static int close_crawled(void **state)
{
    sys_end(*state);
    return 0;
}

/* Changes that are not published: the stream does not have them. */
static void in_the_dark(sys *s, const char *sql)
{
    const char *publication = sys_value(s, "SELECT pubname FROM pg_publication");
    char text[200];
    (void)snprintf(text, sizeof text, "ALTER PUBLICATION \"%s\" SET (publish = 'truncate')",
                   publication);
    sys_sql(s, text);
    sys_sql(s, sql);
    (void)snprintf(text, sizeof text,
                   "ALTER PUBLICATION \"%s\" SET (publish = 'insert, update, delete, truncate')",
                   publication);
    sys_sql(s, text);
    sys_settle(s);
}

static void must_crawl(sys *s, const char *one, const char *two)
{
    SYS_CHECK(s, sys_weir(s, "crawl", s->app.dir, one, two, NULL) == 0);
}

static void test_heals(void **state)
{
    S(state);
    sys_same(s, 3000);
    static const char *const tables[] = {"num", "txt", "uid"};
    for (int i = 0; i < 3; i++) {
        char sql[300];
        const char *key = i == 1 ? "j" : i == 0 ? "id" : "substr(v, 2)::int";
        (void)snprintf(
            sql, sizeof sql,
            "DELETE FROM %s WHERE %s %% 7 = 0; UPDATE %s SET v = v || 'x' WHERE %s %% 50 "
            "= 1",
            tables[i], key, tables[i], key);
        in_the_dark(s, sql);
    }
    in_the_dark(s, "INSERT INTO num VALUES (5000, 'new', NULL), (-5, 'low', NULL);"
                   "INSERT INTO txt VALUES ('a', 1, 'new'), ('zzz', 1, 'new')");
    assert_int_equal(1, sys_weir(s, "verify", s->app.dir, NULL));
    must_crawl(s, NULL, NULL);
    sys_said(s, "done: ");
    sys_same(s, 2500);
    sys_verify(s);
    sys_log_has(s, "projector", "PROJ-SWEPT", 1000);
    /* An emptied table has one chunk without a row. */
    in_the_dark(s, "DELETE FROM txt");
    must_crawl(s, "--table", "txt");
    sys_verify(s);
}

static void test_filter_drops_nothing(void **state)
{
    S(state);
    in_the_dark(s, "DELETE FROM num WHERE id = 10; UPDATE num SET v = 'eleven' WHERE id = 11;"
                   "UPDATE num SET v = 'far' WHERE id = 900");
    assert_int_equal(0, sys_weir(s, "crawl", s->app.dir, "--table", "public.num", "--where",
                                 "id < 100 -- few", NULL));
    sys_settle(s);
    assert_int_equal(200, sys_query(s, "num_view/10"));
    assert_int_equal(200, sys_query(s, "num_view/11"));
    assert_non_null(strstr(s->body, "eleven"));
    assert_int_equal(200, sys_query(s, "num_view/900"));
    assert_null(strstr(s->body, "far"));
    must_crawl(s, "--table", "num");
    sys_verify(s);
}

static void test_refusals(void **state)
{
    S(state);
    assert_int_equal(1, sys_weir(s, "crawl", s->app.dir, "--table", "nobody", NULL));
    sys_said(s, "nobody is not in publication");
    assert_int_equal(
        1, sys_weir(s, "crawl", s->app.dir, "--table", "num", "--where", "idd < 7", NULL));
    sys_said(s, "idd");
    assert_int_equal(2, sys_weir(s, "crawl", s->app.dir, "--where", "id < 7", NULL));
    sys_said(s, "exactly one --table");
    assert_int_equal(2, sys_weir(s, "crawl", s->app.dir, "--parallel", "9", NULL));
    sys_said(s, "1 to 8");
    assert_int_equal(1, sys_weir(s, "crawl", s->app.dir, "--pause", NULL));
    sys_said(s, "no crawl runs");
    must_crawl(s, "--json", NULL);
    sys_said(s, "\"state\":\"done\"");
}

static bool is_running(void *arg)
{
    sys *s = arg;
    return sys_weir(s, "crawl", s->app.dir, "--status", NULL) == 0 &&
           strstr(s->said, "crawl running") != NULL && strstr(s->said, "num  running") != NULL;
}

static bool is_paused(void *arg)
{
    sys *s = arg;
    return sys_weir(s, "crawl", s->app.dir, "--status", NULL) == 0 &&
           strstr(s->said, "crawl paused") != NULL;
}

/* A slow crawl is left running, paused, survives a restart of the bridge, goes on and is cancelled.
 */
static void test_pause_over_a_restart(void **state)
{
    S(state);
    pid_t follower = fork();
    if (follower == 0) {
        char weir[300];
        (void)snprintf(weir, sizeof weir, "%s/weir", WEIR_BIN_DIR);
        (void)!freopen("/dev/null", "w", stdout);
        execl(weir, "weir", "crawl", s->app.dir, "--table", "num", "--rate", "20", (char *)NULL);
        _exit(127);
    }
    assert_true(follower > 0);
    sys_await(s, is_running, s, 20000, "the crawl to read");
    SYS_CHECK(s, sys_weir(s, "crawl", s->app.dir, "--pause", NULL) == 0);
    sys_said(s, "crawl paused");
    SYS_CHECK(s, sys_weir(s, "crawl", s->app.dir, NULL) == 1);
    sys_said(s, "has not ended");
    (void)kill(sys_pid(s, "bridge"), SIGKILL);
    sys_await(s, is_paused, s, 20000, "the bridge to be back, with its crawl");
    (void)sys_weir(s, "status", s->app.dir, NULL);
    sys_said(s, "crawl      paused");
    assert_int_equal(0, sys_weir(s, "crawl", s->app.dir, "--resume", NULL));
    sys_await(s, is_running, s, 20000, "the crawl to go on");
    assert_int_equal(0, sys_weir(s, "crawl", s->app.dir, "--cancel", NULL));
    sys_said(s, "crawl cancelled");
    int status = 0; /* it says that the crawl was cancelled, and ends */
    assert_int_equal(follower, waitpid(follower, &status, 0));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    sys_verify(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heals),
        cmocka_unit_test(test_filter_drops_nothing),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_pause_over_a_restart),
    };
    sys_filter();
    return cmocka_run_group_tests_name("system.crawl", tests, open_crawled, close_crawled);
}
