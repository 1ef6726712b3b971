/* rebuild_show.c - what `weir rebuild` shows: generations, progress, the last orders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/rebuild.h"
#include "libweir/base/buf.h"
#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "libweir/io/curl.h"

enum { TIMEOUT_MS = 3000, TELL_MS = 2000, TELL_JSON_MS = 500, BAR = 30, ORDERS = 10 };

/* --- reading
 * ------------------------------------------------------------------------------------------------
 */

static const char *text_of(weir_arena *a, const weir_json *j, const char *key)
{
    weir_slice s = {NULL, 0};
    return weir_json_str(j, key, &s) ? weir_arena_dupz(a, s) : "";
}

static int64_t number_of(const weir_json *j, const char *key)
{
    int64_t n = 0;
    return weir_json_i64(j, key, &n) ? n : 0;
}

static void take(weir_arena *a, const weir_json *j, cli_generation *g)
{
    *g = (cli_generation){.model = text_of(a, j, "name"),
                          .state = text_of(a, j, "state"),
                          .step = text_of(a, j, "step"),
                          .reason = text_of(a, j, "reason"),
                          .generation = number_of(j, "generation"),
                          .documents = number_of(j, "documents"),
                          .parked = number_of(j, "parked"),
                          .rows = number_of(j, "rows"),
                          .rows_total = number_of(j, "rows_total"),
                          .compared = number_of(j, "compared"),
                          .order = number_of(j, "order"),
                          .kept_s = number_of(j, "kept_s")};
    (void)weir_json_double(j, "rows_per_s", &g->rows_per_s);
    (void)weir_json_double(j, "eta_s", &g->eta_s);
    (void)weir_json_bool(j, "rolled_back", &g->rolled_back);
}

void cli_generations_read(const cli_app *app, const char *model, weir_arena *a,
                          cli_generations *out)
{
    weir_error err;
    weir_json *j = NULL;
    weir_curl_response r = {0};
    const char *url =
        weir_arena_printf(a, "http://127.0.0.1:%lld/status", (long long)app->s.projector_port);
    out->n = 0;
    out->answers =
        weir_curl("GET", url, NULL, (weir_slice){NULL, 0}, TIMEOUT_MS, a, &r, &err) == WEIR_OK &&
        r.status == 200 && weir_json_parse(&j, r.body, &err) == WEIR_OK;
    const weir_json *models = out->answers ? weir_json_get(j, "models") : NULL;
    for (size_t i = 0; i < weir_json_len(models) && out->n < CLI_GENERATIONS_MAX; i++) {
        take(a, weir_json_at(models, i), &out->g[out->n]);
        out->n += !model || strcmp(out->g[out->n].model, model) == 0;
    }
    weir_json_free(j);
}

const cli_generation *cli_generations_serving(const cli_generations *gs)
{
    for (int i = 0; i < gs->n; i++) {
        if (strcmp(gs->g[i].state, "ready") == 0) {
            return &gs->g[i];
        }
    }
    return NULL;
}

bool cli_rebuild_duration(const char *text, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    enum { LONGEST = 1000000 };
    char *end = NULL;
    if (strcmp(text, "forever") == 0) {
        *ms = -1;
        return true;
    }
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    long long n = strtoll(text, &end, 10);
    if (n == 0 && *end == '\0') {
        *ms = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) == 0 && n <= LONGEST) {
            *ms = n * units[i].ms;
            return true;
        }
    }
    return false;
}

/* --- progress
 * -----------------------------------------------------------------------------------------------
 */

static double share(const cli_generation *g)
{
    uint64_t total = (uint64_t)(g->rows_total > 0 ? g->rows_total : 0);
    int64_t done = strcmp(g->step, "verify") == 0 ? g->compared : g->rows;
    double x = total ? (double)done / (double)total : 0;
    return x > 1 ? 1 : x;
}

static void tell_json(const cli_generation *g)
{
    (void)printf("{\"model\": \"%s\", \"generation\": %lld, \"step\": \"%s\", \"rows\": %lld, "
                 "\"rows_total\": %lld, \"rows_per_s\": %.0f, \"eta_s\": %.1f, \"compared\": "
                 "%lld}\n",
                 g->model, (long long)g->generation, g->step, (long long)g->rows,
                 (long long)g->rows_total, g->rows_per_s, g->eta_s, (long long)g->compared);
}

static void tell_line(const cli_progress *p, const cli_generation *g)
{
    (void)printf("%s  %s generation %lld  %-6s ", p->terminal ? "\r" : "", g->model,
                 (long long)g->generation, g->step);
    for (int i = 0; p->terminal && i < BAR; i++) {
        (void)printf("%s", i < (int)(share(g) * BAR) ? "█" : "░");
    }
    (void)printf(" %5.1f %%", share(g) * 100);
    if (strcmp(g->step, "load") == 0) {
        (void)printf("  %lld of %lld rows, %.0f rows/s, %.0f s left", (long long)g->rows,
                     (long long)g->rows_total, g->rows_per_s, g->eta_s);
    } else if (strcmp(g->step, "verify") == 0) {
        (void)printf("  %lld documents compared", (long long)g->compared);
    }
    (void)printf(p->terminal ? "\033[K" : "\n");
}

