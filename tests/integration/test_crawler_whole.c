/* test_crawler_whole.c - tables made for the copy come in one piece, frozen: begun anew after an
 * interruption, given up for chunks when somebody waits for the source or a row does not fit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/crawlertest.h"

static crw_conf whole_conf(const char *job, const crw_table *tables, size_t n)
{
    crw_conf conf = crawlertest_conf(job, tables, n);
    conf.chunk_rows_max = 0;
    return conf;
}

static void make_and_copy(const crw_conf *conf, crw_state *st)
{
    weir_error err;
    crw *c = NULL;
    weir_rc rc = crw_open(&c, conf, &err);
    rc = rc == WEIR_OK ? crw_create(c, &err) : rc;
    rc = rc == WEIR_OK ? crw_copy(c, &err) : rc;
    rc = rc == WEIR_OK ? crw_finish(c, &err) : rc;
    assert_rc(WEIR_OK, rc, &err);
    crw_progress(c, st);
    crw_close(c);
}

static void comes_in_one_piece(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx,
                "CREATE TABLE a (id int PRIMARY KEY, v text, at timestamptz); INSERT INTO a SELECT "
                "i, repeat('v', i % 90), now() FROM generate_series(1, 5000) i;"
                "CREATE TABLE heap (v json); INSERT INTO heap SELECT '{\"a\": 1}' FROM "
                "generate_series(1, 3000); CREATE TABLE empty (id int PRIMARY KEY);"
                "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 "
                "PARTITION OF p DEFAULT; INSERT INTO p SELECT generate_series(1, 1000)");
    const crw_table tables[] = {{.source_schema = "public", .source_name = "a"},
                                {.source_schema = "public", .source_name = "heap"},
                                {.source_schema = "public", .source_name = "empty"},
                                {.source_schema = "public", .source_name = "p"}};
    crw_conf conf = whole_conf("whole", tables, 4);
    crw_state st;
    make_and_copy(&conf, &st);
    assert_int_equal(st.rows, 9000);
    crawlertest_same(CRAWLERTEST_SUM("a", "id"));
    crawlertest_same(CRAWLERTEST_SUM("heap", "x::text"));
    crawlertest_same(CRAWLERTEST_SUM("p", "id"));
    assert_string_equal(
        crawlertest_value("SELECT string_agg(concat_ws('/', tab, rows, lo, hi), ' ' ORDER BY tab) "
                          "FROM weir_sync.chunk WHERE job = 'whole' AND tab NOT LIKE '%.p'"),
        "public.a > public.a/5000 public.empty > public.empty/0 public.heap > public.heap/3000");
    crawlertest_sql("CREATE EXTENSION pg_visibility; CREATE TABLE b (id int); CHECKPOINT");
    assert_string_equal(crawlertest_value("SELECT bool_and(all_frozen AND pd_all_visible) FROM "
                                          "pg_visibility('a'::regclass)"),
                        "t");
    /* A partitioned table takes no frozen rows: chunks. */
    assert_true(strtol(crawlertest_value("SELECT count(*) FROM weir_sync.chunk WHERE job = 'whole' "
                                         "AND tab LIKE '%.p'"),
                       NULL, 10) > 3);
}

static bool waits_for_the_record(void *arg)
{
    (void)arg;
    return strcmp(crawlertest_value("SELECT count(*) > 0 FROM pg_stat_activity WHERE "
                                    "wait_event_type = 'Lock' AND query LIKE 'INSERT INTO "
                                    "weir_sync.chunk%'"),
                  "t") == 0;
}

