/* rebuild.c - `weir rebuild`: an order to the projector, and watching what becomes of it.
 *
 * The order is a row of weir.rebuild and a logical message in the same transaction: it survives
 * this command, the projector and PostgreSQL. The row also says in the end what became of it.
 */
#include "cli/rebuild.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/database.h"
#include "libweir/base/buf.h"
#include "libweir/base/clock.h"
#include "libweir/base/str.h"

enum { POLL_MS = 150, SILENT_MS = 5000 };

typedef struct wish {
    cli_rebuild_action action;
    const char *model;
    int64_t keep_ms, every;
    bool yes, json, no_wait;
} wish;

static const char *const names[] = {"rebuild", "rollback", "drop_old"};

static weir_rc known_model(weir_pg *pg, const char *model, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc =
        weir_pg_query(pg,
                      "SELECT to_regclass('weir.rebuild') IS NOT NULL, EXISTS (SELECT FROM "
                      "weir.read_model WHERE name = $1)",
                      1, &model, &r, err);
    if (rc != WEIR_OK && strcmp(err->sqlstate, "42P01") == 0) {
        return weir_fail(err, WEIR_E_STATE, 0, "nothing is deployed here; run weir deploy first");
    }
    if (rc == WEIR_OK && !weir_slice_eqz(weir_pg_value(r, 0, 0), "t")) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "the control schema is older than this program; run weir deploy first");
    } else if (rc == WEIR_OK && model && !weir_slice_eqz(weir_pg_value(r, 0, 1), "t")) {
        rc = weir_fail(err, WEIR_E_NOTFOUND, 0, "no read model %s is deployed; see weir status",
                       model);
    }
    weir_pg_rows_free(r);
    return rc;
}

/* --- asking first
 * ------------------------------------------------------------------------------------------- */

static void describe(const cli_app *app, const wish *w, weir_arena *a)
{
    cli_generations *gs = weir_arena_zalloc(a, sizeof *gs);
    cli_generations_read(app, w->model, a, gs);
    const cli_generation *g = cli_generations_serving(gs);
    switch (w->action) {
    case CLI_REBUILD_BUILD:
        (void)printf("  %s is built anew beside what serves now", w->model);
        if (g) {
            (void)printf(" (generation %lld, %lld documents; Redis holds both)",
                         (long long)g->generation, (long long)g->documents);
        }
        (void)printf(".\n");
        break;
    case CLI_REBUILD_ROLLBACK:
        (void)printf("  A build of %s under way is given up; without one the kept generation "
                     "serves again.\n",
                     w->model);
        break;
    case CLI_REBUILD_DROP_OLD:
        (void)printf("  The kept generation of %s is removed; there is no way back to it.\n",
                     w->model);
        break;
    case CLI_REBUILD_STATUS: break;
    }
}

static weir_rc confirm(const cli_app *app, const wish *w, weir_error *err)
{
    if (w->yes) {
        return WEIR_OK;
    }
    if (w->json || !isatty(STDIN_FILENO)) {
        return weir_fail(err, WEIR_E_INPUT, 0, "nobody to ask here: add --yes");
    }
    char line[16] = "";
    weir_arena *a = weir_arena_new(0);
    describe(app, w, a);
    weir_arena_free(a);
    (void)printf("  Go on? [y/N] ");
    (void)fflush(stdout);
    if (!fgets(line, sizeof line, stdin) || (line[0] != 'y' && line[0] != 'Y')) {
        return weir_fail(err, WEIR_E_STATE, 0, "not confirmed; nothing was changed");
    }
    return WEIR_OK;
}

/* --- the order
 * ---------------------------------------------------------------------------------------------- */

static weir_rc give(weir_pg *pg, const wish *w, int64_t *id, weir_error *err)
{
    char keep[24], every[24];
    const char *params[] = {w->model, names[w->action], keep, every};
    weir_pg_rows *r = NULL;
    (void)snprintf(keep, sizeof keep, "%lld", (long long)w->keep_ms);
    (void)snprintf(every, sizeof every, "%lld", (long long)w->every);
    weir_rc rc = weir_pg_query(
        pg,
        "WITH o AS (INSERT INTO weir.rebuild (model, action, keep_ms, verify_every) VALUES ($1, "
        "$2, $3::bigint, $4::bigint) RETURNING id) SELECT id, pg_logical_emit_message(true, "
        "'weir.rebuild', json_build_object('id', id)::text) FROM o",
        4, params, &r, err);
    if (rc == WEIR_OK) {
        *id = weir_pg_i64(r, 0, 0);
    }
    weir_pg_rows_free(r);
    return rc;
}

