/* fault.c - what is wrong with one of the app's files: where it is, and what would mend it. */
#include <stdio.h>

#include "migrations/deploy/run.h"
#include "migrations/deploy/scan.h"
#include "projector/sql/model.h"

/* Where the n-th statement (from 1) begins; -1: there are not so many. */
static int statement_at(const dep_file *f, int n)
{
    dep_scan s = dep_scan_of(f->text);
    dep_stmt stmt;
    while (n > 0 && dep_scan_next(&s, &stmt)) {
        if (--n == 0) {
            return (int)(stmt.text.p - f->text.p);
        }
    }
    return -1;
}

static bool is_command(const dep_file *f)
{
    return strncmp(f->path, "commands/", 9) == 0;
}

/* The next step where PostgreSQL does not know it; "" when there is none to tell. */
static const char *hint_of(const dep_file *f, const char *sqlstate)
{
    static const char *const exists[] = {"42710", "42P06", "42P07", "42723"};
    if (strcmp(sqlstate, "25001") == 0) {
        return "A deploy is one transaction; run what must be outside of one by hand, before or "
               "after it.";
    }
    for (size_t i = 0; is_command(f) && i < sizeof exists / sizeof exists[0]; i++) {
        if (strcmp(sqlstate, exists[i]) == 0) {
            return "Command files are run at every deploy: types and tables belong into a "
                   "migration (schema/NNNN_name.sql), functions begin with CREATE OR REPLACE.";
        }
    }
    return "";
}

void dep_fault_of_server(dep_run *d, const dep_file *f, const weir_error *err, dep_fault *out)
{
    int n = 0;
    const char *detail = weir_pg_error_field(d->pg, 'D');
    const char *context = weir_pg_error_field(d->pg, 'W');
    const char *hint = weir_pg_error_field(d->pg, 'H');
    const char *text = weir_pg_error_field(d->pg, 'M');
    out->at = weir_pg_error_position(d->pg);
    if (out->at < 0 && sscanf(err->msg, "statement %d:", &n) == 1) {
        out->at = statement_at(f, n);
        detail = detail[0] ? detail : context; /* the place named is only where it was called */
    }
    detail = weir_arena_printf(d->a, "%.*s", (int)strcspn(detail, "\n"), detail);
    hint = hint[0] ? hint : hint_of(f, err->sqlstate);
    out->text = weir_arena_printf(d->a, "%s%s%s", text[0] ? text : err->msg,
                                  detail && detail[0] ? ": " : "", detail ? detail : "");
    out->hint = hint[0] ? weir_arena_strdup(d->a, hint) : NULL;
}

void dep_refuse(dep_run *d, const dep_file *f, const dep_fault *fault)
{
    weir_diags ds;
    weir_diags_init(&ds, d->a);
    weir_diag_add(&ds, false, fault->at, fault->hint, "%s",
                  fault->text ? fault->text : "the deploy does not fit into its memory limit");
    weir_diags_print(&ds, weir_arena_printf(d->a, "%s/%s", d->dir, f->path), f->text, d->r->colour,
                     &d->r->diagnostics);
}
