/* test_map.c - the hash map against a naive copy. */
#include "libweir/base/map.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/check.h"

enum { KEYS = 400 };

typedef struct model {
    char key[KEYS][40]; /* the even ones fit into an entry, the odd ones do not */
    size_t n[KEYS];
    void *value[KEYS];
    bool there[KEYS];
    size_t len;
} model;

static weir_slice key_of(const model *md, size_t i)
{
    return weir_slice_of(md->key[i], md->n[i]);
}

static void check_iteration(const weir_map *m, const model *md)
{
    weir_map_iter it = {0};
    size_t seen = 0;
    while (weir_map_next(m, &it)) {
        size_t i = 0;
        while (i < KEYS && !weir_slice_eq(it.key, key_of(md, i))) {
            i++;
        }
        assert_true(i < KEYS);
        assert_true(md->there[i]);
        assert_ptr_equal(it.value, md->value[i]);
        seen++;
    }
    assert_int_equal(seen, md->len);
}

static void one_operation(weir_map *m, model *md, uint64_t r)
{
    size_t i = r % KEYS;
    bool created;
    void **slot;
    switch (r >> 32 & 3) {
    case 0:
    case 1:
        slot = weir_map_slot(m, key_of(md, i), &created);
        assert_int_equal(created, !md->there[i]);
        assert_ptr_equal(*slot, md->there[i] ? md->value[i] : NULL);
        md->len += created;
        md->there[i] = true;
        md->value[i] = &md->key[r >> 40 & 255];
        *slot = md->value[i];
        break;
    case 2:
        assert_ptr_equal(weir_map_del(m, key_of(md, i)), md->there[i] ? md->value[i] : NULL);
        md->len -= md->there[i];
        md->there[i] = false;
        break;
    default:
        assert_ptr_equal(weir_map_get(m, key_of(md, i)), md->there[i] ? md->value[i] : NULL);
        assert_int_equal(weir_map_has(m, key_of(md, i)), md->there[i]);
        break;
    }
    assert_int_equal(weir_map_len(m), md->len);
}

static void behaves_like_a_plain_array(void **state)
{
    (void)state;
    uint64_t rng = weir_test_seed();
    model *md = calloc(1, sizeof *md);
    assert_non_null(md);
    for (size_t i = 0; i < KEYS; i++) {
        int n = snprintf(md->key[i], sizeof md->key[i],
                         i % 2 ? "a-rather-long-key-number-%zu" : "k%zu", i);
        md->n[i] = (size_t)n;
    }
    md->n[0] = 0; /* the empty key is a key */
    weir_map *m = weir_map_new();
    for (int op = 0; op < 200000; op++) {
        one_operation(m, md, weir_test_random(&rng));
        if (op % 10000 == 0) {
            check_iteration(m, md);
        }
    }
    check_iteration(m, md);
    weir_map_clear(m);
    memset(md->there, 0, sizeof md->there);
    md->len = 0;
    check_iteration(m, md);
    for (int op = 0; op < 1000; op++) {
        one_operation(m, md, weir_test_random(&rng));
    }
    weir_map_free(m);
    free(md);
}

static void an_empty_map_answers(void **state)
{
    (void)state;
    weir_map *m = weir_map_new();
    weir_map_iter it = {0};
    assert_null(weir_map_get(m, weir_slice_z("x")));
    assert_false(weir_map_has(m, (weir_slice){NULL, 0}));
    assert_null(weir_map_del(m, weir_slice_z("x")));
    assert_false(weir_map_next(m, &it));
    assert_int_equal(weir_map_len(m), 0);
    weir_map_free(m);
    weir_map_free(NULL);
}

static void keys_may_hold_any_byte(void **state)
{
    (void)state;
    weir_map *m = weir_map_new();
    *weir_map_slot(m, (weir_slice){"a\0b", 3}, NULL) = m;
    assert_ptr_equal(weir_map_get(m, (weir_slice){"a\0b", 3}), m);
    assert_null(weir_map_get(m, (weir_slice){"a\0c", 3}));
    assert_null(weir_map_get(m, weir_slice_z("a")));
    weir_map_free(m);
}

static void deleting_while_iterating_visits_the_rest(void **state)
{
    (void)state;
    weir_map *m = weir_map_new();
    for (uint32_t i = 0; i < 1000; i++) {
        *weir_map_slot(m, (weir_slice){(const char *)&i, sizeof i}, NULL) = m;
    }
    weir_map_iter it = {0};
    size_t seen = 0;
    while (weir_map_next(m, &it)) {
        seen++;
        (void)weir_map_del(m, it.key);
    }
    assert_int_equal(seen, 1000);
    assert_int_equal(weir_map_len(m), 0);
    weir_map_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_a_plain_array),
        cmocka_unit_test(an_empty_map_answers),
        cmocka_unit_test(keys_may_hold_any_byte),
        cmocka_unit_test(deleting_while_iterating_visits_the_rest),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
