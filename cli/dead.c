/* dead.c - `weir dead`: what was given up and waits for a person: commands, callbacks, and the
 * documents the projector parked.
 *
 * Commands and callbacks are rows of PostgreSQL and are changed there; parked documents are the
 * projector's own and are only counted here: they leave by themselves when their rows change or the
 * model is built anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/app.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/database.h"
#include "libweir/base/buf.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "libweir/codec/json_pretty.h"
#include "libweir/io/curl.h"

enum { SHOWN_MAX = 1000, ASK_MS = 2000, TEXT_MAX_BYTES = 64 << 20, REASON_SHOW = 90 };

typedef struct wish {
    const char *action, *dir;
    const char *ids[CLI_WORDS_MAX];
    int nids;
    bool all, json;
} wish;

static bool is_id(const char *word)
{
    return strncmp(word, "callback-", 9) == 0 ||
           (strlen(word) == 32 && strspn(word, "0123456789abcdef") == 32);
}

static int usage(void)
{
    (void)fprintf(stderr,
                  "usage: weir dead list|show|retry|discard [APP] [ID… | --all] [--json]\n");
    return 2;
}

/* false: said what is wrong. */
static bool read_wish(wish *w, int argc, char **argv)
{
    const char *words[CLI_WORDS_MAX];
    int n = 0;
    const cli_flag flags[] = {{"--all", NULL, &w->all}, {"--json", NULL, &w->json}};
    if (!cli_args("dead", argc, argv, flags, 2, words, CLI_WORDS_MAX, &n)) {
        return false;
    }
    w->action = n > 0 ? words[0] : "list";
    for (int i = 1; i < n; i++) {
        if (is_id(words[i])) {
            w->ids[w->nids++] = words[i];
        } else if (!w->dir) {
            w->dir = words[i];
        } else {
            (void)fprintf(stderr, "weir dead: %s is no id; weir dead list shows them\n", words[i]);
            return false;
        }
    }
    bool list = strcmp(w->action, "list") == 0, show = strcmp(w->action, "show") == 0;
    bool change = strcmp(w->action, "retry") == 0 || strcmp(w->action, "discard") == 0;
    if (!list && !show && !change) {
        (void)fprintf(stderr, "weir dead: there is no %s\n", w->action);
        return usage() == 0;
    }
    if (change && (w->nids > 0) == w->all) {
        (void)fprintf(stderr, "weir dead %s: name the ids, or say --all\n", w->action);
        return false;
    }
    return true;
}

static const char none_dead[] = "  no dead commands or callbacks\n";

/* "{a,b}" of the ids, which need no quoting; NULL: all. */
static const char *id_array(const wish *w, weir_arena *a)
{
    const char *text = NULL;
    for (int i = 0; i < w->nids; i++) {
        text = weir_arena_printf(a, "%s%s%s", text ? text : "{", text ? "," : "", w->ids[i]);
    }
    return text ? weir_arena_printf(a, "%s}", text) : NULL;
}

static weir_rc query(weir_pg *pg, const char *sql, int n, const char *const *params,
                     weir_pg_rows **rows, weir_error *err)
{
    weir_rc rc = weir_pg_query(pg, sql, n, params, rows, err);
    if (rc != WEIR_OK &&
        (strcmp(err->sqlstate, "42883") == 0 || strcmp(err->sqlstate, "3F000") == 0)) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "the control schema is older than this program; run weir deploy first");
    }
    return rc;
}

/* The projector's models with parked documents; NULL when it does not answer. */
static weir_json *projector_status(cli_app *app)
{
    weir_json *j = NULL;
    weir_error err = {0};
    weir_curl_response r = {0};
    const char *url = weir_arena_printf(app->a, "%s/status", cli_app_projector_url(app));
    if (weir_curl("GET", url, NULL, (weir_slice){NULL, 0}, ASK_MS, app->a, &r, &err) != WEIR_OK ||
        weir_json_parse(&j, r.body, &err) != WEIR_OK) {
        return NULL;
    }
    return j;
}

static int64_t parked(const weir_json *model)
{
    int64_t n = 0;
    return weir_json_i64(model, "parked", &n) ? n : 0;
}

static void print_rows(const weir_pg_rows *rows)
{
    int n = weir_pg_nrows(rows);
    if (n > 0) {
        (void)printf("  %s%-34s %-9s %-20s %-28s %s%s\n", cli_dim(), "id", "kind", "since", "name",
                     "reason", cli_plain());
    }
    for (int r = 0; r < n; r++) {
        (void)printf("  %-34s %-9s %-20.19s %-28s %.*s\n", weir_pg_valuez(rows, r, 0),
                     weir_pg_valuez(rows, r, 1), weir_pg_valuez(rows, r, 3),
                     weir_pg_valuez(rows, r, 2), REASON_SHOW, weir_pg_valuez(rows, r, 5));
    }
    if (n == 0) {
        (void)printf("%s", none_dead);
    } else if (n == SHOWN_MAX) {
        (void)printf("  the oldest %d are shown\n", SHOWN_MAX);
    }
}

static void print_parked(const weir_json *status)
{
    const weir_json *models = status ? weir_json_get(status, "models") : NULL;
    if (!status) {
        (void)printf("  the projector does not answer: parked documents are not known\n");
    }
    for (size_t i = 0; i < weir_json_len(models); i++) {
        weir_slice name;
        const weir_json *m = weir_json_at(models, i);
        if (parked(m) > 0 && weir_json_str(m, "name", &name)) {
            (void)printf("  %lld parked document%s of " WEIR_SLICE_FMT
                         ": see the projector's log; they leave when their rows change\n",
                         (long long)parked(m), parked(m) == 1 ? "" : "s", WEIR_SLICE_ARG(name));
        }
    }
}

