/* deploy.c - `weir deploy`: the app into the database, then waiting until new read models are
 * built. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/database.h"
#include "cli/report.h"
#include "libweir/base/clock.h"
#include "libweir/codec/json.h"
#include "libweir/codec/lsn.h"
#include "libweir/io/curl.h"

enum { STATUS_TIMEOUT_MS = 2000, POLL_MS = 100, TELL_MS = 2000, BUILD_MAX_MS = 24 * 3600 * 1000 };

/* --- waiting for read models
 * ------------------------------------------------------------------------------------------ */

typedef struct builds {
    bool answers; /* the projector's /status could be read */
    uint64_t position;
    int64_t revision; /* of what the projector has taken over */
    bool told;        /* and readers know of it */
    int ready, building, stalled;
    double progress;                          /* of the slowest */
    const char *name, *reason, *state, *step; /* of one that is not ready */
} builds;

/* A stalled build serves what it has while a newer one of the same name is being made. */
static bool is_replaced(const weir_json *models, const weir_json *m)
{
    weir_slice name = {NULL, 0}, other = {NULL, 0};
    int64_t generation = 0, newer = 0;
    (void)weir_json_str(m, "name", &name);
    (void)weir_json_i64(m, "generation", &generation);
    for (size_t i = 0; i < weir_json_len(models); i++) {
        const weir_json *o = weir_json_at(models, i);
        weir_slice state = {NULL, 0};
        bool kept = weir_json_str(o, "state", &state) && weir_slice_eqz(state, "kept");
        if (!kept && weir_json_str(o, "name", &other) && weir_slice_eq(name, other) &&
            weir_json_i64(o, "generation", &newer) && newer > generation) {
            return true;
        }
    }
    return false;
}

static void count_model(weir_arena *a, const weir_json *m, builds *b)
{
    weir_slice state = {NULL, 0}, text = {NULL, 0};
    double progress = 0;
    (void)weir_json_str(m, "state", &state);
    if (weir_slice_eqz(state, "ready")) {
        b->ready++;
        return;
    }
    if (weir_slice_eqz(state, "kept")) {
        return;
    }
    bool refused = weir_slice_eqz(state, "refused");
    bool stalled = refused || weir_slice_eqz(state, "stalled");
    b->stalled += stalled;
    b->building += !stalled;
    (void)weir_json_double(m, "progress", &progress);
    bool shown = stalled || (b->stalled == 0 && (!b->name || progress < b->progress));
    if (shown) {
        b->name = weir_json_str(m, "name", &text) ? weir_arena_dupz(a, text) : "";
        text = (weir_slice){NULL, 0};
        b->reason = weir_json_str(m, "reason", &text) ? weir_arena_dupz(a, text) : "";
        b->progress = progress;
        b->state = refused ? "refused" : stalled ? "stalled" : "building";
        b->step = weir_json_str(m, "step", &text) ? weir_arena_dupz(a, text) : "";
    }
}

static builds look(const cli_app *app, weir_arena *a)
{
    builds b = {.answers = false};
    weir_curl_response r = {0};
    weir_json *j = NULL;
    weir_error err;
    weir_slice position = {NULL, 0};
    const char *url = weir_arena_printf(a, "%s/status", cli_app_projector_url(app));
    if (weir_curl("GET", url, NULL, (weir_slice){NULL, 0}, STATUS_TIMEOUT_MS, a, &r, &err) !=
            WEIR_OK ||
        r.status != 200 || weir_json_parse(&j, r.body, &err) != WEIR_OK) {
        return b;
    }
    b.answers = weir_json_str(j, "position", &position) && weir_lsn_parse(position, &b.position);
    (void)weir_json_i64(j, "revision", &b.revision);
    (void)weir_json_bool(j, "told", &b.told);
    const weir_json *models = weir_json_get(j, "models");
    for (size_t i = 0; i < weir_json_len(models); i++) {
        if (!is_replaced(models, weir_json_at(models, i))) {
            count_model(a, weir_json_at(models, i), &b);
        }
    }
    weir_json_free(j);
    return b;
}

static void tell(const builds *b, bool quiet)
{
    if (!quiet && b->name) {
        (void)printf("  %s…%s %-18s %s: %s %.0f%%\n", cli_yellow(), cli_plain(), "building",
                     b->name, b->step, b->progress * 100);
        (void)fflush(stdout);
    }
}

static weir_rc stalled(const cli_app *app, const builds *b, weir_error *err)
{
    if (strcmp(b->state, "refused") == 0) {
        return weir_fail(err, WEIR_E_STATE, 0,
                         "%s is refused, `weir rebuild %s %s` tries again when this is mended: %s",
                         b->name, app->dir_word, b->name, b->reason);
    }
    return weir_fail(err, WEIR_E_STATE, 0, "%s is %s: %s", b->name, b->state, b->reason);
}

/* The projector hears of the deploy from the stream and then compiles what is deployed: its word
 * counts once it has passed the deploy's commit, taken over its revision and told Redis. */
