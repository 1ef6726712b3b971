/* supervisor.c - starts children in order, restarts what dies with backoff and says so, stops in
 * reverse order. */
#include "cli/supervisor.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/program.h"
#include "cli/servers.h"
#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/io/curl.h"

enum {
    SERVER_WAIT_MS = 60000,
    READY_WAIT_MS = 600000,
    TELL_AFTER_MS = 3000, /* of waiting for a service */
    TELL_EVERY_MS = 3000,
    STOP_MS = 12000,
    PORT_TRIES = 10,
    TICK_MS = 50,
    NNG_PORT = 7706, /* of weir-write; weir-read has the next */
};

static void say(const char *mark, const char *colour, const char *name, const char *text)
{
    (void)printf("  %s%s%s %-10s %s\n", colour, mark, cli_plain(), name, text);
    (void)fflush(stdout);
}

/* up.json: who runs, for `weir down`, `weir status` and tests. */
static void write_up_json(cli_supervisor *s)
{
    weir_buf b;
    weir_error err = {0};
    weir_buf_init(&b, 1 << 16);
    weir_buf_printf(&b, "{\"supervisor\": %d, \"started\": %lld, \"processes\": [", (int)getpid(),
                    (long long)time(NULL));
    for (int i = 0; i < s->n; i++) {
        const cli_child *c = &s->children[i];
        weir_buf_printf(&b, "%s\n  {\"name\": \"%s\", \"pid\": %d, \"restarts\": %d, \"log\": ",
                        i ? "," : "", c->name, (int)c->pid, c->restarts);
        weir_json_quote(&b, weir_slice_z(c->log));
        weir_buf_putz(&b, "}");
    }
    weir_buf_putz(&b, "\n]}\n");
    if (weir_file_write(s->app->up_json, weir_buf_slice(&b), 0644, &err) != WEIR_OK) {
        (void)fprintf(stderr, "weir up: %s\n", err.msg);
    }
    weir_buf_fini(&b);
}

static weir_rc start_child(cli_supervisor *s, cli_child *c, weir_error *err)
{
    weir_rc rc = cli_child_start(c, err);
    write_up_json(s);
    return rc;
}

static void ini_line(weir_buf *b, const char *section, const char *key, const char *value)
{
    weir_buf_printf(b, "[%s]\n%s = %s\n", section, key, value);
}

/* A port of ours: what the settings say when it is free, else any (an explicit one in weir.ini that
 * is taken is an error later, at the service's own start, where it is named). */
static void choose_ports(cli_app *app, weir_buf *b)
{
    const struct {
        const char *section;
        int64_t port;
    } services[] = {{"write", app->s.write_port},
                    {"read", app->s.read_port},
                    {"bridge", app->s.bridge_port},
                    {"projector", app->s.projector_port}};
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        int port = cli_free_port((int)services[i].port);
        if (port != (int)services[i].port) {
            (void)printf("  %s port %lld is taken, %s gets %d%s\n", cli_dim(),
                         (long long)services[i].port, services[i].section, port, cli_plain());
        }
        ini_line(b, services[i].section, "port", weir_arena_printf(app->a, "%d", port));
    }
    const char *nng[][2] = {{"write", app->s.write_nng}, {"read", app->s.read_nng}};
    for (size_t i = 0; i < 2; i++) {
        if (!nng[i][1][0]) {
            int port = cli_free_port(NNG_PORT + (int)i);
            ini_line(b, nng[i][0], "nng", weir_arena_printf(app->a, "tcp://127.0.0.1:%d", port));
        }
    }
    if (strncmp(app->s.bridge_feed, "tcp://127.0.0.1:", 16) == 0) {
        int port = cli_free_port((int)strtol(app->s.bridge_feed + 16, NULL, 10));
        ini_line(b, "bridge", "feed", weir_arena_printf(app->a, "tcp://127.0.0.1:%d", port));
    }
}

static weir_rc write_run_ini(cli_app *app, const char *pg_uri, const char *redis_uri,
                             weir_error *err)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 16);
    weir_buf_putz(&b, "; written by `weir up`: what it chose where weir.ini leaves it open\n");
    if (pg_uri) {
        ini_line(&b, "postgres", "uri", pg_uri);
    }
    if (redis_uri) {
        ini_line(&b, "redis", "uri", redis_uri);
    }
    choose_ports(app, &b);
    weir_rc rc = weir_file_write(app->run_ini, weir_buf_slice(&b), 0600, err);
    weir_buf_fini(&b);
    if (rc == WEIR_OK) {
        rc = weir_settings_load(&app->s, app->dir, app->ini, app->run_ini, app->a, err);
    }
    return rc;
}

