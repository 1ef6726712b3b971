/* sync.c - `weir sync SYNC.ini`: bridges and weir-sync as one, and what they say. */
#include <stdio.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/crew.h"
#include "cli/detach.h"
#include "cli/program.h"
#include "cli/servers.h"
#include "cli/source_bridge.h"
#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "libweir/io/curl.h"
#include "libweir/io/pg.h"
#include "migrations/sync/apply.h"
#include "migrations/sync/conf.h"

enum { BRIDGE_WAIT_MS = 600000, READY_WAIT_MS = 120000, ASK_MS = 3000, TELL_MS = 2000 };

typedef struct sync_cmd {
    weir_arena *a;
    const char *ini, *dir, *log;
    bool json, detach;
    sync_conf conf;
    cli_crew crew;
    weir_feed_table *tables, *back;
    size_t ntables;
    const char *feeds[2];
} sync_cmd;

static void say(const char *mark, const char *colour, const char *name, const char *text)
{
    (void)printf("  %s%s%s %-14s %s\n", colour, mark, cli_plain(), name, text);
    (void)fflush(stdout);
}

/* --- start ----------------------------------------------------------------------------------- */

static weir_rc find_tables(sync_cmd *s, weir_error *err)
{
    sync_name *names = NULL;
    weir_rc rc = sync_conf_resolve(&s->conf, s->a, &names, &s->ntables, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    s->tables = WEIR_ARENA_ARRAY(s->a, weir_feed_table, s->ntables);
    s->back = WEIR_ARENA_ARRAY(s->a, weir_feed_table, s->ntables);
    for (size_t i = 0; i < s->ntables; i++) {
        weir_slice schema = weir_slice_z(names[i].schema);
        weir_slice name = weir_slice_z(names[i].name);
        const sync_table_conf *t = sync_conf_table(&s->conf, schema, name);
        s->tables[i] = (weir_feed_table){schema, name};
        s->back[i] = (weir_feed_table){t ? weir_slice_z(t->to_schema) : schema,
                                       t ? weir_slice_z(t->to_name) : name};
    }
    return WEIR_OK;
}

/* A section of no table changes nothing: mostly a slip of the pen, and sometimes of a table that is
 * still to come. */
static void tell_unused_sections(const sync_cmd *s)
{
    const char **names = WEIR_ARENA_ARRAY(s->a, const char *, s->ntables);
    for (size_t k = 0; k < s->ntables; k++) {
        names[k] = weir_arena_printf(s->a, WEIR_SLICE_FMT "." WEIR_SLICE_FMT,
                                     WEIR_SLICE_ARG(s->tables[k].schema),
                                     WEIR_SLICE_ARG(s->tables[k].name));
    }
    for (size_t i = 0; i < s->conf.ntables; i++) {
        const char *said =
            weir_arena_printf(s->a, "%s.%s", s->conf.table[i].schema, s->conf.table[i].name);
        bool used = false;
        for (size_t k = 0; k < s->ntables && !used; k++) {
            used = strcmp(names[k], said) == 0;
        }
        const char *near = used ? NULL : weir_nearest(said, names, s->ntables);
        if (!used) {
            say("!", cli_yellow(), "tables",
                weir_arena_printf(s->a, "[table %s] is of none of the synced tables%s%s%s", said,
                                  near ? "; did you mean " : "", near ? near : "",
                                  near ? "?" : ""));
        }
    }
}

static cli_source source_of(const sync_cmd *s, bool back)
{
    const sync_side_conf *side = back ? &s->conf.target : &s->conf.source;
    return (cli_source){.label = back ? "target" : "source",
                        .uri = side->uri,
                        .dir = weir_arena_printf(s->a, "%s/%s", s->dir, back ? "target" : "source"),
                        .slot = side->slot,
                        .publication = side->publication,
                        .tables = back ? s->back : s->tables,
                        .ntables = s->ntables,
                        .log_level = s->conf.log_level};
}

static bool turn(void *arg)
{
    return cli_crew_turn(arg, 0);
}

static void tell_bridge(void *arg, const char *text)
{
    (void)arg;
    say("…", cli_dim(), "bridge", text);
}

static weir_rc start_bridge(sync_cmd *s, bool back, weir_error *err)
{
    const sync_side_conf *side = back ? &s->conf.target : &s->conf.source;
    cli_source src = source_of(s, back);
    if (side->feed) {
        s->feeds[back] = side->feed;
        return WEIR_OK;
    }
    cli_child *child = &s->crew.children[s->crew.n];
    weir_rc rc = cli_source_publish(&src, err);
    rc = rc == WEIR_OK ? cli_source_bridge_init(&src, s->a, child, &s->feeds[back], err) : rc;
    if (rc != WEIR_OK) {
        return rc;
    }
    s->crew.n++;
    cli_source_wait w = {.turn = turn, .tell = tell_bridge, .arg = &s->crew};
    rc = cli_crew_start(&s->crew, child, err);
    rc = rc == WEIR_OK ? cli_source_bridge_wait(&src, s->feeds[back], &w, BRIDGE_WAIT_MS, err) : rc;
    if (rc == WEIR_OK) {
        say("✓", cli_green(), child->name, weir_uri_safe(s->a, side->uri));
    }
    return rc;
}

static weir_rc start_sync(sync_cmd *s, weir_error *err)
{
    cli_child *c = &s->crew.children[s->crew.n];
    int port = s->conf.port ? s->conf.port : cli_free_port(0);
    const char *binary = NULL;
    weir_rc rc = cli_program_find(s->a, "weir-sync", &binary, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    s->crew.url = weir_arena_printf(s->a, "http://127.0.0.1:%d", port);
    cli_child_init(c, "sync", weir_arena_printf(s->a, "%s/sync.log", s->dir));
    const char *const args[] = {binary,
                                "--config",
                                s->ini,
                                "--state",
                                s->dir,
                                "--port",
                                weir_arena_printf(s->a, "%d", port)};
    for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
        cli_child_arg(c, args[i]);
    }
    if (s->feeds[0]) { /* a folder has none */
        cli_child_arg(c, "--feed");
        cli_child_arg(c, s->feeds[0]);
    }
    if (s->feeds[1]) {
        cli_child_arg(c, "--back-feed");
        cli_child_arg(c, s->feeds[1]);
    }
    s->crew.n++;
    return cli_crew_start(&s->crew, c, err);
}

static bool fetch_status(weir_arena *a, const char *url, weir_json **j, weir_slice *body)
{
    weir_error err;
    weir_curl_response r = {0};
    *j = NULL;
    if (weir_curl("GET", weir_arena_printf(a, "%s/status", url), NULL, (weir_slice){0}, ASK_MS, a,
                  &r, &err) != WEIR_OK ||
        r.status != 200 || weir_json_parse(j, r.body, &err) != WEIR_OK) {
        return false;
    }
    *body = r.body;
    return true;
}

static const char *text_of(weir_arena *a, const weir_json *j, const char *key)
{
    weir_slice v;
    return weir_json_str(j, key, &v) ? weir_arena_dupz(a, v) : "";
}

static int64_t number(const weir_json *j, const char *key)
{
    int64_t v = 0;
    return weir_json_i64(j, key, &v) ? v : 0;
}

/* true: every flow runs, is paused, or the copy has begun. *failed: one has given up. */
static bool is_up(weir_arena *a, const weir_json *j, const char **failed)
{
    const weir_json *flows = weir_json_get(j, "flows");
    const weir_json *copy = weir_json_get(j, "copy");
    bool up = true;
    for (size_t i = 0; i < weir_json_len(flows); i++) {
        const weir_json *f = weir_json_at(flows, i);
        const char *state = text_of(a, f, "state");
        if (strcmp(state, "failed") == 0) {
            *failed = text_of(a, f, "reason");
        }
        up = up && (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0);
    }
    return up || number(copy, "tables") > 0;
}

static weir_rc wait_up(sync_cmd *s, weir_error *err)
{
    int64_t until = weir_mono_ms() + READY_WAIT_MS;
    int64_t told = weir_mono_ms();
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = WEIR_E_AGAIN;
    while (rc == WEIR_E_AGAIN) {
        weir_json *j = NULL;
        weir_slice body;
        const char *failed = NULL;
        const char *phase = "starting";
        weir_arena_reset(a);
        if (fetch_status(a, s->crew.url, &j, &body)) {
            bool up = is_up(a, j, &failed);
            phase = text_of(a, j, "phase");
            rc = failed ? weir_fail(err, WEIR_E_STATE, 0, "%s", failed) : up ? WEIR_OK : rc;
        }
        weir_json_free(j);
        if (rc == WEIR_E_AGAIN && weir_mono_ms() > until) {
            rc = weir_fail(err, WEIR_E_TIMEOUT, 0, "it does not begin: %s; see %s/sync.log",
                           phase[0] ? phase : "starting", s->dir);
        }
        if (rc == WEIR_E_AGAIN && phase[0] && weir_mono_ms() > told + TELL_MS) {
            told = weir_mono_ms();
            say("…", cli_dim(), "sync", phase);
        }
        if (rc == WEIR_E_AGAIN && !cli_crew_turn(&s->crew, 50)) {
            rc = weir_fail(err, WEIR_E_EOF, 0, "stopped");
        }
    }
    weir_arena_free(a);
    return rc;
}

/* What only an operator can mend is said before anything is begun: a slot nobody reads keeps the
 * source's WAL. A target that is away for now is waited for later. */
static weir_rc look_at_target(const sync_cmd *s, weir_error *err)
{
    weir_pg *pg = NULL;
    weir_pg_conf conf = {.uri = s->conf.target.uri, .application_name = "weir"};
    if (s->conf.lake) {
        return WEIR_OK;
    }
    weir_rc rc = weir_pg_open(&pg, &conf, err);
    weir_pg_close(pg);
    if (rc == WEIR_OK || (err->flags & WEIR_EF_RETRY)) {
        return WEIR_OK;
    }
    weir_error_wrap(err, "the target");
    return rc;
}

static weir_rc start_all(sync_cmd *s, weir_error *err)
{
    weir_rc rc = look_at_target(s, err);
    if (rc == WEIR_OK && !s->conf.folder) {
        rc = find_tables(s, err);
        if (rc == WEIR_OK) {
            tell_unused_sections(s);
        }
        rc = rc == WEIR_OK ? start_bridge(s, false, err) : rc;
    }
    if (rc == WEIR_OK && s->conf.both) {
        rc = start_bridge(s, true, err);
    }
    rc = rc == WEIR_OK ? start_sync(s, err) : rc;
    return rc == WEIR_OK ? wait_up(s, err) : rc;
}

static int supervise(void *arg, int ready_fd)
{
    sync_cmd *s = arg;
    weir_error err = {.code = WEIR_OK};
    weir_rc rc = cli_crew_open(&s->crew, s->a, s->dir, &err);
    if (rc != WEIR_OK) {
        return cli_fail("sync", &err);
    }
    (void)printf("%sweir sync%s %s (%s)\n", cli_bold(), cli_plain(), s->conf.name,
                 s->conf.both ? "both ways" : "one way");
    (void)fflush(stdout);
    rc = start_all(s, &err);
    if (rc == WEIR_OK) {
        say("✓", cli_green(), "sync",
            s->conf.folder ? weir_arena_printf(s->a, "files of %s; state in %s",
                                               s->conf.folder->load.dir, s->dir)
                           : weir_arena_printf(s->a, "%zu table%s; state in %s", s->ntables,
                                               s->ntables == 1 ? "" : "s", s->dir));
        if (ready_fd >= 0) {
            cli_detach_ready(ready_fd, s->log);
        } else {
            (void)printf(
                "\n  Ctrl-C stops it; what was not brought over waits for the next start\n");
            (void)fflush(stdout);
        }
        cli_crew_run(&s->crew);
        (void)printf("  stopping\n");
        (void)fflush(stdout);
    }
    cli_crew_close(&s->crew);
    return rc == WEIR_OK ? 0 : cli_fail("sync", &err);
}

/* --- the other verbs ------------------------------------------------------------------------- */

static int show_stopped(const sync_cmd *s)
{
    if (s->json) {
        (void)printf("{\"name\":\"%s\",\"running\":false}\n", s->conf.name);
    } else {
        (void)printf("%s does not run; start it with: weir sync %s --detach\n", s->conf.name,
                     s->ini);
    }
    return 1;
}

static void show_folder(const weir_json *f)
{
    (void)printf(
        "\n    %lld files with %lld rows loaded since the start, %lld rows rejected; %lld files "
        "wait, %lld were refused\n",
        (long long)number(f, "files"), (long long)number(f, "rows"),
        (long long)number(f, "rejects"), (long long)number(f, "waiting"),
        (long long)number(f, "refused"));
}

static void show_lake(const weir_json *f)
{
    (void)printf("    %lld rows in %lld files since the start, %lld rows are not in files yet",
                 (long long)number(f, "rows"), (long long)number(f, "files"),
                 (long long)number(f, "waiting_rows"));
    if (number(f, "tables") > 0) {
        (void)printf("; %lld of %lld tables copied", (long long)number(f, "copied"),
                     (long long)number(f, "tables"));
    }
    (void)printf("\n");
}

static void show_flow(weir_arena *a, const weir_json *f)
{
    bool caught_up = false;
    const char *state = text_of(a, f, "state");
    const char *reason = text_of(a, f, "reason");
    (void)weir_json_bool(f, "caught_up", &caught_up);
    const char *colour = strcmp(state, "running") == 0  ? cli_green()
                         : strcmp(state, "failed") == 0 ? cli_red()
                                                        : cli_yellow();
    (void)printf("  %s → %-8s %s%s%s", text_of(a, f, "from"), text_of(a, f, "to"), colour, state,
                 cli_plain());
    if (weir_json_get(f, "refused")) {
        show_folder(f);
    } else if (caught_up) {
        (void)printf(" at %s, caught up\n", text_of(a, f, "position"));
    } else {
        (void)printf(" at %s, %lld bytes and %lld ms behind\n", text_of(a, f, "position"),
                     (long long)number(f, "lag_bytes"), (long long)number(f, "lag_ms"));
    }
    if (reason[0] && strcmp(state, "paused") != 0) {
        (void)printf("    %s\n", reason);
    }
    if (weir_json_get(f, "waiting_rows")) {
        show_lake(f);
    }
    if (!weir_json_get(f, "groups")) {
        return;
    }
    (void)printf("    %lld transactions in %lld groups: %lld inserted, %lld updated, %lld deleted, "
                 "%lld truncates; %lld conflicts\n",
                 (long long)number(f, "transactions"), (long long)number(f, "groups"),
                 (long long)number(f, "inserted"), (long long)number(f, "updated"),
                 (long long)number(f, "deleted"), (long long)number(f, "truncated"),
                 (long long)number(f, "conflicts"));
    if (number(f, "orphans") > 0) {
        (void)printf("    %s%lld rows refer to rows that the other side deleted%s: SELECT * FROM "
                     "weir_sync.conflict WHERE kind = 'orphan' in the %s\n",
                     cli_yellow(), (long long)number(f, "orphans"), cli_plain(),
                     text_of(a, f, "to"));
    }
}

static int show_status(sync_cmd *s)
{
    int pid = 0;
    const char *url = "";
    weir_json *j = NULL;
    weir_slice body;
    const char *failed = NULL;
    if (!cli_crew_info(s->dir, s->a, &pid, &url)) {
        return show_stopped(s);
    }
    if (!url[0] || !fetch_status(s->a, url, &j, &body)) {
        (void)fprintf(stderr, "weir sync: weir-sync does not answer (yet); see %s/sync.log\n",
                      s->dir);
        return 1;
    }
    bool up = is_up(s->a, j, &failed);
    if (s->json) {
        (void)printf(WEIR_SLICE_FMT "\n", WEIR_SLICE_ARG(body));
    } else {
        const weir_json *copy = weir_json_get(j, "copy");
        const weir_json *flows = weir_json_get(j, "flows");
        const char *phase = text_of(s->a, j, "phase");
        (void)printf("%s%s%s%s%s\n", cli_bold(), s->conf.name, cli_plain(), phase[0] ? ": " : "",
                     phase);
        if (phase[0] && number(copy, "tables") > 0) {
            (void)printf(
                "  copy           %lld of %lld tables, %lld of about %lld rows, %lld rows/s\n",
                (long long)number(copy, "tables_done"), (long long)number(copy, "tables"),
                (long long)number(copy, "rows"), (long long)number(copy, "rows_total"),
                (long long)number(copy, "rows_per_s"));
        }
        for (size_t i = 0; i < weir_json_len(flows); i++) {
            show_flow(s->a, weir_json_at(flows, i));
        }
    }
    weir_json_free(j);
    return up && !failed ? 0 : 1;
}

static int set_paused(sync_cmd *s, bool paused)
{
    weir_error err = {.code = WEIR_OK};
    const char *path = weir_arena_printf(s->a, "%s/paused", s->dir);
    weir_rc rc = WEIR_OK;
    if (access(s->dir, F_OK) != 0) {
        rc = weir_fail(&err, WEIR_E_NOTFOUND, 0, "it was never started: there is no %s", s->dir);
    } else if (paused) {
        rc = weir_file_write(path, WEIR_SLICE_LIT("paused by weir sync\n"), 0600, &err);
    } else if (unlink(path) != 0 && access(path, F_OK) == 0) {
        rc = weir_fail_errno(&err, "cannot remove %s", path);
    }
    if (rc != WEIR_OK) {
        return cli_fail("sync", &err);
    }
    (void)printf("%s is %s%s\n", s->conf.name, paused ? "paused" : "not paused any more",
                 cli_crew_running(s->dir) ? "" : " (it does not run)");
    return 0;
}

static int stop(sync_cmd *s)
{
    weir_error err = {.code = WEIR_OK};
    if (!cli_crew_running(s->dir)) {
        (void)printf("%s does not run\n", s->conf.name);
        return 0;
    }
    if (cli_crew_end(s->dir, &err) != WEIR_OK) {
        return cli_fail("sync", &err);
    }
    (void)printf("%s is stopped; the slot keeps what comes meanwhile\n", s->conf.name);
    return 0;
}

static weir_rc forget_position(sync_cmd *s, bool back, weir_error *err)
{
    return sync_flow_forget(back ? s->conf.source.uri : s->conf.target.uri,
                            weir_arena_printf(s->a, "%s%s", s->conf.name, back ? "_back" : ""),
                            err);
}

/* Slots, publications, positions: nothing of it stays in either database but the history. */
static int forget(sync_cmd *s)
{
    weir_error err = {.code = WEIR_OK};
    if (cli_crew_running(s->dir)) {
        (void)fprintf(stderr, "weir sync: it runs; stop it first: weir sync %s stop\n", s->ini);
        return 1;
    }
    weir_rc rc = WEIR_OK;
    if (s->conf.folder) {
        (void)printf(
            "%s loads files: what it loaded is in weir_sync.file of the target; delete rows there "
            "to load files again\n",
            s->conf.name);
        return 0;
    }
    for (int back = 0; rc == WEIR_OK && back <= (s->conf.both ? 1 : 0); back++) {
        cli_source src = source_of(s, back == 1);
        if (!(back ? s->conf.target.feed : s->conf.source.feed)) {
            rc = cli_source_drop(&src, &err);
            rc = rc == WEIR_OK ? cli_source_forget(&src, &err) : rc;
        }
        /* A lake keeps its own position, in its manifest. */
        rc = rc == WEIR_OK && !s->conf.lake ? forget_position(s, back == 1, &err) : rc;
    }
    if (rc != WEIR_OK) {
        return cli_fail("sync", &err);
    }
    (void)unlink(weir_arena_printf(s->a, "%s/paused", s->dir));
    (void)printf("slots, publications and positions of %s are gone, its logs are in %s; the next "
                 "start begins anew%s%s\n",
                 s->conf.name, s->dir, s->conf.lake ? ", in another folder than " : "",
                 s->conf.lake ? s->conf.lake->dir : "");
    return 0;
}

static int run_verb(sync_cmd *s, const char *verb)
{
    static const char *const verbs[] = {"start", "status", "pause", "resume", "stop", "forget"};
    if (strcmp(verb, "start") == 0) {
        return s->detach ? cli_detach(supervise, s) : supervise(s, -1);
    }
    if (strcmp(verb, "status") == 0) {
        return show_status(s);
    }
    if (strcmp(verb, "pause") == 0 || strcmp(verb, "resume") == 0) {
        return set_paused(s, verb[0] == 'p');
    }
    if (strcmp(verb, "stop") == 0) {
        return stop(s);
    }
    if (strcmp(verb, "forget") == 0) {
        return forget(s);
    }
    const char *near = weir_nearest(verb, verbs, sizeof verbs / sizeof *verbs);
    (void)fprintf(stderr, "weir sync: there is no %s%s%s%s; see weir sync --help\n", verb,
                  near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return 2;
}

int cli_sync(int argc, char **argv)
{
    sync_cmd s = {.ini = NULL};
    weir_error err = {.code = WEIR_OK};
    const char *words[2];
    int n = 0;
    const cli_flag flags[] = {{"--json", NULL, &s.json}, {"--detach", NULL, &s.detach}};
    if (!cli_args("sync", argc, argv, flags, 2, words, 2, &n)) {
        return 2;
    }
    if (n == 0) {
        (void)fprintf(stderr, "weir sync: which SYNC.ini? See weir sync --help\n");
        return 2;
    }
    s.a = weir_arena_new(0);
    s.ini = words[0];
    s.dir = cli_crew_dir(s.a, s.ini);
    s.log = weir_arena_printf(s.a, "%s/supervisor.log", s.dir);
    int rc = sync_conf_load(&s.conf, s.ini, s.a, &err) == WEIR_OK
                 ? run_verb(&s, n > 1 ? words[1] : "start")
                 : cli_fail("sync", &err);
    weir_arena_free(s.a);
    return rc;
}
