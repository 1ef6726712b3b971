/* test_cli.c - what `weir` says to a wrong word, in a wrong folder and to servers that will not do:
 * the exit code, the reason and the next step.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libweir/base/str.h"
#include "tests/support/check.h"
#include "tests/support/sys.h"

enum { WAIT_MS = 20000, STOP_MS = 15000 };

static fixture fx;
static sys app;
static int closed_port; /* nobody listens there */

static int open_group(void **state)
{
    (void)state;
    if (fixture_open(&fx, FIXTURE_PG) != 0) {
        return -1;
    }
    if (fx.missing[0]) {
        return 0;
    }
    sys *s = &app;
    sys_new(s, WEIR_BIN_DIR, NULL, "[app]\nname = cli_it\n");
    closed_port = fixture_free_port();
    sys_put(s, "read-models/item_view.sql", "-- @key id\nSELECT id FROM item\n");
    sys_put(s, "schema/0001_init.sql", "CREATE TABLE item (id int PRIMARY KEY);\n");
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    sys_end(&app);
    fixture_close(&fx);
    return 0;
}

#define S(state)                                                                                   \
    (void)state;                                                                                   \
    fixture_need(&fx);                                                                             \
    sys *s = &app

static const char *folder(sys *s, const char *name)
{
    weir_error err = {0};
    const char *dir = weir_arena_printf(s->app.a, "%s/%s", s->top, name);
    assert_rc(WEIR_OK, weir_mkdirs(dir, 0755, &err), &err);
    return dir;
}

static bool is_there(sys *s, const char *dir, const char *name)
{
    return access(weir_arena_printf(s->app.a, "%s/%s", dir, name), F_OK) == 0;
}

/* --- words
 * -----------------------------------------------------------------------------------------------------
 */

static const struct usage {
    const char *word, *arg, *arg2, *says;
} usages[] = {
    {"staus", NULL, NULL, "did you mean status?"},
    {"up", "--detatch", NULL, "--detatch"},
    {"init", "a", "b", "unexpected b"},
    {"check", "--json=1", NULL, "--json takes no value"},
    {"tail", "--table", NULL, "--table needs a value"},
    {"send", "--key-file=", "x", "--key-file needs a value"},
    {"get", "model", NULL, "usage: weir get"},
    {"dead", "shw", NULL, "there is no shw"},
    {"keys", "add", "me", "--role ROLE is missing"},
    {"contracts", "chk", NULL, "say check or save"},
    {"rebuild", NULL, NULL, "which model?"},
    {"explain", NULL, NULL, "which read model?"},
    {"crawl", "--rate", "x", "--rate must be a number"},
    {"sync", NULL, NULL, "which SYNC.ini?"},
    {"migrate", NULL, NULL, "name the mapping file"},
};

static void test_usage(void **state)
{
    S(state);
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++) {
        const struct usage *u = &usages[i];
        int code = sys_weir(s, u->word, u->arg, u->arg2, NULL);
        if (code != 2) {
            fail_msg("weir %s ended with %d: %s", u->word, code, s->said);
        }
        sys_said(s, u->says);
    }
}

/* --- folders
 * -----------------------------------------------------------------------------------------------------
 */

static void test_no_app(void **state)
{
    S(state);
    static const char *const words[] = {"up",  "down",  "env",    "deploy", "check",
                                        "get", "crawl", "status", "verify", "contracts"};
    const char *dir = folder(s, "empty");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        bool named = strcmp(words[i], "get") == 0;
        bool checks = strcmp(words[i], "contracts") == 0;
        int code = named    ? sys_weir(s, "get", "--app", dir, "m", "1", NULL)
                   : checks ? sys_weir(s, "contracts", "check", dir, NULL)
                            : sys_weir(s, words[i], dir, NULL);
        assert_int_equal(1, code);
        sys_said(s, "is no app directory");
        sys_said(s, weir_arena_printf(s->app.a, "weir init %s", dir));
    }
    assert_int_equal(0, rmdir(dir)); /* nothing was put there */
}

static void test_init(void **state)
{
    S(state);
    const char *dir = folder(s, "My Clinic");
    assert_int_equal(0, sys_weir(s, "init", dir, NULL));
    sys_said(s, weir_arena_printf(s->app.a, "weir up '%s'", dir));
    assert_true(is_there(s, dir, "weir.ini") && is_there(s, dir, "schema") &&
                is_there(s, dir, "commands") && is_there(s, dir, "read-models"));
    weir_error err = {0};
    weir_slice text;
    const char *ini = weir_arena_printf(s->app.a, "%s/weir.ini", dir);
    assert_rc(WEIR_OK, weir_file_read(ini, 10000, s->app.a, &text, &err), &err);
    assert_non_null(strstr(weir_arena_dupz(s->app.a, text), "name = my_clinic\n"));
    assert_rc(WEIR_OK, weir_file_write(ini, WEIR_SLICE_LIT("[app]\nname = mine\n"), 0644, &err),
              &err);
    assert_int_equal(0, sys_weir(s, "init", dir, NULL)); /* leaves what is there */
    assert_rc(WEIR_OK, weir_file_read(ini, 10000, s->app.a, &text, &err), &err);
    assert_true(weir_slice_eqz(text, "[app]\nname = mine\n"));
}

