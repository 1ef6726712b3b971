/* folder.h - a watched folder of CSV and JSON Lines files, each loaded into a PostgreSQL table
 * exactly once.
 *
 * A file is known by its name (below the folder), size and content. weir_sync.file in the target
 * says how far it is loaded; that is changed in the same transaction as the rows, so a process that
 * dies anywhere goes on where the database is. Rows that do not fit go to weir_sync.reject with
 * file, line and reason, in the same transaction too. docs/lake.md says when a file counts as
 * complete.
 */
#ifndef WEIR_LAKE_FOLDER_H
#define WEIR_LAKE_FOLDER_H

#include <stdatomic.h>

#include "migrations/lake/record.h"

typedef enum lake_complete {
    LAKE_STABLE,   /* size and times did not change for stable_ms */
    LAKE_RENAMED,  /* whoever writes them renames them into the folder: what is there is complete */
    LAKE_DONE_FILE /* an empty NAME.done beside it says so */
} lake_complete;

typedef enum lake_after { LAKE_KEEP, LAKE_MOVE, LAKE_DELETE } lake_after;

/* Which files go where; the first that matches counts. */
typedef struct lake_files {
    const char *pattern; /* as for fnmatch with FNM_PATHNAME, on the path below the folder */
    const char *schema, *table;
    lake_format
        format;     /* AUTO: by the name's end; .jsonl, .ndjson, .json are JSON Lines, others CSV */
    char delimiter; /* 0: comma, or tab for .tsv */
    const char
        *null_text; /* CSV: what means NULL when not quoted, besides nothing; NULL: nothing else */
    const char *columns; /* CSV without a header: names, comma separated; NULL: the first record is
                            the header */
    bool ignore_unknown; /* fields the table does not have are passed over */
    bool upsert;         /* a row whose primary key is there replaces it; else it is rejected */
} lake_files;

typedef struct lake_folder_conf {
    const char *dir, *uri, *flow;
    const lake_files *files;
    size_t nfiles;
    lake_complete complete;
    lake_after after;
    const char *move_to;   /* LAKE_MOVE: on the same file system */
    int64_t stable_ms;     /* 0: 3000 */
    int64_t scan_ms;       /* 0: 10000; inotify tells sooner */
    int64_t part_bytes;    /* rows per transaction; 0: 4 MiB */
    int64_t part_rows;     /* 0: 20000 */
    int64_t row_max_bytes; /* 0: 16 MiB */
    int64_t rejects_max;   /* of one file; more stop it; 0: 1000, -1: none */
    /* For tests: called with the name of each step. */
    void (*step)(void *arg, const char *name);
    void *step_arg;
} lake_folder_conf;

typedef struct lake_folder lake_folder;

/* Strings are borrowed until close. Connects, brings weir_sync up to date, reads the target tables.
 * WEIR_E_CONFLICT: the flow runs elsewhere. WEIR_E_INPUT: a table or column list is wrong. */
WEIR_MUST_CHECK weir_rc lake_folder_open(lake_folder **out, const lake_folder_conf *conf,
                                         weir_error *err);
void lake_folder_close(lake_folder *f); /* NULL is fine */

/* Looks through the folder and loads what is complete. A file that cannot be loaded is told in the
 * log and in weir_sync.file and passed over. After an error with WEIR_EF_RETRY (connection lost)
 * call it again; it reconnects. */
WEIR_MUST_CHECK weir_rc lake_folder_turn(lake_folder *f, weir_error *err);
/* Until something may have changed in the folder, or a look is due, or lake_folder_stop. At most
 * max_ms. */
void lake_folder_wait(lake_folder *f, int64_t max_ms);
/* Any thread: turn ends at the next part. */
void lake_folder_stop(lake_folder *f);

typedef struct lake_folder_counts {
    atomic_ullong files, rows, bytes, rejects, refused, waiting;
} lake_folder_counts;
/* Any thread. waiting: files not complete yet, or not looked at. */
const lake_folder_counts *lake_folder_progress(const lake_folder *f);

#endif
