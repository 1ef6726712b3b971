/* test_openapi.c - /openapi.json: is it well formed, and does the service do what it says? Every
 * command is called with nothing but the document at hand. */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/str.h"
#include "libweir/io/curl.h"
#include "tests/support/check.h"
#include "tests/support/oas.h"
#include "tests/support/sys.h"

static fixture fx;
static sys in;
static weir_json *doc;
static const char *base;

static int open_group(void **state)
{
    (void)state;
    if (fixture_open(&fx, FIXTURE_PG | FIXTURE_REDIS) != 0) {
        return -1;
    }
    if (fx.missing[0]) {
        return 0;
    }
    sys *s = &in;
    sys_new(s, WEIR_BIN_DIR, &fx, "[app]\nname = openapi\n");
    sys_put(s, "schema/0001_init.sql",
            "CREATE TYPE mood AS ENUM ('glad', 'sad');\n"
            "CREATE DOMAIN positive AS int NOT NULL CHECK (VALUE > 0 AND VALUE <= 100);\n"
            "CREATE DOMAIN price AS numeric(12,2) CHECK (VALUE >= 0.5);\n"
            "CREATE DOMAIN code AS text CHECK (length(VALUE) >= 2) CHECK (length(VALUE) < 9);\n"
            "CREATE DOMAIN colour AS text CHECK (VALUE IN ('red', 'green'));\n"
            "CREATE DOMAIN short AS varchar(5);\n"
            "CREATE DOMAIN odd_one AS int CHECK (VALUE % 2 = 1 OR VALUE = 2);\n"
            "CREATE TYPE item AS (sku text, qty positive, price price);\n"
            "CREATE TYPE parcel AS (label code, lines item[]);\n");
    sys_put(s, "commands/scalars.sql",
            "CREATE OR REPLACE FUNCTION command.scalars(i2 smallint, i4 int, i8 bigint, n numeric, "
            "f real, d double precision, b boolean, t text, u uuid, day date, at timestamptz, m "
            "mood) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(scalars.i8) $$;\n");
    sys_put(s, "commands/domains.sql",
            "CREATE OR REPLACE FUNCTION command.domains(p positive, pr price, c code, co colour, s "
            "short, o odd_one) RETURNS price LANGUAGE sql AS $$ SELECT pr $$;\n");
    sys_put(s, "commands/nested.sql",
            "CREATE OR REPLACE FUNCTION command.nested(tags text[], moods mood[], parcel parcel, "
            "parcels parcel[], anything jsonb, again json) RETURNS TABLE (one int, p parcel) "
            "LANGUAGE sql AS $$ SELECT 1, parcel $$;\n");
    sys_put(s, "commands/defaults.sql",
            "CREATE OR REPLACE FUNCTION command.defaults(i int DEFAULT -7, t text DEFAULT 'a ''b', "
            "p text DEFAULT 'plain', b boolean DEFAULT true, a int[] DEFAULT '{}', j jsonb DEFAULT "
            "'{\"a\":1}', at timestamptz DEFAULT now(), m mood DEFAULT 'sad', n text DEFAULT "
            "NULL) RETURNS void LANGUAGE sql AS $$ SELECT $$;\n");
    sys_put(s, "commands/nothing.sql",
            "CREATE OR REPLACE FUNCTION command.nothing() RETURNS parcel LANGUAGE sql AS $$ SELECT "
            "NULL::parcel $$;\nCOMMENT ON FUNCTION command.nothing IS 'Does \"nothing\".';\n");
    sys_weir(s, "deploy", s->app.dir, "--no-wait", NULL);
    sys_said(s, "revision");
    sys_start(s, "write", true);
    base = weir_arena_strdup(fx.a, sys_url(s, "write"));
    weir_error err = {0};
    int status = sys_http(s, "GET", weir_arena_printf(fx.a, "%s/openapi.json", base), NULL, NULL);
    return status == 200 && weir_json_parse(&doc, weir_slice_z(s->body), &err) == WEIR_OK ? 0 : -1;
}

static int close_group(void **state)
{
    (void)state;
    weir_json_free(doc);
    sys_end(&in);
    fixture_close(&fx);
    return 0;
}

