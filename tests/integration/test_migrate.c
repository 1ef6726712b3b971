/* test_migrate.c - what a migration refuses, and how it treats awkward rows: rejects, exchanged
 * unique values, keys that move, TRUNCATE, identity and generated columns, pause, abort.
 */
#include <stdio.h>

#include "tests/support/check.h"
#include "tests/support/migtest.h"

static migtest t;

static int close_one(void **state)
{
    (void)state;
    migtest_close(&t);
    return 0;
}

static const char SOURCE[] =
    "CREATE TABLE item (id bigint PRIMARY KEY, code text NOT NULL UNIQUE, name text, price float8, "
    "at timestamptz NOT NULL DEFAULT now());"
    "CREATE TABLE plain (a int, b text, c text);"
    "CREATE TABLE pair (x text, y int, note text, PRIMARY KEY (x, y));"
    "INSERT INTO item SELECT g, 'c' || g, 'name ' || g, g * 1.5 FROM generate_series(1, 300) g;"
    "INSERT INTO pair SELECT 'x' || g, g, 'n' FROM generate_series(1, 50) g";

static const char TARGET[] =
    "CREATE SCHEMA s;"
    "CREATE TABLE s.item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code varchar(8) NOT "
    "NULL UNIQUE, label varchar(20), price numeric(8,2) NOT NULL CHECK (price < 10000), twice "
    "numeric GENERATED ALWAYS AS (price * 2) STORED, needed int NOT NULL);";

static const char BROKEN[] = "[table s.item]\n"
                             "from = itm\n"
                             "column id = id\n"
                             "[table s.pair]\n"
                             "from = pair\n"
                             "create = no\n"
                             "columns = *\n"
                             "[table s.plain]\n"
                             "from = plain\n"
                             "create = yes\n"
                             "columns = *\n";

static const char ERRORS[] = "[table s.item]\n"
                             "from = item\n"
                             "column id    = id\n"
                             "column code  = upper(cod)\n"
                             "column label = name || now()\n"
                             "column price = price\n"
                             "column twice = price * 2\n"
                             "column wrong = 1\n"
                             "where = price >\n"
                             "    0 AND nosuch\n"
                             "[table s.pair]\n"
                             "from = pair\n"
                             "create = yes\n"
                             "column id int = y\n"
                             "column note   = (SELECT 1)\n"
                             "key = note\n"
                             "foreign_key = (id) REFERENCES s.nowhere (id)\n";

static void refuses_with_place_and_reason(void **state)
{
    (void)state;
    fixture_need(&migtest_fx);
    migtest_open(&t, &migtest_fx, WEIR_BIN_DIR, "refused");
    migtest_sql(t.source, SOURCE);
    migtest_sql(t.target, TARGET);
    migtest_mapping(&t, "", BROKEN);
    assert_int_equal(1, migtest_weir(&t, "--dry-run", NULL));
    migtest_said(&t, "refused.ini:6:8: error: the source has no table itm");
    migtest_said(&t, "    6 | from = itm\n      |        ^~~\n      = did you mean public.item?");
    migtest_said(&t, ":8:8: error: the target has no table \"s\".\"pair\"");
    migtest_said(&t,
                 ":13:8: error: the rows of \"public\".\"plain\" cannot be told apart: it has no "
                 "primary key");
    migtest_mapping(&t, "", ERRORS);
    assert_int_equal(2, migtest_weir(&t, "nosuch", NULL));
    migtest_said(&t, "there is no nosuch");
    assert_int_equal(2, migtest_weir(&t, "verify", "--rate", "x", NULL));
    migtest_said(&t, "--rate must be a number");
    assert_int_equal(2, migtest_weir(&t, "run", "--restart", NULL));
    /* these begin no migration */
    assert_int_equal(1, migtest_weir(&t, "verify", NULL));
    migtest_said(&t, "has not begun");
    assert_int_equal(1, migtest_weir(&t, "cutover", NULL));
    migtest_said(&t, "has not begun");
    assert_int_equal(1, migtest_weir(&t, "run", NULL)); /* run begins with the same check */
    migtest_said(&t, ":8:22: error: column code: the source says: column \"cod\" does not exist");
    migtest_said(&t, ":9:16: error: column label: now may give another value at each reading");
    migtest_said(&t, "double precision does not always fit into \"s\".\"item\".price, which is "
                     "numeric(8,2)");
    migtest_said(&t, "(price)::numeric(8,2), if that is meant");
    migtest_said(&t, ":11:8: error: \"s\".\"item\".twice is generated");
    migtest_said(&t, "has no column wrong");
    migtest_said(&t, ":14:11: error: where: the source says: column \"nosuch\" does not exist");
    migtest_said(&t, "\"s\".\"item\".needed is NOT NULL without a default");
    migtest_said(&t, "column note reads other rows with SELECT");
    migtest_said(&t, "refers to s.nowhere, which the target does not have");
    migtest_said(&t, "nothing was changed");
    assert_string_equal(
        "0", migtest_value(&t, t.source,
                           "SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM "
                           "pg_replication_slots)"));
    assert_string_equal("0", migtest_value(&t, t.target,
                                           "SELECT count(*) FROM pg_namespace WHERE nspname = "
                                           "'weir_sync'"));
}

