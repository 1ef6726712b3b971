/* mirror.c - the engine fed with the differences of two readings of the tables. */
#include "tests/support/mirror.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/map.h"
#include "projector/engine/apply.h"
#include "projector/engine/dirty.h"
#include "projector/engine/render.h"
#include "projector/engine/walk.h"
#include "tests/support/compare.h"

enum { MODELS = 400, TABLES = 64, SHOW = 3, DOCUMENT_MAX = 64 << 20 };

struct table {
    uint32_t oid;
    const char *select; /* every column, in the stream's order */
    weir_relation rel;
    bool key[WEIR_COLUMNS_MAX];
    weir_map *rows; /* key text -> weir_tuple* in arena */
    weir_arena *a;
};

struct model {
    weir_bound bound;
    weir_map *docs; /* key -> weir_slice*, malloc'd; n = 0: parked */
};

struct mirror {
    weir_pg *pg;
    uint64_t rng;
    char dir[64];
    weir_arena *a;
    weir_state *st;
    weir_layout layout;
    weir_apply ap;
    weir_walk walk;
    weir_dirty dirty;
    weir_render render;
    uint64_t next_task;
    int ntables, nmodels;
    struct table t[TABLES];
    struct model m[MODELS];
};

static void must(weir_rc rc, const weir_error *err)
{
    if (rc != WEIR_OK) {
        fprintf(stderr, "mirror: %s\n", err->msg);
        abort();
    }
}

static uint64_t below(mirror *m, uint64_t n)
{
    m->rng ^= m->rng << 13;
    m->rng ^= m->rng >> 7;
    m->rng ^= m->rng << 17;
    return (m->rng >> 11) % n;
}

mirror *mirror_new(weir_pg *pg, uint64_t seed)
{
    weir_error err = {0};
    weir_arena *a = weir_arena_new(0);
    mirror *m = weir_arena_zalloc(a, sizeof *m);
    m->a = a;
    m->pg = pg;
    m->rng = seed * UINT64_C(0x9E3779B97F4A7C15) + 5;
    (void)snprintf(m->dir, sizeof m->dir, "/tmp/weir-mirror-XXXXXX");
    if (!mkdtemp(m->dir)) {
        abort();
    }
    must(weir_state_open(&m->st, m->dir, (size_t)4 << 30, &err), &err);
    weir_layout_init(&m->layout);
    weir_apply_init(&m->ap, m->st, &m->layout);
    weir_dirty_init(&m->dirty);
    weir_walk_init(&m->walk, m->st, &m->dirty, &m->next_task);
    weir_render_init(&m->render, m->st, DOCUMENT_MAX);
    return m;
}

void mirror_free(mirror *m)
{
    char cmd[100];
    for (int i = 0; i < m->nmodels; i++) {
        for (weir_map_iter it = {0}; weir_map_next(m->m[i].docs, &it);) {
            free(it.value);
        }
        weir_map_free(m->m[i].docs);
    }
    for (int i = 0; i < m->ntables; i++) {
        weir_map_free(m->t[i].rows);
        weir_arena_free(m->t[i].a);
    }
    weir_render_fini(&m->render);
    weir_walk_fini(&m->walk);
    weir_dirty_fini(&m->dirty);
    weir_apply_fini(&m->ap);
    weir_layout_fini(&m->layout);
    weir_state_close(m->st);
    (void)snprintf(cmd, sizeof cmd, "rm -rf %s", m->dir);
    (void)!system(cmd); /* banned-ok: a folder of our own */
    weir_arena_free(m->a);
}

/* --- what the stream would say of a table */

static void describe(mirror *m, struct table *t, const weir_plan_table *p)
{
    weir_error err = {0};
    weir_pg_rows *r = NULL;
    const char *oid = weir_arena_printf(m->a, "%u", p->oid);
    const char *params[] = {oid};
    must(weir_pg_query(m->pg,
                       "SELECT attname, atttypid::int8, atttypmod, quote_ident(attname) FROM "
                       "pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped "
                       "AND attgenerated = '' ORDER BY attnum",
                       1, params, &r, &err),
         &err);
    int n = weir_pg_nrows(r);
    t->rel = (weir_relation){.version = (uint32_t)m->ntables + 1,
                             .oid = p->oid,
                             .schema = p->schema,
                             .name = p->name,
                             .identity = 'd',
                             .n = (uint16_t)n,
                             .cols = WEIR_ARENA_ARRAY(m->a, weir_column, (size_t)n)};
    t->select = "";
    for (int i = 0; i < n; i++) {
        weir_column *c = &t->rel.cols[i];
        *c = (weir_column){.name = weir_arena_dup(m->a, weir_pg_value(r, i, 0)),
                           .type_oid = (uint32_t)weir_pg_i64(r, i, 1),
                           .typmod = (int32_t)weir_pg_i64(r, i, 2)};
        for (int k = 0; k < p->nkey; k++) {
            t->key[i] |= weir_slice_eq(p->cols[p->key[k]].name, c->name);
        }
        c->key = t->key[i];
        t->select = weir_arena_printf(m->a, "%s%s%s", t->select, i ? ", " : "SELECT ",
                                      weir_pg_valuez(r, i, 3));
    }
    weir_pg_rows_free(r);
    t->select = weir_arena_printf(m->a, "%s FROM %s.%s", t->select, weir_pg_ident(m->a, p->schema),
                                  weir_pg_ident(m->a, p->name));
    t->oid = p->oid;
    t->rows = weir_map_new();
    t->a = weir_arena_new(0);
    (void)weir_apply_relation(&m->ap, &t->rel);
}

