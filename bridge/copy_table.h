/* copy_table.h - copying one table into the running stream, chunk by chunk. Copying threads. */
#ifndef WEIR_BRIDGE_COPY_TABLE_H
#define WEIR_BRIDGE_COPY_TABLE_H

#include "bridge/copy_source.h"
#include "libweir/base/hash.h"

/* Where a copy stands, for whoever keeps it beyond the process. */
typedef enum brg_copy_at {
    BRG_COPY_BEGINS, /* from the start: what was kept of it before is void, moved keys too */
    BRG_COPY_CHUNK,  /* everything up to lo is in the stream */
    BRG_COPY_READ,   /* everything is; keys that moved may be left */
    BRG_COPY_MOVED,  /* moved keys with numbers below moved_below are */
    BRG_COPY_ENDS,
} brg_copy_at;

typedef struct brg_copy_step {
    brg_copy_at at;
    const brg_table *table;
    weir_hash128 shape; /* of its description and key */
    weir_tuple lo;
    uint64_t rows, seen; /* put into the stream, read, by this step */
    uint64_t moved_below;
} brg_copy_step;

typedef struct brg_table_copy {
    brg_source *src;
    weir_slice copy_id;
    const char *schema, *name;
    const char *where;  /* only rows for which this SQL is true; then no range is claimed and no
                           completion told. NULL: all */
    int64_t target_ms;  /* what reading a chunk should take; 0: chunks of copy_chunk_rows */
    int64_t rows_first; /* of the first chunk; 0: copy_chunk_rows */
    bool patient;       /* passing errors and chunks to be read again never end it */
    int crawl_table;    /* its number in the crawl; -1: it does not outlive the process */
    /* Go on behind lo, if the table still has that shape: its window has watched since. */
    bool resume, read_all;
    weir_tuple lo;
    weir_hash128 shape;
    void *arg;
    /* Before each chunk: waits as long as the copy should rest. Any error ends the copy. May be
     * NULL.
     */
    weir_rc (*gate)(void *arg, weir_error *err);
    /* A chunk was read (ms of the server's time) or must be read again (why). */
    void (*read)(void *arg, uint64_t seen, int64_t ms, const char *again);
    /* On the reader thread, while the copy waits for it: what to keep of the step. May be NULL. */
    void (*note)(void *arg, const brg_copy_step *step, weir_buf *batch);
    void (*progress)(void *arg, uint64_t rows); /* rows emitted since the last call */
} brg_table_copy;

/* WEIR_E_NOTFOUND: not in the publication. WEIR_E_EOF: stopping. */
WEIR_MUST_CHECK weir_rc brg_copy_table(brg_table_copy *c, weir_error *err);

#endif
