/* test_system_unseen.c - an application nobody prepared for: read models before their tables,
 * tables made by hand in schemas of their own, names with blanks and capitals, tables that cannot
 * be published, commands without files, servers that are already there.
 */
#include "tests/support/check.h"
#include "tests/support/sys.h"

#include <stdio.h>

#include "libweir/base/str.h"
#include "libweir/base/thread.h"

static sys unseen;
static fixture servers;

static const char customer_view[] =
    "-- @model customer_view\n"
    "-- @key   \"Land\", \"Kunden Nr\"\n"
    "SELECT k.\"Land\", k.\"Kunden Nr\", k.\"Voller Name\" AS name, k.\"Stufe\",\n"
    "       (SELECT jsonb_agg(jsonb_build_object('id', a.id, 'Betrag', a.\"Betrag\", 'note', "
    "a.note) ORDER BY a.id)\n"
    "          FROM \"Sales Data\".\"Auftrag\" a WHERE a.land = k.\"Land\" AND a.\"Kunde\" = "
    "k.\"Kunden Nr\") AS \"Aufträge\",\n"
    "       (SELECT sum(a.\"Betrag\") FROM \"Sales Data\".\"Auftrag\" a\n"
    "         WHERE a.land = k.\"Land\" AND a.\"Kunde\" = k.\"Kunden Nr\") AS total\n"
    "  FROM \"Sales Data\".\"Kunde\" k\n";

static const char order_view[] = "-- @model order_view\n"
                                 "-- @key   id\n"
                                 "SELECT a.id, a.\"Betrag\", k.\"Voller Name\" AS customer\n"
                                 "  FROM \"Sales Data\".\"Auftrag\" a\n"
                                 "  LEFT JOIN \"Sales Data\".\"Kunde\" k ON k.\"Land\" = a.land "
                                 "AND k.\"Kunden Nr\" = a.\"Kunde\"\n";

static const char reading_view[] =
    "-- @key day, sensor\n"
    "SELECT r.day, r.sensor, r.value, s.\"Ort\" AS place\n"
    "  FROM metrics.reading r LEFT JOIN metrics.sensor s ON s.id = r.sensor\n";

/* The owner of the database makes these, long after `weir up`. */
static const char tables[] =
    "CREATE SCHEMA \"Sales Data\";"
    "CREATE TYPE \"Sales Data\".\"Stufe\" AS ENUM ('Gold', 'Silber \"B\"');"
    "CREATE TABLE \"Sales Data\".\"Kunde\" (\"Kunden Nr\" text, \"Land\" text, \"Voller Name\" "
    "text,"
    " \"Stufe\" \"Sales Data\".\"Stufe\", PRIMARY KEY (\"Land\", \"Kunden Nr\"));"
    "CREATE TABLE \"Sales Data\".\"Auftrag\" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "land text, \"Kunde\" text,"
    " brutto numeric GENERATED ALWAYS AS (\"Betrag\" * 1.19) STORED, \"Betrag\" numeric(12, 2), "
    "note text);"
    "ALTER TABLE \"Sales Data\".\"Auftrag\" ALTER note SET STORAGE EXTERNAL;"
    "CREATE TABLE \"Sales Data\".\"Ohne Schlüssel\" (a int, b text);"
    "CREATE TABLE \"Sales Data\".hidden (id int PRIMARY KEY, v text);"
    "ALTER TABLE \"Sales Data\".hidden REPLICA IDENTITY NOTHING;"
    "CREATE SCHEMA metrics;"
    "CREATE UNLOGGED TABLE metrics.cache (id int PRIMARY KEY, v text);"
    "CREATE TABLE metrics.sensor (id int PRIMARY KEY, \"Ort\" text);"
    "CREATE TABLE metrics.reading (day date, sensor int, value numeric, PRIMARY KEY (day, sensor)) "
    "PARTITION BY RANGE (day);"
    "CREATE TABLE metrics.reading_old PARTITION OF metrics.reading FOR VALUES FROM ('2020-01-01') "
    "TO ('2024-01-01');"
    "CREATE TABLE metrics.reading_new PARTITION OF metrics.reading FOR VALUES FROM ('2024-01-01') "
    "TO ('2030-01-01');";

