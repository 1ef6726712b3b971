/* test_bridge_mark.c - the mark of the catalog (bridge/unseen_mark.sql): it moves with every change
 * that unseen.sql would find, in whatever order they commit, and with nothing else that is
 * frequent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/bridgetest.h"
#include "tests/support/check.h"

extern const char weir_sql_unseen_mark[];

static int setup(void **state)
{
    *state = bridgetest_new(WEIR_BIN_DIR, NULL);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    bridgetest_free(*state);
    return 0;
}

/* In t->a; since: a snapshot and what was told with it, or NULL. */
static const char *mark_of(bridgetest *t, const char *since, const char *told,
                           const char **snapshot)
{
    const char *params[] = {"weir_t", since, told};
    weir_pg_rows *rows = NULL;
    weir_error err = {0};
    assert_rc(WEIR_OK, weir_pg_query(t->pg, weir_sql_unseen_mark, 3, params, &rows, &err), &err);
    assert_int_equal(weir_pg_nrows(rows), 1);
    if (snapshot) {
        *snapshot = weir_arena_strdup(t->a, weir_pg_valuez(rows, 0, 0));
    }
    const char *mark = weir_arena_strdup(t->a, weir_pg_valuez(rows, 0, 1));
    weir_pg_rows_free(rows);
    return mark;
}

static void prepare(bridgetest *t)
{
    bridgetest_sql(t, "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN feeling AS mood;"
                      "CREATE TABLE a (id int PRIMARY KEY, v text, w text, m feeling);"
                      "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                      "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);"
                      "CREATE TABLE p2 (LIKE p INCLUDING ALL); CREATE TABLE q (id int PRIMARY KEY);"
                      "CREATE SCHEMA other; CREATE PUBLICATION weir_t FOR TABLE a, p");
}

static void test_what_moves_it(void **state)
{
    static const char *const moves[] = {
        "ALTER TABLE a RENAME v TO x",
        "ALTER TABLE a DROP w",
        "ALTER TABLE a ADD w text",
        "ALTER TABLE a ALTER id TYPE bigint",
        "ALTER TABLE a ALTER x SET NOT NULL",
        "ALTER TABLE a ALTER x TYPE text COLLATE \"C\"",
        "ALTER TABLE a REPLICA IDENTITY FULL",
        "CREATE UNIQUE INDEX a_x ON a (x)",
        "DROP INDEX a_x",
        "CREATE TABLE child () INHERITS (q)",
        "ALTER PUBLICATION weir_t SET (publish = 'insert')",
        "ALTER PUBLICATION weir_t SET TABLE a WHERE (id > 0), p",
        "TRUNCATE p1",
        "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20)",
        "ALTER TABLE p DETACH PARTITION p1",
        "DROP TABLE p1",
        "ALTER TYPE mood RENAME VALUE 'glad' TO 'happy'",
        "ALTER TYPE mood ADD VALUE 'so'",
        "ALTER TABLE a RENAME TO b",
        "ALTER TABLE b SET SCHEMA other",
        "ALTER SCHEMA other RENAME TO another",
        "ALTER PUBLICATION weir_t ADD TABLE q",
        "ALTER PUBLICATION weir_t DROP TABLE q",
        "ALTER PUBLICATION weir_t ADD TABLES IN SCHEMA another",
        "DROP PUBLICATION weir_t",
        "CREATE PUBLICATION weir_t FOR ALL TABLES",
        "ALTER SCHEMA public RENAME TO private",
        "ALTER SCHEMA private RENAME TO public",
        "VACUUM FULL q", /* another file */
    };
    bridgetest *t = *state;
    prepare(t);
    const char *before = mark_of(t, NULL, NULL, NULL);
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        bridgetest_sql(t, moves[i]);
        const char *after = mark_of(t, NULL, NULL, NULL);
        if (strcmp(before, after) == 0) {
            fail_msg("not seen: %s", moves[i]);
        }
        before = after;
    }
}

static void test_what_does_not(void **state)
{
    static const char *const still[] = {
        "INSERT INTO a VALUES (1), (2)",
        "UPDATE a SET v = 'x'",
        "VACUUM a",
        "ANALYZE a",
        "CREATE TEMP TABLE passing (a int PRIMARY KEY, b int)",
        "DROP TABLE passing",
        "SELECT txid_current()",
    };
    bridgetest *t = *state;
    prepare(t);
    const char *before = mark_of(t, NULL, NULL, NULL);
    for (size_t i = 0; i < sizeof still / sizeof still[0]; i++) {
        bridgetest_sql(t, still[i]);
        const char *after = mark_of(t, NULL, NULL, NULL);
        if (strcmp(before, after) != 0) {
            fail_msg("taken for a change: %s: %s, %s", still[i], before, after);
        }
    }
    const char *snapshot = NULL;
    (void)mark_of(t, NULL, NULL, &snapshot);
    assert_string_equal(mark_of(t, snapshot, "as told", NULL), "as told");
    bridgetest_sql(t, "INSERT INTO a VALUES (3)");
    assert_string_equal(mark_of(t, snapshot, "as told", NULL), before);
}

/* The older transaction commits after the newer one. */
static void test_out_of_order(void **state)
{
    bridgetest *t = *state;
    weir_pg *older = NULL;
    weir_pg_conf conf = {.uri = t->server->uri, .application_name = "test"};
    prepare(t);
    assert_rc(WEIR_OK, weir_pg_open(&older, &conf, NULL), NULL);
    assert_rc(WEIR_OK, weir_pg_script(older, "BEGIN; ALTER TABLE a RENAME v TO x", NULL), NULL);
    bridgetest_sql(t, "ALTER TABLE q RENAME id TO number");
    const char *before = mark_of(t, NULL, NULL, NULL);
    assert_rc(WEIR_OK, weir_pg_script(older, "COMMIT", NULL), NULL);
    assert_string_not_equal(before, mark_of(t, NULL, NULL, NULL));
    weir_pg_close(older);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_what_moves_it),
        T(test_what_does_not),
        T(test_out_of_order),
    };
    return cmocka_run_group_tests_name("bridge mark", tests, bridgetest_up, bridgetest_down);
}
