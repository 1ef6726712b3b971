/* test_bridge_pitfalls.c - what logical decoding does differently from what one expects, each case
 * through a real bridge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/bridgetest.h"

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

#define BIG "repeat(md5(random()::text), 300)" /* compresses badly: stored out of line */

static void first_copy_is_read_events_at_the_consistent_point(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(
        t,
        "CREATE TABLE a(id int PRIMARY KEY, v text, g int GENERATED ALWAYS AS (id * 2) STORED);"
        "CREATE TABLE b(x int, y text); CREATE TABLE c(id int PRIMARY KEY, hidden text);"
        "INSERT INTO a VALUES (1, E'tab\\there\\nline \\\\ back'), (2, NULL), (3, '\\N'), (4, '');"
        "INSERT INTO b VALUES (7, 'no key');"
        "CREATE PUBLICATION weir_t FOR TABLE a, b, c (id) WITH (publish = 'insert, update, delete, "
        "truncate')");
    bridgetest_stream(t);
    const char *lines = bridgetest_lines(t, true);
    assert_string_equal(
        lines,
        "R public.a id=1 v=tab\there\nline \\ back\nR public.a id=2 v=NULL\nR public.a id=3 v=\\N\n"
        "R public.a id=4 v=\nRANGE public.a - -\nCOPIED public.a initial\n"
        "R public.b x=7 y=no key\nRANGE public.b - -\nCOPIED public.b initial\n"
        "RANGE public.c - -\nCOPIED public.c initial\n");
    /* The stream describes the tables exactly as the catalog did: no second description appears. */
    uint32_t known = t->f.known;
    bridgetest_sql(t, "INSERT INTO a VALUES (9, 'x'); INSERT INTO b VALUES (1, 'y'); INSERT INTO c "
                      "VALUES (1, 'secret')");
    bridgetest_expect(t, "I public.a id=9 v=x\nI public.b x=1 y=y\nI public.c id=1\nC\n");
    assert_int_equal(t->f.known, known);
}

static void toast_unchanged_is_a_third_state(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY, n int, big text); CREATE PUBLICATION "
                      "weir_t FOR TABLE a");
    bridgetest_sql(
        t, "ALTER TABLE a ALTER big SET STORAGE EXTERNAL; INSERT INTO a VALUES (1, 1, " BIG ")");
    bridgetest_stream(t);
    bridgetest_skip(t);
    bridgetest_sql(t, "UPDATE a SET n = 2");
    bridgetest_expect(t, "U public.a id=1 n=2 big=~\nC\n");
    bridgetest_sql(t,
                   "UPDATE a SET id = 5"); /* old and new key in one event, TOAST still unchanged */
    bridgetest_expect(t, "U public.a [K id=1] id=5 n=2 big=~\nC\n");
    bridgetest_sql(t, "ALTER TABLE a REPLICA IDENTITY FULL");
    bridgetest_skip(t);
    bridgetest_sql(t, "UPDATE a SET n = 3");
    const char *lines = bridgetest_lines(t, false);
    assert_null(strstr(lines, "~")); /* the old row had the value */
    assert_non_null(strstr(lines, "U public.a [O id=5 n=2 big="));
    assert_non_null(strstr(lines, "] id=5 n=3 big="));
    bridgetest_sql(t, "DELETE FROM a");
    assert_non_null(strstr(bridgetest_lines(t, false), "D public.a [O id=5 n=3 big="));
}

static void keys_and_identities(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(
        t,
        "CREATE TABLE d(id int PRIMARY KEY, v text); CREATE TABLE i(id int PRIMARY KEY, code text "
        "NOT NULL, v text);"
        "CREATE UNIQUE INDEX i_code ON i(code); ALTER TABLE i REPLICA IDENTITY USING INDEX i_code;"
        "CREATE TABLE n(x int); ALTER TABLE n REPLICA IDENTITY NOTHING;"
        "CREATE PUBLICATION weir_t FOR ALL TABLES");
    bridgetest_stream(t);
    bridgetest_skip(t);
    bridgetest_sql(t, "INSERT INTO d VALUES (1, 'a')");
    bridgetest_sql(t, "UPDATE d SET v = 'b'"); /* identity unchanged: no old part */
    bridgetest_sql(t, "UPDATE d SET id = 2");  /* key changed: K */
    bridgetest_sql(t, "DELETE FROM d");
    bridgetest_expect(t, "I public.d id=1 v=a\nC\nU public.d id=1 v=b\nC\nU public.d [K id=1] id=2 "
                         "v=b\nC\nD public.d [K id=2]\nC\n");
    bridgetest_sql(t, "INSERT INTO i VALUES (1, 'x', 'a')");
    bridgetest_sql(t, "UPDATE i SET id = 2"); /* the primary key is not the identity */
    bridgetest_sql(t, "UPDATE i SET code = 'y'");
    bridgetest_sql(t, "DELETE FROM i");
    bridgetest_expect(t, "I public.i id=1 code=x v=a\nC\nU public.i id=2 code=x v=a\nC\n"
                         "U public.i [K code=x] id=2 code=y v=a\nC\nD public.i [K code=y]\nC\n");
    bridgetest_sql(t, "INSERT INTO n VALUES (1)");
    bridgetest_expect(t, "I public.n x=1\nC\n");
}

