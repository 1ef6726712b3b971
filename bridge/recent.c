/* recent.c - a ring of delivered xids. */
#include "bridge/recent.h"

#include <stdlib.h>

#include "libweir/base/xalloc.h"

struct brg_recent {
    uint32_t *xid; /* by count modulo max: the last ones */
    size_t max;
    uint64_t n;       /* count of all ever */
    uint64_t seen_to; /* those before are visible to every snapshot taken from now on */
    bool sure;        /* …also those of before this process */
};

const char brg_recent_unsure[] = "more transactions were delivered than can be remembered";

brg_recent *brg_recent_new(size_t max)
{
    brg_recent *r = weir_xcalloc(1, sizeof *r);
    r->xid = weir_xcalloc(max, sizeof *r->xid);
    r->max = max;
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
    r->xid[r->n++ & (r->max - 1)] = xid;
}

uint64_t brg_recent_mark(const brg_recent *r)
{
    return r->n;
}

uint64_t brg_recent_open(const brg_recent *r)
{
    return r->seen_to;
}

void brg_recent_settled(brg_recent *r, uint64_t mark)
{
    r->seen_to = mark > r->seen_to ? mark : r->seen_to;
    r->sure = true;
}

const char *brg_recent_redo(brg_recent *r, uint64_t from, uint64_t open_at, const weir_snapshot *s)
{
    if (!r->sure || (from < open_at && r->n - from > r->max)) {
        return brg_recent_unsure;
    }
    uint64_t i = from;
    while (i < open_at && weir_snapshot_sees(s, r->xid[i & (r->max - 1)])) {
        i++;
    }
    r->seen_to = i > r->seen_to ? i : r->seen_to; /* visible once is visible for ever */
    return i < open_at ? "a transaction was delivered before the snapshot could see it" : NULL;
}
