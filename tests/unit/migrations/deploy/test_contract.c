/* test_contract.c - which changes of commands let a client down. */
#include <stdio.h>

#include "migrations/deploy/contract.h"
#include "tests/support/check.h"

static weir_arena *arena;
static const size_t ANY = SIZE_MAX; /* number of changes; breaking only yes or no */

static weir_json *doc_of(int version, const char *commands)
{
    weir_json *j = NULL;
    weir_error err = {0};
    const char *text =
        weir_arena_printf(arena, "{\"weir_contracts\":%d,\"commands\":{%s}}", version, commands);
    assert_rc(WEIR_OK, weir_json_parse(&j, weir_slice_z(text), &err), &err);
    return j;
}

static weir_json *doc(const char *commands)
{
    return doc_of(DEP_CONTRACT_VERSION, commands);
}

static void compare_with(int version, const char *was, const char *is, size_t n, size_t breaking)
{
    weir_json *a = doc_of(version, was), *b = doc(is);
    dep_changes out = {NULL, NULL, 0, 0};
    weir_error err = {0};
    assert_rc(WEIR_OK, dep_contract_compare(a, b, arena, &out, &err), &err);
    bool fits =
        n == ANY ? (out.breaking > 0) == (breaking > 0) : out.n == n && out.breaking == breaking;
    if (!fits) {
        for (const dep_change *c = out.first; c; c = c->next) {
            print_message("%d %s %s: %s\n", c->breaks, c->command, c->pointer, c->text);
        }
        fail_msg("%zu changes, %zu break: %s -> %s", out.n, out.breaking, was, is);
    }
    weir_json_free(a);
    weir_json_free(b);
}

static void compare(const char *was, const char *is, size_t n, size_t breaking)
{
    compare_with(DEP_CONTRACT_VERSION, was, is, n, breaking);
}

#define ARG(name, type, required, schema)                                                          \
    "{\"name\":\"" name "\",\"type\":\"" type "\",\"required\":" required ",\"schema\":" schema "}"
#define CMD(args, result) "\"c\":{\"args\":[" args "],\"result_type\":\"x\",\"result\":" result "}"
#define INT4              "{\"type\":\"integer\",\"format\":\"int32\"}"
#define INT8              "{\"type\":\"integer\",\"format\":\"int64\"}"
#define NUM               "{\"type\":\"number\"}"
#define DBL               "{\"type\":\"number\",\"format\":\"double\"}"
#define TXT               "{\"type\":\"string\"}"
#define UUID              "{\"type\":\"string\",\"format\":\"uuid\"}"

static void commands_and_fields(void **state)
{
    (void)state;
    const char *one = CMD(ARG("a", "bigint", "true", INT8), "{}");
    compare(one, one, 0, 0);
    compare(one, "", 1, 1);
    compare("", one, 1, 0);
    compare(one, CMD("", "{}"), 1, 1);
    compare(CMD("", "{}"), one, 1, 1);
    compare(CMD("", "{}"), CMD(ARG("a", "bigint", "false", INT8), "{}"), 1, 0);
    compare(one, CMD(ARG("a", "bigint", "false", INT8), "{}"), 1, 0);
    compare(CMD(ARG("a", "bigint", "false", INT8), "{}"), one, 1, 1);
    compare(one, CMD(ARG("b", "bigint", "true", INT8), "{}"), 2, 2);
}

static void argument(const char *from_type, const char *from, const char *to_type, const char *to,
                     bool breaks)
{
    char was[400], is[400];
    static const char form[] = "\"c\":{\"args\":[{\"name\":\"a\",\"type\":\"%s\",\"required\":true,"
                               "\"schema\":%s}],\"result\":{}}";
    (void)snprintf(was, sizeof was, form, from_type, from);
    (void)snprintf(is, sizeof is, form, to_type, to);
    compare(was, is, ANY, breaks);
}

