/* migrate.c - `weir migrate`: the bridge of the source and the process that migrates, side by side.
 *
 * `run` keeps both alive until the cut-over; verify and cutover need somebody who follows the
 * source, and bring both up for as long as they take when nobody does. Everything else is one call
 * of weir-migrate. State of the bridge: MAPPING.ini.weir/, one process per mapping by its lock.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/program.h"
#include "cli/source_bridge.h"
#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "migrations/migrate/mapping.h"

enum { EXIT_STOPPED = 3, STREAM_MS = 600000, STOP_MS = 15000, TICK_MS = 50, ARGS_MAX = 16 };

typedef struct migrate {
    weir_arena *a;
    const char *file, *verb;
    const char *program, *dir;
    mig_mapping *m;
    const char *feed;
    cli_source source;
    cli_child bridge;
    pid_t runner; /* weir-migrate … run */
    int runner_status;
    weir_backoff backoff;
    int64_t restart_at_ms;
    bool json, yes, restart, dry_run;
    const char *rate;
    int lock;
} migrate;

static volatile sig_atomic_t stopping;

static void on_signal(int sig)
{
    (void)sig;
    stopping = 1;
}

/* weir-migrate with our terminal; it ends with us. */
static pid_t spawn(const migrate *g, const char *verb)
{
    const char *argv[ARGS_MAX] = {g->program, g->file, verb};
    int n = 3;
    if (g->feed) {
        argv[n++] = "--feed";
        argv[n++] = g->feed;
    }
    if (g->json) {
        argv[n++] = "--json";
    }
    if (g->yes) {
        argv[n++] = "--yes";
    }
    if (g->restart) {
        argv[n++] = "--restart";
    }
    if (g->rate) {
        argv[n++] = "--rate";
        argv[n++] = g->rate;
    }
    (void)fflush(stdout);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(126);
    }
    execv(g->program, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static int exit_code(const migrate *g, int status)
{
    if (WIFEXITED(status)) {
        if (WEXITSTATUS(status) == 127) {
            (void)fprintf(stderr, "weir migrate: %s could not be executed\n", g->program);
        }
        return WEXITSTATUS(status);
    }
    (void)fprintf(stderr, "weir migrate: weir-migrate ended by signal %d\n", WTERMSIG(status));
    return 1;
}

/* One call to its end. */
static int call(const migrate *g, const char *verb)
{
    pid_t pid = spawn(g, verb);
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        (void)fprintf(stderr, "weir migrate: cannot start %s\n", g->program);
        return 1;
    }
    return exit_code(g, status);
}