static void truncate_names_all_tables(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(
        t, "CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY REFERENCES a);"
           "CREATE TABLE c(id serial PRIMARY KEY); CREATE PUBLICATION weir_t FOR TABLE a, b, c");
    bridgetest_stream(t);
    bridgetest_skip(t);
    bridgetest_sql(t, "TRUNCATE a, b");
    bridgetest_sql(t, "TRUNCATE a CASCADE");
    bridgetest_sql(t, "TRUNCATE c RESTART IDENTITY");
    bridgetest_expect(t, "T 0 public.a public.b\nC\nT 1 public.a public.b\nC\nT 2 public.c\nC\n");
}

static void messages_in_and_outside_transactions(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    bridgetest_sql(t, "BEGIN; SELECT pg_logical_emit_message(true, 'weir.command', 'one'); INSERT "
                      "INTO a VALUES (1); COMMIT");
    bridgetest_sql(t, "BEGIN; SELECT pg_logical_emit_message(false, 'free', 'two'); SELECT "
                      "pg_logical_emit_message(true, 'gone', 'x');"
                      "ROLLBACK");
    bridgetest_sql(t, "SELECT pg_logical_emit_message(true, 'alone', 'three')");
    bridgetest_expect(
        t, "M t weir.command one\nI public.a id=1\nC\nM n free two\nM t alone three\nC\n");
    /* Over a restart the free message does not come a second time. */
    assert_int_equal(bridgeproc_stop(&t->b), 0);
    bridgetest_stream(t);
    bridgetest_sql(t, "INSERT INTO a VALUES (2)");
    bridgetest_expect(t, "I public.a id=2\nC\n");
}

static void texts_do_not_depend_on_the_server_settings(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "ALTER DATABASE postgres SET datestyle = 'SQL, DMY'; ALTER DATABASE postgres "
                      "SET intervalstyle = iso_8601;"
                      "ALTER DATABASE postgres SET extra_float_digits = 0; ALTER DATABASE postgres "
                      "SET timezone = 'America/New_York';"
                      "ALTER DATABASE postgres SET bytea_output = escape");
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY, ts timestamptz, i interval, f float4, b "
                      "bytea, n numeric, m money, c char(4),"
                      " ar int[]); CREATE PUBLICATION weir_t FOR TABLE a");
    bridgetest_sql(t, "INSERT INTO a VALUES (1, '2024-05-06 07:08:09.123456+00', '1 year 2 days "
                      "03:00', 0.033333335, '\\x0102ff',"
                      " 'NaN', 1.5, 'ab', '{1,NULL,3}')");
    bridgetest_stream(t);
    bridgetest_sql(t, "INSERT INTO a SELECT 2, ts, i, f, b, n, m, c, ar FROM a; INSERT INTO a(id, "
                      "ts) VALUES (3, 'infinity')");
    bridgetest_sql(t, "ALTER DATABASE postgres RESET ALL");
#define ROW                                                                                        \
    "ts=2024-05-06 07:08:09.123456+00 i=1 year 2 days 03:00:00 f=0.033333335 b=\\x0102ff n=NaN "   \
    "m=$1.50 c=ab   ar={1,NULL,3}"
    bridgetest_expect(
        t, "R public.a id=1 " ROW "\nI public.a id=2 " ROW
           "\nI public.a id=3 ts=infinity i=NULL f=NULL b=NULL n=NULL m=NULL c=NULL ar=NULL\nC\n");
}

