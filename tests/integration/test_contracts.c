/* test_contracts.c - commands as `weir deploy` makes them: every kind of argument over HTTP with
 * the place of what is wrong, /openapi.json, and `weir contracts` over changes. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "libweir/io/curl.h"
#include "tests/support/cmdapp.h"
#include "tests/support/oas.h"
#include "tests/support/writetest.h"

static wt_service service;

static const char schema_sql[] = "CREATE TYPE mood AS ENUM ('glad', 'sad');\n"
                                 "CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0);\n"
                                 "CREATE TYPE item AS (sku text, qty even);\n"
                                 "CREATE TYPE parcel AS (label text, lines item[]);\n";

static const char all_sql[] =
    "CREATE OR REPLACE FUNCTION command.all_kinds(n bigint, price numeric DEFAULT 1.5, m mood "
    "DEFAULT 'glad', e even DEFAULT 2, tags text[] DEFAULT '{a}', b parcel DEFAULT NULL, d date "
    "DEFAULT '2026-01-02', j jsonb DEFAULT '{}', flag boolean DEFAULT true)\n"
    "RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('n', n, 'price', price, 'm', m, "
    "'e', e, 'tags', tags, 'b', b, 'd', d, 'j', j, 'flag', flag) $$;\n"
    "COMMENT ON FUNCTION command.all_kinds IS 'Gives back what it is given.';\n";

static void refused(const char *body, const char *pointer)
{
    wt_answer a = wt_post(&service, "all_kinds", body);
    char member[128];
    (void)snprintf(member, sizeof member, "\"pointer\":\"%s\"", pointer);
    wt_assert_status(422, &a);
    assert_has(a.body, member);
}

static void every_kind_of_argument(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_answer a = wt_post(&service, "all_kinds", "{\"n\": 1}");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"price\": 1.5");
    assert_has(a.body, "\"m\": \"glad\"");
    assert_has(a.body, "\"tags\": [\"a\"]");
    a = wt_post(
        &service, "all_kinds",
        "{\"n\":\"9223372036854775807\",\"price\":\"0.10\",\"m\":\"sad\",\"e\":4,\"tags\":[],"
        "\"b\":{\"label\":\"x\",\"lines\":[{\"sku\":\"s\",\"qty\":2},{\"sku\":null}]},"
        "\"d\":null,\"j\":[1,{\"k\":null}],\"flag\":false}");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"n\": 9223372036854775807");
    assert_has(a.body, "\"price\": 0.10");
    assert_has(a.body, "\"d\": null");
    assert_has(a.body, "\"lines\": [{\"qty\": 2, \"sku\": \"s\"}, {\"qty\": null, \"sku\": null}]");
    refused("{}", "/n");
    refused("{\"n\":1,\"nn\":2}", "/nn");
    refused("{\"n\":true}", "/n");
    refused("{\"n\":\"x\"}", "/n");
    refused("{\"n\":1,\"m\":\"angry\"}", "/m");
    refused("{\"n\":1,\"e\":3}", "/e");
    refused("{\"n\":1,\"tags\":\"a\"}", "/tags");
    refused("{\"n\":1,\"tags\":[\"a\",{}]}", "/tags/1");
    refused("{\"n\":1,\"b\":{\"lines\":[{\"sku\":\"s\"},{\"sku\":\"s\",\"amount\":1}]}}",
            "/b/lines/1/amount");
    refused("{\"n\":1,\"b\":{\"lines\":[{\"sku\":\"s\",\"qty\":[]}]}}", "/b/lines/0/qty");
    refused("{\"n\":1,\"b\":{\"lines\":[{\"qty\":3}]}}", "/b"); /* the domain's CHECK */
    refused("{\"n\":1,\"d\":\"31.31.2026\"}", "/d");
    refused("{\"n\":1,\"flag\":\"yes\"}", "/flag");
    refused("{\"n\":1,\"a~b/c\":2}", "/a~0b~1c");
}