void mirror_add(mirror *m, const weir_plan *plan)
{
    weir_error err = {0};
    struct model *x = &m->m[m->nmodels++];
    x->docs = weir_map_new();
    must(weir_layout_bind(&m->layout, plan, (uint32_t)m->nmodels, m->a, &x->bound, &err), &err);
    for (int i = 0; i < plan->ntables; i++) {
        bool have = false;
        for (int k = 0; k < m->ntables; k++) {
            have |= m->t[k].oid == plan->tables[i].oid;
        }
        if (!have && m->ntables < TABLES) {
            describe(m, &m->t[m->ntables], &plan->tables[i]);
            m->ntables++;
        }
    }
    weir_apply_relayout(&m->ap);
}

/* --- differences as events */

static weir_tuple *read_row(weir_arena *a, const weir_pg_rows *r, int row, uint16_t n)
{
    weir_tuple *t = weir_arena_zalloc(a, sizeof *t);
    t->n = n;
    t->v = WEIR_ARENA_ARRAY(a, weir_val, n);
    for (int c = 0; c < n; c++) {
        if (!weir_pg_isnull(r, row, c)) {
            t->v[c].kind = WEIR_VAL_TEXT;
            t->v[c].text = weir_arena_dup(a, weir_pg_value(r, row, c));
        }
    }
    return t;
}

static void row_key(const struct table *t, const weir_tuple *row, weir_buf *out)
{
    weir_buf_reset(out);
    for (int c = 0; c < row->n; c++) {
        if (t->key[c]) {
            weir_buf_u32(out, (uint32_t)row->v[c].text.n);
            weir_buf_puts(out, row->v[c].text);
        }
    }
}

static bool same(const weir_tuple *a, const weir_tuple *b)
{
    for (int i = 0; i < a->n; i++) {
        if (a->v[i].kind != b->v[i].kind || !weir_slice_eq(a->v[i].text, b->v[i].text)) {
            return false;
        }
    }
    return true;
}

static void event(mirror *m, const struct table *t, weir_ev_kind kind, const weir_tuple *was,
                  const weir_tuple *is)
{
    weir_error err = {0};
    weir_ev ev = {.kind = kind, .rel = t->rel.version};
    weir_val old[WEIR_COLUMNS_MAX];
    if (kind == WEIR_EV_DELETE) {
        ev.old_kind = WEIR_OLD_KEY;
        ev.old_row = (weir_tuple){.n = was->n, .v = old};
        for (int i = 0; i < was->n; i++) {
            old[i] = t->key[i] ? was->v[i] : (weir_val){.kind = WEIR_VAL_NULL};
        }
    }
    if (is) {
        ev.new_row = *is;
    }
    must(weir_apply_event(&m->ap, &ev, &err), &err);
}

static void differences(mirror *m, struct table *t)
{
    weir_error err = {0};
    weir_pg_rows *r = NULL;
    weir_map *now = weir_map_new();
    weir_arena *a = weir_arena_new(0);
    weir_buf key;
    weir_buf_init(&key, 1 << 20);
    must(weir_pg_query(m->pg, t->select, 0, NULL, &r, &err), &err);
    for (int i = 0; i < weir_pg_nrows(r); i++) {
        weir_tuple *is = read_row(a, r, i, t->rel.n);
        row_key(t, is, &key);
        *weir_map_slot(now, weir_buf_slice(&key), NULL) = is;
        weir_tuple *was = weir_map_del(t->rows, weir_buf_slice(&key));
        if (!was || !same(was, is)) {
            event(m, t, was ? WEIR_EV_UPDATE : WEIR_EV_INSERT, was, is);
        }
    }
    weir_pg_rows_free(r);
    for (weir_map_iter it = {0}; weir_map_next(t->rows, &it);) {
        event(m, t, WEIR_EV_DELETE, it.value, NULL);
    }
    weir_buf_fini(&key);
    weir_map_free(t->rows);
    weir_arena_free(t->a);
    t->rows = now;
    t->a = a;
}

