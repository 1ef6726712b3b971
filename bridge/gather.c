/* gather.c - flood, lag, and a pause that adapts to what it brings. */
#include "bridge/gather.h"

enum { MANY_BYTES = 768 * 1024, FEW_BYTES = 384 * 1024 };

void brg_gather_init(brg_gather *g)
{
    *g = (brg_gather){.pause_ns = BRG_GATHER_LONG_NS / 4};
}

void brg_gather_began(brg_gather *g, int64_t commit_us)
{
    g->commit_us = commit_us;
}

void brg_gather_read(brg_gather *g, unsigned messages, size_t bytes, int64_t now_ms)
{
    int64_t slice_ms = now_ms / BRG_GATHER_SLICE_MS;
    if (slice_ms != g->slice_ms) {
        g->slice_before = slice_ms == g->slice_ms + 1 ? g->slice : 0;
        g->slice = 0;
        g->slice_ms = slice_ms;
    }
    g->slice += messages;
    g->bytes += bytes;
}

static void adapt(brg_gather *g)
{
    if (g->bytes > MANY_BYTES) {
        g->pause_ns /= 2;
    } else if (g->bytes < FEW_BYTES) {
        g->pause_ns *= 2;
    }
    g->pause_ns = g->pause_ns < BRG_GATHER_NS        ? BRG_GATHER_NS
                  : g->pause_ns > BRG_GATHER_LONG_NS ? BRG_GATHER_LONG_NS
                                                     : g->pause_ns;
}

int64_t brg_gather_pause_ns(brg_gather *g, bool loopback, bool heard, size_t tx_events,
                            int64_t now_us)
{
    bool flood = g->slice + g->slice_before >= BRG_GATHER_FLOOD;
    bool behind = loopback && now_us - g->commit_us > BRG_GATHER_BEHIND_US;
    int64_t pause_ns = heard ? 0 : BRG_GATHER_UNHEARD_NS;
    if (tx_events >= BRG_GATHER_EVENTS || flood) {
        pause_ns = BRG_GATHER_NS;
        if (behind) {
            adapt(g);
            pause_ns = g->pause_ns;
        }
    }
    g->bytes = 0;
    return pause_ns;
}
