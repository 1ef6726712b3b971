/* cmdapp.c - an app of commands, deployed by the command line. */
#include "tests/support/cmdapp.h"

#include <string.h>

#include "libweir/base/str.h"
#include "tests/support/app.h"

static const char *uri, *dir, *bin;

const char *cmdapp_uri(void)
{
    return uri;
}

void cmdapp_put(const char *name, const char *text)
{
    weir_error err = {0};
    const char *path = weir_arena_printf(wt_fx.a, "%s/%s", dir, name);
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z(text), 0644, &err), &err);
}

int cmdapp_sh(const char *command)
{
    const char *line = weir_arena_printf(wt_fx.a, "W=%s/weir A=%s; { %s; } >%s/out.txt 2>&1", bin,
                                         dir, command, wt_fx.dir);
    return orc_run(false, (const char *const[]){"sh", "-c", line, NULL});
}

const char *cmdapp_said(void)
{
    weir_slice text;
    weir_error err = {0};
    const char *path = weir_arena_printf(wt_fx.a, "%s/out.txt", wt_fx.dir);
    assert_rc(WEIR_OK, weir_file_read(path, 1 << 20, wt_fx.a, &text, &err), &err);
    return text.p;
}

void cmdapp_run(int want, const char *command)
{
    int rc = cmdapp_sh(command);
    if (rc != want) {
        fail_msg("%s: exit %d, not %d: %s", command, rc, want, cmdapp_said());
    }
}

void cmdapp_deploy(void)
{
    cmdapp_run(0, "$W deploy $A --no-wait");
}

/* The URI of the fixture with another database behind the last slash; the user may be called so
 * too. */
static const char *other_database(const char *of, const char *name)
{
    const char *db = NULL;
    for (const char *at = strstr(of, "/postgres"); at; at = strstr(at + 1, "/postgres")) {
        db = at + 1;
    }
    return db ? weir_arena_printf(wt_fx.a, "%.*s%s%s", (int)(db - of), of, name,
                                  db + strlen("postgres"))
              : NULL;
}

int cmdapp_up(const char *bin_dir, const char *database)
{
    bin = bin_dir;
    fixture_sql(&wt_fx, weir_arena_printf(wt_fx.a, "CREATE DATABASE %s", database));
    uri = other_database(wt_fx.pg.uri, database);
    dir = weir_arena_printf(wt_fx.a, "%s/app", wt_fx.dir);
    if (!uri || cmdapp_sh("mkdir -p $A/schema $A/commands") != 0) {
        return -1;
    }
    cmdapp_put("weir.ini", weir_arena_printf(wt_fx.a,
                                             "[app]\nname = %s\n[postgres]\nuri = %s\n[redis]\nuri "
                                             "= redis://127.0.0.1:1\n",
                                             database, uri));
    return 0;
}

int cmdapp_serve(wt_service *s, const char *bin_dir, const char *fixture_sql_file,
                 const cmdapp_conf *conf)
{
    if (wt_up(bin_dir, fixture_sql_file) != 0) {
        return -1;
    }
    if (wt_fx.missing[0]) {
        return 0;
    }
    if (cmdapp_up(bin_dir, conf->name) != 0) {
        return -1;
    }
    cmdapp_put("schema/0001_tables.sql", conf->schema_sql);
    cmdapp_put("commands/all.sql", conf->commands);
    cmdapp_deploy();
    wt_start(s, conf->name, cmdapp_uri(), conf->ini);
    fixture_wait(&wt_fx, wt_is_ready, s, 5000, "weir-write to be ready");
    return 0;
}
