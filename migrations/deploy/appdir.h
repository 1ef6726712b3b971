/* appdir.h - the files of an app directory: migrations (schema/NNNN_name.sql), command files, read
 * models. */
#ifndef WEIR_MIGRATIONS_DEPLOY_APPDIR_H
#define WEIR_MIGRATIONS_DEPLOY_APPDIR_H

#include "libweir/base/arena.h"

enum { DEP_FILES_MAX = 10000, DEP_FILE_MAX_BYTES = 16 * 1024 * 1024 };

typedef struct dep_file {
    const char *path; /* relative to the app directory: "schema/0001_init.sql" */
    const char *stem; /* "0001_init" */
    int64_t version;  /* schema only */
    weir_slice text;  /* NUL-terminated beyond n */
} dep_file;

typedef struct dep_files {
    size_t n;
    dep_file *f; /* by version, else by path */
} dep_files;

typedef struct dep_appdir {
    const char *dir;
    dep_files schema, commands, models;
} dep_appdir;

/* Reads everything into a. A missing subfolder is an empty one; a missing app directory is
 * WEIR_E_NOTFOUND; badly named or duplicate migrations and files that are not UTF-8 are
 * WEIR_E_INPUT. */
WEIR_MUST_CHECK weir_rc dep_appdir_read(const char *dir, weir_arena *a, dep_appdir *out,
                                        weir_error *err);

#endif
