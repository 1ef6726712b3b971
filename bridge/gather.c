/* gather.c - flood, lag, and a pause that adapts to what it brings. */
#include "bridge/gather.h"

enum {
    MANY_BYTES = 768 * 1024,
    FEW_BYTES = 384 * 1024,
    /* Of a quiet stream: less than the receive window (pgrepl.h), so that the server never waits.
     */
    UNHEARD_MANY_BYTES = 24 * 1024,
    UNHEARD_FEW_BYTES = 8 * 1024
};

void brg_gather_init(brg_gather *g)
{
    *g = (brg_gather){.pause_ns = BRG_GATHER_LONG_NS / 4, .unheard_ns = BRG_GATHER_UNHEARD_NS};
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

/* After a pause of ns that brought g->bytes. */
static int64_t adapted(const brg_gather *g, int64_t ns, uint64_t few, uint64_t many,
                       int64_t longest_ns)
{
    if (g->bytes > many) {
        ns /= 2;
    } else if (g->bytes < few) {
        ns *= 2;
    }
    return ns < BRG_GATHER_NS ? BRG_GATHER_NS : ns > longest_ns ? longest_ns : ns;
}

int64_t brg_gather_pause_ns(brg_gather *g, bool loopback, bool heard, size_t tx_events,
                            int64_t now_us)
{
    bool flood = g->slice + g->slice_before >= BRG_GATHER_FLOOD;
    bool behind = loopback && now_us - g->commit_us > BRG_GATHER_BEHIND_US;
    int64_t pause_ns = 0;
    if (tx_events >= BRG_GATHER_EVENTS || flood) {
        pause_ns = BRG_GATHER_NS;
        if (behind) {
            g->pause_ns = adapted(g, g->pause_ns, FEW_BYTES, MANY_BYTES, BRG_GATHER_LONG_NS);
            pause_ns = g->pause_ns;
        }
    } else if (!heard) {
        g->unheard_ns =
            adapted(g, g->unheard_ns, UNHEARD_FEW_BYTES, UNHEARD_MANY_BYTES, BRG_GATHER_UNHEARD_NS);
        pause_ns = g->unheard_ns;
    }
    g->bytes = 0;
    return pause_ns;
}
