/* rediscmd.c - words to a Redis. */
#include "tests/support/rediscmd.h"

#include "tests/support/check.h"

const weir_redis_reply *rediscmd(weir_redisc *c, size_t n, const char *const *words)
{
    weir_slice argv[REDISCMD_WORDS_MAX];
    const weir_redis_reply *reply = NULL;
    weir_error err;
    assert_true(n <= REDISCMD_WORDS_MAX);
    for (size_t i = 0; i < n; i++) {
        argv[i] = weir_slice_z(words[i]);
    }
    assert_rc(WEIR_OK, weir_redisc_call(c, &reply, n, argv, &err), &err);
    return reply;
}