static void types(void **state)
{
    (void)state;
    argument("integer", INT4, "bigint", INT8, false);
    argument("bigint", INT8, "integer", INT4, true);
    argument("bigint", INT8, "numeric", NUM, false);
    argument("bigint", INT8, "double precision", DBL, true);
    argument("integer", INT4, "double precision", DBL, false);
    argument("uuid", UUID, "text", TXT, false);
    argument("text", TXT, "uuid", UUID, true);
    argument("text", TXT, "character varying", TXT, false);
    argument("text", TXT, "jsonb", "{}", false);
    argument("jsonb", "{}", "text", TXT, true);
    compare(CMD(ARG("a", "text", "true", TXT), "{}"), CMD(ARG("a", "inet", "true", TXT), "{}"), 1,
            1);
    compare(CMD(ARG("a", "bigint", "true", INT8), "{}"),
            CMD(ARG("a", "even", "true",
                    "{\"type\":\"integer\",\"format\":\"int64\",\"title\":"
                    "\"even\"}"),
                "{}"),
            1, 1);
}

#define ENUM(labels) "{\"type\":\"string\",\"enum\":[" labels "]}"
#define OBJ(props)   "{\"type\":\"object\",\"properties\":{" props "}}"
#define LIST(items)  "{\"type\":\"array\",\"items\":" items "}"

static void enums_objects_and_lists(void **state)
{
    (void)state;
    const char *two = CMD(ARG("a", "e", "true", ENUM("\"x\",\"y\"")), "{}");
    const char *three = CMD(ARG("a", "e", "true", ENUM("\"x\",\"y\",\"z\"")), "{}");
    compare(two, three, 0, 0);
    compare(three, two, 1, 1);
    const char *line = CMD(ARG("a", "l[]", "true", LIST(OBJ("\"sku\":" TXT))), "{}");
    const char *more =
        CMD(ARG("a", "l[]", "true", LIST(OBJ("\"sku\":" TXT ",\"qty\":" INT4))), "{}");
    compare(line, more, 1, 0);
    compare(more, line, 1, 1);
    compare(line, CMD(ARG("a", "l[]", "true", LIST(OBJ("\"sku\":" INT4))), "{}"), 1, 1);
}

/* A result may give more, never less or other things. */
static void results(void **state)
{
    (void)state;
    compare(CMD("", INT8), CMD("", INT4), 0, 0);
    compare(CMD("", INT4), CMD("", INT8), 1, 1);
    compare(CMD("", "{}"), CMD("", INT8), 0, 0);
    compare(CMD("", INT8), CMD("", "{}"), 1, 1);
    compare(CMD("", OBJ("\"id\":" INT8)), CMD("", OBJ("\"id\":" INT8 ",\"more\":" TXT)), 1, 0);
    compare(CMD("", OBJ("\"id\":" INT8 ",\"more\":" TXT)), CMD("", OBJ("\"id\":" INT8)), 1, 1);
    compare(CMD("", ENUM("\"x\"")), CMD("", ENUM("\"x\",\"y\"")), 1, 1);
    compare(CMD("", ENUM("\"x\",\"y\"")), CMD("", ENUM("\"x\"")), 0, 0);
}

static const char *of(const char *schema)
{
    return weir_arena_printf(arena, CMD(ARG("a", "d", "true", "%s"), "{}"), schema);
}

/* The tighter of two schemas of one domain: as an argument it may become the looser one, as a
 * result the other way round. */
static void tighter(const char *tight, const char *loose)
{
    compare(of(loose), of(tight), 1, 1);
    compare(of(tight), of(loose), 1, 0);
    compare(of(tight), of(tight), 0, 0);
    const char *from = weir_arena_printf(arena, CMD("", "%s"), tight);
    const char *to = weir_arena_printf(arena, CMD("", "%s"), loose);
    compare(from, to, 1, 1);
    compare(to, from, 1, 0);
}

#define D(type, limits) "{\"type\":\"" type "\",\"title\":\"d\"" limits "}"