static const char rows[] =
    "INSERT INTO \"Sales Data\".\"Kunde\" VALUES ('1', 'DE', 'Ä & Söhne', 'Gold'), ('a/b', 'DE', "
    "'Schräg', NULL),"
    " ('', 'AT', 'leer', 'Silber \"B\"'), ('50 %', 'C H', NULL, 'Gold'), (E'tab\\there', 'ñ', 'x', "
    "NULL);"
    "INSERT INTO \"Sales Data\".\"Auftrag\" (land, \"Kunde\", \"Betrag\", note)"
    " SELECT l.v, k.v, i * 1.5, CASE WHEN i % 9 = 0 THEN repeat(md5(i::text), 200) ELSE 'n' || i "
    "END"
    "   FROM generate_series(1, 60) i, LATERAL (SELECT (ARRAY['DE', 'AT', 'C H', 'ñ'])[1 + i % 4] "
    "v) l,"
    "   LATERAL (SELECT (ARRAY['1', 'a/b', '', '50 %', E'tab\\there'])[1 + i % 5] v) k;"
    "INSERT INTO \"Sales Data\".\"Ohne Schlüssel\" VALUES (1, 'x'), (1, 'x');"
    "INSERT INTO \"Sales Data\".hidden VALUES (1, 'a'), (2, 'b');"
    "INSERT INTO metrics.cache VALUES (1, 'c');"
    "INSERT INTO metrics.sensor VALUES (1, 'Keller'), (2, NULL);"
    "INSERT INTO metrics.reading SELECT d::date, s, extract(doy FROM d) / s FROM "
    "generate_series(timestamp '2023-12-20',"
    " '2024-01-10', '1 day') d, generate_series(1, 3) s;";

/* --- read models over tables that are not there
 * ----------------------------------------------------------------------- */

static int open_unseen(void **state)
{
    (void)state;
    sys *s = &unseen;
    sys_new(s, WEIR_BIN_DIR, NULL, "[app]\nname = unseen\n");
    sys_put(s, "schema/.keep", "");
    sys_put(s, "read-models/customer_view.sql", customer_view);
    sys_put(s, "read-models/order_view.sql", order_view);
    sys_put(s, "read-models/reading_view.sql", reading_view);
    sys_up(s);
    return 0;
}

static int close_unseen(void **state)
{
    (void)state;
    sys_end(&unseen);
    return 0;
}

static void test_up_without_tables(void **state)
{
    (void)state;
    sys *s = &unseen;
    sys_said(s, "customer_view.sql");
    sys_said(s, "Sales Data");
    sys_said(s, "metrics.reading");
    sys_said(s, "weir deploy");
    static const char *const services[] = {"bridge", "projector", "write", "read"};
    for (int i = 0; i < 4; i++) {
        SYS_CHECK(s, sys_readyz(s, services[i]) == 200);
    }
    SYS_CHECK(s, sys_query(s, "customer_view/DE/1") == 404);
    SYS_CHECK(s, sys_command(s, "enlist", "{}") == 404);
    assert_int_equal(0, sys_weir(s, "status", s->app.dir, NULL));
    /* The same answer as a command of its own, and nothing was recorded. */
    sys_deploy(s, 1);
    sys_said(s, "^");
    assert_int_equal(0, sys_number(s, "SELECT count(*) FROM weir.read_model"));
    SYS_CHECK(s, sys_weir(s, "up", s->app.dir, NULL) == 0);
    sys_said(s, "already up");
}

