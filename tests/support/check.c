/* check.c - assertions on weir_rc and reproducible random numbers. */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"

void weir_check_rc(weir_rc want, weir_rc got, const weir_error *err, const char *what,
                   const char *file, int line)
{
    if (want == got) {
        return;
    }
    print_error("%s: wanted %s, got %s%s%s\n", what, weir_rc_name(want), weir_rc_name(got),
                err && got != WEIR_OK ? ": " : "", err && got != WEIR_OK ? err->msg : "");
    _fail(file, line);
}

void weir_check_slice(const char *want, weir_slice got, const char *file, int line)
{
    if (!weir_slice_eqz(got, want)) {
        print_error("wanted: %s\n   got: " WEIR_SLICE_FMT "\n", want, WEIR_SLICE_ARG(got));
        _fail(file, line);
    }
}

void weir_check_has(const char *text, const char *needle, const char *file, int line)
{
    if (!text || !strstr(text, needle)) {
        print_error("\"%s\" is not in: %s\n", needle, text ? text : "(null)");
        _fail(file, line);
    }
}

uint64_t weir_test_seed(void)
{
    const char *given = getenv("WEIR_TEST_SEED");
    uint64_t seed;
    if (!given || !weir_slice_u64(weir_slice_z(given), &seed)) {
        seed = (uint64_t)weir_wall_us();
    }
    print_message("seed %llu (repeat with WEIR_TEST_SEED)\n", (unsigned long long)seed);
    return seed;
}

uint64_t weir_test_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool weir_test_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

int weir_test_timeout_x(void)
{
    const char *given = getenv("WEIR_TEST_TIMEOUT_X");
    int64_t x;
    if (!given || !weir_slice_i64(weir_slice_z(given), &x) || x < 1) {
        return 1;
    }
    return x > 100 ? 100 : (int)x;
}
