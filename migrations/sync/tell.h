/* tell.h - what the two flows of a two-way sync tell each other, as the content of logical messages
 * `weir.sync` in the transactions they write. Pure. */
/* clang-format off */
/*   S t0 d1 d2 …   of your transactions these were applied with this one: commit times in us since 2000, the
 *                  first whole, then differences
 *   A id           your decisions up to this one were taken over
 *   {"id", "schema", "name", "cols": […], "key": […], "k": […], "row": […]|null}
 *                  a decision after a conflict: the row with the key columns' values k is this from now on
 *                  (null: there is none). Names are those of the writer's database, values are texts or null.
 */
/* clang-format on */
#ifndef WEIR_MIGRATIONS_SYNC_TELL_H
#define WEIR_MIGRATIONS_SYNC_TELL_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"
#include "libweir/codec/tuple.h"

typedef struct sync_decision {
    uint64_t id;
    weir_relation rel; /* made up from the names: version 0, identity 'i' */
    weir_val *v;       /* rel.n values; without a row only those of the key */
    bool gone;
} sync_decision;

typedef struct sync_told {
    size_t nseen;
    int64_t *seen_us;
    bool ack;
    uint64_t ack_id;
    sync_decision *decision; /* NULL: none */
} sync_told;

void sync_tell_seen(weir_buf *out, const int64_t *us, size_t n);
/* What it gives lives in a. WEIR_E_PROTO: malformed. */
WEIR_MUST_CHECK weir_rc sync_told_read(weir_slice content, weir_arena *a, sync_told *out,
                                       weir_error *err);

#endif
