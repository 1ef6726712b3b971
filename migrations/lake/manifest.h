/* manifest.h - the lake's list of commits: JSON Lines that are appended and synced, each with a
 * checksum of itself.
 *
 * line    =
 * {"commit":n,"position":"X/Y","sub":n,"at":time,"open_day":day,"files":[file…],"copied":[folder…],"check":hex16}
 * file    = {"file":path below
 * DIR,"table":"schema.table","day","rows","bytes","first":"X/Y","last":"X/Y","xxh128":hex32} header
 * = {"lake":1,"flow":…,"source":…,"check":…}: the first line of each manifest file check is the
 * xxHash64 of the line's bytes before `,"check"`. A last line that is torn or whose check is wrong
 * was not committed and is cut off; such a line anywhere else is damage. One thread.
 */
#ifndef WEIR_LAKE_MANIFEST_H
#define WEIR_LAKE_MANIFEST_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"
#include "libweir/codec/lsn.h"

enum { LAKE_MANIFEST_LINE_MAX = 64 << 20 };

typedef struct lake_file {
    const char *path; /* below DIR */
    const char *table;
    int64_t day;
    uint64_t rows, bytes;
    uint64_t first, last;
    char hash[33];
} lake_file;

typedef struct lake_commit {
    uint64_t no; /* from 1 */
    weir_cursor position;
    int64_t at_us;    /* since 2000-01-01 */
    int64_t open_day; /* every day before it is finished */
    size_t nfiles;
    lake_file *files;
    size_t ncopied;
    const char **copied; /* folders */
} lake_commit;

typedef struct lake_manifest lake_manifest;

/* Opens DIR/_manifest (made when absent), takes its lock, cuts off what is torn. last: the last
 * commit, its strings in a; no 0 when there is none. WEIR_E_CONFLICT, WEIR_E_STATE as in lake.h. */
WEIR_MUST_CHECK weir_rc lake_manifest_open(lake_manifest **out, const char *dir, const char *flow,
                                           const char *source, weir_arena *a, lake_commit *last,
                                           weir_error *err);
void lake_manifest_close(lake_manifest *m); /* NULL is fine */
/* The line is durable when this returns WEIR_OK, and absent after a failure. file_max_bytes: a
 * longer manifest file gets a successor first. */
WEIR_MUST_CHECK weir_rc lake_manifest_append(lake_manifest *m, const lake_commit *c,
                                             size_t file_max_bytes, weir_error *err);

/* The parts of it that are pure: the line with its newline; and back. */
void lake_commit_encode(weir_buf *out, const lake_commit *c);
WEIR_MUST_CHECK bool lake_commit_decode(weir_slice line, weir_arena *a, lake_commit *out);

#endif