/* Its session ends behind the last row: nothing of it may stay. */
static void begins_anew(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx, "CREATE TABLE again (id int PRIMARY KEY); INSERT INTO again "
                                 "SELECT generate_series(1, 2000)");
    crawlertest_sql("CREATE TABLE again (id int)");
    const crw_table tables[] = {{.source_schema = "public", .source_name = "again", .fresh = true}};
    crw_conf conf = whole_conf("again", tables, 1);
    crawlertest_runner r = {.c = NULL};
    weir_error err;
    weir_pg *holder = NULL;
    weir_pg_conf pc = {.uri = crawlertest_uri, .application_name = "holder"};
    assert_rc(WEIR_OK, weir_pg_open(&holder, &pc, &err), &err);
    assert_rc(WEIR_OK, crw_schema(holder, &err), &err);
    assert_rc(WEIR_OK,
              weir_pg_script(holder, "BEGIN; LOCK TABLE weir_sync.chunk IN SHARE MODE", &err),
              &err);
    crawlertest_start(&r, &conf);
    fixture_wait(&crawlertest_fx, waits_for_the_record, NULL, 10000, "all rows");
    crawlertest_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type "
                    "= 'Lock' AND application_name = 'weir-crawl'");
    assert_rc(WEIR_OK, weir_pg_script(holder, "COMMIT", &err), &err);
    weir_thread_join(r.t);
    assert_rc(WEIR_OK, r.rc, &r.err);
    crw_close(r.c);
    weir_pg_close(holder);
    crawlertest_same(CRAWLERTEST_SUM("again", "id"));
    assert_string_equal(
        crawlertest_value("SELECT count(*) FROM weir_sync.chunk WHERE job = 'again'"), "1");
}

static bool is_granted(void *arg)
{
    char sql[160];
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) > 0 FROM pg_locks WHERE granted AND pid = %d AND mode = "
                   "'AccessExclusiveLock' AND relation IS NOT NULL",
                   weir_pg_pid(arg));
    return strcmp(fixture_sql_value(&crawlertest_fx, sql), "t") == 0;
}

static bool is_reading(void *arg)
{
    (void)arg;
    return strcmp(fixture_sql_value(&crawlertest_fx,
                                    "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE "
                                    "'COPY (SELECT%' AND wait_event = 'PgSleep'"),
                  "t") == 0;
}

static const crw_column slow_columns[] = {
    {.name = "id"},
    {.name = "v", .expr = "v || (SELECT pg_sleep(s)::text FROM public.pause WHERE g.id > 0)"}};
static const crw_table slow_table = {.source_schema = "public",
                                     .source_name = "g",
                                     .columns = slow_columns,
                                     .ncolumns = 2,
                                     .fresh = true};

/* Fifteen seconds for the piece, until pause says 0. */
static void start_slowly(crawlertest_runner *r, crw_conf *conf)
{
    fixture_sql(&crawlertest_fx,
                "DROP TABLE IF EXISTS pause, g; CREATE TABLE pause (s float8); INSERT INTO pause "
                "VALUES (0.005); CREATE TABLE g (id int PRIMARY KEY, v text); INSERT INTO g SELECT "
                "i, repeat('x', 3000) FROM generate_series(1, 3000) i");
    crawlertest_sql("DROP TABLE IF EXISTS g; CREATE TABLE g (id int, v text)");
    crawlertest_start(r, conf);
    fixture_wait(&crawlertest_fx, is_reading, NULL, 10000, "the copy to read");
}

static void end_in_chunks(crawlertest_runner *r)
{
    weir_thread_join(r->t);
    assert_rc(WEIR_OK, r->rc, &r->err);
    assert_true(crawlertest_state(r).chunks > 2);
    assert_int_equal(crawlertest_state(r).rows, 3000);
    crw_close(r->c);
    crawlertest_same(CRAWLERTEST_SUM("g", "id"));
}

static void gives_way(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    crw_conf conf = whole_conf("way", &slow_table, 1);
    crawlertest_runner r = {.c = NULL};
    weir_error err;
    weir_pg *other = NULL;
    const weir_pg_rows *row = NULL;
    weir_pg_conf pc = {.uri = crawlertest_fx.pg.uri, .application_name = "other"};
    start_slowly(&r, &conf);
    assert_rc(WEIR_OK, weir_pg_open(&other, &pc, &err), &err);
    assert_rc(WEIR_OK, weir_pg_script(other, "BEGIN", &err), &err);
    assert_rc(WEIR_OK,
              weir_pg_stream_start(other, "LOCK TABLE g IN ACCESS EXCLUSIVE MODE", 0, NULL, &err),
              &err);
    fixture_wait(&crawlertest_fx, is_granted, other, 8000, "the lock");
    assert_rc(WEIR_E_EOF, weir_pg_stream_next(other, &row, &err), &err);
    assert_rc(WEIR_OK, weir_pg_script(other, "UPDATE pause SET s = 0; COMMIT", &err), &err);
    weir_pg_close(other);
    end_in_chunks(&r);
}

