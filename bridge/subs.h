/* subs.h - the durable subscribers: name, acknowledged position, state. Loop thread only.
 *
 * What is here is what the log's `sub` database says or is about to say: a change is ordered from
 * the writer first, and takes effect here when it is durable.
 */
#ifndef WEIR_BRIDGE_SUBS_H
#define WEIR_BRIDGE_SUBS_H

#include "bridge/retain.h"
#include "bridge/store.h"
#include "libweir/base/map.h"

enum { BRG_SUBS_MAX = 1000, BRG_SUB_VALUE_MAX = 64 };

typedef struct brg_sub {
    char name[128];
    weir_cursor position;
    bool lapsed;
    int64_t created_us, seen_us;
} brg_sub;

typedef struct brg_subs {
    brg_sub *v;
    size_t n, cap;
} brg_subs;

WEIR_MUST_CHECK weir_rc brg_subs_load(brg_subs *subs, brg_store *store, weir_error *err);
void brg_subs_fini(brg_subs *subs);
brg_sub *brg_subs_get(brg_subs *subs, weir_slice name);    /* NULL when unknown */
brg_sub *brg_subs_put(brg_subs *subs, const brg_sub *sub); /* adds or replaces; NULL: too many */
void brg_subs_del(brg_subs *subs, weir_slice name);

/* The stored value: msgpack [lsn, sub, lapsed, created, seen], every integer in full width. Returns
 * its length. */
size_t brg_sub_encode(const brg_sub *sub, char out[BRG_SUB_VALUE_MAX]);
bool brg_sub_decode(weir_slice name, weir_slice value, brg_sub *out);

#endif