static bool held_by_other(migrate *g)
{
    g->lock = open(weir_arena_printf(g->a, "%s/lock", g->dir), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return g->lock < 0 || flock(g->lock, LOCK_EX | LOCK_NB) != 0;
}

/* The source tables, each once. */
static weir_rc source_tables(migrate *g, weir_error *err)
{
    weir_feed_table *tables = WEIR_ARENA_ARRAY(g->a, weir_feed_table, (size_t)g->m->ntables + 1);
    size_t n = 0;
    for (int i = 0; i < g->m->ntables; i++) {
        const char *schema = NULL, *name = NULL;
        if (!mig_name_split(g->a, g->m->tables[i].from.z, &schema, &name)) {
            return weir_fail(err, WEIR_E_INPUT, 0, "%s is no name of a table",
                             g->m->tables[i].from.z);
        }
        weir_feed_table t = {weir_slice_z(schema ? schema : "public"), weir_slice_z(name)};
        bool known = false;
        for (size_t k = 0; k < n && !known; k++) {
            known =
                weir_slice_eq(tables[k].schema, t.schema) && weir_slice_eq(tables[k].name, t.name);
        }
        if (!known) {
            tables[n++] = t;
        }
    }
    const char *name = weir_arena_printf(g->a, "weir_migrate_%s", g->m->name.z);
    g->source = (cli_source){.label = "source",
                             .uri = g->m->source_uri.z,
                             .dir = g->dir,
                             .slot = name,
                             .publication = name,
                             .tables = tables,
                             .ntables = n};
    return WEIR_OK;
}

static bool turn(void *arg)
{
    migrate *g = arg;
    return !stopping && !cli_child_ended(&g->bridge);
}

static void tell(void *arg, const char *text)
{
    const migrate *g = arg;
    if (!g->json && text && text[0]) {
        (void)printf("source: %s\n", text);
        (void)fflush(stdout);
    }
}

static weir_rc start_bridge(migrate *g, weir_error *err)
{
    if (g->m->source_feed.z) {
        g->feed = g->m->source_feed.z;
        return WEIR_OK;
    }
    weir_rc rc = source_tables(g, err);
    rc = rc == WEIR_OK ? cli_source_publish(&g->source, err) : rc;
    rc = rc == WEIR_OK ? cli_source_bridge_init(&g->source, g->a, &g->bridge, &g->feed, err) : rc;
    rc = rc == WEIR_OK ? cli_child_start(&g->bridge, err) : rc;
    cli_source_wait w = {turn, tell, g};
    rc = rc == WEIR_OK ? cli_source_bridge_wait(&g->source, g->feed, &w, STREAM_MS, err) : rc;
    if (rc == WEIR_E_EOF && !stopping) {
        rc = weir_fail(err, WEIR_E_STATE, 0, "the bridge of the source ended: %s",
                       cli_child_last_line(&g->bridge, g->a));
    }
    return rc;
}

static void stop_all(migrate *g)
{
    if (g->runner > 0) {
        (void)kill(g->runner, SIGTERM);
        for (int64_t until = weir_mono_ms() + STOP_MS; g->runner > 0; (void)poll(NULL, 0, 20)) {
            if (waitpid(g->runner, &g->runner_status, WNOHANG) == g->runner) {
                g->runner = 0;
            } else if (weir_mono_ms() > until) {
                (void)kill(g->runner, SIGKILL);
            }
        }
    }
    cli_child_stop(&g->bridge, STOP_MS);
}

/* Keeps both alive. true: the runner ended by itself, *code is its exit code. */
static bool tend(migrate *g, int *code)
{
    int64_t now = weir_mono_ms();
    if (g->bridge.name && g->bridge.pid == 0 && now >= g->bridge.restart_at_ms) {
        weir_error err = {0};
        if (cli_child_start(&g->bridge, &err) != WEIR_OK) {
            (void)fprintf(stderr, "weir migrate: %s\n", err.msg);
        }
    } else if (g->bridge.name && cli_child_ended(&g->bridge)) {
        (void)fprintf(stderr, "weir migrate: the bridge ended (%s); it is started again: %s\n",
                      cli_child_how(&g->bridge, g->a), cli_child_last_line(&g->bridge, g->a));
    }
    if (g->runner == 0 && now >= g->restart_at_ms) {
        g->runner = spawn(g, "run");
    } else if (g->runner > 0 && waitpid(g->runner, &g->runner_status, WNOHANG) == g->runner) {
        g->runner = 0;
        if (!WIFSIGNALED(g->runner_status)) {
            *code = exit_code(g, g->runner_status);
            return true;
        }
        (void)fprintf(stderr, "weir migrate: weir-migrate ended by signal %d; it goes on\n",
                      WTERMSIG(g->runner_status));
        g->restart_at_ms = now + weir_backoff_next_ms(&g->backoff);
    }
    return false;
}

/* After the cut-over nobody reads the source's log again: its slot would hold back WAL for ever. */
static int drop_source(migrate *g)
{
    weir_error err = {0};
    if (g->m->source_feed.z) {
        return 0;
    }
    if (cli_source_drop(&g->source, &err) != WEIR_OK) {
        (void)fprintf(stderr, "weir migrate: the source's slot %s stays: %s; drop it by hand\n",
                      g->source.slot, err.msg);
        return 1;
    }
    return 0;
}

/* verb NULL: until the migration is cut over or we are told to stop; else until that call ends. */
static int supervise(migrate *g, const char *verb)
{
    weir_error err = {0};
    int code = 1, status = 0;
    weir_rc rc = start_bridge(g, &err);
    if (rc != WEIR_OK) {
        cli_child_stop(&g->bridge, STOP_MS);
        return stopping ? 0 : cli_fail("migrate", &err);
    }
    bool over = false;
    pid_t task = 0;
    g->runner = spawn(g, "run");
    if (verb) {
        task = spawn(g, verb);
    }
    for (bool done = false; !done; (void)poll(NULL, 0, TICK_MS)) {
        int ended = 0;
        done = tend(g, &ended);
        if (done && !verb) {
            over = ended == 0;
            code = ended == EXIT_STOPPED ? 0 : ended;
        }
        if (task > 0 && waitpid(task, &status, WNOHANG) == task) {
            code = exit_code(g, status);
            over = code == 0 && strcmp(verb, "cutover") == 0;
            done = true;
            task = 0;
        }
        if (stopping) {
            done = true;
            code = verb ? 1 : 0;
        }
    }
    if (task > 0) {
        (void)kill(task, SIGTERM);
        (void)waitpid(task, &status, 0);
    }
    stop_all(g);
    if (stopping && !verb && !g->json) {
        (void)printf("stopped; nothing is lost: weir migrate %s run goes on where it was\n",
                     g->file);
    }
    return over ? drop_source(g) : code;
}

static void remove_folder(const migrate *g)
{
    const char *argv[] = {"rm", "-rf", "--", g->dir, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (pid > 0) {
        (void)waitpid(pid, NULL, 0);
    }
}

/* The target's side first: while it is known there, the source's log is needed. */
static int abort_all(migrate *g)
{
    weir_error err = {0};
    if (held_by_other(g)) {
        (void)fprintf(stderr, "weir migrate: %s runs; stop it first\n", g->m->name.z);
        return 1;
    }
    int code = call(g, "abort");
    if (code != 0 || g->m->source_feed.z) {
        return code;
    }
    weir_rc rc = source_tables(g, &err);
    rc = rc == WEIR_OK ? cli_source_drop(&g->source, &err) : rc;
    if (rc != WEIR_OK) {
        return cli_fail("migrate", &err);
    }
    remove_folder(g);
    return 0;
}

static bool read_mapping(migrate *g)
{
    weir_error err = {0};
    if (mig_mapping_read(g->a, g->file, &g->m, &err) != WEIR_OK) {
        (void)cli_fail("migrate", &err);
        return false;
    }
    if (g->m->nerrors) {
        (void)call(g, "check"); /* says what is wrong, and where */
        return false;
    }
    char *real = realpath(g->file, NULL);
    g->dir = weir_arena_printf(g->a, "%s.weir", real ? real : g->file);
    free(real);
    return weir_mkdirs(g->dir, 0700, &err) == WEIR_OK || cli_fail("migrate", &err) == 0;
}

/* Wrong words are told before anything is opened. */
static bool sensible(const migrate *g)
{
    static const char *const VERBS[] = {"run",    "dry-run", "status",  "pause",
                                        "resume", "verify",  "cutover", "abort"};
    bool known = false;
    int64_t rows = 0;
    for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++) {
        known = known || strcmp(g->verb, VERBS[i]) == 0;
    }
    if (!known) {
        (void)fprintf(stderr, "weir migrate: there is no %s; see weir migrate --help\n", g->verb);
    } else if ((g->rate || g->restart) && strcmp(g->verb, "verify") != 0) {
        (void)fprintf(stderr, "weir migrate: %s is for verify; see weir migrate --help\n",
                      g->rate ? "--rate" : "--restart");
    } else if (g->rate && (!weir_slice_i64(weir_slice_z(g->rate), &rows) || rows < 0)) {
        (void)fprintf(stderr, "weir migrate: --rate must be a number of rows per second\n");
    } else {
        return true;
    }
    return false;
}

static int run_verb(migrate *g)
{
    const char *v = g->verb;
    if (!sensible(g)) {
        return 2;
    }
    if (g->dry_run || strcmp(v, "dry-run") == 0) {
        return call(g, "dry-run");
    }
    bool follow = strcmp(v, "run") == 0 || strcmp(v, "verify") == 0 || strcmp(v, "cutover") == 0;
    if (!follow && strcmp(v, "abort") != 0) {
        return call(g, v); /* status, pause, resume; weir-migrate names what it does not know */
    }
    if (!read_mapping(g)) {
        return 1;
    }
    if (strcmp(v, "abort") == 0) {
        return abort_all(g);
    }
    if (held_by_other(g)) {
        if (strcmp(v, "run") != 0) {
            return call(g, v);
        }
        (void)fprintf(stderr, "weir migrate: %s is run by another process already\n", g->m->name.z);
        return 1;
    }
    /* Nobody follows the source: verify and cutover bring up who does, for a migration that got as
     * far as that, and begin none. */
    bool run = strcmp(v, "run") == 0;
    int code = call(g, run ? "check" : "live");
    return code ? code : supervise(g, run ? NULL : v);
}

int cli_migrate(int argc, char **argv)
{
    migrate g = {.a = weir_arena_new(0), .lock = -1};
    const char *words[2];
    int n = 0;
    const cli_flag flags[] = {{"--dry-run", NULL, &g.dry_run},
                              {"--json", NULL, &g.json},
                              {"--yes", NULL, &g.yes},
                              {"--restart", NULL, &g.restart},
                              {"--rate", &g.rate, NULL}};
    struct sigaction sa = {.sa_handler = on_signal};
    int code = 2;
    weir_backoff_init(&g.backoff, 100, 5000, 0);
    g.bridge.pidfd = -1;
    if (cli_args("migrate", argc, argv, flags, sizeof flags / sizeof *flags, words, 2, &n)) {
        if (n == 0) {
            (void)fprintf(stderr, "weir migrate: name the mapping file; see weir migrate --help\n");
        } else {
            g.file = words[0];
            g.verb = n > 1 ? words[1] : "run";
            g.program = cli_program(g.a, "weir-migrate");
            sigemptyset(&sa.sa_mask);
            (void)sigaction(SIGTERM, &sa, NULL);
            (void)sigaction(SIGINT, &sa, NULL);
            code = run_verb(&g);
        }
    }
    if (g.lock >= 0) {
        close(g.lock);
    }
    weir_arena_free(g.a);
    return code;
}