/* Whatever answers on the default ports belongs to somebody else. */
static void test_not_up(void **state)
{
    S(state);
    const char *dir = s->app.dir;
    assert_int_equal(1, sys_weir(s, "status", dir, NULL));
    sys_said(s, "it is not up");
    assert_int_equal(1, sys_weir(s, "status", dir, "--json", NULL));
    sys_said(s, "\"bridge\": null");
    assert_int_equal(1, sys_weir(s, "send", "--app", dir, "x", NULL));
    sys_said(s, "it is not up");
    assert_int_equal(1, sys_weir(s, "tail", dir, NULL));
    sys_said(s, "it is not up");
    assert_int_equal(1, sys_weir(s, "crawl", dir, NULL));
    sys_said(s, weir_arena_printf(s->app.a, "weir up %s", dir));
}

/* --- servers
 * -----------------------------------------------------------------------------------------------------
 */

static void put_ini(sys *s, const char *user, const char *pg_dir)
{
    sys_put(s, "weir.ini",
            weir_arena_printf(s->app.a,
                              "[app]\nname = cli_it\n[postgres]\nuri = "
                              "postgresql://%s:geheim@/postgres?host=%s\n[redis]\nuri = "
                              "redis://127.0.0.1:%d/0\n[write]\nport = %d\n[read]\nport = "
                              "%d\n[bridge]\nport = %d\nfeed = ipc://%s/feed\n[projector]\nport = "
                              "%d\n",
                              user, pg_dir, closed_port, fixture_free_port(), fixture_free_port(),
                              fixture_free_port(), s->top, fixture_free_port()));
}

static void no_secret(sys *s)
{
    assert_null(strstr(s->said, "geheim"));
}

/* `weir up` ends at once instead of waiting for services that could not work. */
static void test_servers_that_will_not_do(void **state)
{
    S(state);
    fixture_sql(&fx, "CREATE ROLE \"the app\" LOGIN");
    put_ini(s, "the%20app", weir_arena_printf(s->app.a, "%s/sock", fx.pg.dir));
    assert_int_equal(1, sys_weir(s, "up", s->app.dir, "--detach", NULL));
    sys_said(s, "ALTER ROLE \"the app\" REPLICATION;");
    sys_said(s, "GRANT CREATE ON DATABASE postgres TO \"the app\";");
    sys_said(s, "were not started");
    no_secret(s);
    put_ini(s, "nobody", s->top);
    assert_int_equal(1, sys_weir(s, "up", s->app.dir, "--detach", NULL));
    sys_said(s, "postgres.uri: ");
    sys_said(s, "were not started");
    assert_int_equal(1, sys_weir(s, "verify", s->app.dir, NULL));
    sys_said(s, "postgres.uri: ");
    assert_int_equal(1, sys_weir(s, "check", s->app.dir, NULL)); /* nothing was compiled */
    sys_said(s, "syntax only");
    no_secret(s);
    put_ini(s, "postgres", weir_arena_printf(s->app.a, "%s/sock", fx.pg.dir));
    assert_int_equal(1, sys_weir(s, "verify", s->app.dir, NULL));
    sys_said(s, "redis.uri: ");
    assert_int_equal(1, sys_weir(s, "status", s->app.dir, NULL));
    sys_said(s, "nothing answers");
}

struct said {
    sys *s;
    const fixture_proc *proc;
    const char *text;
};

static const char *text_of(sys *s, const char *path)
{
    weir_error err = {0};
    weir_slice text = {NULL, 0};
    return weir_file_read(path, 1 << 20, s->app.a, &text, &err) == WEIR_OK
               ? weir_arena_dupz(s->app.a, text)
               : "";
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what)) {
        n++;
    }
    return n;
}

static bool was_said(void *arg)
{
    struct said *w = arg;
    return strstr(text_of(w->s, w->proc->log), w->text) != NULL;
}

/* What a service waits for is told in one line, once. */
static void test_up_waits(void **state)
{
    S(state);
    put_ini(s, "postgres", weir_arena_printf(s->app.a, "%s/sock", fx.pg.dir));
    const char *const argv[] = {weir_arena_printf(s->app.a, "%s/weir", s->app.bin), "up",
                                s->app.dir, NULL};
    fixture_proc *up = fixture_spawn(&fx, "up", argv, NULL);
    assert_non_null(up);
    struct said reason = {s, up, "… projector  redis: cannot connect"};
    fixture_wait(&fx, was_said, &reason, WAIT_MS, "weir up to say what it waits for");
    assert_int_equal(1, fixture_stop(up, STOP_MS));
    const char *words = text_of(s, up->log);
    assert_non_null(strstr(words, "deployed"));
    assert_null(strstr(words, "{\"service\""));
    assert_int_equal(1, count(words, reason.text));
    /* a service with several connections is away once */
    const char *log = weir_arena_printf(s->app.a, "%s/.weir/log/read.log", s->app.dir);
    assert_int_equal(1, count(text_of(s, log), "RDS-AWAY"));
    assert_non_null(strstr(words, "stopped before projector was ready"));
    assert_false(is_there(s, s->app.dir, ".weir/run.ini"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_no_app),
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_not_up),
        cmocka_unit_test(test_servers_that_will_not_do),
        cmocka_unit_test(test_up_waits),
    };
    sys_filter();
    return cmocka_run_group_tests_name("cli", tests, open_group, close_group);
}
