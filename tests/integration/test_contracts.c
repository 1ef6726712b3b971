/* test_contracts.c - commands as `weir deploy` makes them: every kind of argument over HTTP with
 * the place of what is wrong, /openapi.json, and `weir contracts` over changes. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "libweir/io/curl.h"
#include "tests/support/app.h"
#include "tests/support/oas.h"
#include "tests/support/writetest.h"

static const char *uri, *dir;
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

static void put_file(const char *name, const char *text)
{
    weir_error err = {0};
    const char *path = weir_arena_printf(wt_fx.a, "%s/%s", dir, name);
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z(text), 0644, &err), &err);
}

/* Exit code of a shell command with the CLI as $W and the app as $A. */
static int sh(const char *command)
{
    const char *line = weir_arena_printf(wt_fx.a, "W=%s/weir A=%s; { %s; } >%s/out.txt 2>&1",
                                         WEIR_BIN_DIR, dir, command, wt_fx.dir);
    return orc_run(false, (const char *const[]){"sh", "-c", line, NULL});
}

static const char *output(void)
{
    weir_slice text;
    weir_error err = {0};
    const char *path = weir_arena_printf(wt_fx.a, "%s/out.txt", wt_fx.dir);
    assert_rc(WEIR_OK, weir_file_read(path, 1 << 20, wt_fx.a, &text, &err), &err);
    return text.p;
}

static void run(int want, const char *command)
{
    int rc = sh(command);
    if (rc != want) {
        fail_msg("%s: exit %d, not %d: %s", command, rc, want, output());
    }
}

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
    put_file("commands/put.sql", weir_arena_printf(wt_fx.a, put_sql, more_args, result, result));
    run(0, "$W deploy $A --no-wait");
}

static void kept_or_broken(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    run(1, "$W contracts check $A");
    assert_has(output(), "weir contracts save");
    put_command("", "int");
    run(0, "$W contracts save $A");
    run(0, "$W contracts check $A");
    put_command(", b int DEFAULT 1", "int");
    run(0, "$W contracts check $A");
    assert_has(output(), "put /b: a new field with a default");
    put_command(", b int", "int");
    run(1, "$W contracts check $A");
    assert_has(output(), "put /b: a new field that is required");
    run(1, "$W contracts check $A --json");
    assert_has(output(), "{\"breaking\":1,\"changes\":[{\"command\":\"put\",\"at\":\"/b\"");
    put_command("", "bigint");
    run(1, "$W contracts check $A");
    assert_has(output(), "put result:");
    run(0, "rm $A/commands/put.sql; $W deploy $A --no-wait");
    run(1, "$W contracts check $A $A/contracts.json");
    assert_has(output(), "put: the command was removed");
    run(0, "$W contracts save $A $A/other.json && $W contracts check $A $A/other.json");
    run(2, "$W contracts compare $A");
}

static void annotations(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    put_file("commands/turn.sql",
             "-- @serialize_by account\nCREATE OR REPLACE FUNCTION command.turn(account int) "
             "RETURNS int LANGUAGE sql AS $$ SELECT account $$;\n");
    run(0, "$W deploy $A --no-wait");
    wt_answer a = wt_post(&service, "turn", "{\"account\":1}");
    wt_assert_status(200, &a);
    a = wt_get(&service, "/commands");
    assert_has(a.body, "\"serialize_by\":\"account\"");
    put_file("commands/turn.sql",
             "-- @serialize_by acount\nCREATE OR REPLACE FUNCTION command.turn(account int) "
             "RETURNS int LANGUAGE sql AS $$ SELECT account $$;\n");
    run(1, "$W deploy $A --no-wait");
    assert_has(output(), "@serialize_by acount");
}

static int up(void **state)
{
    (void)state;
    if (wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql") != 0) {
        return -1;
    }
    if (wt_fx.missing[0]) {
        return 0;
    }
    fixture_sql(&wt_fx, "CREATE DATABASE contract");
    char *own = weir_arena_strdup(wt_fx.a, wt_fx.pg.uri);
    char *db = NULL;
    for (char *at = strstr(own, "/postgres"); at; at = strstr(at + 1, "/postgres")) {
        db = at + 1; /* the last one; the first may be the user */
    }
    if (!db) {
        return -1;
    }
    memcpy(db, "contract", 8);
    uri = own;
    dir = weir_arena_printf(wt_fx.a, "%s/app", wt_fx.dir);
    if (sh("mkdir -p $A/schema $A/commands") != 0) {
        return -1;
    }
    put_file("weir.ini",
             weir_arena_printf(wt_fx.a,
                               "[app]\nname = kinds\n[postgres]\nuri = %s\n[redis]\nuri "
                               "= redis://127.0.0.1:1\n",
                               uri));
    put_file("schema/0001_types.sql", schema_sql);
    put_file("commands/all_kinds.sql", all_sql);
    if (sh("$W deploy $A --no-wait") != 0) {
        print_error("%s\n", output());
        return -1;
    }
    wt_start(&service, "contract", uri, "");
    fixture_wait(&wt_fx, wt_is_ready, &service, 5000, "weir-write to be ready");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_argument),
        cmocka_unit_test(the_document),
        cmocka_unit_test(kept_or_broken),
        cmocka_unit_test(annotations),
    };
    return cmocka_run_group_tests_name("contracts", tests, up, wt_down);
}