static void schema_changes_make_new_versions(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY, v text); CREATE PUBLICATION weir_t FOR "
                      "TABLE a; INSERT INTO a VALUES (1, 'x')");
    bridgetest_stream(t);
    bridgetest_skip(t);
    uint32_t first = t->f.known;
    bridgetest_sql(t, "ALTER TABLE a ADD w int DEFAULT 7; INSERT INTO a VALUES (2, 'y', 8)");
    bridgetest_sql(
        t, "ALTER TABLE a DROP w; INSERT INTO a VALUES (3, 'z')"); /* the first description again */
    bridgetest_sql(
        t, "ALTER TABLE a ADD m text; CREATE TYPE mood AS ENUM ('ok'); ALTER TABLE a ADD e mood[];"
           "INSERT INTO a VALUES (4, 'z', 'm', '{ok}')");
    const char *lines = bridgetest_lines(t, true);
    assert_non_null(strstr(lines, "I public.a id=2 v=y w=8\nC\n"));
    assert_non_null(strstr(lines, "I public.a id=3 v=z\nC\n"));
    assert_non_null(strstr(lines, "Y public._mood\n"));
    assert_non_null(strstr(lines, "I public.a id=4 v=z m=m e={ok}\nC\n"));
    assert_int_equal(t->f.known, first + 2);
}

static void order_is_commit_order_and_empty_transactions_only_move(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE unpublished(id int); "
                      "CREATE PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    weir_pg *other = NULL;
    weir_error err;
    weir_pg_conf conf = {.uri = t->server->uri};
    assert_int_equal(weir_pg_open(&other, &conf, &err), WEIR_OK);
    assert_int_equal(weir_pg_script(other, "BEGIN", &err), WEIR_OK);
    assert_int_equal(weir_pg_script(other, "INSERT INTO a VALUES (1)", &err), WEIR_OK);
    bridgetest_sql(t, "INSERT INTO a VALUES (2)");
    bridgetest_sql(t, "INSERT INTO unpublished VALUES (2)");
    bridgetest_sql(t, "BEGIN; INSERT INTO a VALUES (3); SAVEPOINT s; INSERT INTO a VALUES (4); "
                      "ROLLBACK TO s; INSERT INTO a VALUES (5); COMMIT");
    bridgetest_sql(t, "BEGIN; INSERT INTO a VALUES (6); ROLLBACK");
    assert_int_equal(weir_pg_script(other, "COMMIT", &err), WEIR_OK);
    weir_pg_close(other);
    bridgetest_expect(
        t, "I public.a id=2\nC\nI public.a id=3\nI public.a id=5\nC\nI public.a id=1\nC\n");
}

static void partitions_speak_through_their_root(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE p(id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
                      "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 "
                      "PARTITION OF p FOR VALUES FROM (10) TO (20);"
                      "INSERT INTO p VALUES (1, 'a'), (11, 'b'); CREATE PUBLICATION weir_t FOR "
                      "TABLE p WITH (publish_via_partition_root)");
    bridgetest_stream(t);
    bridgetest_sql(t, "INSERT INTO p VALUES (2, 'c'); UPDATE p SET id = 12 WHERE id = 2");
    bridgetest_expect(t, "R public.p id=1 v=a\nR public.p id=11 v=b\nI public.p id=2 v=c\nD "
                         "public.p [K id=2]\nI public.p id=12 v=c\nC\n");
}

static void origins_are_told(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    bridgetest_sql(t, "SELECT pg_replication_origin_create('dc2'); SELECT "
                      "pg_replication_origin_session_setup('dc2')");
    bridgetest_sql(t, "BEGIN; SELECT pg_replication_origin_xact_setup('0/ABCD', now()); INSERT "
                      "INTO a VALUES (1); COMMIT");
    bridgetest_sql(
        t,
        "SELECT pg_replication_origin_session_reset(); SELECT pg_replication_origin_drop('dc2')");
    bridgetest_expect(t, "O dc2\nI public.a id=1\nC\n");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(first_copy_is_read_events_at_the_consistent_point),
        T(toast_unchanged_is_a_third_state),
        T(keys_and_identities),
        T(truncate_names_all_tables),
        T(messages_in_and_outside_transactions),
        T(texts_do_not_depend_on_the_server_settings),
        T(schema_changes_make_new_versions),
        T(order_is_commit_order_and_empty_transactions_only_move),
        T(partitions_speak_through_their_root),
        T(origins_are_told),
    };
    return cmocka_run_group_tests_name("bridge pitfalls", tests, bridgetest_up, bridgetest_down);
}