static const char published[] =
    "SELECT string_agg(schemaname || '.' || tablename, ',' ORDER BY 1) FROM"
    " (SELECT * FROM pg_publication_tables WHERE pubname = 'weir_unseen' ORDER BY schemaname, "
    "tablename) p";

static void left_out(sys *s, const char *table, const char *reason)
{
    const char *at = strstr(s->said, table);
    if (!at || !strstr(at, reason)) {
        fail_msg("the deploy does not say of %s that %s:\n%s", table, reason, s->said);
    }
}

static void test_tables_then_deploy(void **state)
{
    (void)state;
    sys *s = &unseen;
    sys_sql(s, tables);
    sys_sql(s, rows);
    sys_deploy(s, 0);
    left_out(s, "Ohne Schlüssel", "no primary key");
    left_out(s, "\"Sales Data\".hidden", "REPLICA IDENTITY NOTHING");
    left_out(s, "metrics.cache", "unlogged");
    assert_string_equal("Sales Data.Auftrag,Sales Data.Kunde,metrics.reading,metrics.sensor",
                        sys_value(s, published));
    sys_same(s, 5 + 60 + 66);
    sys_verify(s);
    SYS_CHECK(s, sys_query(s, "customer_view/DE/a%2Fb") == 200);
    assert_has(s->body, "\"name\": \"Schräg\"");
    SYS_CHECK(s, sys_query(s, "customer_view/C%20H/50%20%25") == 200);
    SYS_CHECK(s, sys_query(s, "customer_view/DE/2") == 404);
    SYS_CHECK(s, sys_query(s, "reading_view/2024-01-01/1") == 200);
    assert_has(s->body, "Keller");
}

/* A table that cannot be published must not suffer for it. */
static void test_left_out_tables_work(void **state)
{
    (void)state;
    sys *s = &unseen;
    sys_sql(s, "UPDATE \"Sales Data\".\"Ohne Schlüssel\" SET b = 'y';"
               "DELETE FROM \"Sales Data\".\"Ohne Schlüssel\" WHERE b = 'y';"
               "UPDATE \"Sales Data\".hidden SET v = 'z' WHERE id = 1;"
               "DELETE FROM \"Sales Data\".hidden WHERE id = 2;"
               "UPDATE metrics.cache SET v = 'd'; TRUNCATE metrics.cache");
    assert_int_equal(0, sys_number(s, "SELECT count(*) FROM \"Sales Data\".\"Ohne Schlüssel\""));
    sys_put(s, "read-models/hidden_view.sql",
            "-- @key id\nSELECT h.id, h.v FROM \"Sales Data\".hidden h\n");
    sys_put(s, "read-models/bare_view.sql",
            "-- @key a\nSELECT o.a, o.b FROM \"Sales Data\".\"Ohne Schlüssel\" o\n");
    sys_deploy(s, 1);
    sys_said(s, "hidden_view.sql:2:");
    sys_said(s, "bare_view.sql:2:");
    sys_remove(s, "read-models/hidden_view.sql");
    sys_remove(s, "read-models/bare_view.sql");
    sys_deploy(s, 0);
    sys_same(s, 1);
}