static void limits(void **state)
{
    (void)state;
    tighter(D("integer", ",\"minimum\":5"), D("integer", ""));
    tighter(D("integer", ",\"minimum\":5"), D("integer", ",\"minimum\":-5"));
    tighter(D("number", ",\"exclusiveMinimum\":5"), D("number", ",\"minimum\":5"));
    tighter(D("integer", ",\"maximum\":5"), D("integer", ",\"exclusiveMaximum\":7"));
    tighter(D("number", ",\"maximum\":0.5,\"minimum\":0"), D("number", ",\"maximum\":0.75"));
    compare(of(D("integer", ",\"exclusiveMinimum\":0")), of(D("integer", ",\"minimum\":1")), 0, 0);
    tighter(D("string", ",\"maxLength\":5"), D("string", ",\"maxLength\":6"));
    tighter(D("string", ",\"minLength\":1"), D("string", ""));
    tighter(D("number", ",\"x-digits\":8,\"x-scale\":2"),
            D("number", ",\"x-digits\":10,\"x-scale\":2"));
    tighter(D("number", ",\"x-digits\":8,\"x-scale\":2"),
            D("number", ",\"x-digits\":8,\"x-scale\":3"));
    tighter(D("string", ",\"x-not-null\":true"), D("string", ""));
    tighter(D("string", ",\"x-checks\":[\"CHECK (a)\",\"CHECK (b)\"]"),
            D("string", ",\"x-checks\":[\"CHECK (a)\"]"));
    tighter(D("string", ",\"x-type\":\"bit(3)\""), D("string", ""));
    compare(of(D("string", ",\"x-checks\":[\"CHECK (a)\"]")),
            of(D("string", ",\"x-checks\":[\"CHECK (b)\"]")), 1, 1);
    compare(of(D("string", ",\"x-type\":\"bit(3)\"")), of(D("string", ",\"x-type\":\"bit(4)\"")), 1,
            1);
    /* A list of values where there was none. */
    compare(of(D("string", "")), of(D("string", ",\"enum\":[\"x\"]")), 1, 1);
    /* Within a composite, within a list. */
    compare(of(LIST(OBJ("\"qty\":" D("integer", "")))),
            of(LIST(OBJ("\"qty\":" D("integer", ",\"minimum\":1")))), 1, 1);
}

/* What a file of version 1 could not tell is not held against today's commands. */
static void an_old_file(void **state)
{
    (void)state;
    const char *was = of(D("string", ""));
    compare_with(1, was, of(D("string", ",\"x-checks\":[\"CHECK (a)\"]")), 0, 0);
    compare_with(1, was, of(D("string", ",\"x-not-null\":true")), 0, 0);
    compare_with(1, was, of(D("string", ",\"enum\":[\"x\"]")), 0, 0);
    compare_with(1, was, of(D("string", ",\"minLength\":1")), 1, 1);
}

static void no_contract(void **state)
{
    (void)state;
    weir_json *a = NULL, *b = doc("");
    dep_changes out = {NULL, NULL, 0, 0};
    weir_error err = {0};
    assert_rc(WEIR_OK, weir_json_parse(&a, WEIR_SLICE_LIT("{\"weir_contracts\":3}"), &err), &err);
    assert_int_equal(dep_contract_compare(a, b, arena, &out, &err), WEIR_E_INPUT);
    weir_json_free(a);
    weir_json_free(b);
}

static int up(void **state)
{
    (void)state;
    arena = weir_arena_new(1 << 20);
    return 0;
}

static int down(void **state)
{
    (void)state;
    weir_arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_and_fields),
        cmocka_unit_test(types),
        cmocka_unit_test(enums_objects_and_lists),
        cmocka_unit_test(results),
        cmocka_unit_test(limits),
        cmocka_unit_test(an_old_file),
        cmocka_unit_test(no_contract),
    };
    return cmocka_run_group_tests_name("contract", tests, up, down);
}
