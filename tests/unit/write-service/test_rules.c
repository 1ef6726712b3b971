/* test_rules.c - what collisions teach about the rows a command locks. */
#include <stdio.h>

#include "tests/support/check.h"
#include "write-service/rules.h"

static wsvc_keys keys(const wsvc_rules *r, const char *body, int64_t now_ms)
{
    wsvc_keys out;
    wsvc_rules_keys(r, weir_slice_z(body), now_ms, &out);
    return out;
}

static bool share(const wsvc_keys *a, const wsvc_keys *b)
{
    for (size_t i = 0; i < a->n; i++) {
        if (wsvc_keys_cover(b, a->k[i])) {
            return true;
        }
    }
    return false;
}

static wsvc_lesson learn_had(wsvc_rules *r, const char *body, const char *collision,
                             const wsvc_keys *had, int64_t now_ms, wsvc_key *key)
{
    wsvc_collision *c = wsvc_collision_new(collision);
    wsvc_lesson lesson = wsvc_rules_learn(r, weir_slice_z(body), c, had, now_ms, key);
    wsvc_collision_free(c);
    return lesson;
}

static wsvc_lesson learn(wsvc_rules *r, const char *body, const char *collision, int64_t now_ms,
                         wsvc_key *key)
{
    wsvc_keys had = keys(r, body, now_ms);
    return learn_had(r, body, collision, &had, now_ms, key);
}

static bool note_path(void *arg, weir_slice path, weir_slice value)
{
    char *out = arg;
    size_t n = strlen(out);
    (void)snprintf(out + n, 500 - n, WEIR_SLICE_FMT "=" WEIR_SLICE_FMT " ", WEIR_SLICE_ARG(path),
                   WEIR_SLICE_ARG(value));
    return true;
}

static void paths(void **state)
{
    (void)state;
    char out[500] = "";
    wsvc_walk(WEIR_SLICE_LIT("{\"a\": -1.5e3, \"b\":[{\"c\":\"x:\\\"}\",\"d\":true},{\"c\":\"y\"}],"
                             "\"e\" : {\"f\":{\"g\":[1,[2,\"3\"]]}, \"h\":null}, \"i\":\"\"}"),
              note_path, out);
    assert_string_equal(out,
                        "a=-1.5e3 b[].c=x:\\\"} b[].c=y e.f.g[]=1 e.f.g[][]=2 e.f.g[][]=3 i= ");
}

static void a_field_names_the_row(void **state)
{
    (void)state;
    wsvc_rules order = {.self = 1}, restock = {.self = 2};
    wsvc_key key;
    const char *body = "{\"customer\":7,\"lines\":[{\"sku\":\"A\",\"qty\":1},{\"sku\":\"B\"}]}";
    const char *row = "{\"table\":\"products\",\"row\":[[\"sku\",\"B\"],[\"stock\",\"7\"]]}";
    assert_int_equal(learn(&order, body, row, 10, &key), WSVC_LESSON_NEW);
    wsvc_keys k = keys(&order, body, 11);
    assert_int_equal(k.n, 2);
    assert_true(wsvc_keys_cover(&k, key));
    /* Held already: somebody else has it. */
    assert_int_equal(learn(&order, body, row, 10 + WSVC_RULES_SETTLE_MS, &key), WSVC_LESSON_KNOWN);
    /* … unless that began before it was known. */
    assert_int_equal(learn(&order, body, row, 12, &key), WSVC_LESSON_SETTLING);
    /* One of the same group, whose keys are older than the lesson, teaches nothing new. */
    wsvc_keys none = {.n = 0};
    assert_int_equal(learn_had(&order, body, row, &none, 40, &key), WSVC_LESSON_SETTLING);
    /* Another command that names the same row shares the key. */
    assert_int_equal(learn(&restock, "{\"sku\":\"A\"}",
                           "{\"table\":\"products\",\"row\":[[\"sku\",\"A\"]]}", 12, &key),
                     WSVC_LESSON_NEW);
    wsvc_keys b = keys(&restock, "{\"sku\":\"B\"}", 13), c = keys(&restock, "{\"sku\":\"C\"}", 13);
    assert_true(share(&k, &b));
    assert_false(share(&k, &c));
    /* Nothing is kept for ever. */
    assert_int_equal(keys(&order, body, 10 + WSVC_RULES_LIFE_MS).n, 0);
}

static void no_field_names_it(void **state)
{
    (void)state;
    wsvc_rules r = {.self = 1};
    wsvc_key key;
    const char *one = "{\"table\":\"totals\",\"row\":[[\"id\",\"1\"]]}";
    const char *two = "{\"table\":\"totals\",\"row\":[[\"id\",\"2\"]]}";
    assert_int_equal(learn(&r, "{\"x\":\"q\"}", one, 10, &key), WSVC_LESSON_NEW);
    wsvc_keys a = keys(&r, "{\"x\":\"q\"}", 11), b = keys(&r, "{\"x\":\"z\"}", 11);
    assert_true(share(&a, &b)); /* every call needs the one row */
    assert_int_equal(learn(&r, "{\"x\":\"q\"}", one, 40, &key), WSVC_LESSON_KNOWN);
    assert_int_equal(learn(&r, "{\"x\":\"q\"}", two, 41, &key), WSVC_LESSON_NEW);
    assert_int_equal(keys(&r, "{}", 42).k[0].value, WSVC_KEY_WHOLE); /* the whole table */
}

