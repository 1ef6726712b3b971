/* init.c - `weir init`: an app directory to begin with. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/args.h"
#include "cli/command.h"
#include "libweir/base/str.h"

static const char ini_text[] =
    "; One configuration for every service; all options: docs/configuration.md.\n"
    "[app]\n"
    "name = %s\n"
    "\n"
    "; A database of your own: PostgreSQL 15 or newer, wal_level = logical, a role that may log "
    "in, "
    "replicate,\n"
    "; create schemas and owns the tables; `weir check` looks. Without these two `weir up` starts "
    "private servers.\n"
    "; The variables WEIR_POSTGRES_URI and WEIR_REDIS_URI win over this file.\n"
    ";[postgres]\n"
    ";uri = postgresql://user:password@127.0.0.1:5432/%s\n"
    ";[redis]\n"
    ";uri = redis://:password@127.0.0.1:6379/0\n";

static void tell(const char *mark, const char *name, const char *text)
{
    (void)printf("  %s%s%s %-13s %s\n", cli_green(), mark, cli_plain(), name, text);
}

static weir_rc make_folder(weir_arena *a, const char *dir, const char *name, const char *text,
                           weir_error *err)
{
    const char *path = weir_arena_printf(a, "%s/%s", dir, name);
    bool there = access(path, F_OK) == 0;
    weir_rc rc = weir_mkdirs(path, 0755, err);
    if (rc == WEIR_OK) {
        tell(there ? "=" : "✓", weir_arena_printf(a, "%s/", name), text);
    }
    return rc;
}

/* The name stands in the file, so that the app keeps slot and publication when it is moved. */
static weir_rc make_ini(weir_arena *a, const char *dir, weir_error *err)
{
    weir_settings s;
    const char *path = weir_arena_printf(a, "%s/weir.ini", dir);
    weir_rc rc = weir_settings_load(&s, dir, NULL, NULL, a, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EEXIST) {
        tell("=", "weir.ini", "is there already");
        return WEIR_OK;
    }
    if (fd < 0) {
        return weir_fail_errno(err, "cannot create %s", path);
    }
    bool ok = dprintf(fd, ini_text, s.app_name, s.app_name) > 0;
    if (close(fd) != 0 || !ok) {
        rc = weir_fail_errno(err, "cannot write %s", path);
        (void)unlink(path);
        return rc;
    }
    tell("✓", "weir.ini", "name and servers");
    return WEIR_OK;
}

static weir_rc make(weir_arena *a, const char *dir, weir_error *err)
{
    char full[PATH_MAX];
    weir_rc rc = weir_mkdirs(dir, 0755, err);
    if (rc == WEIR_OK && !realpath(dir, full)) {
        rc = weir_fail_errno(err, "cannot enter %s", dir);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    (void)printf("%sweir init%s %s\n", cli_bold(), cli_plain(), full);
    rc = make_ini(a, full, err);
    rc = rc == WEIR_OK ? make_folder(a, full, "schema", "tables: 0001_init.sql, 0002_…", err) : rc;
    rc = rc == WEIR_OK
             ? make_folder(a, full, "commands", "one CREATE FUNCTION command.… per file", err)
             : rc;
    return rc == WEIR_OK ? make_folder(a, full, "read-models", "one SELECT per file", err) : rc;
}

int cli_init(int argc, char **argv)
{
    const char *words[1];
    int n = 0;
    weir_error err = {0};
    if (!cli_args("init", argc, argv, NULL, 0, words, 1, &n)) {
        return 2;
    }
    const char *dir = n ? words[0] : ".";
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = make(a, dir, &err);
    if (rc == WEIR_OK) {
        (void)printf("\n  then       weir check %s, weir up %s\n", cli_word(a, dir),
                     cli_word(a, dir));
    }
    weir_arena_free(a);
    return rc == WEIR_OK ? 0 : cli_fail("init", &err);
}