/* --- documents */

static void walk_all(mirror *m)
{
    weir_error err = {0};
    m->walk.budget = INT64_MAX / 2;
    for (size_t c = 0; c < m->ap.n; c++) {
        const weir_change *x = &m->ap.changes[c];
        for (int i = 0; i < m->nmodels; i++) {
            must(weir_walk_change(&m->walk, &m->m[i].bound, x->t, x->old_row, x->new_row, &err),
                 &err);
        }
    }
}

static void put(struct model *x, weir_slice key, weir_slice doc)
{
    weir_slice *s = malloc(sizeof *s + doc.n + 1);
    char *p = (char *)(s + 1);
    if (!s) {
        abort();
    }
    memcpy(p, doc.p ? doc.p : "", doc.n);
    *s = weir_slice_of(p, doc.n);
    void **slot = weir_map_slot(x->docs, key, NULL);
    free(*slot);
    *slot = s;
}

static void render_all(mirror *m)
{
    weir_error err = {0};
    weir_buf out;
    weir_buf_init(&out, DOCUMENT_MAX);
    for (size_t i = 0; i < m->dirty.n; i++) {
        struct model *x = &m->m[m->dirty.keys[i].model->id - 1];
        weir_slice key = weir_dirty_text(&m->dirty, i);
        weir_error why = {0};
        weir_doc made = WEIR_DOC_NONE;
        weir_buf_reset(&out);
        must(weir_render_doc(&m->render, &x->bound, key, &out, &made, &why, &err), &err);
        if (made == WEIR_DOC_NONE) {
            free(weir_map_del(x->docs, key));
        } else {
            const char *parked = weir_arena_printf(m->a, "parked: %s", why.msg);
            put(x, key, made == WEIR_DOC_MADE ? weir_buf_slice(&out) : weir_slice_z(parked));
        }
    }
    weir_buf_fini(&out);
    weir_dirty_reset(&m->dirty);
}

void mirror_step(mirror *m)
{
    weir_error err = {0};
    must(weir_state_begin(m->st, &err), &err);
    int from = (int)below(m, (uint64_t)m->ntables);
    for (int i = 0; i < m->ntables; i++) {
        differences(m, &m->t[(from + i) % m->ntables]);
        if (below(m, 4) == 0) { /* in pieces: the walk is complete after each */
            walk_all(m);
            weir_apply_reset(&m->ap);
        }
    }
    walk_all(m);
    weir_apply_reset(&m->ap);
    must(weir_state_commit(m->st, &err), &err);
    must(weir_state_begin(m->st, &err), &err);
    render_all(m);
    weir_state_abort(m->st);
}

static void show(const mirror *m, int i, const char *what, weir_slice key, weir_slice pg,
                 weir_slice ours)
{
    fprintf(stderr,
            "%s: " WEIR_SLICE_FMT "/" WEIR_SLICE_FMT "\n  postgres " WEIR_SLICE_FMT
            "\n  engine   " WEIR_SLICE_FMT "\n",
            what, WEIR_SLICE_ARG(m->m[i].bound.plan->model), WEIR_SLICE_ARG(key),
            WEIR_SLICE_ARG(pg), WEIR_SLICE_ARG(ours));
}

int mirror_compare(mirror *m, int i, uint64_t *documents)
{
    weir_arena *a = weir_arena_new(0);
    weir_map *docs = weir_map_new();
    int diffs = orc_documents(m->pg, m->m[i].bound.plan, a, docs) ? 0 : -1;
    for (weir_map_iter it = {0}; diffs >= 0 && weir_map_next(m->m[i].docs, &it);) {
        const weir_slice *ours = it.value, *pg = weir_map_del(docs, it.key);
        (*documents)++;
        if ((!pg || !weir_slice_eq(*pg, *ours)) && diffs++ < SHOW) {
            show(m, i, pg ? "different" : "left over", it.key, pg ? *pg : (weir_slice){0}, *ours);
        }
    }
    for (weir_map_iter it = {0}; diffs >= 0 && weir_map_next(docs, &it);) {
        if (diffs++ < SHOW) {
            show(m, i, "missing", it.key, *(weir_slice *)it.value, (weir_slice){0});
        }
    }
    weir_map_free(docs);
    weir_arena_free(a);
    return diffs;
}
