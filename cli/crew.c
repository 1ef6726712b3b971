/* crew.c - starting, watching and stopping the processes of one command. */
#include "cli/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/app.h"
#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"

enum { STOP_MS = 12000, END_WAIT_MS = 60000, TICK_MS = 50 };

const char *cli_crew_dir(weir_arena *a, const char *ini)
{
    char *full = realpath(ini, NULL);
    const char *path = weir_arena_strdup(a, full ? full : ini);
    free(full);
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');
    size_t n = dot && dot != path ? (size_t)(dot - path) : strlen(path);
    return weir_arena_printf(a, "%.*s.weir", (int)n, path);
}

static void write_run(cli_crew *c)
{
    weir_buf b;
    weir_error err = {0};
    weir_buf_init(&b, 1 << 16);
    weir_buf_printf(&b, "{\"supervisor\": %d, \"url\": ", (int)getpid());
    weir_json_quote(&b, weir_slice_z(c->url ? c->url : ""));
    weir_buf_putz(&b, ", \"processes\": [");
    for (int i = 0; i < c->n; i++) {
        const cli_child *k = &c->children[i];
        weir_buf_printf(&b, "%s\n  {\"name\": \"%s\", \"pid\": %d, \"restarts\": %d, \"log\": ",
                        i ? "," : "", k->name, (int)k->pid, k->restarts);
        weir_json_quote(&b, weir_slice_z(k->log));
        weir_buf_putz(&b, "}");
    }
    weir_buf_putz(&b, "\n]}\n");
    const char *path = weir_arena_printf(c->a, "%s/run.json", c->dir);
    if (weir_file_write(path, weir_buf_slice(&b), 0600, &err) != WEIR_OK) {
        (void)fprintf(stderr, "weir: %s\n", err.msg);
    }
    weir_buf_fini(&b);
}

static void on_signal(void *arg)
{
    cli_crew *c = arg;
    c->stopping = true;
    weir_loop_stop(c->loop);
}

static int take_lock(const char *dir, weir_arena *a)
{
    int fd = open(weir_arena_printf(a, "%s/lock", dir), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

weir_rc cli_crew_open(cli_crew *c, weir_arena *a, const char *dir, weir_error *err)
{
    *c = (cli_crew){.a = a, .dir = dir, .lock = -1};
    weir_rc rc = weir_mkdirs(dir, 0700, err);
    if (rc == WEIR_OK && chmod(dir, 0700) != 0) {
        rc = weir_fail_errno(err, "cannot protect %s", dir);
    }
    if (rc == WEIR_OK) {
        c->lock = take_lock(dir, a);
        rc = c->lock >= 0
                 ? WEIR_OK
                 : weir_fail(err, WEIR_E_CONFLICT, 0, "it runs already (state in %s)", dir);
    }
    rc = rc == WEIR_OK ? weir_loop_new(&c->loop, err) : rc;
    rc = rc == WEIR_OK ? weir_loop_signals(c->loop, on_signal, c, err) : rc;
    if (rc != WEIR_OK) {
        cli_crew_close(c);
    }
    return rc;
}

weir_rc cli_crew_start(cli_crew *c, cli_child *child, weir_error *err)
{
    weir_rc rc = cli_child_start(child, err);
    write_run(c);
    return rc;
}

static void revive(cli_crew *c, cli_child *k)
{
    weir_error err = {0};
    if (k->started_ms == 0) {
        return; /* not its turn yet */
    }
    if (cli_child_ended(k)) {
        (void)printf("  %s!%s %-14s ended (%s): %s\n", cli_yellow(), cli_plain(), k->name,
                     cli_child_how(k, c->a), cli_child_last_line(k, c->a));
        (void)fflush(stdout);
        write_run(c);
    }
    if (k->pid == 0 && weir_mono_ms() >= k->restart_at_ms) {
        k->restarts++;
        if (cli_child_start(k, &err) == WEIR_OK) {
            (void)printf("  %s↻%s %-14s started again (restart %d)\n", cli_yellow(), cli_plain(),
                         k->name, k->restarts);
        } else {
            (void)printf("  %s✗%s %-14s %s\n", cli_red(), cli_plain(), k->name, err.msg);
            k->restart_at_ms = weir_mono_ms() + weir_backoff_next_ms(&k->backoff);
        }
        (void)fflush(stdout);
        write_run(c);
    }
}

static void revive_all(cli_crew *c)
{
    for (int i = 0; i < c->n && !c->stopping; i++) {
        revive(c, &c->children[i]);
    }
}

bool cli_crew_turn(cli_crew *c, int64_t wait_ms)
{
    weir_loop_turn(c->loop, wait_ms);
    revive_all(c);
    return !c->stopping;
}

static void on_tick(void *arg)
{
    revive_all(arg);
}

void cli_crew_run(cli_crew *c)
{
    c->tick = weir_loop_timer_new(c->loop, on_tick, c);
    weir_loop_timer_arm(c->tick, TICK_MS, true);
    if (!c->stopping) {
        weir_loop_run(c->loop);
    }
}

void cli_crew_close(cli_crew *c)
{
    for (int i = c->n - 1; i >= 0; i--) {
        cli_child_stop(&c->children[i], STOP_MS);
    }
    if (c->n > 0) {
        write_run(c);
    }
    if (c->tick) {
        weir_loop_timer_free(c->tick);
    }
    if (c->loop) {
        weir_loop_free(c->loop);
    }
    if (c->lock >= 0) {
        close(c->lock);
    }
    c->n = 0;
    c->tick = NULL;
    c->loop = NULL;
    c->lock = -1;
}

bool cli_crew_running(const char *dir)
{
    weir_arena *a = weir_arena_new(0);
    bool there = access(weir_arena_printf(a, "%s/lock", dir), F_OK) == 0;
    int fd = there ? take_lock(dir, a) : -1;
    if (fd >= 0) {
        close(fd);
    }
    weir_arena_free(a);
    return there && fd < 0;
}

bool cli_crew_info(const char *dir, weir_arena *a, int *supervisor, const char **url)
{
    weir_error err;
    weir_slice text;
    weir_slice s;
    weir_json *j = NULL;
    int64_t pid = 0;
    if (!cli_crew_running(dir) ||
        weir_file_read(weir_arena_printf(a, "%s/run.json", dir), 1 << 20, a, &text, &err) !=
            WEIR_OK ||
        weir_json_parse(&j, text, &err) != WEIR_OK) {
        return false;
    }
    *url = weir_json_str(j, "url", &s) ? weir_arena_dupz(a, s) : "";
    bool ok = weir_json_i64(j, "supervisor", &pid) && pid > 1;
    *supervisor = (int)pid;
    weir_json_free(j);
    return ok;
}

weir_rc cli_crew_end(const char *dir, weir_error *err)
{
    int pid = 0;
    const char *url = NULL;
    weir_arena *a = weir_arena_new(0);
    bool known = cli_crew_info(dir, a, &pid, &url);
    weir_arena_free(a);
    if (!known) {
        return WEIR_OK;
    }
    if (kill(pid, SIGTERM) != 0) {
        return weir_fail_errno(err, "cannot signal the supervisor (pid %d)", pid);
    }
    for (int64_t until = weir_mono_ms() + END_WAIT_MS; cli_crew_running(dir);) {
        if (weir_mono_ms() > until) {
            return weir_fail(err, WEIR_E_TIMEOUT, 0, "it is still stopping (pid %d)", pid);
        }
        (void)poll(NULL, 0, 20);
    }
    return WEIR_OK;
}