static bool reads_no_more(void *arg)
{
    (void)arg;
    return strcmp(fixture_sql_value(&crawlertest_fx,
                                    "SELECT count(*) = 0 FROM pg_locks WHERE relation = "
                                    "'g'::regclass"),
                  "t") == 0;
}

static void stops_when_paused(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    crw_conf conf = whole_conf("pause", &slow_table, 1);
    crawlertest_runner r = {.c = NULL};
    start_slowly(&r, &conf);
    crw_pause(r.c, true);
    fixture_wait(&crawlertest_fx, reads_no_more, NULL, 8000, "the copy to stand still");
    fixture_sql(&crawlertest_fx, "UPDATE pause SET s = 0");
    crw_pause(r.c, false);
    end_in_chunks(&r);
}

static void falls_back_for_a_row_that_does_not_fit(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx,
                "CREATE TABLE f (id int PRIMARY KEY, v text); INSERT INTO f SELECT i, i::text FROM "
                "generate_series(1, 1000) i; UPDATE f SET v = 'x' WHERE id = 700");
    crawlertest_sql("CREATE TABLE f (id int, n int)");
    static const crw_column columns[] = {{.name = "id"}, {.name = "n", .from = "v"}};
    const crw_table tables[] = {{.source_schema = "public",
                                 .source_name = "f",
                                 .columns = columns,
                                 .ncolumns = 2,
                                 .fresh = true}};
    crw_conf conf = whole_conf("fit", tables, 1);
    crw_state st;
    crawlertest_must_copy(&conf, &st);
    assert_int_equal(st.rows, 999);
    assert_int_equal(st.rejects, 1);
    assert_true(st.chunks > 2);
    assert_string_equal(crawlertest_value("SELECT count(*) || ' ' || sum(n) FROM f"), "999 499800");
}

static void does_so_only_where_it_may(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx, "CREATE TABLE m (id int PRIMARY KEY); INSERT INTO m SELECT "
                                 "generate_series(1, 1000)");
    crw_table table = {.source_schema = "public", .source_name = "m", .fresh = true};
    crw_state st;
    static const struct {
        bool fresh;
        int64_t whole_max_bytes, chunk_rows_max, rows_per_s;
        bool one;
    } cases[] = {{true, 0, 0, 0, true},    {false, 0, 0, 0, false},
                 {true, -1, 0, 0, false},  {true, 20000, 0, 0, false},
                 {true, 0, 100, 0, false}, {true, 0, 0, 1000000, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char job[16];
        (void)snprintf(job, sizeof job, "may%d", (int)i);
        crawlertest_sql("DROP TABLE IF EXISTS m; CREATE TABLE m (id int)");
        crw_conf conf = crawlertest_conf(job, &table, 1);
        table.fresh = cases[i].fresh;
        conf.whole_max_bytes = cases[i].whole_max_bytes;
        conf.chunk_rows_max = cases[i].chunk_rows_max;
        conf.rows_per_s = cases[i].rows_per_s;
        crawlertest_must_copy(&conf, &st);
        assert_int_equal(st.chunks == 1, cases[i].one);
        crawlertest_same(CRAWLERTEST_SUM("m", "id"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_in_one_piece),
        cmocka_unit_test(begins_anew),
        cmocka_unit_test(gives_way),
        cmocka_unit_test(stops_when_paused),
        cmocka_unit_test(falls_back_for_a_row_that_does_not_fit),
        cmocka_unit_test(does_so_only_where_it_may),
    };
    return cmocka_run_group_tests_name("crawler_whole", tests, crawlertest_up, crawlertest_down);
}