static void print_json(const weir_pg_rows *rows, const weir_json *status)
{
    const weir_json *models = status ? weir_json_get(status, "models") : NULL;
    weir_buf b;
    weir_buf_init(&b, TEXT_MAX_BYTES);
    weir_buf_putz(&b, "{\"dead\": [");
    for (int r = 0; r < weir_pg_nrows(rows); r++) {
        weir_buf_putz(&b, r ? ", " : "");
        weir_buf_puts(&b, weir_pg_value(rows, r, 6));
    }
    weir_buf_printf(&b, "], \"projector\": %s, \"parked\": [", status ? "true" : "false");
    bool first = true;
    for (size_t i = 0; i < weir_json_len(models); i++) {
        weir_slice name;
        const weir_json *m = weir_json_at(models, i);
        if (parked(m) > 0 && weir_json_str(m, "name", &name)) {
            weir_buf_putz(&b, first ? "{\"model\": " : ", {\"model\": ");
            weir_json_quote(&b, name);
            weir_buf_printf(&b, ", \"documents\": %lld}", (long long)parked(m));
            first = false;
        }
    }
    weir_buf_putz(&b, "]}\n");
    (void)fwrite(b.p, 1, b.n, stdout);
    weir_buf_fini(&b);
}

static weir_rc list(weir_pg *pg, cli_app *app, const wish *w, weir_error *err)
{
    char most[16];
    const char *params[] = {most};
    weir_pg_rows *rows = NULL;
    (void)snprintf(most, sizeof most, "%d", SHOWN_MAX);
    weir_rc rc = query(pg,
                       "SELECT id, kind, name, finished_at::text, attempts, reason, "
                       "(jsonb_build_object('id', id, 'kind', kind, 'name', name, 'finished_at', "
                       "finished_at, 'attempts', attempts, 'reason', reason))::text FROM "
                       "weir.dead_list($1::int)",
                       1, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_json *status = projector_status(app);
    if (w->json) {
        print_json(rows, status);
    } else {
        print_rows(rows);
        print_parked(status);
    }
    weir_json_free(status);
    weir_pg_rows_free(rows);
    return WEIR_OK;
}

/* WEIR_E_NOTFOUND when fewer were found than named. */
static weir_rc all_dead(const wish *w, int found, weir_error *err)
{
    return found >= w->nids
               ? WEIR_OK
               : weir_fail(err, WEIR_E_NOTFOUND, 0,
                           "%d of the %d named %s not among what is dead; see weir dead list",
                           w->nids - found, w->nids, w->nids - found == 1 ? "is" : "are");
}

static weir_rc show(weir_pg *pg, weir_arena *a, const wish *w, weir_error *err)
{
    char most[16];
    const char *params[] = {most, id_array(w, a)};
    weir_pg_rows *rows = NULL;
    (void)snprintf(most, sizeof most, "%d", w->nids ? INT32_MAX : SHOWN_MAX);
    weir_rc rc = query(pg,
                       "SELECT (jsonb_build_object('id', id, 'kind', kind, 'finished_at', "
                       "finished_at, 'attempts', attempts, 'reason', reason) || detail)::text "
                       "FROM weir.dead_list($1::int) WHERE $2::text[] IS NULL OR id = ANY "
                       "($2::text[])",
                       2, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    for (int r = 0; r < weir_pg_nrows(rows); r++) {
        weir_buf b;
        weir_buf_init(&b, TEXT_MAX_BYTES);
        if (w->json) {
            weir_buf_puts(&b, weir_pg_value(rows, r, 0));
        } else {
            weir_json_pretty(&b, weir_pg_value(rows, r, 0));
        }
        weir_buf_putz(&b, "\n");
        (void)fwrite(b.p, 1, b.n, stdout);
        weir_buf_fini(&b);
    }
    if (weir_pg_nrows(rows) == 0 && w->nids == 0 && !w->json) {
        (void)printf("%s", none_dead);
    }
    rc = all_dead(w, weir_pg_nrows(rows), err);
    weir_pg_rows_free(rows);
    return rc;
}

static weir_rc change(weir_pg *pg, weir_arena *a, const wish *w, weir_error *err)
{
    const char *params[] = {id_array(w, a)};
    bool retry = strcmp(w->action, "retry") == 0;
    weir_pg_rows *rows = NULL;
    weir_rc rc = query(pg,
                       retry ? "SELECT * FROM weir.dead_retry($1::text[])"
                             : "SELECT * FROM weir.dead_discard($1::text[])",
                       1, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    int n = weir_pg_nrows(rows);
    weir_pg_rows_free(rows);
    if (w->json) {
        (void)printf("{\"%s\": %d}\n", retry ? "retried" : "discarded", n);
    } else {
        (void)printf("  %d %s\n", n, retry ? "to be tried again" : "discarded");
    }
    return all_dead(w, n, err);
}

int cli_dead(int argc, char **argv)
{
    wish w = {0};
    cli_app app;
    cli_database db = {0};
    weir_error err = {0};
    if (!read_wish(&w, argc, argv)) {
        return 2;
    }
    weir_rc rc = cli_app_open(&app, w.dir, &err);
    if (rc != WEIR_OK) {
        return cli_fail("dead", &err);
    }
    rc = cli_database_open(&db, &app, &err);
    if (rc == WEIR_OK) {
        rc = strcmp(w.action, "list") == 0   ? list(db.pg, &app, &w, &err)
             : strcmp(w.action, "show") == 0 ? show(db.pg, app.a, &w, &err)
                                             : change(db.pg, app.a, &w, &err);
        cli_database_close(&db);
    }
    int code = rc == WEIR_OK ? 0 : cli_fail("dead", &err);
    cli_app_close(&app);
    return code;
}
