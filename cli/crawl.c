/* crawl.c - `weir crawl`: tables that exist are read again into the change log, beside live
 * traffic.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/args.h"
#include "cli/command.h"
#include "libweir/base/buf.h"
#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "libweir/codec/message.h"
#include "libweir/io/sp_client.h"

enum {
    CALL_MS = 10000,
    TABLES_MAX = 64,
    STEP_MS = 200,
    LINE_MS = 2000,
    JSON_MS = 1000,
    BAR = 24,
    PARALLEL = 2,
    CHUNK_MS = 250,
    LOAD_PERCENT = 50,
};

struct crawl {
    cli_app app;
    weir_arena *a; /* one reply */
    weir_feed_req q;
    char id[48];
    bool json, terminal;
    int64_t said_ms;
    char said_state[16];
    char said_waits[200];
};

/* What a status object says, as far as it is shown. */
struct figures {
    const char *state, *error, *waits;
    bool resolved;
    int64_t tables, done, rows, seen, expected, rate, eta_s, elapsed_ms, redone;
    bool has_eta;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

/* --- asking
 * ------------------------------------------------------------------------------------------------------
 */

static weir_rc ask(struct crawl *c, const weir_feed_req *q, weir_slice *status, weir_error *err)
{
    weir_buf req, reply;
    weir_feed_reply r;
    weir_buf_init(&req, 1 << 24);
    weir_buf_init(&reply, WEIR_FEED_REPLY_MAX_BYTES);
    weir_feed_req_encode(&req, q);
    weir_arena_reset(c->a);
    weir_rc rc = weir_sp_call(c->app.s.bridge_feed, weir_buf_slice(&req), CALL_MS, &reply, err);
    weir_slice body =
        rc == WEIR_OK ? weir_arena_dup(c->a, weir_buf_slice(&reply)) : (weir_slice){0};
    rc = rc == WEIR_OK ? weir_feed_reply_decode(body, c->a, &r, err) : rc;
    if (rc == WEIR_OK && !r.ok) {
        rc = weir_fail(err, weir_slice_eqz(r.code, "notready") ? WEIR_E_AGAIN : WEIR_E_STATE, 0,
                       WEIR_SLICE_FMT, WEIR_SLICE_ARG(r.error));
    }
    *status = rc == WEIR_OK ? r.status : (weir_slice){0};
    weir_buf_fini(&req);
    weir_buf_fini(&reply);
    return rc;
}

static bool is_away(weir_rc rc)
{
    return rc == WEIR_E_CONN || rc == WEIR_E_TIMEOUT || rc == WEIR_E_AGAIN;
}

/* --- showing
 * -----------------------------------------------------------------------------------------------------
 */

static const char *text_of(weir_arena *a, const weir_json *j, const char *key)
{
    weir_slice s;
    return weir_json_str(j, key, &s) ? weir_arena_dupz(a, s) : "";
}

static const char *waits_of(weir_arena *a, const weir_json *j)
{
    const char *all = "";
    const weir_json *waits = weir_json_get(j, "waits");
    for (size_t i = 0; i < weir_json_len(waits); i++) {
        weir_slice s;
        if (weir_json_text(weir_json_at(waits, i), &s) && !strstr(all, weir_arena_dupz(a, s))) {
            all = weir_arena_printf(a, "%s%s%.*s", all, all[0] ? "; " : "", WEIR_SLICE_ARG(s));
        }
    }
    return all;
}

static void read_figures(weir_arena *a, const weir_json *j, struct figures *f)
{
    double eta = 0;
    double rate = 0;
    *f = (struct figures){
        .state = text_of(a, j, "state"), .error = text_of(a, j, "error"), .waits = waits_of(a, j)};
    (void)weir_json_bool(j, "resolved", &f->resolved);
    (void)weir_json_i64(j, "tables", &f->tables);
    (void)weir_json_i64(j, "tables_done", &f->done);
    (void)weir_json_i64(j, "rows", &f->rows);
    (void)weir_json_i64(j, "seen", &f->seen);
    (void)weir_json_i64(j, "expected", &f->expected);
    (void)weir_json_i64(j, "elapsed_ms", &f->elapsed_ms);
    (void)weir_json_i64(j, "chunks_redone", &f->redone);
    f->rate = weir_json_double(j, "rows_per_s", &rate) ? (int64_t)rate : 0;
    f->has_eta = weir_json_double(j, "eta_s", &eta);
    f->eta_s = (int64_t)eta;
}

/* What there is in all is an estimate: once it is exceeded, nobody knows. */
static bool knows_end(const struct figures *f)
{
    return strcmp(f->state, "done") == 0 || f->expected > f->seen;
}

static int percent(const struct figures *f)
{
    if (strcmp(f->state, "done") == 0) {
        return 100;
    }
    return f->expected > 0 ? (int)(f->seen * 99 / f->expected) : 0;
}

static const char *rows_text(weir_arena *a, const struct figures *f)
{
    return knows_end(f)
               ? weir_arena_printf(a, "%3d %%, %" PRId64 " of about %" PRId64 " rows", percent(f),
                                   f->seen, f->expected)
               : weir_arena_printf(a, "%" PRId64 " rows, more than was estimated", f->seen);
}

static const char *eta_text(weir_arena *a, const struct figures *f)
{
    if (!f->has_eta || !knows_end(f)) {
        return "-";
    }
    return weir_arena_printf(a, "%" PRId64 ":%02d:%02d", f->eta_s / 3600, (int)(f->eta_s / 60 % 60),
                             (int)(f->eta_s % 60));
}

static void show_bar(struct crawl *c, const struct figures *f)
{
    char bar[BAR + 1];
    int full = percent(f) * BAR / 100;
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)full);
    bar[BAR] = '\0';
    (void)printf("\r\033[K%s[%s]%s %s  %" PRId64 "/s  eta %s  tables %" PRId64 "/%" PRId64 "%s%s",
                 cli_green(), bar, cli_plain(), rows_text(c->a, f), f->rate, eta_text(c->a, f),
                 f->done, f->tables, strcmp(f->state, "paused") == 0 ? "  paused" : "",
                 f->waits[0] ? "  waits" : "");
    (void)fflush(stdout);
}

