/* reread.h - a row read again from the source, where the stream alone cannot tell its value.
 *
 * Until a flow has passed its first copy, the row that a key change moves can be in no chunk (it
 * went from a range not yet read into one already read), or what the target has at the old key can
 * be another row by then. Columns such an update did not send (TOAST) are then nowhere in the
 * stream: the row is read again at its new key. That value is later than the event; what the stream
 * brings up to that read makes it good, so the flow stays loose until it has passed it.
 */
#ifndef WEIR_MIGRATIONS_SYNC_REREAD_H
#define WEIR_MIGRATIONS_SYNC_REREAD_H

#include "libweir/base/arena.h"
#include "migrations/sync/map.h"

typedef struct sync_reread sync_reread;

/* Connects at the first use. uri is borrowed, and a secret. */
sync_reread *sync_reread_new(const char *uri);
void sync_reread_free(sync_reread *r); /* NULL is fine */

/* The row at the key in v (values in the map's order), in a snapshot that sees xid, for a
 * transaction can be in the stream before SELECT sees it. *out: m->n values in the arena, NULL:
 * there is no such row any more. *after: a position behind the read. WEIR_E_TIMEOUT: still not
 * visible after half a minute (a synchronous standby is away); worth another try. */
WEIR_MUST_CHECK weir_rc sync_reread_row(sync_reread *r, const sync_map *m, const weir_val *v,
                                        uint32_t xid, weir_arena *a, const weir_val **out,
                                        uint64_t *after, weir_error *err);

/* A query at the source, outside of any transaction. */
WEIR_MUST_CHECK weir_rc sync_reread_query(sync_reread *r, const char *sql, int nparams,
                                          const char *const *params, weir_pg_rows **rows,
                                          weir_error *err);

#endif