/* A type without its length is of any length here, though a cast to "character" means one. */
static void whole_texts(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    cmdapp_put(
        "commands/whole.sql",
        "CREATE OR REPLACE FUNCTION command.whole(c char(5), b bit(4), cs char(2)[], d code2, "
        "bs bit(2)[]) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(ARRAY[c::text, "
        "b::text, cs::text, d::text, bs::text]) $$;\n");
    cmdapp_put("schema/0002_whole.sql", "CREATE DOMAIN code2 AS char(3);\n");
    cmdapp_deploy();
    wt_answer a = wt_post(&service, "whole",
                          "{\"c\":\"abcde\",\"b\":\"1010\",\"cs\":[\"ab\",\"c\"],\"d\":\"xyz\","
                          "\"bs\":[\"10\"]}");
    wt_assert_status(200, &a);
    assert_has(a.body, "[\"abcde\", \"1010\", \"{ab,c}\", \"xyz\", \"{10}\"]");
    a = wt_post(&service, "whole", "{\"c\":\"a\",\"b\":\"1\",\"cs\":[],\"d\":\"wxyz\",\"bs\":[]}");
    wt_assert_status(422, &a);
    assert_has(a.body, "\"pointer\":\"/d\"");
}

/* --- /openapi.json ------------------------------------------------------------------------------
 */

/* Every $ref leads somewhere. */
static void follow_refs(const weir_json *doc, const weir_json *at, int *refs)
{
    weir_slice ref;
    if (weir_json_str(at, "$ref", &ref)) {
        const weir_json *to = oas_follow(doc, at);
        if (!to) {
            fail_msg("%.*s leads nowhere", WEIR_SLICE_ARG(ref));
        }
        ++*refs;
    }
    const char *key;
    const weir_json *v;
    for (void *it = NULL; weir_json_next(at, &it, &key, &v);) {
        follow_refs(doc, v, refs);
    }
    for (size_t i = 0; weir_json_at(at, i); i++) {
        follow_refs(doc, weir_json_at(at, i), refs);
    }
}

static void the_document(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    char url[100];
    weir_curl_response r = {0};
    weir_error err = {0};
    weir_json *doc = NULL;
    int refs = 0;
    (void)snprintf(url, sizeof url, "%s/openapi.json", service.url);
    assert_rc(WEIR_OK, weir_curl("GET", url, NULL, (weir_slice){NULL, 0}, 5000, wt_fx.a, &r, &err),
              &err);
    assert_rc(WEIR_OK, weir_json_parse(&doc, r.body, &err), &err);
    follow_refs(doc, doc, &refs);
    assert_true(refs > 10);
    const weir_json *post =
        weir_json_get(weir_json_get(weir_json_get(doc, "paths"), "/commands/all_kinds"), "post");
    weir_slice id;
    assert_true(weir_json_str(post, "operationId", &id) && weir_slice_eqz(id, "all_kinds"));
    assert_int_equal(weir_json_len(weir_json_get(post, "parameters")), 11);
    const weir_json *body =
        weir_json_get(weir_json_get(weir_json_get(weir_json_get(post, "requestBody"), "content"),
                                    "application/json"),
                      "schema");
    assert_int_equal(weir_json_len(weir_json_get(body, "properties")), 9);
    assert_int_equal(weir_json_len(weir_json_get(body, "required")), 1);
    weir_json_free(doc);
}

/* --- weir contracts ------------------------------------------------------------------------------
 */

static const char put_sql[] = "CREATE OR REPLACE FUNCTION command.put(a int%s) RETURNS %s LANGUAGE "
                              "sql AS $$ SELECT NULL::%s $$;\n";

static void put_command(const char *more_args, const char *result)
{
    cmdapp_put("commands/put.sql", weir_arena_printf(wt_fx.a, put_sql, more_args, result, result));
    cmdapp_deploy();
}

