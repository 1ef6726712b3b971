/* deploy.c - the one transaction around all steps. */
#include "migrations/deploy/deploy.h"

#include <stdio.h>

#include "migrations/deploy/run.h"
#include "migrations/deploy/scan.h"

/* "weir" in ASCII: two deploys to one database wait for each other. */
#define LOCK_SQL "SELECT pg_advisory_xact_lock(2003134834)"

weir_rc dep_exec(dep_run *d, weir_error *err, const char *sql)
{
    return sql ? weir_pg_query(d->pg, sql, 0, NULL, NULL, err)
               : weir_fail(err, WEIR_E_LIMIT, 0, "the deploy does not fit into its memory limit");
}

static weir_rc set_limits(dep_run *d, weir_error *err)
{
    char sql[120];
    (void)snprintf(sql, sizeof sql, "SET LOCAL lock_timeout = %d", DEP_LOCK_WAIT_MS);
    return dep_exec(d, err, sql);
}

static weir_rc still_inside(dep_run *d, const dep_file *f, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(d->pg, "SELECT pg_current_xact_id_if_assigned()", 0, NULL, &r, err);
    if (rc == WEIR_OK && !weir_slice_eqz(weir_pg_value(r, 0, 0), d->xid)) {
        rc = weir_fail(err, WEIR_E_INPUT, 0,
                       "%s ended the deploy's transaction; what came before it is committed",
                       f->path);
    }
    weir_pg_rows_free(r);
    return rc;
}

static weir_rc ends_transaction(dep_run *d, const dep_file *f, const dep_stmt *stmt,
                                dep_fault *fault, weir_error *err)
{
    *fault = (dep_fault){
        .at = (int)(stmt->text.p - f->text.p),
        .text = weir_arena_printf(d->a, "%s begins or ends a transaction", stmt->words[0]),
        .hint = "A deploy is one transaction of its own: leave it out."};
    return weir_fail(err, WEIR_E_INPUT, 0, "%s: %s", f->path, fault->text ? fault->text : "");
}

weir_rc dep_run_file(dep_run *d, const dep_file *f, dep_fault *fault, weir_error *err)
{
    dep_stmt stmt;
    *fault = (dep_fault){.at = -1};
    if (dep_scan_transaction(f->text, &stmt)) {
        return ends_transaction(d, f, &stmt, fault, err);
    }
    weir_rc rc = weir_pg_script(d->pg, f->text.p, err);
    if (rc != WEIR_OK) {
        if (err->sqlstate[0] && !(err->flags & WEIR_EF_RETRY) && weir_pg_ok(d->pg)) {
            dep_fault_of_server(d, f, err, fault);
        }
        weir_error_wrap(err, "%s", f->path);
        return rc;
    }
    rc = still_inside(d, f, err);
    /* A file may SET what it likes, for itself. */
    rc = rc == WEIR_OK ? dep_exec(d, err, "RESET ROLE") : rc;
    rc = rc == WEIR_OK ? dep_exec(d, err, "RESET ALL") : rc;
    return rc == WEIR_OK ? set_limits(d, err) : rc;
}

static weir_rc lock(dep_run *d, weir_error *err)
{
    weir_rc rc = dep_exec(d, err, LOCK_SQL);
    if (rc != WEIR_OK && strcmp(err->sqlstate, "55P03") == 0) {
        return weir_fail(err, WEIR_E_CONFLICT, WEIR_EF_RETRY,
                         "another deploy is running on this database; try again when it is done");
    }
    return rc;
}

static weir_rc begin(dep_run *d, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = dep_exec(d, err, "BEGIN");
    rc = rc == WEIR_OK ? set_limits(d, err) : rc;
    rc = rc == WEIR_OK ? lock(d, err) : rc;
    rc = rc == WEIR_OK ? weir_pg_query(d->pg, "SELECT pg_current_xact_id()", 0, NULL, &r, err) : rc;
    if (rc == WEIR_OK) {
        d->xid = weir_arena_dupz(d->a, weir_pg_value(r, 0, 0));
    }
    weir_pg_rows_free(r);
    return rc;
}

static weir_rc read_revision(dep_run *d, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc =
        weir_pg_query(d->pg, "SELECT value::bigint + 1 FROM weir.setting WHERE key = 'revision'", 0,
                      NULL, &r, err);
    if (rc == WEIR_OK && weir_pg_nrows(r) != 1) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "weir.setting has no revision; the control schema was changed by hand");
    }
    d->revision = rc == WEIR_OK ? weir_pg_i64(r, 0, 0) : 0;
    weir_pg_rows_free(r);
    return rc;
}

