/* run.h - one deploy in progress, shared by the steps of this folder. */
#ifndef WEIR_MIGRATIONS_DEPLOY_RUN_H
#define WEIR_MIGRATIONS_DEPLOY_RUN_H

#include "migrations/deploy/appdir.h"
#include "migrations/deploy/deploy.h"

typedef struct dep_run {
    weir_pg *pg;
    const weir_settings *s;
    dep_report *r;
    weir_arena *a;                        /* the report's */
    int64_t revision;                     /* that this deploy will have */
    const char *xid;                      /* of the one transaction */
    bool changed;                         /* something the services must look at */
    const char *dir;                      /* the app's, as it was given */
    int refused_commands, refused_models; /* files, or functions that came from none */
} dep_run;

/* What is wrong with a file of the app's. text NULL: nothing that is the file's. */
typedef struct dep_fault {
    int at; /* byte in the file, -1: none */
    const char *text, *hint;
} dep_fault;

void dep_add(dep_report *r, dep_kind kind, const char *name, const char *hint, const char *fmt, ...)
    WEIR_PRINTF(5, 6);

/* Steps, all inside the transaction. Commands and models that are refused do not end it: they are
 * counted in d and shown in the report's diagnostics. */
WEIR_MUST_CHECK weir_rc dep_server_check(dep_run *d, weir_error *err); /* before it */
WEIR_MUST_CHECK weir_rc dep_control_install(dep_run *d, weir_error *err);
WEIR_MUST_CHECK weir_rc dep_schema_apply(dep_run *d, const dep_appdir *app, weir_error *err);
WEIR_MUST_CHECK weir_rc dep_commands_apply(dep_run *d, const dep_appdir *app, weir_error *err);
WEIR_MUST_CHECK weir_rc dep_roles_apply(dep_run *d, weir_error *err);
WEIR_MUST_CHECK weir_rc dep_publication_apply(dep_run *d, weir_error *err);
WEIR_MUST_CHECK weir_rc dep_models_apply(dep_run *d, const dep_appdir *app, weir_error *err);

/* Runs one of the app's files; refuses what would end the transaction, and undoes SET and SET ROLE
 * behind it. On failure *fault says whether the file is to blame. */
WEIR_MUST_CHECK weir_rc dep_run_file(dep_run *d, const dep_file *f, dep_fault *fault,
                                     weir_error *err);
/* The last error of the server as a fault of f; err is what weir_pg_script said. */
void dep_fault_of_server(dep_run *d, const dep_file *f, const weir_error *err, dep_fault *out);
/* Shows it in the report's diagnostics: file:line:column, the line, what would mend it. */
void dep_refuse(dep_run *d, const dep_file *f, const dep_fault *fault);
/* Query without rows wanted; sql is one statement. */
WEIR_MUST_CHECK weir_rc dep_exec(dep_run *d, weir_error *err, const char *sql);

#endif
