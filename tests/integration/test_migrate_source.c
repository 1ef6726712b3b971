/* test_migrate_source.c - sources that are not as simple: partitions, types of their own, a bridge
 * somebody else runs, commits that nobody sees yet, servers that go away in the middle.
 */
#include <stdio.h>

#include "tests/support/bridgeproc.h"
#include "tests/support/check.h"
#include "tests/support/migtest.h"

static migtest t;
static bridgeproc bridge;

static int close_one(void **state)
{
    (void)state;
    migtest_close(&t);
    bridgeproc_remove(&bridge);
    return 0;
}

static void same(const char *table, const char *key)
{
    const char *sql = weir_arena_printf(
        migtest_fx.a,
        "SELECT count(*) || coalesce(md5(string_agg(x::text, ',' ORDER BY %s)), '') FROM %s x", key,
        table);
    migtest_caught_up(&t);
    assert_string_equal(migtest_value(&t, t.source, sql), migtest_value(&t, t.target, sql));
}

/* --- what a table may be made of */

static const char TYPES[] =
    "CREATE TYPE mood AS ENUM ('sad', 'fine'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);"
    "CREATE TYPE pair AS (a int, b text); CREATE COLLATION plain FROM \"C\"";

static const char TYPED[] =
    "CREATE TABLE typed (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m mood, p positive, two "
    "pair, name text COLLATE \"C\", sorted text COLLATE plain, twice int GENERATED ALWAYS AS (p * "
    "2) STORED, many mood[]);"
    "INSERT INTO typed (m, p, two, name, sorted, many) SELECT 'sad', g, ROW (g, 'x,' || g)::pair, "
    "'n' || "
    "g, 's', '{sad,fine}' FROM generate_series(1, 200) g;"
    "CREATE TABLE sale (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST "
    "(region);"
    "CREATE TABLE sale_n PARTITION OF sale FOR VALUES IN ('n') PARTITION BY RANGE (id);"
    "CREATE TABLE sale_n1 PARTITION OF sale_n FOR VALUES FROM (0) TO (100);"
    "CREATE TABLE sale_n2 PARTITION OF sale_n DEFAULT;"
    "CREATE TABLE sale_s PARTITION OF sale DEFAULT;"
    "INSERT INTO sale SELECT g, CASE g % 2 WHEN 0 THEN 'n' ELSE 's' END, 'v' FROM "
    "generate_series(1, 400) g";

static const char MADE[] = "[table public.typed]\n"
                           "from = typed\n"
                           "create = yes\n"
                           "columns = *\n"
                           "[table public.sale]\n"
                           "from = sale\n"
                           "create = yes\n"
                           "columns = *\n";

