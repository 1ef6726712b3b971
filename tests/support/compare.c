/* compare.c - reads a model from PostgreSQL into a map, then Redis's keys, and tells what is
 * missing, different or left over. */
#include "tests/support/compare.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/map.h"
#include "libweir/codec/dockey.h"
#include "libweir/codec/json.h"
#include "projector/sql/compile.h"

enum { SHOW = 5 };

struct side {
    orc_app *app;
    weir_arena *a; /* one comparison */
    const weir_plan *plan;
    weir_map *docs; /* key text -> weir_slice* of PostgreSQL's document */
    uint32_t generation;
    int diffs;
    bool quiet;
};

static bool compile(struct side *s, const char *name, weir_slice source)
{
    weir_error err = {0};
    weir_diags ds;
    weir_model_src src;
    weir_catalog cat;
    weir_plan *plan = NULL;
    weir_diags_init(&ds, s->a);
    weir_catalog_pg_init(&cat, s->app->pg, NULL, s->a);
    if (weir_model_parse(source, name, s->a, &src, &ds) != WEIR_OK ||
        weir_plan_compile(&src, &cat, s->a, &plan, &ds, &err) != WEIR_OK) {
        fprintf(stderr, "model %s does not compile: %s %s\n", name, err.msg,
                ds.n ? ds.d[0].msg : "");
        return false;
    }
    s->plan = plan;
    return true;
}

bool orc_documents(weir_pg *pg, const weir_plan *plan, weir_arena *a, weir_map *out)
{
    weir_error err = {0};
    weir_pg_rows *r = NULL;
    weir_buf q, key;
    weir_buf_init(&q, 1 << 20);
    weir_buf_init(&key, 1 << 20);
    weir_buf_putz(&q, "SELECT ");
    for (int i = 0; i < plan->nkey; i++) {
        weir_buf_printf(&q, "format('%%s', q.%s), ", weir_pg_ident(a, plan->key_names[i]));
    }
    weir_buf_printf(&q, "to_jsonb(q.*)::text FROM (" WEIR_SLICE_FMT "\n) q",
                    WEIR_SLICE_ARG(plan->oracle_sql));
    weir_rc rc = weir_pg_query(pg, weir_arena_dupz(a, weir_buf_slice(&q)), 0, NULL, &r, &err);
    if (rc != WEIR_OK) {
        fprintf(stderr, "the SELECT of " WEIR_SLICE_FMT " fails: %s\n", WEIR_SLICE_ARG(plan->model),
                err.msg);
    }
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        weir_slice parts[32];
        for (int k = 0; k < plan->nkey && k < 32; k++) {
            parts[k] = weir_pg_value(r, i, k);
        }
        weir_buf_reset(&key);
        weir_dockey_text(&key, parts, (size_t)plan->nkey);
        weir_slice *doc = weir_arena_alloc(a, sizeof *doc);
        *doc = weir_arena_dup(a, weir_pg_value(r, i, plan->nkey));
        *weir_map_slot(out, weir_buf_slice(&key), NULL) = doc;
    }
    weir_pg_rows_free(r);
    weir_buf_fini(&q);
    weir_buf_fini(&key);
    return rc == WEIR_OK;
}

static void differ(struct side *s, const char *what, weir_slice key, weir_slice pg,
                   weir_slice redis)
{
    if (s->diffs++ < SHOW && !s->quiet) {
        fprintf(stderr,
                "%s: " WEIR_SLICE_FMT "/" WEIR_SLICE_FMT "\n  postgres " WEIR_SLICE_FMT
                "\n  redis    " WEIR_SLICE_FMT "\n",
                what, WEIR_SLICE_ARG(s->plan->model), WEIR_SLICE_ARG(key), WEIR_SLICE_ARG(pg),
                WEIR_SLICE_ARG(redis));
    }
}

static bool model_generation(struct side *s)
{
    weir_error err = {0};
    const weir_redis_reply *r = NULL;
    weir_json *j = NULL;
    weir_slice argv[] = {WEIR_SLICE_LIT("HGET"), weir_dockey_models(s->a, s->app->ns),
                         s->plan->model};
    int64_t gen = 0;
    weir_slice state = {0};
    bool ok = weir_redisc_call(s->app->redis, &r, 3, argv, &err) == WEIR_OK &&
              weir_json_parse(&j, weir_redis_reply_str(r), &err) == WEIR_OK &&
              weir_json_i64(j, "generation", &gen) && weir_json_str(j, "state", &state) &&
              weir_slice_eqz(state, "ready");
    if (!ok) {
        fprintf(stderr, "model " WEIR_SLICE_FMT " is not ready (" WEIR_SLICE_FMT ") %s\n",
                WEIR_SLICE_ARG(s->plan->model), WEIR_SLICE_ARG(state), err.msg);
    }
    s->generation = (uint32_t)gen;
    weir_json_free(j);
    return ok;
}