static weir_rc wait_built(const cli_app *app, uint64_t lsn, int64_t revision, bool quiet,
                          weir_error *err)
{
    int64_t start = weir_mono_ms(), told = start;
    while (weir_mono_ms() - start < BUILD_MAX_MS) {
        weir_arena *a = weir_arena_new(0);
        builds b = look(app, a);
        bool there = b.answers && b.position >= lsn && b.revision >= revision && b.told;
        weir_rc rc = WEIR_E_AGAIN;
        if (!b.answers) {
            if (!quiet) {
                (void)printf(
                    "  the projector is not running: it builds the read models when it starts "
                    "(weir up %s)\n",
                    app->dir_word);
            }
            rc = WEIR_OK;
        } else if (there && b.stalled) {
            rc = stalled(app, &b, err);
        } else if (there && b.building == 0) {
            rc = WEIR_OK;
        } else if (weir_mono_ms() - told > TELL_MS) {
            told = weir_mono_ms();
            tell(&b, quiet);
        }
        weir_arena_free(a);
        if (rc != WEIR_E_AGAIN) {
            return rc;
        }
        (void)poll(NULL, 0, POLL_MS);
    }
    return weir_fail(err, WEIR_E_TIMEOUT, 0, "the read models are still building; see weir status");
}

static weir_rc commit_position(weir_pg *pg, uint64_t *lsn, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(pg, "SELECT pg_current_wal_flush_lsn()", 0, NULL, &r, err);
    if (rc == WEIR_OK && !weir_lsn_parse(weir_pg_value(r, 0, 0), lsn)) {
        rc = weir_fail(err, WEIR_E_PROTO, 0, "PostgreSQL gave no position");
    }
    weir_pg_rows_free(r);
    return rc;
}

/* --- the command
 * ------------------------------------------------------------------------------------------------------
 */

typedef struct wishes {
    bool no_wait, json;
    bool services; /* what the services need goes in even when the app's own part is refused: for
                      `weir up` */
} wishes;

static weir_rc deploy(cli_app *app, weir_pg *pg, const wishes *w, dep_report *r,
                      bool *services_can_work, weir_error *err)
{
    weir_rc rc = dep_app(pg, &app->s, app->dir, false, r, err);
    *services_can_work = rc == WEIR_OK;
    if (rc != WEIR_OK && w->services && weir_pg_ok(pg)) {
        dep_report quiet;
        weir_error second;
        dep_report_init(&quiet, app->a, false);
        *services_can_work = dep_control(pg, &app->s, &quiet, &second) == WEIR_OK;
        if (!*services_can_work && strcmp(second.msg, err->msg) != 0) {
            (void)fprintf(stderr,
                          "weir deploy: the part the services need could not be installed: %s\n",
                          second.msg);
        }
        dep_report_fini(&quiet);
    }
    return rc;
}

static int run_deploy(cli_app *app, const wishes *w)
{
    cli_database db;
    dep_report r;
    uint64_t lsn = 0;
    bool services_can_work = false;
    weir_error err = {0};
    dep_report_init(&r, app->a, cli_red()[0] != '\0');
    weir_rc rc = cli_database_open(&db, app, &err);
    rc = rc == WEIR_OK ? deploy(app, db.pg, w, &r, &services_can_work, &err) : rc;
    if (!w->json) {
        cli_report_print(&r);
    }
    if (rc == WEIR_OK && !w->json) {
        (void)printf("  %s%s%s revision %lld: %d commands, %d read models, %d tables published\n",
                     cli_green(), r.changed ? "deployed" : "unchanged", cli_plain(),
                     (long long)r.revision, r.commands, r.models, r.tables);
        (void)fflush(stdout);
    }
    if (rc == WEIR_OK && !w->no_wait && r.models > 0) {
        rc = commit_position(db.pg, &lsn, &err);
        rc = rc == WEIR_OK ? wait_built(app, lsn, r.revision, w->json, &err) : rc;
    }
    if (w->json) {
        cli_report_json(&r, rc == WEIR_OK ? NULL : &err);
    }
    cli_database_close(&db);
    dep_report_fini(&r);
    if (rc != WEIR_OK && !w->json) {
        (void)cli_fail("deploy", &err);
    }
    return rc == WEIR_OK ? 0 : w->services && !services_can_work ? CLI_NO_DATABASE : 1;
}

int cli_deploy(int argc, char **argv)
{
    cli_app app;
    wishes w = {.json = false};
    const char *words[1];
    int n = 0;
    weir_error err = {0};
    const cli_flag flags[] = {{"--no-wait", NULL, &w.no_wait},
                              {"--json", NULL, &w.json},
                              {"--services", NULL, &w.services}};
    if (!cli_args("deploy", argc, argv, flags, 3, words, 1, &n)) {
        return 2;
    }
    if (cli_app_open(&app, n ? words[0] : NULL, &err) != WEIR_OK) {
        return cli_fail("deploy", &err);
    }
    int rc = run_deploy(&app, &w);
    cli_app_close(&app);
    return rc;
}