static void types_and_partitions(void **state)
{
    (void)state;
    fixture_need(&migtest_fx);
    migtest_open(&t, &migtest_fx, WEIR_BIN_DIR, "typed");
    migtest_sql(t.source, TYPES);
    migtest_sql(t.source, TYPED);
    migtest_mapping(&t, "", "[table public.sale]\nfrom = sale_n1\ncreate = yes\ncolumns = *\n");
    assert_int_equal(1, migtest_weir(&t, "--dry-run", NULL));
    migtest_said(&t, ":6:8: error: \"public\".\"sale_n1\" is a partition");
    migtest_mapping(&t, "",
                    "[table public.sale]\nfrom = sale\ncreate = yes\ncolumns = *\nunique = (id, "
                    "region DESC, \"Region\")\nindex = (lower(v), nope)\n");
    assert_int_equal(1, migtest_weir(&t, "--dry-run", NULL));
    migtest_said(&t, ":9:10: error: \"public\".\"sale\" gets no column Region");
    migtest_said(&t, "weir migrate: 1 problem");
    migtest_mapping(&t, "[migration]\nchunk_rows = 60\n", MADE);
    assert_int_equal(1, migtest_weir(&t, "--dry-run", NULL));
    migtest_said(&t, "the target does not have the type mood of column m");
    migtest_said(&t, "the target does not have the type positive of column p");
    migtest_said(&t, "the target does not have the type pair of column two");
    migtest_said(&t, "the target does not have the type mood[] of column many");
    migtest_said(&t, "the target does not have the collation public.plain of column sorted");
    migtest_said(&t, "typed.ini:10:11: error");
    migtest_sql(t.target, TYPES);
    if (migtest_weir(&t, "--dry-run", NULL) != 0) {
        fail_msg("%s", t.said);
    }
    migtest_start(&t);
    migtest_await_phase(&t, "live");
    same("typed", "id");
    same("sale", "id, region");
    migtest_sql(t.source,
                "UPDATE typed SET m = 'fine', p = p + 1, two = ROW (1, NULL), many = NULL WHERE id "
                "% 3 = 0; DELETE FROM typed WHERE id = 7;"
                "UPDATE sale SET region = 'n' WHERE id BETWEEN 90 AND 110;"
                "DELETE FROM sale WHERE id = 111; INSERT INTO sale VALUES (5000, 'n', 'new');"
                "UPDATE sale_s SET v = 'w' WHERE id = 113");
    same("typed", "id");
    same("sale", "id, region");
    assert_string_equal("C plain", migtest_value(&t, t.target,
                                                 "SELECT string_agg(collname, ' ' ORDER BY attnum) "
                                                 "FROM pg_attribute a JOIN pg_collation c ON c.oid "
                                                 "= a.attcollation WHERE attrelid = "
                                                 "'typed'::regclass AND collname <> 'default'"));
    if (migtest_weir(&t, "cutover", NULL) != 0) {
        fail_msg("%s", t.said);
    }
}

/* Parent and child have rows of the same keys: each is a table of its own, on both sides. */
static void children_of_inheritance(void **state)
{
    static const char FAMILY[] =
        "CREATE TABLE p (id int PRIMARY KEY, v text); CREATE TABLE c (PRIMARY KEY (id)) INHERITS "
        "(p); CREATE TABLE f (id int PRIMARY KEY, p_id int REFERENCES p)";
    (void)state;
    fixture_need(&migtest_fx);
    migtest_open(&t, &migtest_fx, WEIR_BIN_DIR, "family");
    migtest_sql(t.source, FAMILY);
    migtest_sql(t.target, FAMILY);
    /* of no concern, and not held to its parent's foreign key either */
    migtest_sql(t.target, "CREATE TABLE g () INHERITS (f); INSERT INTO g VALUES (1, 99999)");
    migtest_sql(t.source,
                "INSERT INTO p SELECT g, 'p' FROM generate_series(1, 300) g; INSERT INTO "
                "c SELECT g, 'c' FROM generate_series(100, 500) g; CREATE TABLE \"Odd_\"\"\\1\" AS "
                "SELECT 1 AS \"K%\"; ALTER TABLE \"Odd_\"\"\\1\" ADD PRIMARY KEY "
                "(\"K%\"); INSERT INTO f SELECT "
                "g, g FROM generate_series(1, 50) g");
    migtest_mapping(&t, "[migration]\nchunk_rows = 60\n",
                    "[table public.p]\nfrom = p\ncolumns = *\n[table public.c]\nfrom = "
                    "c\ncolumns = *\n[table public.f]\nfrom = f\ncolumns = *\n[table "
                    "public.\"Odd_\"\"\\1\"]\nfrom = \"Odd_\"\"\\1\"\ncreate = yes\ncolumns = *\n");
    migtest_start(&t);
    migtest_await_phase(&t, "live");
    assert_int_equal(0, migtest_weir(&t, "status", NULL));
    assert_null(strstr(t.said, "not yet all"));
    migtest_sql(t.source, "UPDATE ONLY p SET v = 'p2' WHERE id > 90; DELETE FROM ONLY p WHERE id "
                          "BETWEEN 150 AND 160; DELETE FROM c WHERE id BETWEEN 170 AND 180; UPDATE "
                          "ONLY p SET id = id + 1000 WHERE id = 200");
    same("p", "id, v");
    same("c", "id");
    migtest_sql(t.source, "TRUNCATE f; TRUNCATE ONLY p CASCADE; INSERT INTO p VALUES (7, 'new')");
    same("p", "id, v");
    assert_int_equal(0, migtest_weir(&t, "verify", NULL));
    /* A parent among the children of the table that is referred to is none. */
    migtest_sql(t.source, "SET session_replication_role = replica; INSERT INTO f VALUES (60, 450); "
                          "RESET session_replication_role");
    same("ONLY f", "id");
    assert_int_not_equal(0, migtest_weir(&t, "cutover", NULL));
    assert_non_null(strstr(t.said, "parent"));
    migtest_sql(t.source, "DELETE FROM f");
    same("ONLY f", "id");
    if (migtest_weir(&t, "cutover", NULL) != 0) {
        fail_msg("%s", t.said);
    }
}