typedef struct outcome {
    bool over, done;
    int64_t generation;
    const char *note;
} outcome;

static weir_rc look(weir_pg *pg, int64_t id, weir_arena *a, outcome *o, weir_error *err)
{
    char text[24];
    const char *params[] = {text};
    weir_pg_rows *r = NULL;
    (void)snprintf(text, sizeof text, "%lld", (long long)id);
    weir_rc rc =
        weir_pg_query(pg, "SELECT state, generation, note FROM weir.rebuild WHERE id = $1::bigint",
                      1, params, &r, err);
    if (rc == WEIR_OK && weir_pg_nrows(r) != 1) {
        rc = weir_fail(err, WEIR_E_STATE, 0, "somebody removed the order %s from weir.rebuild",
                       text);
    }
    if (rc == WEIR_OK) {
        o->done = weir_slice_eqz(weir_pg_value(r, 0, 0), "done");
        o->over = o->done || weir_slice_eqz(weir_pg_value(r, 0, 0), "refused");
        o->generation = weir_pg_i64(r, 0, 1);
        o->note = weir_arena_dupz(a, weir_pg_value(r, 0, 2));
    }
    weir_pg_rows_free(r);
    return rc;
}

static void progress(cli_progress *p, const cli_generations *gs, int64_t id)
{
    for (int i = 0; i < gs->n; i++) {
        if (gs->g[i].order == id && gs->g[i].step[0]) {
            cli_progress_tell(p, &gs->g[i]);
        }
    }
}

static weir_rc watch(const cli_app *app, weir_pg *pg, const wish *w, int64_t id, outcome *o,
                     weir_arena *keep, weir_error *err)
{
    cli_progress p = {.json = w->json, .terminal = isatty(STDOUT_FILENO)};
    int64_t heard = weir_mono_ms();
    weir_rc rc = WEIR_OK;
    while (rc == WEIR_OK && !o->over) {
        weir_arena *a = weir_arena_new(0);
        cli_generations *gs = weir_arena_zalloc(a, sizeof *gs);
        cli_generations_read(app, w->model, a, gs);
        progress(&p, gs, id);
        heard = gs->answers ? weir_mono_ms() : heard;
        if (weir_mono_ms() - heard > SILENT_MS) {
            (void)fprintf(stderr, "  the projector does not answer; the order waits for it\n");
            heard = weir_mono_ms();
        }
        rc = look(pg, id, keep, o, err);
        weir_arena_free(a);
        (void)poll(NULL, 0, o->over ? 0 : POLL_MS);
    }
    cli_progress_clear(&p);
    return rc;
}

static void conclude(const wish *w, const outcome *o, int64_t id, int64_t ms)
{
    if (w->json) {
        weir_buf b;
        weir_buf_init(&b, 1 << 20);
        weir_json_quote(&b, weir_slice_z(o->note));
        (void)printf("{\"model\": \"%s\", \"action\": \"%s\", \"order\": %lld, \"state\": \"%s\", "
                     "\"generation\": %lld, \"seconds\": %.1f, \"note\": " WEIR_SLICE_FMT "}\n",
                     w->model, names[w->action], (long long)id, o->done ? "done" : "refused",
                     (long long)o->generation, (double)ms / 1000,
                     WEIR_SLICE_ARG(weir_buf_slice(&b)));
        weir_buf_fini(&b);
        return;
    }
    (void)printf("  %s%s%s %s: %s  %.1f s\n", o->done ? cli_green() : cli_red(),
                 o->done ? "✓" : "✗", cli_plain(), w->model, o->note, (double)ms / 1000);
    if (o->done && w->action == CLI_REBUILD_BUILD) {
        (void)printf("    generation %lld serves", (long long)o->generation);
        (void)printf(w->keep_ms ? "; back: weir rebuild %s --rollback; remove the old one: weir "
                                  "rebuild %s --drop-old\n"
                                : "\n",
                     w->model, w->model);
    }
}

