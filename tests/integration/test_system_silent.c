/* test_system_silent.c - changes of tables that send no event: what ALTER TABLE does to partitions,
 * values, columns and names, and ALTER TYPE to labels. The documents follow all the same.
 */
#include <signal.h>

#include "tests/support/check.h"
#include "tests/support/sys.h"

enum { SOON_MS = 20000 };

static sys app;

static int open_group(void **state)
{
    (void)state;
    sys *s = &app;
    sys_new(s, WEIR_BIN_DIR, NULL, "[app]\nname = silent\n");
    sys_put(s, "schema/0001_init.sql",
            "CREATE TYPE mood AS ENUM ('glad', 'sad');\n"
            "CREATE DOMAIN feeling AS mood;\n"
            "CREATE TABLE day (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE "
            "(at);\n"
            "CREATE TABLE day_1 PARTITION OF day FOR VALUES FROM ('2021-01-01') TO "
            "('2022-01-01');\n"
            "CREATE TABLE day_2 PARTITION OF day FOR VALUES FROM ('2022-01-01') TO "
            "('2023-01-01');\n"
            "CREATE TABLE day_3 PARTITION OF day FOR VALUES FROM ('2023-01-01') TO "
            "('2024-01-01');\n"
            "INSERT INTO day SELECT i, date '2021-01-01' + i * 30, 'v' || i FROM "
            "generate_series(1, 35) i;\n"
            "CREATE TABLE item (id int PRIMARY KEY, n int, a text, b text, m mood, f feeling[]);\n"
            "INSERT INTO item SELECT i, i, 'a' || i, 'b' || i, 'glad', '{glad,sad}' FROM "
            "generate_series(1, 40) i;\n"
            "CREATE TABLE made_anew (id int PRIMARY KEY, v int);\n"
            "INSERT INTO made_anew VALUES (1, 1), (2, 2);\n");
    sys_put(s, "read-models/day_view.sql", "-- @key id, at\nSELECT d.id, d.at, d.v FROM day d\n");
    sys_put(s, "read-models/item_view.sql",
            "-- @key id\nSELECT i.id, i.n, i.a, i.m, i.f FROM item i\n");
    sys_put(s, "read-models/made_anew_view.sql", "-- @key id\nSELECT m.id, m.v FROM made_anew m\n");
    sys_up(s);
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    sys_end(&app);
    return 0;
}

/* Nobody says when the change is found: within a second or two. */
static void follows(sys *s, const char *sql)
{
    sys_sql(s, sql);
    sys_await_verify(s, SOON_MS, sql);
}

static void test_partitions(void **state)
{
    (void)state;
    sys *s = &app;
    sys_same(s, 35 + 40 + 2);
    follows(s, "CREATE TABLE day_4 (LIKE day INCLUDING ALL); INSERT INTO day_4 VALUES (90, "
               "'2024-05-01', 'came with it'); ALTER TABLE day ATTACH PARTITION day_4 FOR VALUES "
               "FROM ('2024-01-01') TO ('2025-01-01')");
    SYS_CHECK(s, sys_query(s, "day_view/90/2024-05-01") == 200);
    follows(s, "TRUNCATE day_1; INSERT INTO day VALUES (91, '2021-02-02', 'after')");
    follows(s, "DROP TABLE day_2; ALTER TABLE day DETACH PARTITION day_3");
    assert_int_equal(2, sys_keys(s, "silent:day_view:*"));
}

static void test_values_columns_and_labels(void **state)
{
    (void)state;
    sys *s = &app;
    follows(s, "ALTER TABLE item ALTER n TYPE int USING n * 10");
    follows(s, "ALTER TYPE mood RENAME VALUE 'glad' TO 'happy'");
    SYS_CHECK(s, sys_query(s, "item_view/7") == 200);
    assert_has(s->body, "\"f\": [\"happy\", \"sad\"]");
    assert_has(s->body, "\"n\": 70");
    follows(s, "BEGIN; ALTER TABLE item DROP a; ALTER TABLE item ADD a text DEFAULT 'anew'; "
               "COMMIT");
}

static int64_t generation_before;

static bool serves_a_new_plan(void *arg)
{
    return sys_model_generation(arg, "item_view") > generation_before &&
           strcmp(sys_model_state(arg, "item_view", NULL), "ready") == 0;
}

/* The column that came back has another place, so there is another plan; a deploy builds it before
 * the bridge has had the rows read. Refused for that, it is tried again when they are. */