static void test_changes(void **state)
{
    (void)state;
    sys *s = &unseen;
    sys_sql(
        s,
        "UPDATE \"Sales Data\".\"Kunde\" SET \"Land\" = 'FR', \"Kunden Nr\" = 'é/è' WHERE \"Kunden "
        "Nr\" = 'a/b';"
        "UPDATE \"Sales Data\".\"Auftrag\" SET \"Kunde\" = 'é/è', land = 'FR' WHERE id % 7 = 0;"
        "UPDATE \"Sales Data\".\"Auftrag\" SET \"Betrag\" = \"Betrag\" + 1 WHERE id % 9 = 0;" /* the
                                                                                                 long
                                                                                                 note
                                                                                                 unchanged
                                                                                               */
        "INSERT INTO \"Sales Data\".\"Auftrag\" (id, land, \"Kunde\", \"Betrag\") OVERRIDING "
        "SYSTEM VALUE VALUES (1000, 'FR',"
        " 'é/è', 0.01);"
        "DELETE FROM \"Sales Data\".\"Auftrag\" WHERE id BETWEEN 10 AND 14");
    sys_sql(s, "UPDATE metrics.reading SET day = day + 4 WHERE day BETWEEN '2023-12-28' AND "
               "'2023-12-31' AND sensor = 3"
               " AND NOT EXISTS (SELECT FROM metrics.reading r WHERE r.day = reading.day + 4 AND "
               "r.sensor = 3)");
    sys_sql(s, "UPDATE metrics.reading SET day = '2025-01-01' WHERE day = '2023-12-20' AND sensor "
               "= 1"); /* moves to another partition */
    sys_sql(s, "UPDATE metrics.sensor SET id = 3, \"Ort\" = 'Dach' WHERE id = 2");
    sys_same(s, 100);
    SYS_CHECK(s, sys_query(s, "customer_view/FR/%C3%A9%2F%C3%A8") == 200);
    SYS_CHECK(s, sys_query(s, "customer_view/DE/a%2Fb") == 404);
    sys_sql(s, "TRUNCATE metrics.reading, metrics.sensor; INSERT INTO metrics.reading VALUES "
               "('2022-02-02', 7, 1.50)");
    sys_same(s, 1);
    assert_int_equal(1, sys_keys(s, "unseen:reading_view:*"));
    sys_verify(s);
}

static void test_generated_column_is_refused(void **state)
{
    (void)state;
    sys *s = &unseen;
    sys_put(s, "read-models/gross_view.sql",
            "-- @key id\nSELECT a.id, a.brutto FROM \"Sales Data\".\"Auftrag\" a\n");
    sys_deploy(s, 1);
    sys_said(s, "gross_view.sql:2:");
    sys_said(s, "generated");
    sys_put(s, "read-models/gross_view.sql",
            "-- @key id\nSELECT a.id, a.\"Betrag\" * 1.19 AS brutto FROM \"Sales "
            "Data\".\"Auftrag\" a\n");
    sys_deploy(s, 0);
    sys_same(s, 50);
}

/* --- commands nobody has a file for
 * ------------------------------------------------------------------------------------ */

static bool enlist_is_unknown(void *arg)
{
    return sys_command(arg, "enlist", "{\"Land\": \"NL\", \"Nr\": \"z\"}") == 404;
}