static int run(cli_app *app, const wish *w)
{
    weir_error err = {0};
    cli_database db;
    outcome o = {.note = ""};
    int64_t id = 0, t0 = weir_mono_ms();
    weir_rc rc = cli_database_open(&db, app, &err);
    rc = rc == WEIR_OK ? known_model(db.pg, w->model, &err) : rc;
    if (rc == WEIR_OK && w->action == CLI_REBUILD_STATUS) {
        rc = cli_rebuild_status(app, db.pg, w->model, w->json, &err);
        cli_database_close(&db);
        return rc == WEIR_OK ? 0 : cli_fail("rebuild", &err);
    }
    rc = rc == WEIR_OK ? confirm(app, w, &err) : rc;
    rc = rc == WEIR_OK ? give(db.pg, w, &id, &err) : rc;
    if (rc == WEIR_OK && !w->json) {
        (void)printf("  order %lld; it goes on without this command: weir rebuild --status\n",
                     (long long)id);
        (void)fflush(stdout);
    }
    if (rc == WEIR_OK && !w->no_wait) {
        rc = watch(app, db.pg, w, id, &o, app->a, &err);
        if (rc == WEIR_OK) {
            conclude(w, &o, id, weir_mono_ms() - t0);
        }
    } else if (rc == WEIR_OK && w->json) {
        (void)printf("{\"model\": \"%s\", \"order\": %lld}\n", w->model, (long long)id);
    }
    cli_database_close(&db);
    if (rc != WEIR_OK) {
        return cli_fail("rebuild", &err);
    }
    return w->no_wait || o.done ? 0 : 1;
}

/* --- the command line
 * --------------------------------------------------------------------------------------- */

static bool action_of(wish *w, bool rollback, bool drop, bool status)
{
    if (rollback + drop + status > 1) {
        (void)fprintf(stderr, "weir rebuild: --rollback, --drop-old and --status exclude each "
                              "other\n");
        return false;
    }
    w->action = rollback ? CLI_REBUILD_ROLLBACK
                : drop   ? CLI_REBUILD_DROP_OLD
                : status ? CLI_REBUILD_STATUS
                         : CLI_REBUILD_BUILD;
    return true;
}

static bool numbers(wish *w, const char *keep, const char *every)
{
    char *end = NULL;
    w->keep_ms = -1;
    w->every = 1;
    if (keep && !cli_rebuild_duration(keep, &w->keep_ms)) {
        (void)fprintf(stderr,
                      "weir rebuild: --keep-old %s is no duration; write 30m, 12h, 7d, 0 "
                      "or forever\n",
                      keep);
        return false;
    }
    if (every) {
        w->every = strtoll(every, &end, 10);
        if (every[0] < '0' || every[0] > '9' || *end || w->every > 1000000000) {
            (void)fprintf(stderr,
                          "weir rebuild: --verify-every %s is not a number from 0 to "
                          "1000000000\n",
                          every);
            return false;
        }
    }
    return true;
}

/* words: [APP] MODEL; a lone word is a model unless it is a directory. */
static bool places(const char **words, int n, wish *w, const char **dir)
{
    *dir = n == 2 || (n == 1 && access(words[0], F_OK) == 0) ? words[0] : NULL;
    w->model = n == 2 ? words[1] : n == 1 && !*dir ? words[0] : NULL;
    if (!w->model && w->action != CLI_REBUILD_STATUS) {
        (void)fprintf(stderr, "weir rebuild: which model? see weir rebuild --help\n");
        return false;
    }
    return true;
}

int cli_rebuild(int argc, char **argv)
{
    cli_app app;
    wish w = {.action = CLI_REBUILD_BUILD};
    const char *words[2], *dir = NULL, *keep = NULL, *every = NULL;
    bool rollback = false, drop = false, status = false;
    int n = 0;
    weir_error err = {0};
    const cli_flag flags[] = {{"--yes", NULL, &w.yes},         {"--json", NULL, &w.json},
                              {"--no-wait", NULL, &w.no_wait}, {"--rollback", NULL, &rollback},
                              {"--drop-old", NULL, &drop},     {"--status", NULL, &status},
                              {"--keep-old", &keep, NULL},     {"--verify-every", &every, NULL}};
    if (!cli_args("rebuild", argc, argv, flags, sizeof flags / sizeof flags[0], words, 2, &n) ||
        !action_of(&w, rollback, drop, status) || !numbers(&w, keep, every) ||
        !places(words, n, &w, &dir)) {
        return 2;
    }
    if (cli_app_open(&app, dir, &err) != WEIR_OK) {
        return cli_fail("rebuild", &err);
    }
    int rc = run(&app, &w);
    cli_app_close(&app);
    return rc;
}