static void test_built_before_rows_are_read(void **state)
{
    (void)state;
    sys *s = &app;
    weir_error err;
    generation_before = sys_model_generation(s, "item_view");
    weir_pg *open = sys_connect(s); /* no crawl reads before this is over */
    assert_rc(WEIR_OK, weir_pg_script(open, "BEGIN; SELECT pg_current_xact_id()", &err), &err);
    sys_sql(s, "BEGIN; ALTER TABLE item DROP n; ALTER TABLE item ADD n int DEFAULT 5; "
               "UPDATE item SET a = 'late' WHERE id = 7; COMMIT");
    sys_put(s, "read-models/day_view.sql",
            "-- @key id, at\nSELECT d.id, d.at, d.v, d.id + 1 AS next FROM day d\n");
    assert_int_equal(0, sys_weir(s, "deploy", s->app.dir, "--no-wait", NULL));
    sys_log_has(s, "projector", "PROJ-REBUILD-REFUSED model=item_view", SOON_MS);
    weir_pg_close(open);
    sys_await_verify(s, SOON_MS, "rows that came after the comparison");
    sys_await(s, serves_a_new_plan, s, SOON_MS, "the refused build to be tried again");
    (void)kill(sys_pid(s, "projector"), SIGKILL);
    sys_await_verify(s, SOON_MS, "the new plan behind a restart");
}

/* What was found while the bridge was away is found when it is back. */
static void test_while_the_bridge_is_away(void **state)
{
    (void)state;
    sys *s = &app;
    assert_int_equal(0, sys_weir(s, "down", s->app.dir, NULL));
    sys_up(s);
    sys_same(s, 40);
    (void)kill(sys_pid(s, "bridge"), SIGSTOP);
    sys_sql(s, "ALTER TABLE item ALTER n TYPE int USING n + 1");
    (void)kill(sys_pid(s, "bridge"), SIGKILL);
    sys_await_verify(s, SOON_MS, "the change behind a bridge that was killed");
}

static bool is_stalled(void *arg)
{
    return strcmp(sys_model_state(arg, "made_anew_view", NULL), "stalled") == 0;
}

/* Another table under the old name: stalled until it is published, then built from its rows. */
static void test_a_table_made_anew(void **state)
{
    (void)state;
    sys *s = &app;
    sys_sql(s, "DROP TABLE made_anew; CREATE TABLE made_anew (id int PRIMARY KEY, v int); INSERT "
               "INTO made_anew VALUES (3, 3)");
    sys_await(s, is_stalled, s, SOON_MS, "the model of a dropped table to be stalled");
    sys_deploy(s, 0);
    sys_verify(s);
    sys_sql(s, "CREATE TABLE later (id int PRIMARY KEY, v int); INSERT INTO later VALUES (4, 4); "
               "ALTER TABLE made_anew RENAME TO earlier; ALTER TABLE later RENAME TO made_anew");
    sys_deploy(s, 0);
    sys_verify(s);
    SYS_CHECK(s, sys_query(s, "made_anew_view/4") == 200);
    SYS_CHECK(s, sys_query(s, "made_anew_view/3") == 404);
}

/* A renamed table is copied under its new name. */
static void test_renamed_and_a_further_column(void **state)
{
    (void)state;
    sys *s = &app;
    sys_sql(s, "CREATE SCHEMA other; ALTER TABLE item SET SCHEMA other; ALTER TABLE other.item "
               "RENAME TO thing");
    sys_put(s, "read-models/item_view.sql",
            "-- @key id\nSELECT t.id, t.n, t.b FROM other.thing t\n");
    sys_deploy(s, 0);
    sys_same(s, 40);
    SYS_CHECK(s, sys_query(s, "item_view/7") == 200);
    assert_has(s->body, "\"b\": \"b7\"");
}

static bool bridge_says_what_to_do(void *arg)
{
    sys *s = arg;
    return sys_readyz(s, "bridge") == 503 && strstr(s->body, "dropped and made again") != NULL;
}

/* What changed without a publication cannot be read any more, although it is there again. */
static void test_a_publication_made_again(void **state)
{
    (void)state;
    sys *s = &app;
    sys_sql(s, "DROP PUBLICATION weir_silent; UPDATE other.thing SET n = n + 1");
    assert_int_equal(0, sys_weir(s, "deploy", s->app.dir, "--no-wait", NULL));
    sys_await(s, bridge_says_what_to_do, s, SOON_MS, "the bridge to say that there is a gap");
    assert_has(s->body, "drop the slot");
}

int main(void)
{
    sys_filter();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partitions),
        cmocka_unit_test(test_values_columns_and_labels),
        cmocka_unit_test(test_built_before_rows_are_read),
        cmocka_unit_test(test_while_the_bridge_is_away),
        cmocka_unit_test(test_a_table_made_anew),
        cmocka_unit_test(test_renamed_and_a_further_column),
        cmocka_unit_test(test_a_publication_made_again),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}
