/* status.c - `weir status`: what every service says of itself, in one page. */
#include <stdio.h>
#include <string.h>

#include "cli/app.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/credential.h"
#include "libweir/base/buf.h"
#include "libweir/codec/json.h"
#include "libweir/io/curl.h"

enum { TIMEOUT_MS = 3000, NSERVICES = 4 };

struct service {
    const char *name, *url;
    const char *credential; /* a header line; NULL: none, or not for this one */
    bool answers;
    int status; /* 0: no answer at all */
    weir_slice body;
    weir_json *j;
};

static void ask(cli_app *app, struct service *s)
{
    weir_error err = {0};
    weir_curl_response r = {0};
    const char *url = weir_arena_printf(app->a, "%s/status", s->url);
    const char *const headers[] = {s->credential, NULL};
    weir_rc rc = weir_curl("GET", url, headers, (weir_slice){0}, TIMEOUT_MS, app->a, &r, &err);
    s->status = rc == WEIR_OK ? r.status : 0;
    s->answers = s->status == 200;
    if (s->answers) {
        s->body = r.body;
        s->answers = weir_json_parse(&s->j, r.body, &err) == WEIR_OK;
    }
}

static const char *bytes_text(weir_arena *a, int64_t n)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double v = (double)n;
    size_t u = 0;
    for (; v >= 1024 && u < 4; u++) {
        v /= 1024;
    }
    return weir_arena_printf(a, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static const char *field(weir_arena *a, const weir_json *j, const char *key)
{
    weir_slice s;
    int64_t n;
    if (weir_json_str(j, key, &s)) {
        return weir_arena_dupz(a, s);
    }
    return weir_json_i64(j, key, &n) ? weir_arena_printf(a, "%lld", (long long)n) : "";
}

static void show_waits(weir_arena *a, const weir_json *j)
{
    const weir_json *waits = weir_json_get(j, "waits");
    for (size_t i = 0; i < weir_json_len(waits); i++) {
        weir_slice s;
        if (weir_json_text(weir_json_at(waits, i), &s)) {
            (void)printf("             waits: %s\n", weir_arena_dupz(a, s));
        }
    }
}

static void show_service(weir_arena *a, const struct service *s)
{
    bool ready = false;
    if (!s->answers) {
        bool asks = s->status == 401 || s->status == 403;
        (void)printf("  %s✗%s %-10s %s %s\n", cli_red(), cli_plain(), s->name,
                     asks ? "wants a key (WEIR_KEY, or --key-file) on" : "does not answer on",
                     s->url);
        return;
    }
    (void)weir_json_bool(s->j, "ready", &ready);
    const char *position = field(a, s->j, "position");
    (void)printf("  %s%s%s %-10s %-8s up %ss", ready ? cli_green() : cli_yellow(),
                 ready ? "✓" : "…", cli_plain(), s->name, ready ? "ready" : "waiting",
                 field(a, s->j, "uptime_s"));
    (void)printf(position[0] ? "  position %s\n" : "\n", position);
    show_waits(a, s->j);
}

static void show_crawl(weir_arena *a, const weir_json *crawl)
{
    const char *state = crawl ? field(a, crawl, "state") : "";
    bool open = strcmp(state, "running") == 0 || strcmp(state, "paused") == 0;
    if (open || strcmp(state, "failed") == 0) {
        (void)printf("  crawl      %s, %s of about %s rows, %s of %s tables  %s\n", state,
                     field(a, crawl, "seen"), field(a, crawl, "expected"),
                     field(a, crawl, "tables_done"), field(a, crawl, "tables"),
                     field(a, crawl, "error"));
    }
    for (size_t i = 0; open && i < weir_json_len(weir_json_get(crawl, "waits")); i++) {
        weir_slice s;
        if (weir_json_text(weir_json_at(weir_json_get(crawl, "waits"), i), &s)) {
            (void)printf("             waits: %s\n", weir_arena_dupz(a, s));
        }
    }
}

static void show_bridge(weir_arena *a, const weir_json *j)
{
    int64_t n = 0;
    const weir_json *slot = weir_json_get(j, "slot"), *log = weir_json_get(j, "log"),
                    *subs = weir_json_get(j, "subscribers");
    if (slot) {
        int64_t behind = 0;
        (void)weir_json_i64(slot, "retained_bytes", &n);
        (void)weir_json_i64(slot, "behind_bytes", &behind);
        (void)printf("\n  slot       %s, %s behind PostgreSQL, %s of WAL retained, confirmed %s\n",
                     field(a, slot, "state"), bytes_text(a, behind), bytes_text(a, n),
                     field(a, slot, "confirmed"));
    }
    if (log && weir_json_i64(log, "bytes", &n)) {
        (void)printf("  log        %s, %s frames\n", bytes_text(a, n), field(a, log, "frames"));
    }
    show_crawl(a, weir_json_get(j, "crawl"));
    for (size_t i = 0; i < weir_json_len(subs); i++) {
        const weir_json *s = weir_json_at(subs, i);
        int64_t lag = 0;
        (void)weir_json_i64(s, "lag_bytes", &lag);
        (void)printf("  subscriber %s: %s at %s, %s behind\n", field(a, s, "name"),
                     field(a, s, "state"), field(a, s, "position"), bytes_text(a, lag));
    }
}

/* "load 45%" of a build, else the state. */
static const char *state_text(weir_arena *a, const weir_json *m)
{
    double progress = 0;
    const char *state = field(a, m, "state");
    const char *step = field(a, m, "step");
    if (strcmp(state, "building") != 0 || !weir_json_double(m, "progress", &progress)) {
        return state;
    }
    return weir_arena_printf(a, "%s %.0f%%", step[0] ? step : state, progress * 100);
}

/* Why, or how fast. */
static const char *progress_text(weir_arena *a, const weir_json *m)
{
    double rate = 0, eta = 0;
    bool rolled_back = false;
    if (weir_json_double(m, "rows_per_s", &rate) && weir_json_double(m, "eta_s", &eta)) {
        return weir_arena_printf(a, "%s of %s rows, %.0f rows/s, %.0f s left", field(a, m, "rows"),
                                 field(a, m, "rows_total"), rate, eta);
    }
    if (strcmp(field(a, m, "step"), "verify") == 0) {
        return weir_arena_printf(a, "%s documents compared  %s", field(a, m, "compared"),
                                 field(a, m, "reason"));
    }
    if (weir_json_bool(m, "rolled_back", &rolled_back) && rolled_back) {
        return "rolled back: the deployed SELECT is another one";
    }
    return field(a, m, "reason");
}

static void show_models(weir_arena *a, const weir_json *j)
{
    const weir_json *models = weir_json_get(j, "models");
    int64_t lag_bytes = 0, lag_ms = 0;
    if (!models) {
        return;
    }
    (void)weir_json_i64(j, "lag_bytes", &lag_bytes);
    (void)weir_json_i64(j, "lag_ms", &lag_ms);
    (void)printf("\n  lag        %s, %lld ms behind the bridge\n", bytes_text(a, lag_bytes),
                 (long long)lag_ms);
    const weir_json *again = weir_json_get(j, "rewriting");
    if (again) {
        (void)printf("  redis      lost documents, they are written again: %s of %s looked at\n",
                     field(a, again, "looked_at"), field(a, again, "of"));
    }
    if (weir_json_len(models) > 0) {
        (void)printf("\n  %s%-24s %10s  %-14s %10s %7s%s\n", cli_dim(), "model", "generation",
                     "state", "documents", "parked", cli_plain());
    }
    for (size_t i = 0; i < weir_json_len(models); i++) {
        const weir_json *m = weir_json_at(models, i);
        (void)printf("  %-24s %10s  %-14s %10s %7s  %s\n", field(a, m, "name"),
                     field(a, m, "generation"), state_text(a, m), field(a, m, "documents"),
                     field(a, m, "parked"), progress_text(a, m));
    }
}

/* Nothing tries a refused generation again by itself. */
static void show_refused(const cli_app *app, const weir_json *j)
{
    const weir_json *models = weir_json_get(j, "models");
    for (size_t i = 0; i < weir_json_len(models); i++) {
        const weir_json *m = weir_json_at(models, i);
        if (strcmp(field(app->a, m, "state"), "refused") == 0) {
            (void)printf("\n  %s!%s generation %s of %s was refused and serves nobody. When its "
                         "reason is mended: weir rebuild %s %s\n",
                         cli_yellow(), cli_plain(), field(app->a, m, "generation"),
                         field(app->a, m, "name"), app->dir_word, field(app->a, m, "name"));
        }
    }
}

static void show_lanes(weir_arena *a, const weir_json *j)
{
    const weir_json *lanes = weir_json_get(j, "lanes");
    for (size_t i = 0; i < weir_json_len(lanes); i++) {
        const weir_json *l = weir_json_at(lanes, i);
        (void)printf("%s%s %s commands in %s groups, %s retried\n",
                     i ? "             lane " : "\n  lanes      lane ",
                     weir_arena_printf(a, "%zu:", i), field(a, l, "executed"),
                     field(a, l, "groups"), field(a, l, "retried"));
    }
}

static void print_json(const struct service *services)
{
    (void)printf("{");
    for (int i = 0; i < NSERVICES; i++) {
        (void)printf("%s\"%s\": ", i ? ", " : "", services[i].name);
        if (services[i].answers) {
            (void)printf(WEIR_SLICE_FMT, WEIR_SLICE_ARG(weir_slice_trim(services[i].body)));
        } else {
            (void)printf("null");
        }
    }
    (void)printf("}\n");
}

static void show_all(const cli_app *app, const struct service *s)
{
    int answering = 0;
    for (int i = 0; i < NSERVICES; i++) {
        show_service(app->a, &s[i]);
        answering += s[i].answers;
    }
    show_bridge(app->a, s[0].j);
    show_models(app->a, s[1].j);
    show_refused(app, s[1].j);
    show_lanes(app->a, s[2].j);
    if (answering == 0) {
        (void)printf("\n  nothing answers: start it with `weir up %s`\n", app->dir_word);
    }
}

int cli_status(int argc, char **argv)
{
    cli_app app;
    bool json = false;
    const char *words[1], *key_file = NULL, *credential = NULL;
    int n = 0, bad = 0;
    weir_error err = {0};
    const cli_flag flags[] = {{"--json", NULL, &json}, {"--key-file", &key_file, NULL}};
    if (!cli_args("status", argc, argv, flags, 2, words, 1, &n)) {
        return 2;
    }
    if (cli_app_open(&app, n ? words[0] : NULL, &err) != WEIR_OK ||
        cli_credential(&credential, key_file, app.a, &err) != WEIR_OK) {
        return cli_fail("status", &err);
    }
    struct service s[NSERVICES] = {
        {.name = "bridge", .url = cli_app_bridge_url(&app)},
        {.name = "projector", .url = cli_app_projector_url(&app)},
        {.name = "write", .url = cli_app_write_url(&app), .credential = credential},
        {.name = "read", .url = cli_app_read_url(&app), .credential = credential},
    };
    weir_rc up = cli_app_need_services(&app, &err);
    for (int i = 0; i < NSERVICES; i++) {
        if (up == WEIR_OK) {
            ask(&app, &s[i]);
        }
        bad += !s[i].answers;
    }
    if (json) {
        print_json(s);
    } else {
        (void)printf("%s%s%s  %s\n", cli_bold(), app.name, cli_plain(), app.dir);
        if (up == WEIR_OK) {
            show_all(&app, s);
        } else {
            (void)printf("  %s\n", err.msg);
        }
    }
    for (int i = 0; i < NSERVICES; i++) {
        weir_json_free(s[i].j);
    }
    cli_app_close(&app);
    return bad ? 1 : 0;
}
