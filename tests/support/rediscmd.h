/* rediscmd.h - one Redis command written as words, for tests. */
#ifndef WEIR_TESTS_SUPPORT_REDISCMD_H
#define WEIR_TESTS_SUPPORT_REDISCMD_H

#include "libweir/io/redis.h"

enum { REDISCMD_WORDS_MAX = 32 };

/* The answer, which may be an error reply and is valid until the next command. Fails the test when
 * none comes. */
const weir_redis_reply *rediscmd(weir_redisc *c, size_t n, const char *const *words);

#define REDISCMD(c, ...)                                                                           \
    rediscmd((c), sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *),                    \
             (const char *[]){__VA_ARGS__})

#endif
