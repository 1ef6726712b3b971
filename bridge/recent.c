/* recent.c - a ring of delivered xids. */
#include "bridge/recent.h"

#include <stdlib.h>

#include "libweir/base/xalloc.h"

struct brg_recent {
    uint32_t *xid; /* by count modulo max */
    size_t max;
    uint64_t n, from;      /* counts of all ever; [from, n) are kept, those before are visible… */
    uint64_t unsure_below; /* …but nobody knows it of those below this, */
    bool unsure;           /* when this is set */
};

const char brg_recent_unsure[] = "more transactions were delivered than can be remembered";

brg_recent *brg_recent_new(size_t max)
{
    brg_recent *r = weir_xcalloc(1, sizeof *r);
    r->xid = weir_xcalloc(max, sizeof *r->xid);
    r->max = max;
    r->unsure = true;
    return r;
}

void brg_recent_free(brg_recent *r)
{
    if (r) {
        free(r->xid);
        free(r);
    }
}

void brg_recent_add(brg_recent *r, uint32_t xid)
{
    if (r->n - r->from == r->max) {
        r->unsure_below = ++r->from;
        r->unsure = true;
    }
    r->xid[r->n++ & (r->max - 1)] = xid;
}

uint64_t brg_recent_mark(const brg_recent *r)
{
    return r->n;
}

void brg_recent_settled(brg_recent *r, uint64_t mark)
{
    r->from = mark > r->from ? mark : r->from;
    r->unsure = r->unsure && r->unsure_below > mark;
}

const char *brg_recent_redo(brg_recent *r, uint64_t open_at, const weir_snapshot *s)
{
    if (r->unsure) {
        return brg_recent_unsure;
    }
    /* Visible once is visible for ever: these need not be kept. */
    while (r->from < open_at && weir_snapshot_sees(s, r->xid[r->from & (r->max - 1)])) {
        r->from++;
    }
    for (uint64_t i = r->from; i < open_at; i++) {
        if (!weir_snapshot_sees(s, r->xid[i & (r->max - 1)])) {
            return "a transaction was delivered before the snapshot could see it";
        }
    }
    return NULL;
}
