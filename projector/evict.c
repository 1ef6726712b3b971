/* evict.c - a Redis that evicts keys loses documents without an error: that is told, and once it
 * keeps what it is given everything is written again.
 */
#include <string.h>

#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "libweir/codec/dockey.h"
#include "projector/proj.h"

enum { EVERY_TICKS = 5 };

/* The value of one line "name:value\r\n"; {NULL,0}: none. */
static weir_slice line_of(weir_slice info, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at + n < info.n;) {
        const char *line = info.p + at;
        const char *end = memchr(line, '\n', info.n - at);
        size_t len = end ? (size_t)(end - line) : info.n - at;
        if (len > n && line[n] == ':' && memcmp(line, name, n) == 0) {
            bool cr = line[len - 1] == '\r';
            return weir_slice_of(line + n + 1, len - n - 1 - (cr ? 1 : 0));
        }
        at += len + 1;
    }
    return (weir_slice){NULL, 0};
}

/* As `weir verify --repair` does it: the next EXEC finds that Redis is not what we left. */
static void write_again(proj *p)
{
    proj_sink *k = &p->sink;
    weir_arena *a = weir_arena_new(0);
    weir_slice argv[] = {WEIR_SLICE_LIT("DEL"), weir_dockey_position(a, p->ns)};
    if (weir_redis_send(k->redis, 2, argv, NULL, NULL) == WEIR_OK) {
        WEIR_WARN("PROJ-REDIS-EVICTED",
                  "keys=%llu Redis evicted keys since it was looked at; everything is written "
                  "again",
                  (unsigned long long)(k->evicting - k->evicted));
        k->evicted = k->evicting;
    }
    weir_arena_free(a);
}

static void on_info(void *arg, const weir_redis_reply *r)
{
    proj *p = arg;
    proj_sink *k = &p->sink;
    if (!r || weir_redis_reply_type(r) != WEIR_REDIS_STRING) {
        return; /* away, or we may not ask */
    }
    weir_slice info = weir_redis_reply_str(r);
    weir_slice policy = line_of(info, "maxmemory_policy");
    bool any = weir_slice_starts(policy, WEIR_SLICE_LIT("allkeys"));
    bool may = any && !weir_slice_eqz(line_of(info, "maxmemory"), "0");
    uint64_t n = 0;
    if (!weir_slice_u64(line_of(info, "evicted_keys"), &n)) {
        return;
    }
    weir_health_wait(p->health, "redis_evicts",
                     may ? "Redis may evict documents without a word: set its maxmemory-policy to "
                           "noeviction"
                         : NULL);
    k->evicting = n;
    k->evicted = n < k->evicted ? 0 : k->evicted; /* it was started anew */
    if (!may && n > k->evicted) {
        write_again(p);
    }
}

void proj_evict_tick(proj *p)
{
    proj_sink *k = &p->sink;
    bool ours = k->looked && k->state != SINK_FENCED;
    if (p->slow_ticks % EVERY_TICKS == 1 && ours && weir_redis_up(k->redis) &&
        weir_redis_sendz(k->redis, "INFO", on_info, p) != WEIR_OK) {
        WEIR_DEBUG("PROJ-REDIS-INFO", "Redis was not asked; again in some seconds");
    }
}