static const char GOOD[] = "[table s.item]\n"
                           "from = item\n"
                           "where = id <> 13\n"
                           "column id     = id\n"
                           "column code   = code\n"
                           "column label  = name\n"
                           "column price  = price::numeric(12,2)\n"
                           "column needed = 7\n"
                           "[table s.pair]\n"
                           "from = pair\n"
                           "create = yes\n"
                           "columns = *\n"
                           "[table s.pair_code]\n"
                           "from = pair\n"
                           "create = yes\n"
                           "column key text = x || '/' || y\n"
                           "column note     = note\n"
                           "key = key\n"
                           "index = (note)\n";

/* By the test's own understanding. */
static void same(void)
{
    migtest_caught_up(&t);
    assert_string_equal(
        migtest_value(
            &t, t.source,
            "SELECT count(*) || coalesce(md5(string_agg(format('%s %s %s %s', id, code, "
            "name, round(price::numeric, 2) * 2), ',' ORDER BY id)), '') FROM item WHERE id "
            "<> 13"),
        migtest_value(&t, t.target,
                      "SELECT count(*) || coalesce(md5(string_agg(format('%s %s %s %s', id, code, "
                      "label, twice), ',' ORDER BY id)), '') FROM s.item WHERE needed = 7"));
    assert_string_equal(
        migtest_value(&t, t.source,
                      "SELECT count(*) || coalesce(md5(string_agg(format('%s/%s %s', x, y, note), "
                      "',' ORDER BY x, y)), '') FROM pair"),
        migtest_value(&t, t.target,
                      "SELECT count(*) || coalesce(md5(string_agg(format('%s/%s %s', x, y, note), "
                      "',' ORDER BY x, y)), '') FROM s.pair"));
    assert_string_equal(
        migtest_value(&t, t.target,
                      "SELECT count(*) || coalesce(md5(string_agg(format('%s/%s %s', x, y, note), "
                      "',' ORDER BY x || '/' || y)), '') FROM s.pair"),
        migtest_value(&t, t.target,
                      "SELECT count(*) || coalesce(md5(string_agg(format('%s %s', key, note), ',' "
                      "ORDER BY key)), '') FROM s.pair_code"));
}

static void rejects(const char *n)
{
    migtest_caught_up(&t);
    migtest_await(&t, false, "SELECT count(*) FROM weir_sync.reject", n);
}

