/* conf_lake.h - what a SYNC.ini says about files: a data lake to write, folders to load. */
/* clang-format off */
/*   [destination]  type = jsonl, dir, roll_seconds, roll_mb, part_mb          instead of [target]
 *   [source]       type = folder, dir, complete = stable|rename|done, stable_seconds, scan_seconds,
 *                  after = keep|move|delete, move_to, rejects_max, row_max_mb
 *   [files NAME]   pattern, table, format = csv|jsonl, delimiter, null, columns, ignore_unknown, mode = insert|upsert
 */
/* clang-format on */
#ifndef WEIR_MIGRATIONS_SYNC_CONF_LAKE_H
#define WEIR_MIGRATIONS_SYNC_CONF_LAKE_H

#include "migrations/lake/folder.h"

enum { SYNC_FILES_MAX = 200 };

typedef struct sync_lake_conf {
    const char *dir;
    int64_t roll_ms, roll_bytes, part_bytes; /* 0: as the lake has it */
} sync_lake_conf;

typedef struct sync_folder_conf {
    lake_folder_conf load; /* uri and flow are set when it is opened */
    lake_files files[SYNC_FILES_MAX];
    const char *names[SYNC_FILES_MAX]; /* of the sections */
} sync_folder_conf;

/* One option of [destination], of [source] with type = folder, of [files NAME]. WEIR_E_INPUT says
 * what is wrong. */
WEIR_MUST_CHECK weir_rc sync_conf_destination(sync_lake_conf *c, weir_arena *a, const char *key,
                                              const char *value, weir_error *err);
WEIR_MUST_CHECK weir_rc sync_conf_folder(sync_folder_conf *c, weir_arena *a, const char *key,
                                         const char *value, weir_error *err);
WEIR_MUST_CHECK weir_rc sync_conf_files(sync_folder_conf *c, weir_arena *a, const char *name,
                                        const char *key, const char *value, weir_error *err);
/* Is this an option that only a folder has? */
WEIR_MUST_CHECK bool sync_conf_is_folder_key(const char *key);
/* Everything that must be there. */
WEIR_MUST_CHECK weir_rc sync_conf_folder_check(const sync_folder_conf *c, weir_error *err);

#endif
