/* test_sync_orphans.c - both ways: one side deletes a row while the other adds a child to it. The
 * sides end equal, and whoever looks at the history finds the child. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/synctest.h"

static const char tables_sql[] =
    "CREATE TABLE parent (id int PRIMARY KEY, v text); INSERT INTO parent SELECT i, 'v' FROM "
    "generate_series(1, 50) i;"
    "CREATE TABLE child (id int PRIMARY KEY, \"the Parent\" int REFERENCES parent ON DELETE "
    "CASCADE, c int); INSERT INTO child SELECT i, i FROM generate_series(10, 20) i;"
    "CREATE TABLE pair (a int, b text, PRIMARY KEY (a, b)); INSERT INTO pair VALUES (1, 'x'), (2, "
    "'y,\"');"
    "CREATE TABLE leaf (id int PRIMARY KEY, x text, y int, FOREIGN KEY (y, x) REFERENCES pair (a, "
    "b)) PARTITION BY RANGE (id); CREATE TABLE leaf_1 PARTITION OF leaf DEFAULT;"
    "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree)";
static const char all_tables[] = "parent child pair leaf tree";

static const char *told(synctest *t, weir_pg *pg)
{
    return synctest_value(t, pg,
                          "SELECT coalesce(string_agg(concat_ws(' ', tab, policy, key, local_row), "
                          "'; ' ORDER BY tab, key), '') FROM weir_sync.conflict WHERE kind = "
                          "'orphan'");
}

static void test_orphans_are_told(void **state)
{
    weir_slice out = {NULL, 0};
    synctest *t = synctest_begin(state, WEIR_BIN_DIR, tables_sql,
                                 "ways = both\ntables = public.*\nconflict = last_update_wins");
    synctest_start(t);
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    /* with their children, also when those come in the same group: nobody is left */
    synctest_sql(t->a,
                 "DELETE FROM parent WHERE id IN (10, 11); BEGIN; INSERT INTO parent VALUES "
                 "(60, 'p'); INSERT INTO child VALUES (60, 60); COMMIT; DELETE FROM parent "
                 "WHERE id = 60; BEGIN; DELETE FROM parent WHERE id = 5; INSERT INTO parent VALUES "
                 "(5, 'back'); COMMIT");
    synctest_sql(t->a, "DELETE FROM parent WHERE id = 1; UPDATE parent SET id = 70 WHERE id = 2; "
                       "INSERT INTO leaf VALUES (1, 'y,\"', 2)");
    synctest_sql(
        t->b,
        "INSERT INTO child VALUES (101, 1), (102, 2), (103, 3), (104, NULL), (105, 5); DELETE "
        "FROM pair WHERE a = 2");
    synctest_start(t);
    synctest_equal(t, all_tables);
    synctest_until(t, t->b,
                   "SELECT (count(*) = 2)::int FROM weir_sync.conflict WHERE kind = "
                   "'orphan'",
                   "the history");
    assert_string_equal(
        "public.child child_the Parent_fkey [\"101\"] {\"c\": null, \"id\": 101, \"the "
        "Parent\": 1}; public.child child_the Parent_fkey [\"102\"] {\"c\": null, \"id\": 102, "
        "\"the Parent\": 2}",
        told(t, t->b));
    synctest_until(t, t->a,
                   "SELECT (count(*) = 1)::int FROM weir_sync.conflict WHERE kind = "
                   "'orphan'",
                   "the history of the other side");
    assert_string_equal("public.leaf leaf_y_x_fkey [\"1\"] {\"x\": \"y,\\\"\", \"y\": 2, \"id\": "
                        "1}",
                        told(t, t->a));
    assert_int_equal(0, synctest_run(t, "status", NULL, &out));
    assert_has(weir_arena_dupz(synctest_fx.a, out),
               "2 rows refer to rows that the other side deleted");
    synctest_sql(t->a, "INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2)");
    synctest_equal(t, all_tables);
    synctest_sql(t->b, "DELETE FROM tree");
    synctest_equal(t, all_tables);
    assert_string_equal("1", synctest_value(t, t->a,
                                            "SELECT count(*) FROM weir_sync.conflict WHERE kind = "
                                            "'orphan'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_orphans_are_told, synctest_end),
    };
    return cmocka_run_group_tests_name("sync_orphans", tests, synctest_up, synctest_down);
}
