/* lsn.h - positions: an LSN as PostgreSQL prints it, and the feed's cursor, which also orders what
 * lies between transactions.
 *
 * A cursor (lsn, sub) names the next thing to deliver: "everything with a log key below it has been
 * delivered". After a transaction with end LSN E it is (E, 0); after the s-th chunk inserted at P
 * it is (P, s + 1). Log keys: a chunk is (P, s, part), a transaction is (commit LSN, WEIR_SUB_TX,
 * part), so chunks at P come before a transaction committing at P.
 */
#ifndef WEIR_CODEC_LSN_H
#define WEIR_CODEC_LSN_H

#include "libweir/base/slice.h"

#define WEIR_LSN_TEXT_MAX 18 /* "FFFFFFFF/FFFFFFFF" plus NUL */
#define WEIR_SUB_TX       UINT32_MAX

typedef struct weir_cursor {
    uint64_t lsn;
    uint32_t sub;
} weir_cursor;

/* "X/Y" in hex, each part 1-8 digits, whole slice. */
bool weir_lsn_parse(weir_slice s, uint64_t *out);
const char *weir_lsn_print(uint64_t lsn, char buf[WEIR_LSN_TEXT_MAX]); /* returns buf */
int weir_cursor_cmp(weir_cursor a, weir_cursor b);

/* Is the transaction with the 32-bit xid visible in the snapshot text of pg_current_snapshot()
 * ("xmin:xmax:xip,…", 64 bit)? Comparison modulo 2^32 around xmax. */
typedef struct weir_snapshot {
    uint64_t xmin, xmax;
    const uint64_t *xip; /* ascending */
    size_t nxip;
} weir_snapshot;
/* xip is stored in `storage` (capacity n); false when malformed or too many. */
bool weir_snapshot_parse(weir_slice s, uint64_t *storage, size_t n, weir_snapshot *out);
bool weir_snapshot_sees(const weir_snapshot *s, uint32_t xid);

#endif
