/* part.h - one file of a lake while it is written: buffered, hashed, in DIR/_tmp until it is
 * placed.
 */
#ifndef WEIR_LAKE_PART_H
#define WEIR_LAKE_PART_H

#include "libweir/base/buf.h"
#include "libweir/base/hash.h"

enum { LAKE_PART_BUFFER_BYTES = 64 * 1024 };

typedef struct lake_part {
    char *tmp;    /* path in DIR/_tmp */
    char *folder; /* of the table, below DIR */
    char *table;  /* "schema.table" */
    int64_t day;
    uint64_t first, last;
    uint64_t rows, bytes;
    weir_buf buf; /* not yet written: the bytes before `bytes` */
    weir_hasher *hasher;
    int fd;        /* -1: closed for now, or sealed */
    bool sealed;   /* complete and synced */
    uint64_t used; /* when, by a counter: which one to close when too many are open */
} lake_part;

/* Creates the temporary file; strings are copied. */
WEIR_MUST_CHECK weir_rc lake_part_open(lake_part **out, const char *tmp, const char *folder,
                                       const char *table, weir_error *err);
/* Takes lines of one change. */
WEIR_MUST_CHECK weir_rc lake_part_put(lake_part *p, weir_slice line, weir_error *err);
/* Writes the buffer and closes the descriptor; wake opens it again. */
WEIR_MUST_CHECK weir_rc lake_part_rest(lake_part *p, weir_error *err);
WEIR_MUST_CHECK weir_rc lake_part_wake(lake_part *p, weir_error *err);
WEIR_MUST_CHECK weir_rc lake_part_seal(lake_part *p, weir_error *err);
/* NULL is fine. unlink_tmp: the file goes too. */
void lake_part_free(lake_part *p, bool unlink_tmp);

#endif