static weir_rc start_postgres(cli_supervisor *s, const char **uri, weir_error *err)
{
    cli_child *c = &s->children[s->n];
    weir_rc rc = cli_postgres_prepare(s->app, c, uri, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    s->n++;
    rc = start_child(s, c, err);
    return rc == WEIR_OK ? cli_postgres_wait(s->app, c, *uri, SERVER_WAIT_MS, err) : rc;
}

/* Where PostgreSQL's data is: the word after -D. */
static const char *private_place(const cli_supervisor *s, const cli_child *c)
{
    for (int i = 0; c->argv[i] && c->argv[i + 1]; i++) {
        if (strcmp(c->argv[i], "-D") == 0 &&
            strncmp(c->argv[i + 1], s->app->run_dir, strlen(s->app->run_dir)) != 0) {
            return weir_arena_printf(s->app->a, "private, in %s (its user cannot reach .weir)",
                                     c->argv[i + 1]);
        }
    }
    return "private, in this app's .weir";
}

static weir_rc start_redis(cli_supervisor *s, const char **uri, weir_error *err)
{
    cli_child *c = &s->children[s->n++];
    weir_rc rc = WEIR_E_CONFLICT;
    for (int try = 0; rc == WEIR_E_CONFLICT && try < PORT_TRIES && !s->stopping; try++) {
        cli_child_stop(c, STOP_MS);
        rc = cli_redis_prepare(s->app, c, uri, err);
        rc = rc == WEIR_OK ? start_child(s, c, err) : rc;
        rc = rc == WEIR_OK ? cli_redis_wait(c, *uri, SERVER_WAIT_MS, err) : rc;
    }
    return rc;
}

static weir_rc start_servers(cli_supervisor *s, weir_error *err)
{
    cli_app *app = s->app;
    weir_rc rc = WEIR_OK;
    if (app->own_postgres) {
        rc = start_postgres(s, &s->pg_uri, err);
        if (rc == WEIR_OK) {
            say("✓", cli_green(), "postgres", private_place(s, &s->children[0]));
        }
    }
    if (rc == WEIR_OK && app->own_redis) {
        rc = start_redis(s, &s->redis_uri, err);
        if (rc == WEIR_OK) {
            say("✓", cli_green(), "redis", s->redis_uri);
        }
    }
    return rc == WEIR_OK ? write_run_ini(app, s->pg_uri, s->redis_uri, err) : rc;
}

/* Deploys through a process of its own, so that its words and exit code are those of `weir deploy`.
 */
static weir_rc deploy(cli_supervisor *s, weir_error *err)
{
    cli_app *app = s->app;
    cli_child c;
    cli_child_init(&c, "deploy", weir_arena_printf(app->a, "%s/deploy.log", app->log_dir));
    (void)unlink(c.log);
    const char *const args[] = {cli_program(app->a, "weir"), "deploy", app->dir, "--no-wait",
                                "--services"};
    for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
        cli_child_arg(&c, args[i]);
    }
    weir_rc rc = cli_child_start(&c, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    while (!cli_child_ended(&c)) {
        struct pollfd p = {.fd = c.pidfd, .events = POLLIN};
        (void)poll(&p, c.pidfd >= 0 ? 1 : 0, 100);
    }
    weir_slice log = {0};
    weir_error ignored = {0};
    if (weir_file_read(c.log, 1 << 20, app->a, &log, &ignored) == WEIR_OK && log.n > 0) {
        (void)printf(WEIR_SLICE_FMT, WEIR_SLICE_ARG(log));
        (void)fflush(stdout);
    }
    if (WIFEXITED(c.last_status) && WEXITSTATUS(c.last_status) == CLI_NO_DATABASE) {
        return weir_fail(err, WEIR_E_STATE, 0,
                         "the services could not work on this PostgreSQL, so they were not "
                         "started; mend what is said above, then again: weir up %s",
                         app->dir_word);
    }
    if (c.last_status != 0) {
        say("!", cli_yellow(), "deploy",
            "this app is not deployed yet; everything starts all the same:");
        (void)printf("               mend what is said above, then run: weir deploy %s\n",
                     app->dir_word);
    }
    (void)fflush(stdout);
    return WEIR_OK;
}

static const char *service_port_url(const cli_app *app, const char *name)
{
    const char *url = name[0] == 'w'   ? cli_app_write_url(app)
                      : name[0] == 'r' ? cli_app_read_url(app)
                      : name[0] == 'b' ? cli_app_bridge_url(app)
                                       : cli_app_projector_url(app);
    return weir_arena_printf(app->a, "%s/readyz", url);
}

static weir_rc start_services(cli_supervisor *s, weir_error *err)
{
    static const char *const names[] = {"bridge", "projector", "write", "read"};
    cli_app *app = s->app;
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && rc == WEIR_OK; i++) {
        cli_child *c = &s->children[s->n++];
        cli_child_init(c, names[i], weir_arena_printf(app->a, "%s/%s.log", app->log_dir, names[i]));
        const char *binary = NULL;
        rc = cli_program_find(app->a, weir_arena_printf(app->a, "weir-%s", names[i]), &binary, err);
        if (rc != WEIR_OK) {
            s->n--;
            return rc;
        }
        cli_child_arg(c, binary);
        const char *const args[] = {"--config",  app->ini ? app->ini : app->run_ini,
                                    "--overlay", app->run_ini,
                                    "--app",     app->dir};
        for (size_t k = 0; k < sizeof args / sizeof *args; k++) {
            cli_child_arg(c, args[k]);
        }
        c->ready_url = service_port_url(app, names[i]);
        rc = start_child(s, c, err);
    }
    return rc;
}