/* One document of Redis: takes it out of the map when it is right. */
static bool check_key(struct side *s, weir_slice redis_key, size_t prefix)
{
    weir_error err = {0};
    const weir_redis_reply *r = NULL;
    weir_slice key = weir_slice_of(redis_key.p + prefix, redis_key.n - prefix);
    weir_slice argv[] = {WEIR_SLICE_LIT("GET"), redis_key};
    if (weir_redisc_call(s->app->redis, &r, 2, argv, &err) != WEIR_OK) {
        fprintf(stderr, "redis: %s\n", err.msg);
        return false;
    }
    weir_slice have = weir_redis_reply_str(r);
    weir_slice *want = weir_map_del(s->docs, key);
    if (!want) {
        differ(s, "left over", key, (weir_slice){0}, have);
    } else if (!weir_slice_eq(*want, have)) {
        differ(s, "different", key, *want, have);
    }
    return true;
}

static bool read_redis(struct side *s, uint64_t *documents)
{
    weir_error err = {0};
    weir_slice prefix =
        weir_dockey_doc(s->a, s->app->ns, s->plan->model, s->generation, (weir_slice){"", 0});
    const char *pattern = weir_arena_printf(s->a, WEIR_SLICE_FMT "*", WEIR_SLICE_ARG(prefix));
    weir_slice cursor = WEIR_SLICE_LIT("0");
    weir_map *seen = weir_map_new(); /* SCAN may name a key twice */
    bool ok = true;
    do {
        const weir_redis_reply *r = NULL;
        weir_slice argv[] = {WEIR_SLICE_LIT("SCAN"),  cursor,
                             WEIR_SLICE_LIT("MATCH"), weir_slice_z(pattern),
                             WEIR_SLICE_LIT("COUNT"), WEIR_SLICE_LIT("1000")};
        ok = weir_redisc_call(s->app->redis, &r, 6, argv, &err) == WEIR_OK &&
             weir_redis_reply_len(r) == 2;
        if (!ok) {
            break;
        }
        cursor = weir_arena_dup(s->a, weir_redis_reply_str(weir_redis_reply_at(r, 0)));
        const weir_redis_reply *list = weir_redis_reply_at(r, 1);
        for (size_t i = 0; i < weir_redis_reply_len(list); i++) {
            *weir_map_slot(seen, weir_redis_reply_str(weir_redis_reply_at(list, i)), NULL) = s;
        }
    } while (!weir_slice_eqz(cursor, "0"));
    for (weir_map_iter it = {0}; ok && weir_map_next(seen, &it);) {
        ok = check_key(s, it.key, prefix.n);
        (*documents)++;
    }
    weir_map_free(seen);
    for (weir_map_iter it = {0}; ok && weir_map_next(s->docs, &it);) {
        differ(s, "missing", it.key, *(weir_slice *)it.value, (weir_slice){0});
    }
    return ok;
}

static bool both_sides(struct side *s, uint64_t *documents)
{
    return model_generation(s) && orc_documents(s->app->pg, s->plan, s->a, s->docs) &&
           read_redis(s, documents);
}

int orc_compare_docs(orc_app *app, const weir_plan *plan, weir_map *docs, uint64_t *documents)
{
    struct side s = {.app = app, .a = weir_arena_new(0), .plan = plan, .docs = docs};
    bool ok = model_generation(&s) && read_redis(&s, documents);
    weir_arena_free(s.a);
    return ok ? s.diffs : -1;
}

int orc_compare_plan(orc_app *app, const weir_plan *plan, uint64_t *documents, bool quiet)
{
    struct side s = {
        .app = app, .a = weir_arena_new(0), .plan = plan, .docs = weir_map_new(), .quiet = quiet};
    bool ok = both_sides(&s, documents);
    weir_map_free(s.docs);
    weir_arena_free(s.a);
    return ok ? s.diffs : -1;
}

static int compare_model(orc_app *app, const char *name, weir_slice source, uint64_t *documents,
                         bool quiet)
{
    struct side s = {.app = app, .a = weir_arena_new(0), .docs = weir_map_new(), .quiet = quiet};
    bool ok = compile(&s, name, source) && both_sides(&s, documents);
    weir_map_free(s.docs);
    weir_arena_free(s.a);
    return ok ? s.diffs : -1;
}

int orc_compare(orc_app *app, uint64_t *documents, bool quiet)
{
    weir_error err = {0};
    weir_pg_rows *r = NULL;
    int sum = 0;
    if (weir_pg_query(app->pg, "SELECT name, source FROM weir.read_model ORDER BY name", 0, NULL,
                      &r, &err) != WEIR_OK) {
        fprintf(stderr, "cannot read weir.read_model: %s\n", err.msg);
        return -1;
    }
    for (int i = 0; i < weir_pg_nrows(r) && sum >= 0; i++) {
        int d =
            compare_model(app, weir_pg_valuez(r, i, 0), weir_pg_value(r, i, 1), documents, quiet);
        sum = d < 0 ? -1 : sum + d;
    }
    if (weir_pg_nrows(r) == 0) {
        fprintf(stderr, "no read model is deployed\n");
        sum = -1;
    }
    weir_pg_rows_free(r);
    return sum;
}