static void nothing_is_said(void **state)
{
    (void)state;
    wsvc_rules r = {.self = 9};
    wsvc_key key;
    assert_false(wsvc_rules_any(&r, 10));
    assert_int_equal(learn(&r, "{}", NULL, 10, &key), WSVC_LESSON_NEW);
    assert_true(wsvc_rules_any(&r, 11));
    wsvc_keys k = keys(&r, "{}", 11);
    assert_int_equal(k.k[0].domain, 9);
    assert_int_equal(learn(&r, "{}", "not json", 40, &key), WSVC_LESSON_KNOWN);
    assert_int_equal(keys(&r, "{}", 10 + WSVC_HEAT_MIN_MS).n, 0);
}

static void watched_until_it_has_taught(void **state)
{
    (void)state;
    enum { BEGAN = 5000, LEARNED = BEGAN + 500, OVER = LEARNED + WSVC_RULES_WATCH_MS };
    wsvc_rules r = {.self = 1};
    wsvc_key key;
    const char *row = "{\"table\":\"t\",\"row\":[[\"id\",\"1\"]]}";
    assert_true(wsvc_rules_watched(&r, BEGAN));
    assert_int_equal(learn(&r, "{\"a\":1}", row, LEARNED, &key), WSVC_LESSON_NEW);
    assert_true(wsvc_rules_watched(&r, OVER - 1)); /* there may be more to learn */
    assert_false(wsvc_rules_watched(&r, OVER));
    /* A second lesson does not put off the look that is due when the first has run out. */
    const char *other = "{\"table\":\"u\",\"row\":[[\"id\",\"1\"]]}";
    assert_int_equal(learn(&r, "{\"a\":1}", other, OVER, &key), WSVC_LESSON_NEW);
    assert_false(wsvc_rules_watched(&r, LEARNED + WSVC_RULES_LIFE_MS - 1));
    assert_true(wsvc_rules_watched(&r, LEARNED + WSVC_RULES_LIFE_MS));
    assert_false(wsvc_rules_watched(&r, LEARNED + WSVC_RULES_LIFE_MS + WSVC_RULES_WATCH_MS));
    assert_false(wsvc_rules_watched(&r, INT64_MAX - 1)); /* nothing more was learned */
}

static void declared(void **state)
{
    (void)state;
    wsvc_rules a = {.self = 1}, b = {.self = 2};
    wsvc_rules_declare(&a, WEIR_SLICE_LIT("account"));
    wsvc_rules_declare(&b, WEIR_SLICE_LIT("account"));
    wsvc_keys x = keys(&a, "{\"account\":5}", 1),
              y = keys(&b, "{\"account\":\"5\"}", INT64_MAX - 1),
              z = keys(&b, "{\"account\":[6]}", 1);
    assert_true(share(&x, &y));
    assert_false(share(&x, &z));
    assert_int_equal(z.n, 1);
    wsvc_rules_declare(&a, WEIR_SLICE_LIT(""));
    assert_int_equal(keys(&a, "{\"account\":5}", 1).n, 0);
}

static void many_keys(void **state)
{
    (void)state;
    wsvc_keys k = {0};
    wsvc_keys_add(&k, (wsvc_key){2, 1});
    for (uint64_t i = 1; i <= 40; i++) {
        wsvc_keys_add(&k, (wsvc_key){1, i});
    }
    assert_int_equal(k.n, 2); /* more than it can remember: the whole domain */
    assert_true(wsvc_keys_cover(&k, (wsvc_key){1, 99}));
    assert_false(wsvc_keys_cover(&k, (wsvc_key){2, 2}));
    /* Exactly full: what comes from elsewhere still finds room. */
    wsvc_keys full = {0};
    for (uint64_t i = 1; i <= WSVC_KEYS_MAX; i++) {
        wsvc_keys_add(&full, (wsvc_key){1, i});
    }
    assert_int_equal(full.n, WSVC_KEYS_MAX);
    wsvc_keys_add(&full, wsvc_key_of_quarrel());
    assert_true(wsvc_keys_cover(&full, wsvc_key_of_quarrel()));
    assert_true(wsvc_keys_cover(&full, (wsvc_key){1, 99}));
    assert_int_equal(full.n, 2);
    wsvc_keybag *b = wsvc_keybag_new();
    for (uint64_t i = 1; i <= 5000; i++) {
        wsvc_keybag_add(b, (wsvc_key){i % 3, i});
    }
    for (uint64_t i = 1; i <= 5000; i += 2) {
        wsvc_keybag_drop(b, (wsvc_key){i % 3, i});
    }
    for (uint64_t i = 1; i <= 5000; i++) {
        assert_int_equal(wsvc_keybag_meets(b, (wsvc_key){i % 3, i}), i % 2 == 0);
    }
    wsvc_keybag_clear(b);
    assert_false(wsvc_keybag_meets(b, (wsvc_key){0, WSVC_KEY_WHOLE}));
    wsvc_keybag_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(a_field_names_the_row),
        cmocka_unit_test(no_field_names_it),
        cmocka_unit_test(nothing_is_said),
        cmocka_unit_test(watched_until_it_has_taught),
        cmocka_unit_test(declared),
        cmocka_unit_test(many_keys),
    };
    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