static void test_commands_of_the_database(void **state)
{
    (void)state;
    sys *s = &unseen;
    sys_sql(s, "CREATE FUNCTION command.enlist(\"Land\" text, \"Nr\" text, name text DEFAULT "
               "'neu') RETURNS text LANGUAGE sql AS $$"
               " INSERT INTO \"Sales Data\".\"Kunde\" VALUES (\"Nr\", \"Land\", name, 'Gold') "
               "RETURNING \"Voller Name\" $$;"
               "CREATE FUNCTION command.neuer_auftrag(\"Der Kunde\" jsonb, beträge numeric[]) "
               "RETURNS SETOF bigint LANGUAGE sql AS $$"
               " INSERT INTO \"Sales Data\".\"Auftrag\" (land, \"Kunde\", \"Betrag\")"
               " SELECT \"Der Kunde\" ->> 'land', \"Der Kunde\" ->> 'nr', b FROM unnest(beträge) b "
               "RETURNING id $$");
    sys_sql(s, "CREATE FUNCTION command.\"Groß\"() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    sys_deploy(s, 1);
    sys_said(s, "lower case");
    sys_sql(s, "DROP FUNCTION command.\"Groß\"()");
    sys_deploy(s, 0);
    SYS_CHECK(s, sys_command(s, "enlist", "{\"Land\": \"NL\", \"Nr\": \"x y\"}") == 200);
    assert_has(s->body, "\"neu\"");
    weir_slice at = weir_curl_header(&s->answer, "Weir-Position");
    assert_true(at.n > 0);
    SYS_CHECK(
        s, sys_query(s, weir_arena_printf(s->app.a,
                                          "customer_view/NL/x%%20y?min_position=%.*s&wait_ms=5000",
                                          (int)at.n, at.p)) == 200);
    assert_has(s->body, "\"total\": null");
    SYS_CHECK(s, sys_command(s, "enlist", "{\"Land\": \"NL\", \"Nr\": \"x y\"}") == 409);
    int code =
        sys_command(s, "neuer_auftrag",
                    "{\"Der Kunde\": {\"land\": \"NL\", \"nr\": \"x y\"}, \"beträge\": [1.25, 2]}");
    SYS_CHECK(s, code == 200);
    sys_same(s, 50);
    SYS_CHECK(s, sys_query(s, "customer_view/NL/x%20y") == 200);
    assert_has(s->body, "\"total\": 3.25");
    /* Its owner changes the signature and nobody deploys: the old contract must not run something
     * else by accident. */
    sys_sql(s, "DROP FUNCTION command.enlist(text, text, text)");
    SYS_CHECK(s, sys_command(s, "enlist", "{\"Land\": \"NL\", \"Nr\": \"z\"}") >= 400);
    sys_deploy(s, 0);
    sys_await(s, enlist_is_unknown, s, 5000, "the command to be unknown");
}

/* --- servers that are there already
 * -------------------------------------------------------------------------------------- */

static int close_servers(void **state)
{
    sys *s = *state;
    if (s) {
        sys_end(s);
    }
    fixture_close(&servers);
    return 0;
}

static void test_foreign_servers(void **state)
{
    static sys s;
    assert_int_equal(0, fixture_open(&servers, FIXTURE_PG | FIXTURE_REDIS));
    fixture_need(&servers);
    *state = &s;
    weir_arena *a = servers.a;
    fixture_sql(&servers, "CREATE DATABASE \"Team A\"");
    sys_new(&s, WEIR_BIN_DIR, NULL,
            weir_arena_printf(a,
                              "[app]\nname = foreign_servers\n[postgres]\nuri = "
                              "postgresql://postgres@/Team%%20A?host=%s/sock\n"
                              "[redis]\nuri = %s\nnamespace = team-a\n",
                              servers.pg.dir, servers.redis_uri));
    sys_put(
        &s, "schema/0001_init.sql",
        "CREATE TABLE item (id uuid PRIMARY KEY, name text);\n"
        "INSERT INTO item SELECT md5(i::text)::uuid, 'i' || i FROM generate_series(1, 40) i;\n");
    sys_put(&s, "commands/add.sql",
            "CREATE OR REPLACE FUNCTION command.add(id uuid, name text) RETURNS uuid LANGUAGE sql "
            "AS $$\n"
            "  INSERT INTO item VALUES (id, name) RETURNING id $$;\n");
    sys_put(&s, "read-models/item_view.sql", "-- @key id\nSELECT i.id, i.name FROM item i\n");
    sys_up(&s);
    assert_string_equal("team-a", s.app.ns);
    weir_slice up = {0};
    weir_error err = {0};
    assert_rc(
        WEIR_OK,
        weir_file_read(weir_arena_printf(a, "%s/.weir/up.json", s.app.dir), 1 << 16, a, &up, &err),
        &err);
    assert_null(strstr(up.p, "\"redis\""));
    assert_null(strstr(up.p, "\"postgres\""));
    /* Another tenant of the same Redis. */
    weir_slice set[] = {WEIR_SLICE_LIT("SET"), WEIR_SLICE_LIT("team-b:item_view:1:x"),
                        WEIR_SLICE_LIT("theirs")};
    const weir_redis_reply *r = NULL;
    assert_rc(WEIR_OK, weir_redisc_call(s.app.redis, &r, 3, set, &err), &err);
    SYS_CHECK(&s,
              sys_command(&s, "add",
                          "{\"id\": \"00000000-0000-0000-0000-000000000001\", \"name\": \"é\"}") ==
                  200);
    sys_await_model(&s, "item_view", "ready", 20000);
    sys_same(&s, 41);
    sys_verify(&s);
    assert_int_equal(0, sys_weir(&s, "down", s.app.dir, NULL));
    assert_true(fixture_running(servers.redis));
    assert_string_equal("41", sys_value(&s, "SELECT count(*) FROM item"));
    assert_int_equal(1, sys_keys(&s, "team-b:*"));
    /* Up again: goes on where it was. */
    sys_sql(&s, "DELETE FROM item WHERE name = 'é'");
    sys_up(&s);
    sys_same(&s, 40);
}

/* --- two at once
 * ----------------------------------------------------------------------------------------------
 */

enum { PAIR = 2, ROUNDS = 3 };

static int close_pair(void **state)
{
    sys *pair = *state;
    for (int i = 0; pair && i < PAIR; i++) {
        sys_end(&pair[i]);
    }
    return 0;
}

static void up_in_background(void *arg)
{
    sys *s = arg;
    const char *weir = weir_arena_printf(s->app.a, "%s/weir", s->app.bin);
    s->status = orc_run(false, (const char *const[]){weir, "up", s->app.dir, "--detach", NULL});
}

/* Both want the same ports and look for them at the same moment; each must end up with services of
 * its own. */
static void test_two_at_once(void **state)
{
    static sys pair[PAIR];
    *state = pair;
    char ports[300];
    (void)snprintf(ports, sizeof ports,
                   "[write]\nport = %d\n[read]\nport = %d\n[projector]\nport = %d\n"
                   "[bridge]\nport = %d\nfeed = tcp://127.0.0.1:%d\n",
                   fixture_free_port(), fixture_free_port(), fixture_free_port(),
                   fixture_free_port(), fixture_free_port());
    for (int i = 0; i < PAIR; i++) {
        sys_new(&pair[i], WEIR_BIN_DIR, NULL, "[app]\nname = pair\n");
        sys_put(&pair[i], "weir.ini",
                weir_arena_printf(pair[i].app.a, "[app]\nname = pair%d\n%s", i, ports));
    }
    for (int round = 0; round < ROUNDS; round++) {
        weir_thread *t[PAIR] = {0};
        weir_error err = {0};
        for (int i = 0; i < PAIR; i++) {
            assert_rc(WEIR_OK, weir_thread_start(&t[i], "up", up_in_background, &pair[i], &err),
                      &err);
        }
        for (int i = 0; i < PAIR; i++) {
            weir_thread_join(t[i]);
        }
        for (int i = 0; i < PAIR; i++) {
            assert_int_equal(0, pair[i].status);
            assert_int_equal(0, sys_weir(&pair[i], "status", pair[i].app.dir, "--json", NULL));
            static const char *const services[] = {"bridge", "projector", "write", "read"};
            for (int k = 0; k < 4; k++) {
                sys_said(&pair[i], weir_arena_printf(pair[i].app.a, "\"pid\":%d,",
                                                     sys_pid(&pair[i], services[k])));
            }
        }
        for (int i = 0; i < PAIR; i++) {
            assert_int_equal(0, sys_weir(&pair[i], "down", pair[i].app.dir, NULL));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up_without_tables),
        cmocka_unit_test(test_tables_then_deploy),
        cmocka_unit_test(test_left_out_tables_work),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_generated_column_is_refused),
        cmocka_unit_test(test_commands_of_the_database),
        cmocka_unit_test_teardown(test_foreign_servers, close_servers),
        cmocka_unit_test_teardown(test_two_at_once, close_pair),
    };
    sys_filter();
    return cmocka_run_group_tests_name("system.unseen", tests, open_unseen, close_unseen);
}