static void revive(cli_supervisor *s, cli_child *c)
{
    weir_error err = {0};
    if (cli_child_ended(c)) {
        (void)printf("  %s!%s %-10s ended (%s): %s\n", cli_yellow(), cli_plain(), c->name,
                     cli_child_how(c, s->app->a), cli_child_last_line(c, s->app->a));
        (void)fflush(stdout);
        write_up_json(s);
    }
    if (c->pid == 0 && weir_mono_ms() >= c->restart_at_ms) {
        c->restarts++;
        if (cli_child_start(c, &err) == WEIR_OK) {
            (void)printf("  %s↻%s %-10s started again (restart %d)\n", cli_yellow(), cli_plain(),
                         c->name, c->restarts);
        } else {
            (void)printf("  %s✗%s %-10s %s\n", cli_red(), cli_plain(), c->name, err.msg);
            c->restart_at_ms = weir_mono_ms() + weir_backoff_next_ms(&c->backoff);
        }
        (void)fflush(stdout);
        write_up_json(s);
    }
}

static void revive_all(cli_supervisor *s)
{
    for (int i = 0; i < s->n; i++) {
        revive(s, &s->children[i]);
    }
}

/* Another process, perhaps of another `weir up`, may have taken the port since it was chosen. */
static bool is_of(const weir_curl_response *r, const cli_child *c)
{
    char pid[32];
    int n = snprintf(pid, sizeof pid, "\"pid\":%d,", (int)c->pid);
    return c->pid != 0 && r->body.n > 0 && memmem(r->body.p, r->body.n, pid, (size_t)n) != NULL;
}

static bool port_taken(const cli_child *c, weir_arena *a)
{
    const char *line = cli_child_last_line(c, a);
    return c->restarts > 0 && strcasestr(line, "address ") && strcasestr(line, "in use");
}

/* What /readyz says it waits for: the lines before its JSON, as one. */
static const char *waits(weir_arena *a, weir_slice body)
{
    const char *all = "";
    while (body.n > 0 && body.p[0] != '{') {
        const char *end = memchr(body.p, '\n', body.n);
        size_t n = end ? (size_t)(end - body.p) : body.n;
        all = weir_arena_printf(a, "%s%s%.*s", all, all[0] ? "; " : "", (int)n, body.p);
        body = weir_slice_of(body.p + n + (end ? 1 : 0), body.n - n - (end ? 1 : 0));
    }
    return all;
}

struct told {
    char text[400];
    int64_t at_ms;
};

/* Once, and then when it changes; a number that moves is not told more often than this. */
static void tell_wait(const char *name, const char *text, struct told *t)
{
    int64_t now = weir_mono_ms();
    bool same = strncmp(t->text, text, sizeof t->text - 1) == 0;
    if (!same && (t->at_ms == 0 || now > t->at_ms + TELL_EVERY_MS)) {
        say("…", cli_dim(), name, text);
        (void)snprintf(t->text, sizeof t->text, "%s", text);
        t->at_ms = now;
    }
}

