/* windows.c - the set of windows. */
#include "bridge/windows.h"

#include <stdlib.h>

#include "libweir/base/xalloc.h"

brg_windows *brg_windows_new(size_t max_bytes)
{
    brg_windows *ws = weir_xcalloc(1, sizeof *ws);
    ws->recent = brg_recent_new(BRG_RECENT_MAX);
    for (int i = 0; i < BRG_WINDOWS_MAX; i++) {
        ws->w[i] = brg_window_new(max_bytes, ws->recent);
        ws->crawl_table[i] = -1;
    }
    return ws;
}

void brg_windows_free(brg_windows *ws)
{
    if (ws) {
        for (int i = 0; i < BRG_WINDOWS_MAX; i++) {
            brg_window_free(ws->w[i]);
        }
        brg_recent_free(ws->recent);
        free(ws);
    }
}

void brg_windows_begin(brg_windows *ws, uint32_t xid)
{
    brg_recent_add(ws->recent, xid);
    for (int i = 0; i < BRG_WINDOWS_MAX; i++) {
        brg_window_begin(ws->w[i], xid);
    }
}

void brg_windows_note(brg_windows *ws, uint32_t oid, const weir_ev *ev)
{
    for (int i = 0; i < BRG_WINDOWS_MAX; i++) {
        if (brg_window_watches(ws->w[i], oid)) {
            brg_window_note(ws->w[i], ev);
        }
    }
}

void brg_windows_truncated(brg_windows *ws, uint32_t oid)
{
    for (int i = 0; i < BRG_WINDOWS_MAX; i++) {
        if (brg_window_watches(ws->w[i], oid)) {
            brg_window_truncated(ws->w[i]);
        }
    }
}

void brg_windows_relation(brg_windows *ws, const weir_relation *rel)
{
    for (int i = 0; i < BRG_WINDOWS_MAX; i++) {
        if (brg_window_watches(ws->w[i], rel->oid)) {
            brg_window_relation(ws->w[i], rel);
        }
    }
}

void brg_windows_broken(brg_windows *ws)
{
    for (int i = 0; i < BRG_WINDOWS_MAX; i++) {
        brg_window_broken(ws->w[i]);
    }
}
