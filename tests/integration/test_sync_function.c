/* test_sync_function.c - conflict = function: what the function is given, and what its answer
 * writes. */
#include "tests/support/synctest.h"

static const char tables_sql[] =
    "CREATE SCHEMA \"odd s\"; "
    "CREATE TABLE \"odd s\".\"T x\" (id int PRIMARY KEY, n numeric, j jsonb, a int[], ts "
    "timestamptz, big text); ALTER TABLE \"odd s\".\"T x\" ALTER big SET STORAGE EXTERNAL; "
    "CREATE TABLE told (kind text, local_row jsonb, remote_row jsonb); "
    "CREATE FUNCTION \"odd s\".\"Take it\"(tab text, kind text, local_row jsonb, remote_row jsonb, "
    "local_at timestamptz, remote_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN "
    "INSERT INTO public.told VALUES (kind, local_row, remote_row); RETURN remote_row || '{\"n\": "
    "7}'; END $$";

/* Names are written as in SQL, in patterns too. */
static const char ini[] =
    "tables = \"odd s\".*\nways = one\n[table \"odd s\".\"T x\"]\nconflict = function\nfunction = "
    "\"odd s\".\"Take it\"";

static void test_rows_have_one_form(void **state)
{
    synctest *t = synctest_begin(state, WEIR_BIN_DIR, tables_sql, ini);
    synctest_start(t);
    synctest_sql(t->a, "INSERT INTO \"odd s\".\"T x\" VALUES (1, 1.50, '{\"k\": [1, null]}', "
                       "'{1,NULL}', '2024-01-01 00:00+02', repeat('x', 5000))");
    synctest_until(t, t->b, "SELECT count(*)::int FROM \"odd s\".\"T x\"", "the first row");
    synctest_sql(t->b, "UPDATE \"odd s\".\"T x\" SET n = 2");
    synctest_sql(t->a, "UPDATE \"odd s\".\"T x\" SET n = 3.25"); /* big does not come with it */
    synctest_until(t, t->b,
                   "SELECT count(*)::int FROM weir_sync.conflict WHERE resolution = "
                   "'merged'",
                   "the function's answer");
    assert_string_equal("{\"a\": [1, null], \"j\": {\"k\": [1, null]}, \"n\": 3.25, \"id\": 1, "
                        "\"ts\": \"2023-12-31T22:00:00+00:00\"}",
                        synctest_value(t, t->b, "SELECT remote_row FROM told"));
    assert_string_equal("t", synctest_value(t, t->b,
                                            "SELECT remote_row || '{\"n\": 2}' = local_row - 'big' "
                                            "FROM told"));
    assert_string_equal("7 {\"k\": [1, null]} {1,NULL} 5000",
                        synctest_value(t, t->b,
                                       "SELECT concat_ws(' ', n, j, a::text, length(big)) FROM "
                                       "\"odd s\".\"T x\""));
}

/* Not when the first conflict comes, and it goes on once it is there. */
static void test_missing_is_told_at_once(void **state)
{
    synctest *t = synctest_begin(state, WEIR_BIN_DIR, "CREATE TABLE t (id int PRIMARY KEY, n int)",
                                 "tables = t\nways = one\nconflict = error\n[table t]\nconflict = "
                                 "function\nfunction = mend");
    synctest_start(t);
    synctest_sql(t->a, "INSERT INTO t VALUES (1, 1)");
    synctest_said(t, "create \"public\".\"mend\"(text, text, jsonb, jsonb, timestamptz, "
                     "timestamptz) RETURNS jsonb");
    synctest_sql(t->b, "CREATE FUNCTION mend(text, text, jsonb, jsonb, timestamptz, timestamptz) "
                       "RETURNS jsonb LANGUAGE sql RETURN $4");
    synctest_until(t, t->b, "SELECT count(*)::int FROM t", "the row after the function");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_rows_have_one_form, synctest_end),
        cmocka_unit_test_teardown(test_missing_is_told_at_once, synctest_end),
    };
    return cmocka_run_group_tests(tests, synctest_up, synctest_down);
}
