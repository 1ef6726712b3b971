/* feedtx.c - events of a transaction, and descriptions of tables, for a made feed. */
#include "tests/support/feedtx.h"

#include <stdio.h>
#include <stdlib.h>

weir_tuple feedtx_tuple(weir_val *v, size_t n, const char *const *cells)
{
    for (size_t i = 0; i < n; i++) {
        v[i] = cells[i] ? (weir_val){WEIR_VAL_TEXT, weir_slice_z(cells[i])}
                        : (weir_val){WEIR_VAL_NULL, {NULL, 0}};
    }
    return (weir_tuple){(uint16_t)n, v};
}

void feedtx_put(feedtx *t, weir_ev_kind kind, uint32_t rel, size_t n, const char *const *cells)
{
    weir_ev *ev = &t->ev[t->n];
    *ev = (weir_ev){.kind = kind, .rel = rel};
    weir_tuple row = feedtx_tuple(t->v[t->n], n, cells);
    if (kind == WEIR_EV_DELETE) {
        ev->old_kind = WEIR_OLD_KEY;
        ev->old_row = row;
    } else {
        ev->new_row = row;
    }
    t->n++;
}

uint32_t feedtx_relation(fakefeed *feed, fixture *fx, const char *name, int ncols,
                         const char *const *cols, const uint32_t *types)
{
    char sql[200];
    weir_column c[FEEDTX_CELLS];
    for (int i = 0; i < ncols; i++) {
        c[i] = (weir_column){weir_slice_z(cols[i]), types[i], -1, i == 0};
    }
    (void)snprintf(sql, sizeof sql, "SELECT '%s'::regclass::oid::bigint", name);
    weir_relation r = {.oid = (uint32_t)strtoll(fixture_sql_value(fx, sql), NULL, 10),
                       .schema = WEIR_SLICE_LIT("public"),
                       .name = weir_slice_z(name),
                       .identity = 'd',
                       .n = (uint16_t)ncols,
                       .cols = c};
    return fakefeed_relation(feed, &r);
}