/* --- who tells the changes */

static const char N[] = "CREATE TABLE n (id int PRIMARY KEY, v text);"
                        "INSERT INTO n SELECT g, 'v' || g FROM generate_series(1, 2000) g";
static const char TABLE_N[] = "[table public.n]\nfrom = n\ncreate = yes\ncolumns = *\n";

static void start_bridge(const char *uri)
{
    assert_true(bridgeproc_init(&bridge, WEIR_BIN_DIR, uri, "first_copy = 0\n"));
    assert_true(bridgeproc_start(&bridge));
    assert_true(bridgeproc_wait_state(&bridge, "streaming", 30000));
}

/* The source's lines, then [source] feed. */
static void mapping_with_feed(void)
{
    const char *uri = weir_arena_strdup(migtest_fx.a, t.source_uri);
    (void)snprintf(t.source_uri, sizeof t.source_uri, "%s\nfeed = %s", uri, bridge.feed);
    migtest_mapping(&t, "", TABLE_N);
    (void)snprintf(t.source_uri, sizeof t.source_uri, "%s", uri);
}

static void a_bridge_somebody_else_runs(void **state)
{
    (void)state;
    fixture_need(&migtest_fx);
    migtest_open(&t, &migtest_fx, WEIR_BIN_DIR, "foreign");
    migtest_sql(t.source, N);
    migtest_sql(t.source, "CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR "
                          "TABLE other");
    migtest_sql(t.target, "CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR "
                          "TABLE other");
    start_bridge(t.target_uri);
    mapping_with_feed();
    assert_int_equal(1, migtest_weir(&t, "run", NULL));
    migtest_said(&t, "it reads another database");
    bridgeproc_remove(&bridge);
    migtest_sql(t.target, PGSERVER_NO_WALSENDER
                "SELECT pg_drop_replication_slot('weir_t'); DROP TABLE other");

    start_bridge(t.source_uri);
    mapping_with_feed();
    assert_int_equal(0, migtest_weir(&t, "abort", "--yes", NULL));
    assert_int_equal(1, migtest_weir(&t, "run", NULL));
    migtest_said(&t, "changes of \"public\".\"n\" would be missed");
    migtest_said(&t, "ADD TABLE");
    migtest_sql(t.source, "ALTER PUBLICATION weir_t ADD TABLE n");
    migtest_start(&t);
    migtest_await_phase(&t, "live");
    assert_int_equal(0, migtest_pid(&t, "weir-bridge"));
    migtest_sql(t.source, "UPDATE n SET v = 'new' WHERE id < 100; DELETE FROM n WHERE id = 500");
    same("n", "id");
    bridgeproc_kill(&bridge);
    migtest_sql(t.source,
                "UPDATE n SET v = 'newer' WHERE id < 50; INSERT INTO n VALUES (9999, 'x')");
    assert_true(bridgeproc_start(&bridge));
    same("n", "id");
    if (migtest_weir(&t, "cutover", NULL) != 0) {
        fail_msg("%s", t.said);
    }
    /* what is somebody else's stays */
    assert_string_equal("2", migtest_value(&t, t.source,
                                           "SELECT (SELECT count(*) FROM pg_publication) + (SELECT "
                                           "count(*) FROM pg_replication_slots WHERE database = "
                                           "current_database())"));
    migtest_close(&t);
    assert_int_equal(0, bridgeproc_stop(&bridge));
    fixture_sql(&migtest_fx, PGSERVER_NO_WALSENDER "SELECT pg_drop_replication_slot('weir_t')");
}

