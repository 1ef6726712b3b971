/* broken_merge.c - the bridge with one rule of the chunk merge taken out, named by
 * WEIR_BROKEN_MERGE: what the crawl's property test must be able to catch.
 *
 *   redo     a transaction delivered before the window opened is taken for visible
 *   drop     rows touched since the snapshot are emitted as they were read
 *   toast    unsent TOAST columns are not filled from the chunk
 *   arrived  rows that came to their key since the snapshot are not named with the chunk
 *   moved    keys that moved with unsent columns are not read once more
 */
#include <stdlib.h>
#include <string.h>

#include "bridge/window.h"

const char *kept_recent_redo(brg_recent *r, uint64_t from, uint64_t open_at,
                             const weir_snapshot *s);
brg_merge kept_window_merge(brg_window *w, const weir_snapshot *s, weir_tuple *row);
void kept_window_arrived(brg_window *w, const weir_snapshot *s,
                         void (*fn)(void *arg, const weir_tuple *row, bool whole), void *arg);
size_t kept_window_take_moved(brg_window *w, weir_arena *a, weir_tuple **keys, bool *overflow);

#define brg_recent_redo kept_recent_redo
#include "bridge/recent.c"
#undef brg_recent_redo

#define brg_window_merge      kept_window_merge
#define brg_window_arrived    kept_window_arrived
#define brg_window_take_moved kept_window_take_moved
#include "bridge/window.c"
#undef brg_window_merge
#undef brg_window_arrived
#undef brg_window_take_moved

static bool broken(const char *rule)
{
    const char *is = getenv("WEIR_BROKEN_MERGE");
    return is && strcmp(is, rule) == 0;
}

const char *brg_recent_redo(brg_recent *r, uint64_t from, uint64_t open_at, const weir_snapshot *s)
{
    return broken("redo") ? NULL : kept_recent_redo(r, from, open_at, s);
}

brg_merge brg_window_merge(brg_window *w, const weir_snapshot *s, weir_tuple *row)
{
    touched *t = weir_map_get(w->keys, key_of(w, row));
    if (broken("drop")) {
        return BRG_ROW_AS_READ;
    }
    brg_merge m = kept_window_merge(w, s, row);
    for (uint16_t i = 0; broken("toast") && m == BRG_ROW_MERGED && i < row->n; i++) {
        row->v[i] = t->image.v[i];
    }
    return m;
}

void brg_window_arrived(brg_window *w, const weir_snapshot *s,
                        void (*fn)(void *arg, const weir_tuple *row, bool whole), void *arg)
{
    if (!broken("arrived")) {
        kept_window_arrived(w, s, fn, arg);
    }
}

size_t brg_window_take_moved(brg_window *w, weir_arena *a, weir_tuple **keys, bool *overflow)
{
    size_t n = kept_window_take_moved(w, a, keys, overflow);
    return broken("moved") ? 0 : n;
}

#include "bridge/main.c"
