/* test_arena.c - arenas: alignment, ceiling, reset, copies. */
#include "libweir/base/arena.h"

#include "tests/support/check.h"

static void pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    uint64_t rng = weir_test_seed();
    weir_arena *a = weir_arena_new(0);
    struct {
        unsigned char *p;
        size_t n;
    } piece[500];
    for (size_t i = 0; i < 500; i++) {
        /* A few are larger than any block. */
        piece[i].n = weir_test_random(&rng) % (i % 50 == 0 ? 3000000 : 700);
        piece[i].p = weir_arena_alloc(a, piece[i].n);
        assert_non_null(piece[i].p);
        assert_int_equal((uintptr_t)piece[i].p % 16, 0);
        memset(piece[i].p, (int)(i & 255), piece[i].n);
    }
    for (size_t i = 0; i < 500; i++) {
        for (size_t k = 0; k < piece[i].n; k++) {
            if (piece[i].p[k] != (i & 255)) {
                fail_msg("piece %zu was overwritten", i);
            }
        }
    }
    weir_arena_free(a);
}

static void the_ceiling_gives_null(void **state)
{
    (void)state;
    weir_arena *a = weir_arena_new(1024);
    assert_non_null(weir_arena_alloc(a, 1000));
    assert_null(weir_arena_alloc(a, 100));
    assert_non_null(weir_arena_alloc(a, 10));
    assert_null(weir_arena_alloc(a, 1));
    assert_null(weir_arena_strdup(a, "x"));
    assert_null(weir_arena_printf(a, "%d", 1));
    assert_null(weir_arena_dup(a, weir_slice_z("x")).p);
    weir_arena_reset(a);
    assert_int_equal(weir_arena_used(a), 0);
    assert_non_null(weir_arena_alloc(a, 1024));
    weir_arena_free(a);
}

static void overflow_gives_null(void **state)
{
    (void)state;
    weir_arena *a = weir_arena_new(0);
    assert_null(weir_arena_calloc(a, SIZE_MAX / 2, 3));
    assert_null(weir_arena_alloc(a, SIZE_MAX));
    assert_null(weir_arena_alloc(a, SIZE_MAX - 20));
    assert_null(weir_arena_dupz(a, (weir_slice){"", SIZE_MAX}));
    weir_arena_free(a);
}

static void nothing_is_still_something(void **state)
{
    (void)state;
    weir_arena *a = weir_arena_new(0);
    void *p = weir_arena_alloc(a, 0);
    assert_non_null(p);
    assert_ptr_not_equal(p, weir_arena_alloc(a, 0));
    assert_non_null(weir_arena_dup(a, (weir_slice){NULL, 0}).p);
    assert_string_equal(weir_arena_dupz(a, (weir_slice){NULL, 0}), "");
    weir_arena_free(a);
    weir_arena_free(NULL);
}

static void copies_are_copies(void **state)
{
    (void)state;
    weir_arena *a = weir_arena_new(0);
    char from[] = "abc";
    weir_slice s = weir_arena_dup(a, weir_slice_z(from));
    char *z = weir_arena_dupz(a, (weir_slice){"a\0b", 3});
    from[0] = 'x';
    assert_slice("abc", s);
    assert_memory_equal(z, "a\0b", 4);
    assert_string_equal(weir_arena_printf(a, "%s-%d", "n", 5), "n-5");
    const int *zeros = WEIR_ARENA_ARRAY(a, int, 100);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(zeros[i], 0);
    }
    weir_arena_free(a);
}

static void reset_makes_room_again(void **state)
{
    (void)state;
    weir_arena *a = weir_arena_new(8 << 20);
    for (int round = 0; round < 50; round++) {
        size_t n = 0;
        while (weir_arena_alloc(a, 100000)) {
            n++;
        }
        assert_int_equal(n, (8 << 20) / 100000);
        weir_arena_reset(a);
    }
    weir_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(the_ceiling_gives_null),
        cmocka_unit_test(overflow_gives_null),
        cmocka_unit_test(nothing_is_still_something),
        cmocka_unit_test(copies_are_copies),
        cmocka_unit_test(reset_makes_room_again),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
