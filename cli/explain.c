/* explain.c - `weir explain`: the plan of a read model, its state, and how many documents one
 * change can reach. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/database.h"
#include "cli/report.h"
#include "libweir/base/str.h"
#include "libweir/codec/dockey.h"
#include "libweir/codec/json.h"
#include "libweir/io/redis.h"
#include "migrations/deploy/appdir.h"
#include "migrations/deploy/deploy.h"
#include "projector/sql/compile.h"

enum { TEXT_MAX_BYTES = 4 << 20, REDIS_TIMEOUT_MS = 2000 };

typedef struct source {
    const char *path; /* for diagnostics */
    const char *stem;
    weir_slice text;
} source;

/* --- which file
 * -------------------------------------------------------------------------------------------------------
 */

static weir_rc find_source(cli_app *app, const char *model, source *out, weir_error *err)
{
    dep_appdir dir;
    weir_rc rc = dep_appdir_read(app->dir, app->a, &dir, err);
    const char **names = WEIR_ARENA_ARRAY(app->a, const char *, rc == WEIR_OK ? dir.models.n : 0);
    size_t known = 0;
    for (size_t i = 0; rc == WEIR_OK && i < dir.models.n; i++) {
        const dep_file *f = &dir.models.f[i];
        weir_diags ds;
        weir_model_src src;
        weir_diags_init(&ds, app->a);
        bool parsed = weir_model_parse(f->text, f->stem, app->a, &src, &ds) == WEIR_OK;
        names[known] = parsed ? weir_arena_dupz(app->a, src.name) : f->stem;
        if (strcmp(names[known++], model) == 0) {
            *out = (source){weir_arena_printf(app->a, "%s/%s", dir.dir, f->path), f->stem, f->text};
            return WEIR_OK;
        }
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    const char *near = weir_nearest(model, names, known);
    return weir_fail(err, WEIR_E_NOTFOUND, 0, "there is no read model %s in %s/read-models%s%s",
                     model, app->dir, near ? "; did you mean " : "", near ? near : "");
}

/* --- state and fan-in
 * -------------------------------------------------------------------------------------------------
 */

static void show_state(cli_app *app, const char *model)
{
    weir_redisc *c = NULL;
    const weir_redis_reply *r = NULL;
    weir_json *j = NULL;
    weir_error err;
    weir_slice state = {NULL, 0}, reason = {NULL, 0};
    int64_t generation = 0;
    weir_slice argv[] = {WEIR_SLICE_LIT("HGET"), weir_dockey_models(app->a, app->s.redis_namespace),
                         weir_slice_z(model)};
    if (app->s.redis_uri[0] == '\0' ||
        weir_redisc_open(&c, app->s.redis_uri, REDIS_TIMEOUT_MS, &err) != WEIR_OK) {
        return;
    }
    if (weir_redisc_call(c, &r, 3, argv, &err) == WEIR_OK &&
        weir_redis_reply_type(r) == WEIR_REDIS_STRING &&
        weir_json_parse(&j, weir_redis_reply_str(r), &err) == WEIR_OK) {
        (void)weir_json_str(j, "state", &state);
        (void)weir_json_str(j, "reason", &reason);
        (void)weir_json_i64(j, "generation", &generation);
        (void)printf("\nstate " WEIR_SLICE_FMT ", generation %lld%s" WEIR_SLICE_FMT "\n",
                     WEIR_SLICE_ARG(state), (long long)generation, reason.n ? ": " : "",
                     WEIR_SLICE_ARG(reason));
    }
    weir_json_free(j);
    weir_redisc_close(c);
}

/* Rows of a table per distinct value of a column, by the statistics of ANALYZE; < 0 unknown. */
static double rows_per_value(weir_pg *pg, weir_arena *a, const weir_plan_table *t,
                             const weir_plan_index *ix)
{
    static const char sql[] =
        "SELECT c.reltuples / CASE WHEN s.n_distinct > 0 THEN s.n_distinct ELSE greatest(1, "
        "-s.n_distinct * c.reltuples) END"
        "  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        "  JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = "
        "$3"
        " WHERE n.nspname = $1 AND c.relname = $2 AND c.reltuples > 0 AND s.n_distinct <> 0";
    double best = -1;
    for (int i = 0; i < ix->ncols; i++) {
        const char *params[] = {weir_arena_dupz(a, t->schema), weir_arena_dupz(a, t->name),
                                weir_arena_dupz(a, t->cols[ix->cols[i]].name)};
        weir_pg_rows *r = NULL;
        weir_error err;
        if (weir_pg_query(pg, sql, 3, params, &r, &err) == WEIR_OK && weir_pg_nrows(r) > 0) {
            double v = strtod(weir_pg_valuez(r, 0, 0), NULL);
            best = best < 0 || v < best ? v : best; /* the most selective column bounds it */
        }
        weir_pg_rows_free(r);
    }
    return best;
}

static void show_fan_in(weir_pg *pg, const weir_plan *p, weir_arena *a)
{
    bool first = true;
    for (int i = 0; i < p->nocc; i++) {
        const weir_occ *o = &p->occs[i];
        if (o->up < 0) {
            continue;
        }
        const weir_plan_table *up = &p->tables[p->occs[o->up].table];
        double n =
            o->up_index == WEIR_BY_ROWKEY ? 1 : rows_per_value(pg, a, up, &p->indexes[o->up_index]);
        (void)printf("%s  " WEIR_SLICE_FMT " -> " WEIR_SLICE_FMT ": ",
                     first ? "\nfan-in of each edge (rows one changed row leads to)\n" : "",
                     WEIR_SLICE_ARG(o->alias), WEIR_SLICE_ARG(p->occs[o->up].alias));
        first = false;
        if (n < 0) {
            (void)printf("unknown; ANALYZE " WEIR_SLICE_FMT "." WEIR_SLICE_FMT " tells\n",
                         WEIR_SLICE_ARG(up->schema), WEIR_SLICE_ARG(up->name));
        } else {
            (void)printf(n < 1.05 ? "1\n" : "about %.1f\n", n);
        }
    }
}

/* --- the command
 * ------------------------------------------------------------------------------------------------------
 */

static weir_rc explain(cli_app *app, cli_database *db, const source *s, weir_error *err)
{
    weir_diags ds;
    weir_model_src src;
    weir_catalog cat;
    weir_plan *plan = NULL;
    weir_buf out;
    weir_diags_init(&ds, app->a);
    weir_buf_init(&out, TEXT_MAX_BYTES);
    weir_catalog_pg_init(&cat, db->pg, app->s.bridge_publication, app->a);
    weir_rc rc = weir_model_parse(s->text, s->stem, app->a, &src, &ds);
    rc = rc == WEIR_OK ? weir_plan_compile(&src, &cat, app->a, &plan, &ds, err) : rc;
    rc = rc == WEIR_OK ? weir_plan_crosscheck(db->pg, &src, plan, &ds, err) : rc;
    weir_diags_print(&ds, s->path, s->text, cli_red()[0] != '\0', &out);
    (void)fprintf(stderr, WEIR_SLICE_FMT, WEIR_SLICE_ARG(weir_buf_slice(&out)));
    if (ds.errors) {
        rc = weir_fail(err, WEIR_E_INPUT, 0, "class refused: see above");
    } else if (rc == WEIR_OK) {
        weir_buf_reset(&out);
        weir_plan_explain(plan, &out);
        (void)printf(WEIR_SLICE_FMT, WEIR_SLICE_ARG(weir_buf_slice(&out)));
        if (!db->scratch) {
            show_fan_in(db->pg, plan, app->a);
            show_state(app, weir_arena_dupz(app->a, src.name));
        }
    }
    weir_buf_fini(&out);
    return rc;
}

/* A scratch server gets the app's schema first. */
static weir_rc fill_scratch(cli_app *app, cli_database *db, weir_error *err)
{
    dep_report r;
    if (!db->scratch) {
        return WEIR_OK;
    }
    dep_report_init(&r, app->a, false);
    weir_rc rc = dep_schema_only(db->pg, &app->s, app->dir, &r, err);
    if (rc != WEIR_OK) {
        cli_report_print(&r);
    }
    dep_report_fini(&r);
    return rc;
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int cli_explain(int argc, char **argv)
{
    cli_app app;
    cli_database db;
    source s = {NULL, NULL, {NULL, 0}};
    const char *words[2];
    int n = 0;
    weir_error err = {0};
    if (!cli_args("explain", argc, argv, NULL, 0, words, 2, &n)) {
        return 2;
    }
    if (n == 0 || (n == 1 && is_dir(words[0]))) {
        (void)fprintf(stderr, "weir explain: which read model? usage: weir explain [APP] MODEL\n");
        return 2;
    }
    if (cli_app_open(&app, n == 2 ? words[0] : NULL, &err) != WEIR_OK) {
        return cli_fail("explain", &err);
    }
    weir_rc rc = find_source(&app, words[n - 1], &s, &err);
    if (rc == WEIR_OK) {
        rc = cli_database_open_any(&db, &app, &err);
        rc = rc == WEIR_OK ? fill_scratch(&app, &db, &err) : rc;
        rc = rc == WEIR_OK ? explain(&app, &db, &s, &err) : rc;
        cli_database_close(&db);
    }
    int code = rc == WEIR_OK ? 0 : cli_fail("explain", &err);
    cli_app_close(&app);
    return code;
}
