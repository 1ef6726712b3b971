/* check.c - `weir check`: a whole deploy that is rolled back. */
#include <stdio.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/database.h"
#include "cli/report.h"

static void say_where(const cli_app *app, const cli_database *db)
{
    (void)printf("%s%s%s  checked against %s\n", cli_bold(), app->name, cli_plain(),
                 db->scratch ? "an empty scratch PostgreSQL" : "its database; nothing was changed");
}

/* Without any PostgreSQL the files themselves can still be looked at. */
static weir_rc check_files(cli_app *app, dep_report *r, const weir_error *why, weir_error *err)
{
    dep_item *note = weir_arena_zalloc(r->a, sizeof *note);
    weir_rc rc = dep_files_check(app->dir, r, err);
    if (note && !r->first) {
        *note = (dep_item){.kind = DEP_WARNING,
                           .name = "syntax only",
                           .text = weir_arena_printf(
                               r->a, "there is no PostgreSQL to compile against (%s)", why->msg)};
        r->first = r->last = note;
        r->count[DEP_WARNING]++;
    }
    return rc;
}

static int run_check(cli_app *app, bool json)
{
    cli_database db;
    dep_report r;
    weir_error err = {0}, why = {0};
    dep_report_init(&r, app->a, cli_red()[0] != '\0');
    weir_rc rc = cli_database_open_any(&db, app, &why);
    bool compiled = rc == WEIR_OK;
    rc = compiled ? dep_app(db.pg, &app->s, app->dir, true, &r, &err)
                  : check_files(app, &r, &why, &err);
    if (rc == WEIR_OK && !compiled && !app->own_postgres) {
        err = why; /* a database that is named and away is no reason to say that all is well */
        rc = why.code;
    }
    if (json) {
        cli_report_json(&r, rc == WEIR_OK ? NULL : &err);
    } else {
        if (compiled) {
            say_where(app, &db);
        }
        cli_report_print(&r);
        if (rc == WEIR_OK && compiled) {
            (void)printf("  %d commands, %d read models, %d tables to publish\n", r.commands,
                         r.models, r.tables);
        }
    }
    cli_database_close(&db);
    dep_report_fini(&r);
    return rc == WEIR_OK ? 0 : json ? 1 : cli_fail("check", &err);
}

int cli_check(int argc, char **argv)
{
    cli_app app;
    bool json = false;
    const char *words[1];
    int n = 0;
    weir_error err = {0};
    const cli_flag flags[] = {{"--json", NULL, &json}};
    if (!cli_args("check", argc, argv, flags, 1, words, 1, &n)) {
        return 2;
    }
    if (cli_app_open(&app, n ? words[0] : NULL, &err) != WEIR_OK) {
        return cli_fail("check", &err);
    }
    int rc = run_check(&app, json);
    cli_app_close(&app);
    return rc;
}
