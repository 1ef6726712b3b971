/* feedtx.h - the events of one small transaction for a made feed (fakefeed.h), cell by cell. */
#ifndef WEIR_TESTS_FEEDTX_H
#define WEIR_TESTS_FEEDTX_H

#include "tests/support/fakefeed.h"
#include "tests/support/fixture.h"

enum { FEEDTX_EVENTS = 8, FEEDTX_CELLS = 4 };

typedef struct feedtx {
    weir_ev ev[FEEDTX_EVENTS];
    weir_val v[FEEDTX_EVENTS][FEEDTX_CELLS];
    size_t n;
} feedtx;

/* A row over v, which needs n places; NULL cells are NULL. Everything is borrowed. */
weir_tuple feedtx_tuple(weir_val *v, size_t n, const char *const *cells);
/* One more event: of a DELETE the cells are the old key, else the new row. */
void feedtx_put(feedtx *t, weir_ev_kind kind, uint32_t rel, size_t n, const char *const *cells);
/* Describes the table public.name to the feed; the first column is the key. At most FEEDTX_CELLS.
 */
uint32_t feedtx_relation(fakefeed *feed, fixture *fx, const char *name, int ncols,
                         const char *const *cols, const uint32_t *types);

#endif
