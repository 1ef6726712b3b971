/* codec_check.h - what the codec tests share: result codes by name, exact copies, random bytes from
 * a printed seed. */
#ifndef WEIR_TESTS_CODEC_CHECK_H
#define WEIR_TESTS_CODEC_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libweir/base/arena.h"
#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"

#define assert_rc(want, got) assert_string_equal(weir_rc_name(want), weir_rc_name(got))
#define assert_slice(want, got)                                                                    \
    do {                                                                                           \
        weir_slice want_ = (want), got_ = (got);                                                   \
        assert_int_equal(want_.n, got_.n);                                                         \
        if (want_.n) {                                                                             \
            assert_memory_equal(want_.p, got_.p, want_.n);                                         \
        }                                                                                          \
    } while (0)

/* malloc'd to the byte, so that the address sanitizer sees one byte too far. */
static inline weir_slice exact_copy(weir_slice s)
{
    char *p = weir_xmalloc(s.n ? s.n : 1);
    if (s.n) {
        memcpy(p, s.p, s.n);
    }
    return (weir_slice){p, s.n};
}

/* splitmix64 */
static inline uint64_t rnd(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

/* WEIR_TEST_SEED repeats a run. */
static inline uint64_t test_seed(void)
{
    const char *env = getenv("WEIR_TEST_SEED");
    uint64_t seed = env ? strtoull(env, NULL, 10) : (uint64_t)weir_wall_us();
    print_message("seed %llu (WEIR_TEST_SEED repeats it)\n", (unsigned long long)seed);
    return seed;
}

static inline weir_slice rnd_bytes(uint64_t *state, weir_arena *a, size_t max)
{
    size_t n = rnd(state) % (max + 1);
    char *p = weir_arena_alloc(a, n);
    for (size_t i = 0; i < n; i++) {
        p[i] = (char)(unsigned char)rnd(state);
    }
    return (weir_slice){p, n};
}

#endif
