/* windows.h - the windows of all copies that run at the same time: one per copying thread, and what
 * they share. Reader thread only (or before it starts).
 */
#ifndef WEIR_BRIDGE_WINDOWS_H
#define WEIR_BRIDGE_WINDOWS_H

#include "bridge/window.h"

/* Window 0 is the copier's (op `copy`), the others are the crawl's workers'. */
enum { BRG_CRAWL_WORKERS_MAX = 8, BRG_WINDOWS_MAX = 1 + BRG_CRAWL_WORKERS_MAX };

typedef struct brg_windows {
    brg_recent *recent;
    brg_window *w[BRG_WINDOWS_MAX];
    int crawl_table[BRG_WINDOWS_MAX]; /* the number of the watched table in the crawl; -1: none */
} brg_windows;

brg_windows *brg_windows_new(size_t max_bytes); /* of each */
void brg_windows_free(brg_windows *ws);

/* As in window.h, to every window that watches the table (oid). */
void brg_windows_begin(brg_windows *ws, uint32_t xid);
void brg_windows_note(brg_windows *ws, uint32_t oid, const weir_ev *ev);
void brg_windows_truncated(brg_windows *ws, uint32_t oid);
void brg_windows_relation(brg_windows *ws, const weir_relation *rel);
void brg_windows_broken(brg_windows *ws);

#endif