static void show_line(struct crawl *c, const struct figures *f)
{
    if (f->tables == 0) {
        (void)printf("crawl %s\n", f->state);
    } else {
        (void)printf("crawl %s: %s, %" PRId64 " rows/s, eta %s, tables %" PRId64 " of %" PRId64
                     "\n",
                     f->state, rows_text(c->a, f), f->rate, eta_text(c->a, f), f->done, f->tables);
    }
    (void)fflush(stdout);
}

/* A line when something changed or time passed; on a terminal one line that moves. */
static void show_progress(struct crawl *c, weir_slice status, const struct figures *f)
{
    int64_t now = weir_mono_ms();
    bool changed = strcmp(c->said_state, f->state) != 0;
    bool due = changed || now - c->said_ms >= (c->json ? JSON_MS : LINE_MS);
    (void)snprintf(c->said_state, sizeof c->said_state, "%s", f->state);
    if (strncmp(c->said_waits, f->waits, sizeof c->said_waits - 1) != 0 && !c->json) {
        (void)snprintf(c->said_waits, sizeof c->said_waits, "%s", f->waits);
        if (f->waits[0]) {
            (void)printf("%swaits: %s\n", c->terminal ? "\r\033[K" : "", f->waits);
        }
    }
    if (c->terminal && !c->json) {
        show_bar(c, f);
    } else if (due) {
        c->said_ms = now;
        if (c->json) {
            (void)printf(WEIR_SLICE_FMT "\n", WEIR_SLICE_ARG(status));
            (void)fflush(stdout);
        } else {
            show_line(c, f);
        }
    }
}

static int show_end(struct crawl *c, const weir_json *j, const struct figures *f)
{
    if (!c->json) {
        (void)printf("%s%s: %" PRId64 " rows of %" PRId64 " tables into the log in %.1f s, %" PRId64
                     " chunks read again\n",
                     c->terminal ? "\n" : "", f->state, f->rows, f->done,
                     (double)f->elapsed_ms / 1000, f->redone);
    }
    const weir_json *list = weir_json_get(j, "list");
    for (size_t i = 0; i < weir_json_len(list); i++) {
        const weir_json *t = weir_json_at(list, i);
        const char *error = text_of(c->a, t, "error");
        if (error[0]) {
            (void)fprintf(stderr, "weir crawl: %s.%s: %s\n", text_of(c->a, t, "schema"),
                          text_of(c->a, t, "name"), error);
        }
    }
    if (f->error[0]) {
        (void)fprintf(stderr, "weir crawl: %s\n", f->error);
    }
    return strcmp(f->state, "done") == 0 ? 0 : 1;
}