static void well_formed(void **state)
{
    (void)state;
    fixture_need(&fx);
    weir_buf why;
    const char *keep = getenv("WEIR_TEST_OPENAPI_FILE"); /* NOLINT(concurrency-mt-unsafe) */
    if (keep) {                                          /* for other validators */
        assert_rc(WEIR_OK, weir_file_write(keep, weir_slice_z(in.body), 0644, NULL), NULL);
    }
    weir_buf_init(&why, 1 << 20);
    if (oas_check(doc, &why) != 0) {
        fail_msg("%.*s", (int)why.n, why.p);
    }
    weir_buf_fini(&why);
    /* The checker sees faults. */
    static const char *const broken[] = {
        "{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"t\",\"version\":\"1\"},\"paths\":{}}",
        "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"t\",\"version\":\"1\"},\"paths\":{\"/a\":{"
        "\"get\":{\"responses\":{}}}}}",
        "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"t\",\"version\":\"1\"},\"paths\":{\"/a\":{"
        "\"get\":{\"responses\":{\"200\":{\"$ref\":\"#/components/responses/None\"}}}}}}",
        "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"t\",\"version\":\"1\"},\"paths\":{},"
        "\"components\":{\"schemas\":{\"A\":{\"type\":\"int\"}}}}"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        weir_json *bad = NULL;
        weir_error err = {0};
        weir_buf_init(&why, 1 << 20);
        assert_rc(WEIR_OK, weir_json_parse(&bad, weir_slice_z(broken[i]), &err), &err);
        assert_true(oas_check(bad, &why) > 0);
        weir_buf_fini(&why);
        weir_json_free(bad);
    }
}

/* --- the service, from the document alone --------------------------------------------------------
 */

static void call(const char *path, int want, const char *pointer, weir_buf *body)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    weir_buf_u8(body, 0);
    int status =
        sys_http(&in, "POST", weir_arena_printf(fx.a, "%s%s", base, path), headers, body->p);
    const char *member = weir_arena_printf(fx.a, "\"pointer\":\"%s", pointer ? pointer : "");
    if (status != want || (pointer && !strstr(in.body, member))) {
        fail_msg("%s %s: %d %s, not %d %s", path, body->p, status, in.body, want,
                 pointer ? pointer : "");
    }
    weir_buf_reset(body);
}

/* All fields but `without`, with `of` replaced by what the buffer has (NULL: by nothing). */
static void put_body(const weir_json *schema, const char *without, const char *of,
                     const char *value, weir_buf *out)
{
    const char *key, *comma = "";
    const weir_json *v;
    weir_buf_putz(out, "{");
    for (void *it = NULL; weir_json_next(weir_json_get(schema, "properties"), &it, &key, &v);) {
        if (without && strcmp(key, without) == 0) {
            continue;
        }
        weir_buf_printf(out, "%s\"%s\":", comma, key);
        comma = ",";
        if (of && strcmp(key, of) == 0) {
            weir_buf_putz(out, value);
        } else {
            oas_sample(doc, v, out);
        }
    }
    weir_buf_putz(out, "}");
}

static bool is_required(const weir_json *schema, const char *name)
{
    weir_slice s;
    const weir_json *list = weir_json_get(schema, "required");
    for (size_t i = 0; weir_json_at(list, i); i++) {
        if (weir_json_text(weir_json_at(list, i), &s) && weir_slice_eqz(s, name)) {
            return true;
        }
    }
    return false;
}

static int drive(const char *path, const weir_json *schema)
{
    weir_buf body, value;
    const char *key;
    const weir_json *v;
    int calls = 2;
    weir_buf_init(&body, 1 << 20);
    weir_buf_init(&value, 1 << 20);
    put_body(schema, NULL, NULL, NULL, &body);
    call(path, 200, NULL, &body);
    weir_buf_putz(&body, "{\"no_such_field\":1}");
    call(path, 422, "/no_such_field\"", &body);
    for (void *it = NULL; weir_json_next(weir_json_get(schema, "properties"), &it, &key, &v);) {
        const char *pointer = weir_arena_printf(fx.a, "/%s", key);
        weir_buf_reset(&value);
        if (oas_wrong(doc, v, &value)) {
            weir_buf_u8(&value, 0);
            put_body(schema, NULL, key, value.p, &body);
            call(path, 422, pointer, &body);
        }
        put_body(schema, key, NULL, NULL, &body);
        call(path, is_required(schema, key) ? 422 : 200, is_required(schema, key) ? pointer : NULL,
             &body);
        put_body(schema, NULL, key, "null", &body);
        bool any = !weir_json_get(oas_follow(doc, v), "anyOf") && !weir_json_get(v, "type");
        call(path, any || oas_nullable(doc, v) ? 200 : 422, NULL, &body);
        calls += 3;
    }
    weir_buf_fini(&body);
    weir_buf_fini(&value);
    return calls;
}