/* --- what SELECT does not show yet */

static void hold_commits(bool on)
{
    fixture_sql(&migtest_fx, on ? "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
                                : "ALTER SYSTEM RESET synchronous_standby_names");
    fixture_sql(&migtest_fx, "SELECT pg_reload_conf()");
    migtest_await(&t, true, "SELECT current_setting('synchronous_standby_names')",
                  on ? "nobody" : "");
}

/* A commit that waits for its standby is in the stream, and no SELECT shows it: what is read again
 * too early stays stale for ever. */
static void waits_for_commits_nobody_sees(void **state)
{
    (void)state;
    fixture_need(&migtest_fx);
    migtest_open(&t, &migtest_fx, WEIR_BIN_DIR, "held");
    /* source and target share a server here: what holds the source must not hold the target */
    fixture_sql(&migtest_fx, "ALTER DATABASE held_new SET synchronous_commit = local");
    fixture_sql(&migtest_fx, "SET synchronous_commit = local");
    migtest_sql(t.source, N);
    migtest_mapping(&t, "", TABLE_N);
    migtest_start(&t);
    migtest_await_phase(&t, "live");
    hold_commits(true);
    const char *argv[] = {
        "psql", "-qX", "-d", t.source_uri, "-c", "UPDATE n SET v = 'held' WHERE id = 1", NULL};
    fixture_proc *writer = fixture_spawn(&migtest_fx, "writer", argv, NULL);
    assert_non_null(writer);
    migtest_await(&t, false, "SELECT (waits LIKE '%not yet visible%')::text FROM weir_sync.migrate",
                  "true");
    migtest_sql(t.source, "SET synchronous_commit = local; UPDATE n SET v = 'after' WHERE id = 2");
    assert_string_equal("v1 v2", migtest_value(&t, t.target,
                                               "SELECT string_agg(v, ' ' ORDER BY id) FROM n WHERE "
                                               "id < 3"));
    assert_int_equal(0, migtest_weir(&t, "status", NULL));
    migtest_said(&t, "a synchronous standby");
    hold_commits(false);
    same("n", "id");
    assert_string_equal("held", migtest_value(&t, t.target, "SELECT v FROM n WHERE id = 1"));
}

/* --- who goes away */

static void end_sessions(weir_pg *pg)
{
    migtest_sql(pg, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name "
                    "LIKE 'weir-%' AND datname = current_database() AND backend_type = 'client "
                    "backend'");
}

static void sessions_that_end(void **state)
{
    (void)state;
    fixture_need(&migtest_fx);
    migtest_open(&t, &migtest_fx, WEIR_BIN_DIR, "cutoff");
    migtest_sql(t.source, N);
    migtest_mapping(&t, "[migration]\nchunk_rows = 50\nchunk_rows_per_s = 1500\n", TABLE_N);
    migtest_start(&t);
    migtest_await(&t, false, "SELECT (count(*) > 3)::text FROM weir_sync.chunk", "true");
    end_sessions(t.target);
    migtest_await(&t, false, "SELECT (count(*) > 12)::text FROM weir_sync.chunk", "true");
    end_sessions(t.source);
    migtest_await_phase(&t, "live");
    migtest_sql(t.source, "UPDATE n SET v = 'x' WHERE id % 2 = 0");
    end_sessions(t.source);
    end_sessions(t.target);
    same("n", "id");
    assert_true(fixture_running(t.run));
    assert_int_not_equal(0, migtest_pid(&t, "weir-migrate"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(types_and_partitions, close_one),
        cmocka_unit_test_teardown(children_of_inheritance, close_one),
        cmocka_unit_test_teardown(a_bridge_somebody_else_runs, close_one),
        cmocka_unit_test_teardown(waits_for_commits_nobody_sees, close_one),
        cmocka_unit_test_teardown(sessions_that_end, close_one),
    };
    return cmocka_run_group_tests_name("migrate_source", tests, migtest_up, migtest_down);
}