/* --- the whole
 * ---------------------------------------------------------------------------------------------------
 */

/* true: it has ended, *code is the exit code. */
static bool look(struct crawl *c, weir_slice status, int *code)
{
    weir_error err = {0};
    weir_json *j = NULL;
    struct figures f;
    if (weir_json_parse(&j, status, &err) != WEIR_OK) {
        *code = cli_fail("crawl", &err);
        return true;
    }
    read_figures(c->a, j, &f);
    bool ended = strcmp(f.state, "running") != 0 && strcmp(f.state, "paused") != 0;
    show_progress(c, status, &f);
    if (ended) {
        *code = show_end(c, j, &f);
    }
    weir_json_free(j);
    return ended;
}

static int follow(struct crawl *c)
{
    weir_feed_req q = {.op = WEIR_FEED_CRAWL, .action = WEIR_CRAWL_STATUS};
    bool away = false;
    bool started = false;
    int code = 1;
    while (!stop) {
        weir_error err = {0};
        weir_slice status;
        weir_rc rc = ask(c, started ? &q : &c->q, &status, &err);
        if (rc == WEIR_OK) {
            started = true;
            away = false;
            if (look(c, status, &code)) {
                return code;
            }
        } else if (!is_away(rc)) {
            return cli_fail("crawl", &err);
        } else if (!away) {
            (void)fprintf(stderr, "weir crawl: waiting for the bridge: %s\n", err.msg);
            away = true;
        }
        (void)poll(NULL, 0, STEP_MS);
    }
    (void)fprintf(stderr,
                  started ? "\nthe crawl goes on in the bridge: `weir crawl %s --status`, --pause, "
                            "--cancel\n"
                          : "\nno crawl was started: see `weir status %s`\n",
                  c->app.dir_word);
    return 1;
}

static int control(struct crawl *c)
{
    weir_error err = {0};
    weir_slice status;
    weir_json *j = NULL;
    struct figures f;
    if (ask(c, &c->q, &status, &err) != WEIR_OK || weir_json_parse(&j, status, &err) != WEIR_OK) {
        return cli_fail("crawl", &err);
    }
    read_figures(c->a, j, &f);
    if (c->json) {
        (void)printf(WEIR_SLICE_FMT "\n", WEIR_SLICE_ARG(status));
    } else if (strcmp(f.state, "none") == 0) {
        (void)printf("no crawl was started yet\n");
    } else {
        show_line(c, &f);
        const weir_json *list = weir_json_get(j, "list");
        for (size_t i = 0; i < weir_json_len(list); i++) {
            const weir_json *t = weir_json_at(list, i);
            int64_t seen = 0;
            int64_t estimate = 0;
            (void)weir_json_i64(t, "seen", &seen);
            (void)weir_json_i64(t, "estimate", &estimate);
            (void)printf("  %s.%s  %s, %" PRId64 " of about %" PRId64 " rows  %s\n",
                         text_of(c->a, t, "schema"), text_of(c->a, t, "name"),
                         text_of(c->a, t, "state"), seen, estimate > seen ? estimate : seen,
                         text_of(c->a, t, "error"));
        }
        (void)printf(f.waits[0] ? "  waits: %s\n" : "%s", f.waits);
        (void)printf(f.error[0] ? "  %s\n" : "%s", f.error);
    }
    weir_json_free(j);
    return 0;
}

/* --- arguments
 * ---------------------------------------------------------------------------------------------------
 */

struct options {
    const char *tables[TABLES_MAX];
    int ntables;
    const char *where, *rate, *parallel, *chunk_ms, *load, *dir;
    bool json, status, pause, resume, cancel;
};

static bool number(const char *flag, const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    if (!text) {
        return true;
    }
    if (!weir_slice_u64(weir_slice_z(text), out) || *out < least || *out > most) {
        (void)fprintf(stderr, "weir crawl: %s must be a number of %" PRIu64 " to %" PRIu64 "\n",
                      flag, least, most);
        return false;
    }
    return true;
}