static void the_service_does_what_it_says(void **state)
{
    (void)state;
    fixture_need(&fx);
    const char *path;
    const weir_json *item;
    int commands = 0, calls = 0;
    for (void *it = NULL; weir_json_next(weir_json_get(doc, "paths"), &it, &path, &item);) {
        if (strncmp(path, "/commands/", 10) != 0 || strchr(path, '{')) {
            continue;
        }
        const weir_json *body = weir_json_get(weir_json_get(item, "post"), "requestBody");
        const weir_json *schema = weir_json_get(
            weir_json_get(weir_json_get(body, "content"), "application/json"), "schema");
        assert_non_null(schema);
        calls += drive(path, schema);
        commands++;
    }
    print_message("%d commands, %d calls\n", commands, calls);
    assert_int_equal(commands, 5);
}

static void constraints_and_defaults(void **state)
{
    (void)state;
    fixture_need(&fx);
    static const char *const said[] = {"\"exclusiveMinimum\": 0",
                                       "\"maximum\": 100",
                                       "\"minimum\": 0.5",
                                       "\"minLength\": 2",
                                       "\"maxLength\": 8",
                                       "\"enum\": [\"red\", \"green\"]",
                                       "\"maxLength\": 5",
                                       "\"default\": -7",
                                       "\"default\": \"plain\"",
                                       "\"default\": true",
                                       "\"default\": []",
                                       "\"default\": {\"a\": 1}",
                                       "\"description\": \"Default: now()\"",
                                       "\"default\": \"sad\"",
                                       "\"default\": null",
                                       "Does \\\"nothing\\\".",
                                       "/components/callbacks/Ended"};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        (void)sys_http(&in, "GET", weir_arena_printf(fx.a, "%s/openapi.json", base), NULL, NULL);
        assert_has(in.body, said[i]);
    }
}

/* What the document says of batches and of what is executed later. */
static void batches_and_later(void **state)
{
    (void)state;
    fixture_need(&fx);
    const weir_json *batch =
        weir_json_get(weir_json_get(weir_json_get(doc, "components"), "requestBodies"), "Batch");
    const weir_json *items = weir_json_get(
        weir_json_get(weir_json_get(weir_json_get(batch, "content"), "application/json"), "schema"),
        "items");
    const weir_json *each = weir_json_get(items, "oneOf");
    weir_buf body;
    weir_slice name;
    weir_buf_init(&body, 1 << 20);
    assert_int_equal(weir_json_len(each), 5);
    for (size_t i = 0; i < 5; i++) {
        const weir_json *fields = weir_json_get(weir_json_at(each, i), "properties");
        assert_true(weir_json_str(weir_json_get(fields, "name"), "const", &name));
        weir_buf_printf(&body, "%s{\"name\":\"" WEIR_SLICE_FMT "\",\"arguments\":", i ? "," : "[",
                        WEIR_SLICE_ARG(name));
        oas_sample(doc, weir_json_get(fields, "arguments"), &body);
        weir_buf_putz(&body, "}");
    }
    weir_buf_putz(&body, "]");
    call("/commands?atomic=true", 200, NULL, &body);
    static const char *const later[] = {"Content-Type: application/json", "Prefer: respond-async",
                                        NULL};
    int status =
        sys_http(&in, "POST", weir_arena_printf(fx.a, "%s/commands/nothing", base), later, "{}");
    assert_int_equal(status, 202);
    weir_slice at = weir_curl_header(&in.answer, "Location");
    status = sys_http(
        &in, "GET",
        weir_arena_printf(fx.a, "%s" WEIR_SLICE_FMT "?wait_ms=10000", base, WEIR_SLICE_ARG(at)),
        NULL, NULL);
    assert_int_equal(status, 200);
    weir_json *got = NULL;
    weir_error err = {0};
    assert_rc(WEIR_OK, weir_json_parse(&got, weir_slice_z(in.body), &err), &err);
    const weir_json *known = weir_json_get(
        weir_json_get(weir_json_get(weir_json_get(doc, "components"), "schemas"), "CommandStatus"),
        "properties");
    const char *key;
    const weir_json *v;
    for (void *it = NULL; weir_json_next(got, &it, &key, &v);) {
        if (!weir_json_get(known, key)) {
            fail_msg("the document says nothing of %s", key);
        }
    }
    weir_json_free(got);
    weir_buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed),
        cmocka_unit_test(the_service_does_what_it_says),
        cmocka_unit_test(constraints_and_defaults),
        cmocka_unit_test(batches_and_later),
    };
    return cmocka_run_group_tests_name("openapi", tests, open_group, close_group);
}