static void kept_or_broken(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    cmdapp_run(1, "$W contracts check $A");
    assert_has(cmdapp_said(), "weir contracts save");
    put_command("", "int");
    cmdapp_run(0, "$W contracts save $A");
    cmdapp_run(0, "$W contracts check $A");
    put_command(", b int DEFAULT 1", "int");
    cmdapp_run(0, "$W contracts check $A");
    assert_has(cmdapp_said(), "put /b: a new field with a default");
    put_command(", b int", "int");
    cmdapp_run(1, "$W contracts check $A");
    assert_has(cmdapp_said(), "put /b: a new field that is required");
    cmdapp_run(1, "$W contracts check $A --json");
    assert_has(cmdapp_said(), "{\"breaking\":1,\"changes\":[{\"command\":\"put\",\"at\":\"/b\"");
    put_command("", "bigint");
    cmdapp_run(1, "$W contracts check $A");
    assert_has(cmdapp_said(), "put result:");
    cmdapp_run(0, "rm $A/commands/put.sql; $W deploy $A --no-wait");
    cmdapp_run(1, "$W contracts check $A $A/contracts.json");
    assert_has(cmdapp_said(), "put: the command was removed");
    cmdapp_run(0, "$W contracts save $A $A/other.json && $W contracts check $A $A/other.json");
    cmdapp_run(2, "$W contracts compare $A");
}

/* --- what a domain refuses ---------------------------------------------------------------------
 */

static int migration = 2;

static void migrate(const char *sql)
{
    ++migration;
    cmdapp_put(weir_arena_printf(wt_fx.a, "schema/%04d_more.sql", migration), sql);
    cmdapp_deploy();
}

/* After this migration the contracts do not hold any more, at this place and for this reason. The
 * next one is compared with what is now. */
static void tightens(const char *sql, const char *where, const char *why)
{
    migrate(sql);
    cmdapp_run(1, "$W contracts check $A");
    assert_has(cmdapp_said(), where);
    assert_has(cmdapp_said(), why);
    cmdapp_run(0, "$W contracts save $A");
}

static void loosens(const char *sql)
{
    migrate(sql);
    cmdapp_run(0, "$W contracts check $A");
    cmdapp_run(0, "$W contracts save $A");
}