/* Waits for /readyz; services that die meanwhile are started again, as later. WEIR_E_CONFLICT: its
 * port is taken. */
static weir_rc wait_ready(cli_supervisor *s, cli_child *c, weir_error *err)
{
    int64_t t0 = weir_mono_ms();
    struct told t = {.text = ""};
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = WEIR_E_AGAIN;
    while (rc == WEIR_E_AGAIN) {
        weir_curl_response r = {0};
        weir_error ignored = {0};
        weir_arena_reset(a);
        revive_all(s);
        bool answers = weir_curl("GET", c->ready_url, NULL, (weir_slice){0}, 2000, a, &r,
                                 &ignored) == WEIR_OK &&
                       is_of(&r, c);
        int64_t now = weir_mono_ms();
        if (answers && r.status == 200) {
            rc = WEIR_OK;
        } else if (!answers && port_taken(c, a)) {
            rc = weir_fail(err, WEIR_E_CONFLICT, 0, "%s: its port is taken; see %s", c->name,
                           c->log);
        } else if (s->stopping) {
            rc = weir_fail(err, WEIR_E_STATE, 0, "stopped before %s was ready", c->name);
        } else if (now > t0 + READY_WAIT_MS) {
            rc = weir_fail(err, WEIR_E_TIMEOUT, 0, "%s is not ready; see %s", c->name, c->log);
        } else if (now > t0 + TELL_AFTER_MS) {
            tell_wait(c->name, answers ? waits(a, r.body) : "starting", &t);
        }
        if (rc == WEIR_E_AGAIN) {
            weir_loop_turn(s->loop, 25);
        }
    }
    weir_arena_free(a);
    return rc;
}

static void stop_all(cli_supervisor *s)
{
    for (int i = s->n - 1; i >= 0; i--) {
        cli_child_stop(&s->children[i], STOP_MS);
    }
    write_up_json(s);
    (void)unlink(s->app->run_ini);
}

static void on_signal(void *arg)
{
    cli_supervisor *s = arg;
    s->stopping = true;
    weir_loop_stop(s->loop);
}

static void on_tick(void *arg)
{
    cli_supervisor *s = arg;
    if (!s->stopping) {
        revive_all(s);
    }
}

static weir_rc wait_services(cli_supervisor *s, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (int i = 0; i < s->n && rc == WEIR_OK; i++) {
        if (s->children[i].ready_url) {
            rc = wait_ready(s, &s->children[i], err);
            weir_loop_turn(s->loop, 0);
            if (rc == WEIR_OK) {
                say("✓", cli_green(), s->children[i].name, "ready");
            }
        }
    }
    return rc;
}

/* With other ports when somebody was faster. */
static weir_rc bring_up(cli_supervisor *s, weir_error *err)
{
    int servers = s->n;
    for (int try = 1;; try++) {
        weir_rc rc = start_services(s, err);
        rc = rc == WEIR_OK ? wait_services(s, err) : rc;
        if (rc != WEIR_E_CONFLICT || try == PORT_TRIES || s->stopping) {
            return rc;
        }
        while (s->n > servers) {
            cli_child_stop(&s->children[--s->n], STOP_MS);
        }
        rc = write_run_ini(s->app, s->pg_uri, s->redis_uri, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
}

weir_rc cli_supervisor_start(cli_supervisor *s, cli_app *app, weir_error *err)
{
    memset(s, 0, sizeof *s);
    s->app = app;
    weir_rc rc = weir_loop_new(&s->loop, err);
    rc = rc == WEIR_OK ? weir_loop_signals(s->loop, on_signal, s, err) : rc;
    rc = rc == WEIR_OK ? start_servers(s, err) : rc;
    if (rc == WEIR_OK) {
        rc = deploy(s, err);
        rc = rc == WEIR_OK ? bring_up(s, err) : rc;
    }
    if (rc != WEIR_OK) {
        stop_all(s);
    }
    return rc;
}

void cli_supervisor_run(cli_supervisor *s)
{
    s->tick = weir_loop_timer_new(s->loop, on_tick, s);
    weir_loop_timer_arm(s->tick, TICK_MS, true);
    if (!s->stopping) {
        weir_loop_run(s->loop);
    }
    (void)printf("  stopping\n");
    (void)fflush(stdout);
    stop_all(s);
    weir_loop_timer_free(s->tick);
    weir_loop_free(s->loop);
}
