/* conf.h - a SYNC.ini: two databases, which tables, which way, and what happens on a conflict. */
/* clang-format off */
/*   [sync]    name, ways = one|both, tables, exclude, initial = copy|none, conflict, conflict_back, missing, priority,
 *             tombstones_keep_h, conflicts_keep_h, source_keep_pct, listen, port, log_level
 *   [source]  uri, feed, slot, publication       [target] the same (slot, publication, feed with ways = both only)
 *   [table SCHEMA.NAME]  conflict, conflict_back, missing, function, priority, to
 * Files instead of a database: conf_lake.h.
 * uri may be env:NAME: the value of that environment variable.
 */
/* clang-format on */
#ifndef WEIR_MIGRATIONS_SYNC_CONF_H
#define WEIR_MIGRATIONS_SYNC_CONF_H

#include "libweir/base/arena.h"
#include "libweir/base/err.h"
#include "libweir/base/slice.h"
#include "migrations/sync/conf_lake.h"

typedef enum sync_policy {
    SYNC_ERROR,        /* stop the flow; an operator decides */
    SYNC_APPLY_REMOTE, /* what comes wins */
    SYNC_KEEP_LOCAL,   /* what is there wins */
    SYNC_LAST_UPDATE_WINS,
    SYNC_FIRST_UPDATE_WINS,
    SYNC_PRIORITY, /* the named side wins */
    SYNC_FUNCTION  /* a function in the target decides */
} sync_policy;

typedef enum sync_missing {
    SYNC_MISSING_INSERT, /* an update of a row that is not there inserts it when it is complete */
    SYNC_MISSING_SKIP,
    SYNC_MISSING_ERROR
} sync_missing;

typedef struct sync_rules {
    sync_policy policy;
    sync_policy back; /* both ways: of what comes back to the source; the same unless said */
    bool back_said;
    sync_missing missing;
    bool source_wins;     /* SYNC_PRIORITY */
    const char *function; /* SYNC_FUNCTION: schema.name, in the database that decides */
} sync_rules;

typedef struct sync_side_conf {
    const char *uri;  /* secret */
    const char *feed; /* NULL: a private bridge is started */
    const char *slot, *publication;
} sync_side_conf;

typedef struct sync_table_conf {
    const char *schema, *name;       /* in the source */
    const char *to_schema, *to_name; /* in the target; the same unless said */
    sync_rules rules;
} sync_table_conf;

typedef struct sync_conf {
    const char *name; /* a-z 0-9 _, at most 30 */
    bool both;
    bool copy;                    /* initial = copy */
    int source_keep_pct;          /* of the first copy, see crawler.h */
    const char *tables, *exclude; /* patterns, comma separated */
    const char *listen;
    int port; /* 0: any free one */
    int64_t tombstones_keep_ms;
    int64_t conflicts_keep_ms; /* 0: for ever */
    const char *log_level;
    sync_rules rules; /* of tables without a section */
    sync_side_conf source, target;
    sync_lake_conf *lake; /* [destination]: there is no target; NULL: there is */
    sync_folder_conf
        *folder;    /* [source] type = folder: there is no source database; NULL: there is */
    size_t ntables; /* sections */
    sync_table_conf *table;
} sync_conf;

/* Strings live in a. WEIR_E_INPUT names file, line and key, and the nearest known word. */
WEIR_MUST_CHECK weir_rc sync_conf_load(sync_conf *out, const char *path, weir_arena *a,
                                       weir_error *err);
/* The rules of a source table. */
const sync_table_conf *sync_conf_table(const sync_conf *c, weir_slice schema, weir_slice name);
const char *sync_policy_name(sync_policy p);

/* The source's tables that the patterns name (* and ? in each part; a pattern without a dot is in
 * public), in order, without partitions, views and weir's own. One array of (schema, name). */
typedef struct sync_name {
    const char *schema, *name;
} sync_name;
WEIR_MUST_CHECK weir_rc sync_conf_resolve(const sync_conf *c, weir_arena *a, sync_name **out,
                                          size_t *n, weir_error *err);

#endif
