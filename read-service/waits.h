/* waits.h - requests that wait for a position: found by position and by deadline, bounded. Pure;
 * one thread.
 *
 * Two heaps over the same entries; an entry knows its place in both, so that it can leave at any
 * time.
 */
#ifndef READ_SERVICE_WAITS_H
#define READ_SERVICE_WAITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rsvc_wait {
    uint64_t position;   /* waits for this or more */
    int64_t deadline_ms; /* and no longer than until then */
    /* private */
    size_t at[2];
} rsvc_wait;

typedef struct rsvc_waits rsvc_waits;

rsvc_waits *rsvc_waits_new(size_t max);
void rsvc_waits_free(rsvc_waits *ws); /* must be empty or its entries forgotten */
/* The entry stays the caller's memory until it comes out. false: full. */
bool rsvc_waits_add(rsvc_waits *ws, rsvc_wait *w);
void rsvc_waits_remove(rsvc_waits *ws, rsvc_wait *w); /* must be in */
size_t rsvc_waits_len(const rsvc_waits *ws);

/* Takes one entry that waits for at most this position, smallest first; NULL when there is none. */
rsvc_wait *rsvc_waits_reached(rsvc_waits *ws, uint64_t position);
/* Takes one entry whose deadline is now or earlier, earliest first; NULL when there is none. */
rsvc_wait *rsvc_waits_expired(rsvc_waits *ws, int64_t now_ms);
/* Takes any entry; NULL when empty. */
rsvc_wait *rsvc_waits_any(rsvc_waits *ws);
/* The earliest deadline; INT64_MAX when empty. */
int64_t rsvc_waits_deadline_ms(const rsvc_waits *ws);

#endif