static bool parse(int argc, char **argv, struct options *o)
{
    const char *words[1];
    int n = 0;
    const cli_flag flags[] = {
        {"--where", &o->where, NULL},       {"--rate", &o->rate, NULL},
        {"--parallel", &o->parallel, NULL}, {"--chunk-ms", &o->chunk_ms, NULL},
        {"--load", &o->load, NULL},         {"--json", NULL, &o->json},
        {"--status", NULL, &o->status},     {"--pause", NULL, &o->pause},
        {"--resume", NULL, &o->resume},     {"--cancel", NULL, &o->cancel}};
    argc = cli_args_repeated("crawl", argc, argv, "--table", o->tables, TABLES_MAX, &o->ntables);
    if (argc < 0 ||
        !cli_args("crawl", argc, argv, flags, sizeof flags / sizeof *flags, words, 1, &n)) {
        return false;
    }
    o->dir = n ? words[0] : NULL;
    if (o->status + o->pause + o->resume + o->cancel > 1) {
        (void)fprintf(stderr, "weir crawl: one of --status, --pause, --resume, --cancel\n");
        return false;
    }
    if (o->where && o->ntables != 1) {
        (void)fprintf(stderr, "weir crawl: --where needs exactly one --table\n");
        return false;
    }
    return true;
}

static bool build(struct crawl *c, const struct options *o, weir_feed_table tables[TABLES_MAX])
{
    uint64_t parallel = PARALLEL;
    uint64_t chunk_ms = CHUNK_MS;
    uint64_t load = LOAD_PERCENT;
    weir_feed_req *q = &c->q;
    char random[33];
    *q = (weir_feed_req){.op = WEIR_FEED_CRAWL, .tables = tables, .ntables = (size_t)o->ntables};
    q->action = o->status   ? WEIR_CRAWL_STATUS
                : o->pause  ? WEIR_CRAWL_PAUSE
                : o->resume ? WEIR_CRAWL_RESUME
                : o->cancel ? WEIR_CRAWL_CANCEL
                            : WEIR_CRAWL_START;
    if (!number("--rate", o->rate, 1, 1000000000, &q->rate) ||
        !number("--parallel", o->parallel, 1, WEIR_CRAWL_PARALLEL_MAX, &parallel) ||
        !number("--chunk-ms", o->chunk_ms, 1, WEIR_CRAWL_CHUNK_MS_MAX, &chunk_ms) ||
        !number("--load", o->load, 1, 100, &load)) {
        return false;
    }
    weir_random_id(random);
    (void)snprintf(c->id, sizeof c->id, "crawl-%.12s", random);
    q->copy_id = weir_slice_z(c->id);
    q->where = o->where ? weir_slice_z(o->where) : (weir_slice){"", 0};
    q->parallel = (uint32_t)parallel;
    q->chunk_ms = (uint32_t)chunk_ms;
    q->load_percent = (uint32_t)load;
    for (int i = 0; i < o->ntables; i++) {
        const char *dot = strchr(o->tables[i], '.');
        tables[i].schema =
            dot ? weir_slice_of(o->tables[i], (size_t)(dot - o->tables[i])) : WEIR_SLICE_LIT("");
        tables[i].name = weir_slice_z(dot ? dot + 1 : o->tables[i]);
    }
    return true;
}

int cli_crawl(int argc, char **argv)
{
    struct crawl c = {0};
    struct options o = {0};
    weir_feed_table tables[TABLES_MAX];
    weir_error err = {0};
    if (!parse(argc, argv, &o) || !build(&c, &o, tables)) {
        return 2;
    }
    if (cli_app_open_running(&c.app, o.dir, &err) != WEIR_OK) {
        return cli_fail("crawl", &err);
    }
    struct sigaction sa = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &sa, NULL);
    (void)sigaction(SIGTERM, &sa, NULL);
    c.a = weir_arena_new(0);
    c.json = o.json;
    c.terminal = isatty(STDOUT_FILENO) != 0;
    int rc = c.q.action == WEIR_CRAWL_START ? follow(&c) : control(&c);
    weir_arena_free(c.a);
    cli_app_close(&c.app);
    return rc;
}