void cli_progress_tell(cli_progress *p, const cli_generation *g)
{
    int64_t now = weir_mono_ms();
    int64_t every = p->terminal && !p->json ? 0 : p->json ? TELL_JSON_MS : TELL_MS;
    bool other = strcmp(p->last_step, g->step) != 0;
    if (!other && now < p->told_ms + every) {
        return;
    }
    p->told_ms = now;
    (void)snprintf(p->last_step, sizeof p->last_step, "%s", g->step);
    if (p->json) {
        tell_json(g);
    } else {
        tell_line(p, g);
    }
    (void)fflush(stdout);
}

void cli_progress_clear(const cli_progress *p)
{
    if (p->terminal && !p->json && p->last_step[0]) {
        (void)printf("\r\033[K");
        (void)fflush(stdout);
    }
}

/* --- status
 * -------------------------------------------------------------------------------------------------
 */

static const char *kept_text(weir_arena *a, const cli_generation *g)
{
    if (strcmp(g->state, "kept") != 0) {
        return g->rolled_back ? "rolled back: the deployed SELECT is another one" : g->reason;
    }
    return g->kept_s < 0 ? "until weir rebuild --drop-old"
                         : weir_arena_printf(a, "for %lld s more", (long long)g->kept_s);
}

static const char *state_text(weir_arena *a, const cli_generation *g)
{
    return g->step[0] ? weir_arena_printf(a, "%s %.0f %%", g->step, share(g) * 100) : g->state;
}

static void print_generations(const cli_app *app, weir_arena *a, const cli_generations *gs)
{
    if (!gs->answers) {
        (void)printf("  the projector does not answer on port %lld\n",
                     (long long)app->s.projector_port);
        return;
    }
    (void)printf("  %s%-24s %10s  %-12s %10s %7s%s\n", cli_dim(), "model", "generation", "state",
                 "documents", "parked", cli_plain());
    for (int i = 0; i < gs->n; i++) {
        const cli_generation *g = &gs->g[i];
        (void)printf("  %-24s %10lld  %-12s %10lld %7lld  %s\n", g->model, (long long)g->generation,
                     state_text(a, g), (long long)g->documents, (long long)g->parked,
                     kept_text(a, g));
    }
}

static void print_orders(const weir_pg_rows *r)
{
    for (int i = 0; i < weir_pg_nrows(r); i++) {
        (void)printf("%s  order %-5s %-9s %-24s %s by %s: %s%s%s\n", i ? "" : "\n",
                     weir_pg_valuez(r, i, 0), weir_pg_valuez(r, i, 2), weir_pg_valuez(r, i, 1),
                     weir_pg_valuez(r, i, 3), weir_pg_valuez(r, i, 4), weir_pg_valuez(r, i, 5),
                     weir_pg_value(r, i, 6).n ? ", " : "", weir_pg_valuez(r, i, 6));
    }
}

static void put_text(weir_buf *b, const char *name, const char *text)
{
    weir_buf_printf(b, ", \"%s\": ", name);
    weir_json_quote(b, weir_slice_z(text));
}

static void print_json(const cli_generations *gs, const char *orders)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 24);
    weir_buf_printf(&b, "{\"projector\": %s, \"generations\": [", gs->answers ? "true" : "false");
    for (int i = 0; i < gs->n; i++) {
        const cli_generation *g = &gs->g[i];
        weir_buf_printf(&b, "%s{\"generation\": %lld", i ? ", " : "", (long long)g->generation);
        put_text(&b, "model", g->model);
        put_text(&b, "state", g->state);
        put_text(&b, "step", g->step);
        put_text(&b, "reason", g->reason);
        weir_buf_printf(&b,
                        ", \"documents\": %lld, \"parked\": %lld, \"rows\": %lld, \"rows_total\": "
                        "%lld, \"compared\": %lld, \"rolled_back\": %s}",
                        (long long)g->documents, (long long)g->parked, (long long)g->rows,
                        (long long)g->rows_total, (long long)g->compared,
                        g->rolled_back ? "true" : "false");
    }
    (void)printf(WEIR_SLICE_FMT "], \"orders\": %s}\n", WEIR_SLICE_ARG(weir_buf_slice(&b)), orders);
    weir_buf_fini(&b);
}

weir_rc cli_rebuild_status(const cli_app *app, weir_pg *pg, const char *model, bool json,
                           weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_arena *a = weir_arena_new(0);
    cli_generations *gs = weir_arena_zalloc(a, sizeof *gs);
    cli_generations_read(app, model, a, gs);
    const char *last = weir_arena_printf(
        a,
        "SELECT id, model, action, to_char(asked_at, 'YYYY-MM-DD HH24:MI:SS') AS asked_at, "
        "asked_by, state, note, generation FROM weir.rebuild WHERE $1::text IS NULL OR model = $1 "
        "ORDER BY id DESC LIMIT %d",
        ORDERS);
    const char *sql =
        json ? weir_arena_printf(a, "SELECT coalesce(jsonb_agg(o), '[]')::text FROM (%s) o", last)
             : last;
    weir_rc rc = weir_pg_query(pg, sql, 1, &model, &r, err);
    if (rc == WEIR_OK && json) {
        print_json(gs, weir_pg_valuez(r, 0, 0));
    } else if (rc == WEIR_OK) {
        print_generations(app, a, gs);
        print_orders(r);
    }
    weir_pg_rows_free(r);
    weir_arena_free(a);
    return rc;
}