/* The services look again when they see the message or a new revision. The message goes out also
 * when nothing changed: a model that stalled on a table that was mended since is built again. */
static weir_rc announce(dep_run *d, weir_error *err)
{
    char revision[24];
    const char *params[] = {revision};
    weir_rc rc = WEIR_OK;
    d->revision -= d->changed ? 0 : 1;
    (void)snprintf(revision, sizeof revision, "%lld", (long long)d->revision);
    if (d->changed) {
        rc = weir_pg_query(d->pg, "UPDATE weir.setting SET value = $1 WHERE key = 'revision'", 1,
                           params, NULL, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_query(d->pg,
                           "SELECT pg_logical_emit_message(true, 'weir.deploy', "
                           "json_build_object('revision', $1::bigint)::text)",
                           1, params, NULL, err);
    }
    return rc;
}

static weir_rc finish(dep_run *d, bool dry_run, weir_rc rc, weir_error *err)
{
    if (rc == WEIR_OK && !dry_run) {
        rc = dep_exec(d, err, "COMMIT");
        d->r->revision = d->revision;
        d->r->changed = d->changed;
        return rc;
    }
    /* err keeps what went wrong first. */
    weir_error ignored;
    weir_rc undone = dep_exec(d, &ignored, "ROLLBACK");
    return rc != WEIR_OK ? rc : undone;
}

/* Every problem is known by now, and shown. */
static weir_rc refusal(const dep_run *d, weir_error *err)
{
    int c = d->refused_commands, m = d->refused_models;
    if (c + m == 0) {
        return WEIR_OK;
    }
    char commands[60] = "", models[60] = "";
    if (c) {
        (void)snprintf(commands, sizeof commands, "%d command%s", c, c == 1 ? "" : "s");
    }
    if (m) {
        (void)snprintf(models, sizeof models, "%d read model%s", m, m == 1 ? "" : "s");
    }
    return weir_fail(
        err, WEIR_E_INPUT, 0,
        "%s%s%s %s refused and nothing was changed: mend what is named above, then try "
        "again",
        commands, c && m ? " and " : "", models, c + m == 1 ? "was" : "were");
}

static weir_rc steps(dep_run *d, const dep_appdir *app, weir_error *err)
{
    weir_rc rc = dep_control_install(d, err);
    rc = rc == WEIR_OK ? read_revision(d, err) : rc;
    if (app) {
        rc = rc == WEIR_OK ? dep_schema_apply(d, app, err) : rc;
        rc = rc == WEIR_OK ? dep_commands_apply(d, app, err) : rc;
        rc = rc == WEIR_OK && d->refused_commands == 0 ? dep_roles_apply(d, err) : rc;
    }
    rc = rc == WEIR_OK ? dep_publication_apply(d, err) : rc;
    if (app) {
        rc = rc == WEIR_OK ? dep_models_apply(d, app, err) : rc;
        rc = rc == WEIR_OK ? refusal(d, err) : rc;
    }
    return rc == WEIR_OK ? announce(d, err) : rc;
}

static weir_rc run(dep_run *d, const dep_appdir *app, bool dry_run, weir_error *err)
{
    weir_rc rc = dep_server_check(d, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = begin(d, err);
    rc = rc == WEIR_OK ? steps(d, app, err) : rc;
    return finish(d, dry_run, rc, err);
}

weir_rc dep_control(weir_pg *pg, const weir_settings *s, dep_report *r, weir_error *err)
{
    dep_run d = {.pg = pg, .s = s, .r = r, .a = r->a};
    return run(&d, NULL, false, err);
}

weir_rc dep_app(weir_pg *pg, const weir_settings *s, const char *app_dir, bool dry_run,
                dep_report *r, weir_error *err)
{
    dep_run d = {.pg = pg, .s = s, .r = r, .a = r->a, .dir = app_dir};
    dep_appdir app;
    weir_rc rc = dep_appdir_read(app_dir, r->a, &app, err);
    return rc == WEIR_OK ? run(&d, &app, dry_run, err) : rc;
}

weir_rc dep_schema_only(weir_pg *pg, const weir_settings *s, const char *app_dir, dep_report *r,
                        weir_error *err)
{
    dep_run d = {.pg = pg, .s = s, .r = r, .a = r->a, .dir = app_dir};
    dep_appdir app;
    weir_rc rc = dep_appdir_read(app_dir, r->a, &app, err);
    app.commands = (dep_files){0, NULL};
    app.models = (dep_files){0, NULL};
    return rc == WEIR_OK ? run(&d, &app, false, err) : rc;
}
