/* app.c - starts an application the way a user does, and stops it. */
#include "tests/support/app.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/dockey.h"
#include "libweir/codec/lsn.h"

static int finish(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return 127;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

static pid_t start(int out_fd, const char *const *argv)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (out_fd >= 0) {
            dup2(out_fd, 1);
        }
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return pid;
}

int orc_run(bool show, const char *const *argv)
{
    int fd = show ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
    pid_t pid = start(fd, argv);
    if (fd >= 0) {
        close(fd);
    }
    return pid < 0 ? 127 : finish(pid);
}

int orc_capture(weir_arena *a, weir_slice *out, const char *const *argv)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0) {
        return 127;
    }
    pid_t pid = start(p[1], argv);
    close(p[1]);
    weir_buf b;
    weir_buf_init(&b, 64 << 20);
    for (;;) {
        char *room = weir_buf_reserve(&b, 65536);
        ssize_t n = room ? read(p[0], room, 65536) : 0;
        if (n <= 0) {
            break;
        }
        b.n += (size_t)n;
    }
    close(p[0]);
    *out = weir_arena_dup(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return pid < 0 ? 127 : finish(pid);
}

/* The value of `export NAME='value'` in the output of weir env, or "". */
static const char *env_value(weir_arena *a, const char *text, const char *name)
{
    const char *key = weir_arena_printf(a, "export %s=", name);
    const char *p = strstr(text, key);
    if (!p) {
        return "";
    }
    p += strlen(key);
    char quote = *p == '\'' || *p == '"' ? *p++ : '\n';
    return weir_arena_dupz(a, weir_slice_of(p, strcspn(p, (char[]){quote, '\n', 0})));
}

static bool read_env(orc_app *app)
{
    const char *weir = weir_arena_printf(app->a, "%s/weir", app->bin);
    weir_slice out;
    if (orc_capture(app->a, &out, (const char *const[]){weir, "env", app->dir, NULL}) != 0) {
        fprintf(stderr, "weir env failed\n");
        return false;
    }
    const char *t = weir_arena_dupz(app->a, out);
    app->redis_uri = env_value(app->a, t, "REDIS_URL");
    app->write_url = env_value(app->a, t, "WEIR_WRITE_URL");
    app->read_url = env_value(app->a, t, "WEIR_READ_URL");
    app->feed_url = env_value(app->a, t, "WEIR_FEED_URL");
    app->ns = env_value(app->a, t, "WEIR_NAMESPACE");
    app->pg_uri =
        weir_arena_printf(app->a, "host='%s' port='%s' user='%s' dbname='%s'",
                          env_value(app->a, t, "PGHOST"), env_value(app->a, t, "PGPORT"),
                          env_value(app->a, t, "PGUSER"), env_value(app->a, t, "PGDATABASE"));
    return true;
}

bool orc_app_connect(orc_app *app, int64_t ms)
{
    weir_error err = {0};
    int64_t until = weir_mono_ms() + ms;
    weir_pg_conf conf = {.uri = app->pg_uri, .application_name = "oracle"};
    for (;;) {
        if (app->pg && !weir_pg_ok(app->pg)) {
            weir_pg_close(app->pg);
            app->pg = NULL;
        }
        weir_rc rc = app->pg ? WEIR_OK : weir_pg_open(&app->pg, &conf, &err);
        if (rc == WEIR_OK && !app->redis) {
            rc = weir_redisc_open(&app->redis, app->redis_uri, 10000, &err);
        }
        if (rc == WEIR_OK) {
            return true;
        }
        if (weir_mono_ms() > until) {
            fprintf(stderr, "cannot connect: %s\n", err.msg);
            return false;
        }
        poll(NULL, 0, 20);
    }
}

bool orc_app_make(orc_app *app, const char *bin, const char *src)
{
    memset(app, 0, sizeof *app);
    app->a = weir_arena_new(0);
    app->bin = weir_arena_strdup(app->a, bin);
    char tmp[] = "/tmp/weir-oracle-XXXXXX";
    if (!mkdtemp(tmp)) {
        perror("mkdtemp");
        return false;
    }
    app->dir = weir_arena_printf(app->a, "%s/app", tmp);
    const char *const copy[] = {"cp", "-r", src, app->dir, NULL};
    const char *const make[] = {"mkdir", app->dir, NULL};
    return orc_run(true, src ? copy : make) == 0 &&
           orc_run(true, (const char *const[]){"chmod", "755", tmp, NULL}) == 0;
}

bool orc_app_attach(orc_app *app)
{
    return read_env(app) && orc_app_connect(app, 10000);
}

bool orc_app_up(orc_app *app, const char *bin, const char *src)
{
    if (!orc_app_make(app, bin, src)) {
        return false;
    }
    const char *weir = weir_arena_printf(app->a, "%s/weir", bin);
    if (orc_run(true, (const char *const[]){weir, "up", app->dir, "--detach", NULL}) != 0) {
        fprintf(stderr, "weir up failed\n");
        return false;
    }
    return orc_app_attach(app);
}

void orc_app_down(orc_app *app, bool keep)
{
    if (!app->a) {
        return;
    }
    weir_pg_close(app->pg);
    if (app->redis) {
        weir_redisc_close(app->redis);
    }
    if (app->dir) {
        const char *weir = weir_arena_printf(app->a, "%s/weir", app->bin);
        orc_run(false, (const char *const[]){weir, "down", app->dir, NULL});
        const char *top =
            weir_arena_dupz(app->a, weir_slice_of(app->dir, strlen(app->dir) - strlen("/app")));
        if (!keep) {
            orc_run(false, (const char *const[]){"rm", "-rf", top, NULL});
        } else {
            fprintf(stderr, "kept %s\n", top);
        }
    }
    weir_arena_free(app->a);
    memset(app, 0, sizeof *app);
}

bool orc_app_reached(orc_app *app, uint64_t lsn, int64_t ms)
{
    int64_t until = weir_mono_ms() + ms;
    uint64_t at = 0;
    for (;;) {
        weir_error err = {0};
        const weir_redis_reply *r = NULL;
        weir_slice argv[] = {WEIR_SLICE_LIT("GET"), weir_dockey_position(app->a, app->ns)};
        if (!app->redis && !orc_app_connect(app, ms)) {
            return false;
        }
        if (weir_redisc_call(app->redis, &r, 2, argv, &err) != WEIR_OK) {
            weir_redisc_close(app->redis);
            app->redis = NULL;
        } else if (weir_lsn_parse(weir_redis_reply_str(r), &at) && at >= lsn) {
            return true;
        }
        if (weir_mono_ms() > until) {
            char x[WEIR_LSN_TEXT_MAX], y[WEIR_LSN_TEXT_MAX];
            fprintf(stderr, "position %s in Redis has not reached %s within %lld ms\n",
                    weir_lsn_print(at, x), weir_lsn_print(lsn, y), (long long)ms);
            return false;
        }
        poll(NULL, 0, 1);
    }
}