static void limits_of_domains(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    cmdapp_put(
        "commands/limited.sql",
        "CREATE OR REPLACE FUNCTION command.limited(qty amount, code code, paid money_amount, "
        "note note, box "
        "box_of, state state) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;\n");
    migrate(
        "CREATE DOMAIN amount AS int; CREATE DOMAIN code AS varchar(8); CREATE DOMAIN money_amount "
        "AS numeric(10, 2); CREATE DOMAIN note AS text; CREATE TYPE box_of AS (label "
        "varchar(9), n amount); CREATE TYPE state AS ENUM ('new', 'old');");
    cmdapp_run(0, "$W contracts save $A");
    cmdapp_run(0, "$W contracts check $A");
    tightens("ALTER DOMAIN amount ADD CONSTRAINT bounds CHECK (VALUE > 0);",
             "limited /qty:", "minimum 1, not -2147483648");
    tightens(
        "ALTER DOMAIN amount DROP CONSTRAINT bounds; ALTER DOMAIN amount ADD CONSTRAINT bounds "
        "CHECK (VALUE >= 10);",
        "limited /box/n:", "minimum 10, not 1");
    loosens("ALTER DOMAIN amount DROP CONSTRAINT bounds; ALTER DOMAIN amount ADD CONSTRAINT bounds "
            "CHECK (VALUE > 2);");
    assert_has(cmdapp_said(), "saved");
    tightens("ALTER DOMAIN amount ADD CHECK (VALUE % 2 = 0);", "limited /qty:", "VALUE % 2");
    loosens("ALTER DOMAIN amount DROP CONSTRAINT amount_check;");
    tightens("ALTER DOMAIN amount SET NOT NULL;", "limited /qty:", "never null");
    loosens("ALTER DOMAIN amount DROP NOT NULL;");
    tightens("ALTER DOMAIN note ADD CHECK (VALUE IN ('a', 'b'));",
             "limited /note:", "it was string and is enum now");
    loosens("ALTER DOMAIN note DROP CONSTRAINT note_check; ALTER DOMAIN note ADD CONSTRAINT n "
            "CHECK (VALUE IN ('a', "
            "'b', 'c'));");
    tightens("ALTER DOMAIN note DROP CONSTRAINT n; ALTER DOMAIN note ADD CONSTRAINT n CHECK (VALUE "
             "IN ('a', 'c'));",
             "limited /note:", "\"b\" is no longer taken");
    /* Types made anew; the commands over them go with them and come back from their file. */
    static const char drop[] = "DROP FUNCTION command.limited; DROP FUNCTION IF EXISTS "
                               "weir.run_limited; ";
    tightens(weir_arena_printf(wt_fx.a, "%s%s", drop,
                               "DROP DOMAIN code; CREATE DOMAIN code AS varchar(7);"),
             "limited /code:", "at most so long: 7, not 8");
    loosens(weir_arena_printf(wt_fx.a, "%s%s", drop,
                              "DROP DOMAIN code; CREATE DOMAIN code AS varchar(70);"));
    tightens(
        weir_arena_printf(wt_fx.a, "%s%s", drop,
                          "DROP DOMAIN money_amount; CREATE DOMAIN money_amount AS numeric(9, 2);"),
        "limited /paid:", "digits before the point 7, not 8");
    loosens(weir_arena_printf(wt_fx.a, "%s%s", drop,
                              "DROP DOMAIN money_amount; CREATE DOMAIN money_amount AS numeric;"));
    tightens(
        weir_arena_printf(wt_fx.a, "%s%s", drop,
                          "DROP TYPE box_of; CREATE TYPE box_of AS (label varchar(5), n amount);"),
        "limited /box/label:", "at most so long: 5, not 9");
    tightens(weir_arena_printf(wt_fx.a, "%s%s", drop,
                               "DROP TYPE state; CREATE TYPE state AS ENUM ('new');"),
             "limited /state:", "\"old\" is no longer taken");
    loosens("ALTER TYPE state ADD VALUE 'older';");
    cmdapp_run(0, "rm $A/commands/limited.sql; $W deploy $A --no-wait");
}

static void annotations(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    cmdapp_put("commands/turn.sql",
               "-- @serialize_by account\nCREATE OR REPLACE FUNCTION command.turn(account int) "
               "RETURNS int LANGUAGE sql AS $$ SELECT account $$;\n");
    cmdapp_deploy();
    wt_answer a = wt_post(&service, "turn", "{\"account\":1}");
    wt_assert_status(200, &a);
    a = wt_get(&service, "/commands");
    assert_has(a.body, "\"serialize_by\":\"account\"");
    cmdapp_put("commands/turn.sql",
               "-- @serialize_by acount\nCREATE OR REPLACE FUNCTION command.turn(account int) "
               "RETURNS int LANGUAGE sql AS $$ SELECT account $$;\n");
    cmdapp_run(1, "$W deploy $A --no-wait");
    assert_has(cmdapp_said(), "@serialize_by acount");
}

static int up(void **state)
{
    static const cmdapp_conf conf = {
        .name = "contract", .schema_sql = schema_sql, .commands = all_sql, .ini = ""};
    (void)state;
    return cmdapp_serve(&service, WEIR_BIN_DIR,
                        WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql", &conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_argument), cmocka_unit_test(whole_texts),
        cmocka_unit_test(the_document),           cmocka_unit_test(kept_or_broken),
        cmocka_unit_test(limits_of_domains),      cmocka_unit_test(annotations),
    };
    return cmocka_run_group_tests_name("contracts", tests, up, wt_down);
}
