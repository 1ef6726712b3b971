/* no_barrier.c - the test of the test: a copy that does not wait for older transactions. */
#include "migrations/crawler/crawler.h"

weir_rc crw_barrier(weir_pg *source, int64_t max_ms, bool (*stop)(void *arg, const char *waits),
                    void *arg, weir_error *err)
{
    (void)source;
    (void)max_ms;
    (void)stop;
    (void)arg;
    (void)err;
    return WEIR_OK;
}