static void follows_awkward_changes(void **state)
{
    (void)state;
    fixture_need(&migtest_fx);
    migtest_open(&t, &migtest_fx, WEIR_BIN_DIR, "awkward");
    migtest_sql(t.source, SOURCE);
    migtest_sql(t.target, TARGET);
    migtest_mapping(&t, "[migration]\nchunk_rows = 50\n", GOOD);
    if (migtest_weir(&t, "--dry-run", NULL) != 0) {
        fail_msg("%s", t.said);
    }
    migtest_sql(t.source, "INSERT INTO item VALUES (1000, 'much too long a code', 'x', 1)");
    assert_int_equal(0, migtest_weir(&t, "--dry-run", NULL));
    migtest_said(&t,
                 "warning: column code does not fit into character varying(8) in 1 of 300 rows");
    migtest_start(&t);
    migtest_await_phase(&t, "live");
    rejects("1"); /* met by the copy */
    assert_string_equal("{1000} 22001", migtest_value(&t, t.target,
                                                      "SELECT key::text || ' ' || sqlstate FROM "
                                                      "weir_sync.reject"));
    migtest_sql(t.source, "UPDATE item SET code = 'short' WHERE id = 1000");
    rejects("0");
    same();
    /* by a change: the row as it was must not stay */
    migtest_sql(t.source, "UPDATE item SET price = 20000 WHERE id = 5");
    rejects("1");
    assert_string_equal("0",
                        migtest_value(&t, t.target, "SELECT count(*) FROM s.item WHERE id = 5"));
    assert_int_equal(1, migtest_weir(&t, "cutover", NULL));
    migtest_said(&t, "1 rows did not fit");
    migtest_sql(t.source, "DELETE FROM item WHERE id = 5");
    rejects("0");
    same();
    /* unique values that change hands, in one transaction and in three */
    migtest_sql(t.source,
                "BEGIN; UPDATE item SET code = 'tmp' WHERE id = 1; UPDATE item SET code = "
                "'c1' WHERE id = 2; UPDATE item SET code = 'c2' WHERE id = 1; COMMIT");
    migtest_sql(t.source, "UPDATE item SET code = 'tmp' WHERE id = 3");
    migtest_sql(t.source, "UPDATE item SET code = 'c3' WHERE id = 4");
    migtest_sql(t.source, "UPDATE item SET code = 'c4' WHERE id = 3");
    rejects("0");
    same();
    /* into and out of the filter, keys that move, many at once */
    migtest_sql(t.source,
                "UPDATE item SET id = 2000 WHERE id = 13; UPDATE item SET id = 13 WHERE id = "
                "14; UPDATE item SET id = id + 5000 WHERE id BETWEEN 100 AND 200; UPDATE pair "
                "SET x = x || 'é\"\\', y = y + 1");
    same();
    migtest_sql(t.source,
                "BEGIN; INSERT INTO pair VALUES ('gone', 1); TRUNCATE pair; INSERT INTO pair "
                "VALUES ('new', 1, 'a'); COMMIT; INSERT INTO pair VALUES ('new', 2, 'b')");
    same();
    /* a transaction larger than one fetch */
    migtest_sql(t.source, "INSERT INTO pair SELECT repeat('k', 200) || g, g, repeat('n', 600) FROM "
                          "generate_series(1, 4000) g");
    same();
    assert_int_equal(0, migtest_weir(&t, "pause", NULL));
    migtest_await(&t, false, "SELECT paused::text FROM weir_sync.migrate", "true");
    assert_int_equal(0, migtest_weir(&t, "status", "--json", NULL));
    migtest_said(&t, "\"paused\":true");
    assert_int_equal(0, migtest_weir(&t, "resume", NULL));
    migtest_sql(t.source, "DELETE FROM item WHERE id > 5000");
    same();
    assert_int_equal(0, migtest_weir(&t, "verify", "--json", NULL));
    migtest_said(&t, "\"differences\":0");
    migtest_await_phase(&t, "verified");
    /* nothing stays behind */
    (void)fixture_stop(t.run, 20000);
    assert_int_equal(0, migtest_weir(&t, "abort", "--yes", NULL));
    migtest_said(&t, "2 tables dropped");
    assert_string_equal(
        "0", migtest_value(&t, t.source,
                           "SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM "
                           "pg_replication_slots WHERE database = current_database())"));
    assert_string_equal("0",
                        migtest_value(&t, t.target,
                                      "SELECT (SELECT count(*) FROM weir_sync.migrate) + (SELECT "
                                      "count(*) FROM pg_class WHERE relname LIKE 'pair%')"));
}

