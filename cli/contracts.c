/* contracts.c - `weir contracts`: what clients were promised, kept in a file and compared with what
 * is deployed. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/database.h"
#include "libweir/base/str.h"
#include "migrations/deploy/contract.h"

enum { FILE_MAX_BYTES = 64 << 20, FILE_MODE = 0644 };

static const char deployed_sql[] =
    "SELECT jsonb_pretty(jsonb_build_object('weir_contracts', 2, 'commands',"
    " coalesce(jsonb_object_agg(name, jsonb_build_object('args', args, 'result_type', result_type,"
    " 'result', coalesce(result -> 'anyOf' -> 0, result, '{}'))), '{}')))"
    " FROM weir.command_catalog, LATERAL (SELECT openapi #> '{post,responses,200,content,"
    "application/json,schema,allOf,1,properties,result}') AS r(result)";

/* The contract of what is deployed, as text in the app's arena. */
static weir_rc deployed(cli_app *app, weir_slice *out, weir_error *err)
{
    cli_database db;
    weir_pg_rows *r = NULL;
    weir_rc rc = cli_database_open(&db, app, err);
    rc = rc == WEIR_OK ? weir_pg_query(db.pg, deployed_sql, 0, NULL, &r, err) : rc;
    if (rc == WEIR_OK) {
        char *z = weir_arena_dupz(app->a, weir_pg_value(r, 0, 0));
        *out = weir_slice_z(z);
        rc = z ? WEIR_OK : weir_fail(err, WEIR_E_LIMIT, 0, "the contracts are too large");
    } else if (strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0) {
        rc = weir_fail(err, WEIR_E_STATE, 0, "nothing is deployed; run weir deploy %s first",
                       app->dir_word);
    }
    weir_pg_rows_free(r);
    cli_database_close(&db);
    return rc;
}

static int save(cli_app *app, const char *file)
{
    weir_slice text;
    weir_error err = {0};
    weir_rc rc = deployed(app, &text, &err);
    if (rc == WEIR_OK) {
        const char *lines = weir_arena_printf(app->a, "%s\n", text.p);
        rc = weir_file_write(file, weir_slice_z(lines), FILE_MODE, &err);
    }
    if (rc == WEIR_OK) {
        (void)printf("  %ssaved%s %s\n", cli_green(), cli_plain(), file);
    }
    return rc == WEIR_OK ? 0 : cli_fail("contracts", &err);
}

static void print(const dep_changes *c)
{
    for (const dep_change *x = c->first; x; x = x->next) {
        (void)printf("  %s%s%s %s%s%s: %s\n", x->breaks ? cli_red() : cli_green(),
                     x->breaks ? "✗" : "✓", cli_plain(), x->command, x->pointer[0] ? " " : "",
                     x->pointer, x->text);
    }
}

static void print_json(const dep_changes *c)
{
    weir_buf b;
    weir_buf_init(&b, FILE_MAX_BYTES);
    weir_buf_printf(&b, "{\"breaking\":%zu,\"changes\":[", c->breaking);
    for (const dep_change *x = c->first; x; x = x->next) {
        weir_buf_printf(&b, "%s{\"command\":", x == c->first ? "" : ",");
        weir_json_quote(&b, weir_slice_z(x->command));
        weir_buf_putz(&b, ",\"at\":");
        weir_json_quote(&b, weir_slice_z(x->pointer));
        weir_buf_printf(&b, ",\"breaks\":%s,\"text\":", x->breaks ? "true" : "false");
        weir_json_quote(&b, weir_slice_z(x->text));
        weir_buf_putz(&b, "}");
    }
    weir_buf_putz(&b, "]}\n");
    (void)fwrite(b.p, 1, b.n, stdout);
    weir_buf_fini(&b);
}

static weir_rc parse(cli_app *app, const char *file, weir_json **was, weir_json **is,
                     weir_error *err)
{
    weir_slice text;
    weir_rc rc = weir_file_read(file, FILE_MAX_BYTES, app->a, &text, err);
    if (rc == WEIR_E_NOTFOUND) {
        return weir_fail(err, rc, 0, "there is no %s; write it with weir contracts save %s", file,
                         app->dir_word);
    }
    rc = rc == WEIR_OK ? weir_json_parse(was, text, err) : rc;
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "%s", file);
        return rc;
    }
    rc = deployed(app, &text, err);
    return rc == WEIR_OK ? weir_json_parse(is, text, err) : rc;
}

static int check(cli_app *app, const char *file, bool json)
{
    weir_json *was = NULL, *is = NULL;
    dep_changes changes = {NULL, NULL, 0, 0};
    weir_error err = {0};
    weir_rc rc = parse(app, file, &was, &is, &err);
    rc = rc == WEIR_OK ? dep_contract_compare(was, is, app->a, &changes, &err) : rc;
    if (rc == WEIR_OK && json) {
        print_json(&changes);
    } else if (rc == WEIR_OK) {
        print(&changes);
        (void)printf("  %zu changes, %zu of them break clients\n", changes.n, changes.breaking);
    }
    weir_json_free(was);
    weir_json_free(is);
    if (rc == WEIR_OK && changes.breaking && !json) {
        (void)fprintf(stderr,
                      "weir contracts: take these back, or give the changed command a name of its "
                      "own; if no client needs the old one any more: weir contracts save\n");
    }
    return rc != WEIR_OK ? cli_fail("contracts", &err) : changes.breaking ? 1 : 0;
}

int cli_contracts(int argc, char **argv)
{
    cli_app app;
    bool json = false;
    const char *words[3];
    int n = 0;
    weir_error err = {0};
    const cli_flag flags[] = {{"--json", NULL, &json}};
    if (!cli_args("contracts", argc, argv, flags, 1, words, 3, &n)) {
        return 2;
    }
    bool saves = n > 0 && strcmp(words[0], "save") == 0;
    if (!saves && !(n > 0 && strcmp(words[0], "check") == 0)) {
        (void)fprintf(stderr, "weir contracts: say check or save; see weir contracts --help\n");
        return 2;
    }
    if (cli_app_open(&app, n > 1 ? words[1] : NULL, &err) != WEIR_OK) {
        return cli_fail("contracts", &err);
    }
    const char *file = n > 2 ? words[2] : weir_arena_printf(app.a, "%s/contracts.json", app.dir);
    int rc = saves ? save(&app, file) : check(&app, file, json);
    cli_app_close(&app);
    return rc;
}
