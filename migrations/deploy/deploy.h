/* deploy.h - brings an app directory into PostgreSQL, in one transaction: all of it or nothing.
 *
 *   server settings ok? -> advisory lock -> control schema -> schema/ -> commands/ -> wrappers ->
 * publication
 *     -> read-models/ compiled against what is there now -> revision + message weir.deploy ->
 * COMMIT
 *
 * Nothing here prints: what happened goes into a report, the caller shows it.
 */
#ifndef WEIR_MIGRATIONS_DEPLOY_DEPLOY_H
#define WEIR_MIGRATIONS_DEPLOY_DEPLOY_H

#include "libweir/base/buf.h"
#include "libweir/base/settings.h"
#include "libweir/io/pg.h"

typedef enum dep_kind {
    DEP_PROBLEM, /* why it cannot go on; hint: what to do */
    DEP_WARNING,
    DEP_CONTROL,   /* control schema installed or brought to a version */
    DEP_MIGRATION, /* applied */
    DEP_COMMAND,   /* has a wrapper now that it did not have, or another one */
    DEP_COMMAND_GONE,
    DEP_PUBLISHED,   /* table added to the publication */
    DEP_UNPUBLISHED, /* table taken out; text: why */
    DEP_LEFT_OUT,    /* table not published; text: why; hint: the ALTER that helps */
    DEP_MODEL,       /* new or changed read model */
    DEP_MODEL_GONE,
    DEP_KIND_COUNT
} dep_kind;

typedef struct dep_item {
    dep_kind kind;
    const char *name; /* file, command, table, setting or model */
    const char *text; /* one line or NULL */
    const char *hint; /* what to do, or NULL */
    struct dep_item *next;
} dep_item;

typedef struct dep_report {
    weir_arena *a; /* owns the items; the caller's */
    dep_item *first, *last;
    int count[DEP_KIND_COUNT];
    weir_buf diagnostics;         /* refusals of files, ready to print */
    bool colour;                  /* in diagnostics */
    int64_t revision;             /* after the deploy */
    bool changed;                 /* the services must look again */
    int commands, models, tables; /* deployed now, changed or not */
} dep_report;

void dep_report_init(dep_report *r, weir_arena *a, bool colour);
void dep_report_fini(dep_report *r);
const char *dep_kind_name(dep_kind k); /* "migration", for --json */

/* The connection must be idle. A deploy may wait for locks: open it with a wait_max_ms of at least
 * DEP_WAIT_MS. Failure: err says it in a line, the report has the problems, and nothing was
 * changed. */
enum { DEP_WAIT_MS = 3600 * 1000, DEP_LOCK_WAIT_MS = 30000 };

/* Control schema and publication of what exists, nothing of the app. */
WEIR_MUST_CHECK weir_rc dep_control(weir_pg *pg, const weir_settings *s, dep_report *r,
                                    weir_error *err);
/* Everything. dry_run: rolled back at the end. */
WEIR_MUST_CHECK weir_rc dep_app(weir_pg *pg, const weir_settings *s, const char *app_dir,
                                bool dry_run, dep_report *r, weir_error *err);
/* Control schema, migrations and publication, but neither commands nor read models: something to
 * explain a model against. */
WEIR_MUST_CHECK weir_rc dep_schema_only(weir_pg *pg, const weir_settings *s, const char *app_dir,
                                        dep_report *r, weir_error *err);
/* What can be said of the app's files without a database: names, duplicates, annotations, syntax of
 * read models. */
WEIR_MUST_CHECK weir_rc dep_files_check(const char *app_dir, dep_report *r, weir_error *err);

#endif