static void other_labels_are_told(void **state)
{
    (void)state;
    fixture_need(&migtest_fx);
    migtest_open(&t, &migtest_fx, WEIR_BIN_DIR, "labels");
    migtest_sql(t.source, "CREATE TYPE mood AS ENUM ('a', 'b ''x'''); CREATE TABLE e (id int "
                          "PRIMARY KEY, m mood); INSERT INTO e VALUES (1, 'a'), (2, NULL), (3, "
                          "'b ''x''')");
    migtest_sql(t.target, "CREATE TYPE mood AS ENUM ('A', 'b ''x'''); CREATE TABLE e (id int "
                          "PRIMARY KEY, m mood, n mood)");
    migtest_mapping(&t, "",
                    "[table public.e]\nfrom = e\ncolumn id = id\ncolumn m = m\n"
                    "column n = CASE m WHEN 'a' THEN 'A' ELSE m::text END\n");
    assert_int_equal(0, migtest_weir(&t, "--dry-run", NULL));
    migtest_said(&t, "warning: column m has no label of mood in 1 of 3 rows looked at, 'a' for");
    assert_null(strstr(t.said, "column n"));
}

/* A step that takes long, behind a lock here, leaves the record of the applier old; a process that
 * is gone does so, too. */
static void a_long_step_is_not_silence(void **state)
{
    (void)state;
    fixture_need(&migtest_fx);
    weir_error err;
    weir_pg *other = NULL;
    migtest_open(&t, &migtest_fx, WEIR_BIN_DIR, "longstep");
    migtest_sql(t.source, SOURCE);
    migtest_sql(t.target, TARGET);
    migtest_mapping(&t, "[migration]\nchunk_rows = 50\n", GOOD);
    migtest_start(&t);
    migtest_await_phase(&t, "live");
    const weir_pg_conf conf = {.uri = t.target_uri, .application_name = "other"};
    assert_rc(WEIR_OK, weir_pg_open(&other, &conf, &err), &err);
    migtest_sql(other, "BEGIN; LOCK TABLE s.pair");
    migtest_sql(t.source, "UPDATE pair SET note = 'waits' WHERE y = 1");
    migtest_await(&t, false, "SELECT count(*) FROM pg_locks WHERE NOT granted", "1");
    static const char old[] =
        "UPDATE weir_sync.migrate SET seen_at = clock_timestamp() - interval '1 hour'";
    migtest_sql(t.target, old);
    assert_int_equal(0, migtest_weir(&t, "status", "--json", NULL));
    migtest_said(&t, "\"running\":true");
    migtest_sql(other, "ROLLBACK");
    weir_pg_close(other);
    migtest_caught_up(&t);
    (void)fixture_stop(t.run, 20000);
    migtest_sql(t.target, old);
    assert_int_equal(0, migtest_weir(&t, "status", "--json", NULL));
    migtest_said(&t, "\"running\":false");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(refuses_with_place_and_reason, close_one),
        cmocka_unit_test_teardown(follows_awkward_changes, close_one),
        cmocka_unit_test_teardown(other_labels_are_told, close_one),
        cmocka_unit_test_teardown(a_long_step_is_not_silence, close_one),
    };
    return cmocka_run_group_tests_name("migrate", tests, migtest_up, migtest_down);
}
