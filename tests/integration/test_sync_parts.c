/* test_sync_parts.c - children of plain inheritance are tables of their own, partitions are not: on
 * either side, in arrays and row by row, with and without key, both ways. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/synctest.h"

static synctest *begin(void **state, const char *sql, const char *lines)
{
    return synctest_begin(state, WEIR_BIN_DIR, sql, lines);
}

static const char family_sql[] =
    "CREATE TABLE p (id int PRIMARY KEY, v text); CREATE TABLE c (PRIMARY KEY (id)) INHERITS (p);"
    "CREATE TABLE n (x int, y text); ALTER TABLE n REPLICA IDENTITY FULL;"
    "CREATE TABLE m () INHERITS (n); ALTER TABLE m REPLICA IDENTITY FULL";

/* The same keys in parent and child: each change is of one of them. */
static void change_family(synctest *t)
{
    synctest_sql(t->a, "INSERT INTO p SELECT i, 'p' FROM generate_series(1, 500) i; INSERT INTO c "
                       "SELECT i, 'c' FROM generate_series(1, 500) i; INSERT INTO n VALUES (1, "
                       "'same'), (2, 'n'); INSERT INTO m VALUES (1, 'same'), (3, 'm')");
    synctest_equal(t, "p c n m");
    synctest_sql(
        t->a, "UPDATE ONLY p SET v = 'p2' WHERE id <= 100; DELETE FROM ONLY p WHERE id BETWEEN "
              "101 AND 150; UPDATE c SET v = 'c2' WHERE id BETWEEN 90 AND 300; UPDATE ONLY p SET "
              "id = id + 1000 WHERE id BETWEEN 400 AND 410; DELETE FROM ONLY n WHERE x = 1; "
              "UPDATE ONLY n SET y = 'n2'");
    synctest_equal(t, "p c n m");
    synctest_sql(t->a, "TRUNCATE ONLY p; INSERT INTO p VALUES (1, 'again')");
    synctest_equal(t, "p c n m");
    assert_string_equal("501", synctest_value(t, t->b, "SELECT count(*) FROM p"));
    assert_string_equal("0", synctest_value(t, t->b, "SELECT count(*) FROM weir_sync.conflict"));
}

static void test_children(void **state)
{
    synctest *t = begin(state, family_sql, "tables = public.*");
    synctest_start(t);
    change_family(t);
}

/* After a conflict everything is looked at row by row for some seconds. */
static void test_children_row_by_row(void **state)
{
    synctest *t = begin(state, family_sql, "tables = public.*\nconflict = last_update_wins");
    synctest_start(t);
    synctest_sql(t->b, "INSERT INTO p VALUES (9999, 'mine')");
    synctest_sql(t->a, "INSERT INTO p VALUES (9999, 'theirs')");
    synctest_until(t, t->b, "SELECT (count(*) > 0)::int FROM weir_sync.conflict", "a conflict");
    synctest_sql(t->a, "DELETE FROM p WHERE id = 9999");
    synctest_equal(t, "p");
    synctest_sql(t->b, "DELETE FROM weir_sync.conflict");
    change_family(t);
}

/* The copy fills parents and children one by one; a chunk must not read its children too. */
static void test_children_copied(void **state)
{
    synctest *t = begin(state, family_sql, "tables = public.*\ninitial = copy");
    synctest_sql(t->a, "INSERT INTO p SELECT i, 'p' FROM generate_series(1, 300) i; INSERT INTO c "
                       "SELECT i, 'c' FROM generate_series(1, 300) i; INSERT INTO n VALUES (7, "
                       "'n'); INSERT INTO m VALUES (7, 'm')");
    synctest_start(t);
    synctest_equal(t, "p c n m");
    synctest_sql(t->a, "UPDATE ONLY p SET v = 'x'; DELETE FROM c WHERE id < 10");
    synctest_equal(t, "p c n m");
}

static const char parts_sql[] =
    "CREATE TABLE part (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
    "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);"
    "CREATE TABLE part_2 PARTITION OF part DEFAULT";

/* The first row of each partition is at the same place in its file. */
static void test_partitions(void **state)
{
    synctest *t = begin(state, parts_sql, "tables = public.*");
    static const char keyless_sql[] =
        "CREATE TABLE k (x int, y text) PARTITION BY LIST (x); CREATE TABLE k_1 PARTITION OF k FOR "
        "VALUES IN (1); CREATE TABLE k_2 PARTITION OF k DEFAULT";
    synctest_sql(t->a, "CREATE TABLE k (x int, y text); ALTER TABLE k REPLICA IDENTITY FULL");
    synctest_sql(t->b, keyless_sql);
    synctest_start(t);
    synctest_sql(t->a, "INSERT INTO k VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO part SELECT "
                       "i, 'v' FROM generate_series(50, 150) i");
    synctest_equal(t, "k part");
    synctest_sql(t->a, "DELETE FROM k WHERE x = 1; UPDATE k SET y = 'b2' WHERE x = 2; UPDATE part "
                       "SET v = 'w' WHERE id % 2 = 0; UPDATE part SET id = 160 WHERE id = 60; "
                       "DELETE FROM part WHERE id = 61");
    synctest_equal(t, "k part");
    synctest_sql(t->a, "TRUNCATE part; INSERT INTO part VALUES (1, 'one')");
    synctest_equal(t, "k part");
    assert_string_equal("0", synctest_value(t, t->b, "SELECT count(*) FROM weir_sync.conflict"));
}

/* A note of a delete names the whole, whose changes the other side tells of. */
static void test_partitions_both_ways(void **state)
{
    synctest *t =
        begin(state, parts_sql, "ways = both\ntables = public.*\nconflict = last_update_wins");
    synctest_sql(t->a, "INSERT INTO part SELECT i, 'v' FROM generate_series(1, 200) i");
    synctest_sql(t->b, "INSERT INTO part SELECT i, 'v' FROM generate_series(1, 200) i");
    synctest_start(t);
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    synctest_sql(t->b, "DELETE FROM part WHERE id IN (5, 105)");
    assert_string_equal(
        "public.part,public.part",
        synctest_value(t, t->b, "SELECT string_agg(tab, ',') FROM weir_sync.tombstone"));
    synctest_sql(t->a, "UPDATE part SET v = 'later' WHERE id IN (5, 105)");
    synctest_start(t);
    synctest_until(t, t->b,
                   "SELECT (count(*) = 2)::int FROM weir_sync.conflict WHERE kind = "
                   "'update_deleted' AND resolution = 'deferred'",
                   "what was deleted to be known");
    synctest_equal(t, "part");
    assert_string_equal("2",
                        synctest_value(t, t->b, "SELECT count(*) FROM part WHERE v = 'later'"));
    synctest_sql(t->b, "TRUNCATE part");
    synctest_equal(t, "part");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_children, synctest_end),
        cmocka_unit_test_teardown(test_children_row_by_row, synctest_end),
        cmocka_unit_test_teardown(test_children_copied, synctest_end),
        cmocka_unit_test_teardown(test_partitions, synctest_end),
        cmocka_unit_test_teardown(test_partitions_both_ways, synctest_end),
    };
    return cmocka_run_group_tests_name("sync_parts", tests, synctest_up, synctest_down);
}
