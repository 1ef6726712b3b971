/* genmodel.c - a whole model: its axes, its root and key, its outputs. */
#include "tests/support/genmodel_priv.h"

static const int axis_values[GM_AXES] = {
    [GM_ROOT] = 3,   [GM_JOIN] = 8,   [GM_DEPTH] = 4, [GM_AGG] = 11, [GM_MOD] = 3,
    [GM_WHERE] = 10, [GM_ORDER] = 13, [GM_EXPR] = 10, [GM_KEY] = 3,  [GM_LINK] = 3,
};

uint64_t gm_random(gm *g, uint64_t below)
{
    g->rng ^= g->rng << 13;
    g->rng ^= g->rng >> 7;
    g->rng ^= g->rng << 17;
    return below ? (g->rng >> 11) % below : 0;
}

bool gm_chance(gm *g, unsigned percent)
{
    return gm_random(g, 100) < percent;
}

const char *gm_alias(gm *g, const char *prefix)
{
    return weir_arena_printf(g->a, "%s%d", prefix, g->names++);
}

const char *gm_ident(gm *g, weir_slice name)
{
    bool plain = true;
    for (size_t i = 0; i < name.n; i++) {
        plain = plain && ((name.p[i] >= 'a' && name.p[i] <= 'z') || name.p[i] == '_' ||
                          (i > 0 && name.p[i] >= '0' && name.p[i] <= '9'));
    }
    return plain ? weir_arena_dupz(g->a, name) : weir_pg_ident(g->a, name);
}

/* --- the database */

static weir_rc read_labels(gm *g, weir_pg *pg, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(
        pg, "SELECT enumtypid::int8, quote_literal(enumlabel) FROM pg_enum ORDER BY 1, 2", 0, NULL,
        &r, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r) && i < GM_LABELS_MAX; i++) {
        g->labels[g->nlabels++] =
            (gm_label){.oid = (uint32_t)weir_pg_i64(r, i, 0),
                       .literal = weir_arena_strdup(g->a, weir_pg_valuez(r, i, 1))};
    }
    weir_pg_rows_free(r);
    return rc;
}

weir_rc gm_new(gm **out, weir_pg *pg, uint64_t seed, weir_arena *a, weir_error *err)
{
    gm *g = weir_arena_zalloc(a, sizeof *g);
    weir_pg_rows *r = NULL;
    g->a = a;
    g->rng = seed * UINT64_C(0x9E3779B97F4A7C15) + 77;
    weir_catalog_pg_init(&g->cat, pg, NULL, a);
    weir_rc rc = weir_pg_query(
        pg,
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
        "   AND n.nspname !~ '^(pg_|information_schema|weir$|command$)' ORDER BY 1, 2",
        0, NULL, &r, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r) && i < GM_TABLES_MAX; i++) {
        const weir_cat_table *t = g->cat.find(&g->cat, weir_arena_dup(a, weir_pg_value(r, i, 0)),
                                              weir_arena_dup(a, weir_pg_value(r, i, 1)), err);
        if (t) {
            g->t[g->ntables++] = t;
        }
    }
    weir_pg_rows_free(r);
    if (rc == WEIR_OK && g->ntables == 0) {
        rc = weir_fail(err, WEIR_E_INPUT, 0, "the schema has no tables");
    }
    *out = g;
    return rc == WEIR_OK ? read_labels(g, pg, err) : rc;
}

/* --- axes */

static int new_pairs(const gm *g, const int *vec)
{
    int n = 0;
    for (int i = 0; i < GM_AXES; i++) {
        for (int k = i + 1; k < GM_AXES; k++) {
            n += !g->pair[i][vec[i]][k][vec[k]];
        }
    }
    return n;
}

static void choose_axes(gm *g)
{
    int best = -1;
    for (int tries = 0; tries < 60; tries++) {
        int vec[GM_AXES];
        for (int i = 0; i < GM_AXES; i++) {
            vec[i] = (int)gm_random(g, (uint64_t)axis_values[i]);
        }
        int n = new_pairs(g, vec);
        if (n > best) {
            best = n;
            memcpy(g->vec, vec, sizeof vec);
        }
    }
}

static void note_axes(gm *g)
{
    for (int i = 0; i < GM_AXES; i++) {
        for (int k = i + 1; k < GM_AXES; k++) {
            g->pair[i][g->vec[i]][k][g->vec[k]] = true;
        }
    }
}

void gm_coverage(const gm *g, int *covered, int *all)
{
    *covered = *all = 0;
    for (int i = 0; i < GM_AXES; i++) {
        for (int k = i + 1; k < GM_AXES; k++) {
            *all += axis_values[i] * axis_values[k];
            for (int v = 0; v < axis_values[i] * axis_values[k]; v++) {
                *covered += g->pair[i][v / axis_values[k]][k][v % axis_values[k]];
            }
        }
    }
}

/* --- the key */

static bool key_fits(const weir_cat_table *t, const weir_cat_index *x)
{
    bool ok = x->usable && x->ncols > 0;
    for (int k = 0; ok && k < x->ncols; k++) {
        const weir_cat_col *c = &t->cols[x->cols[k]];
        ok = c->not_null && !c->generated && weir_type_keyable(c->type);
    }
    return ok;
}

/* The root's unique key that becomes the document's: what axis GM_KEY asks for, if a table has it.
 */
static const weir_cat_index *choose_key(gm *g, const weir_cat_table **t)
{
    const weir_cat_index *any = NULL;
    int n = 0, want = g->vec[GM_KEY];
    bool right = false;
    for (int i = 0; i < g->ntables; i++) {
        for (int k = 0; k < g->t[i]->nindexes; k++) {
            const weir_cat_index *x = &g->t[i]->indexes[k];
            if (!key_fits(g->t[i], x)) {
                continue;
            }
            bool fits = want == 0 ? x->primary : want == 1 ? !x->primary : x->ncols > 1;
            if (fits && !right) {
                right = true;
                n = 0;
            }
            if (fits == right && gm_random(g, (uint64_t)++n) == 0) {
                any = x;
                *t = g->t[i];
            }
        }
    }
    if (!right) {
        g->vec[GM_KEY] = 0;
    }
    return any;
}

static bool has_primary(const weir_cat_table *t, const weir_cat_index **pk)
{
    for (int i = 0; i < t->nindexes; i++) {
        if (t->indexes[i].primary) {
            *pk = &t->indexes[i];
            return true;
        }
    }
    return false;
}

/* --- FROM */

typedef struct making {
    gm_scope s;
    const weir_cat_index *key;
    const weir_cat_index *pk; /* grouped */
    weir_buf before, from, outputs, where;
    const char *name;
    int nout;
    int fixed;           /* tables with one row per root row */
    const char *grouped; /* a column of one of them in GROUP BY, or NULL */
} making;

static void joins(gm *g, making *m)
{
    bool left = true;
    switch (g->vec[GM_JOIN]) {
    case 1: left = false; break;
    case 2: break;
    case 3: gm_join_one(g, &m->s, &m->from, false); break;
    case 4: gm_join_one(g, &m->s, &m->from, true); break;
    case 5: gm_join_using(g, &m->s, &m->from); return;
    default: return;
    }
    bool ok = gm_join_one(g, &m->s, &m->from, left);
    ok = ok && (g->vec[GM_JOIN] < 3 || gm_join_one(g, &m->s, &m->from, !left));
    if (!ok) {
        g->vec[GM_JOIN] = 0;
    }
}

static void grouped_joins(gm *g, making *m)
{
    gm_scope only = m->s;
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    only.n = 1;
    /* the to-many table hangs from the root */
    if (gm_join_many(g, &only, &b, gm_chance(g, 70)) && m->s.n < GM_SCOPE_OCCS) {
        m->s.occ[m->s.n++] = only.occ[1];
        weir_buf_puts(&m->from, weir_buf_slice(&b));
        if (gm_chance(g, 25)) {
            gm_join_many(g, &m->s, &m->from, gm_chance(g, 70));
        }
        if (gm_chance(g, 40)) {
            gm_join_one(g, &m->s, &m->from, gm_chance(g, 60));
        }
    }
    weir_buf_fini(&b);
    m->s.visible = m->s.n;
}

static void from(gm *g, making *m, const weir_cat_table *t)
{
    gm_occ *root = gm_add(g, &m->s, t);
    const char *alias = root->alias;
    if (g->vec[GM_JOIN] >= 6) {
        weir_buf on;
        weir_buf_init(&on, 1 << 16);
        if (!gm_join_before(g, &m->s, g->vec[GM_JOIN] == 6, &m->before, &on)) {
            g->vec[GM_JOIN] = 0;
        }
        weir_buf_printf(&m->from, "%s %s", gm_table(g, t), alias);
        weir_buf_puts(&m->from, weir_buf_slice(&on));
        weir_buf_fini(&on);
    } else {
        weir_buf_printf(&m->from, "%s %s", gm_table(g, t), alias);
        joins(g, m);
    }
    m->fixed = m->s.n;
    if (g->vec[GM_ROOT]) {
        grouped_joins(g, m);
    }
}

/* --- outputs */

static void output(gm *g, making *m, const char *sql)
{
    if (gm_chance(g, 4)) { /* PostgreSQL's own name for it */
        weir_buf_printf(&m->outputs, ",\n       %s", sql);
        return;
    }
    static const char *const names[] = {"o%d", "out_%d", "\"Out %d\"", "\"é%d\"", "a_long_name_%d"};
    if (m->nout == 0 && gm_chance(g, 5)) { /* an alias that somebody's query around it may have */
        m->nout++;
        weir_buf_printf(&m->outputs, ",\n       %s AS %s", sql, gm_chance(g, 50) ? "q" : "x");
        return;
    }
    const char *fmt = GM_PICK(g, names);
    const char *at = strchr(fmt, '%');
    weir_buf_printf(&m->outputs, ",\n       %s AS %.*s%d%s", sql, (int)(at - fmt), fmt, m->nout++,
                    at + 2);
}

static void key_outputs(gm *g, making *m, weir_buf *head)
{
    bool backwards = g->vec[GM_KEY] == 2;
    int n = m->key->ncols;
    weir_buf_printf(head, "-- @model %s\n-- @key ", m->name);
    for (int i = 0; i < n; i++) {
        const weir_cat_col *c = &m->s.occ[0].t->cols[m->key->cols[backwards ? n - 1 - i : i]];
        const char *renamed = gm_chance(g, 20) ? weir_arena_printf(g->a, "k%d", i) : NULL;
        const char *name = renamed ? renamed : gm_ident(g, c->name);
        weir_buf_printf(head, "%s%s", i ? ", " : "", name);
        weir_buf_printf(&m->outputs, "%s%s.%s%s%s", i ? ", " : "", m->s.occ[0].alias,
                        gm_ident(g, c->name), renamed ? " AS " : "", renamed ? renamed : "");
    }
    weir_buf_putz(head, "\n");
}

/* What may stand outside aggregates. */
static void plain_outputs(gm *g, making *m)
{
    gm_expr e;
    output(g, m, gm_flavour(g, &m->s, g->vec[GM_EXPR]).sql);
    for (int n = (int)gm_random(g, 3); n > 0; n--) {
        output(g, m, gm_any(g, &m->s, gm_anything, gm_chance(g, 50) ? 2 : 0).sql);
    }
    if (gm_chance(g, 20) && gm_sub_one(g, &m->s, &e)) {
        output(g, m, e.sql);
    }
    if (gm_chance(g, 20)) {
        output(g, m, gm_bool(g, &m->s, 2));
    }
    int depth = g->vec[GM_DEPTH];
    if (depth && gm_sub_nested(g, &m->s, depth, &e)) {
        output(g, m, e.sql);
    } else {
        g->vec[GM_DEPTH] = 0;
    }
}

static void aggregate_outputs(gm *g, making *m)
{
    gm_expr e;
    int kind = g->vec[GM_AGG], mod = g->vec[GM_MOD];
    if (g->vec[GM_ROOT]) {
        m->s.visible = m->s.n;
        gm_expr a = gm_aggregate(g, &m->s, kind ? kind : 1, mod, 1);
        output(g, m, gm_chance(g, 25) ? gm_over(g, &m->s, a).sql : a.sql);
        for (int n = (int)gm_random(g, 3); n > 0; n--) {
            output(g, m, gm_aggregate(g, &m->s, 1 + (int)gm_random(g, 10), 0, 1).sql);
        }
    } else if (kind && !gm_sub_aggregate(g, &m->s, kind, mod, &e)) {
        g->vec[GM_AGG] = 0;
    } else if (kind) {
        output(g, m, e.sql);
    }
}

static void group_by(gm *g, making *m, weir_buf *b)
{
    const gm_occ *o = &m->s.occ[0];
    for (int k = 0; k < m->pk->ncols; k++) {
        weir_buf_printf(b, "%s%s.%s", k ? ", " : "\n GROUP BY ", o->alias,
                        gm_ident(g, o->t->cols[m->pk->cols[k]].name));
    }
    if (m->grouped) {
        weir_buf_printf(b, ", %s", m->grouped);
    }
    if (g->vec[GM_ROOT] != 2) {
        return;
    }
    m->s.visible = m->s.n;
    if (gm_chance(g, 50)) {
        weir_buf_printf(b, "\nHAVING %s %s %d", gm_aggregate(g, &m->s, 1, 0, 0).sql,
                        gm_chance(g, 50) ? ">" : "<=", (int)gm_random(g, 4));
    } else {
        gm_expr e = gm_aggregate(g, &m->s, 7 + (int)gm_random(g, 2), 0, 0);
        weir_buf_printf(b, "\nHAVING %s%s", e.sql, e.type.ty == WEIR_TY_BOOL ? "" : " > 0");
        if (gm_chance(g, 40)) {
            m->s.visible = 1;
            weir_buf_printf(b, " OR %s", gm_bool(g, &m->s, 1));
        }
    }
}

static void where(gm *g, making *m)
{
    int kind = g->vec[GM_WHERE];
    if (kind) {
        m->s.visible = m->s.n;
        const char *p = gm_predicate(g, &m->s, kind);
        if (gm_chance(g, 55)) { /* most rows shall pass */
            weir_buf_printf(&m->where, "\n WHERE (%s) %s (%s)", p,
                            gm_chance(g, 70) ? "OR" : "IS DISTINCT FROM", gm_bool(g, &m->s, 1));
        } else {
            weir_buf_printf(&m->where, "\n WHERE %s", p);
        }
        if (gm_chance(g, 12)) {
            weir_buf_printf(&m->where, " AND %s", gm_predicate(g, &m->s, 1 + (int)gm_random(g, 9)));
        }
    }
}

static const char *make(gm *g, making *m)
{
    weir_buf text;
    weir_buf_init(&text, 1 << 22);
    key_outputs(g, m, &text);
    m->s.visible = g->vec[GM_ROOT] ? 1 : m->s.n;
    plain_outputs(g, m);
    if (g->vec[GM_ROOT] && m->fixed > 1 && gm_chance(g, 50)) {
        gm_scope one = {.n = 1, .visible = 1, .occ = {m->s.occ[m->fixed - 1]}};
        m->grouped = gm_any(g, &one, gm_comparable, 0).sql;
        if (strchr(m->grouped, '.')) {
            output(g, m, m->grouped);
        } else {
            m->grouped = NULL;
        }
    }
    aggregate_outputs(g, m);
    where(g, m);
    if (g->vec[GM_ROOT]) {
        group_by(g, m, &m->where);
    }
    weir_buf_printf(
        &text,
        "SELECT " WEIR_SLICE_FMT "\n  FROM " WEIR_SLICE_FMT WEIR_SLICE_FMT WEIR_SLICE_FMT "\n",
        WEIR_SLICE_ARG(weir_buf_slice(&m->outputs)), WEIR_SLICE_ARG(weir_buf_slice(&m->before)),
        WEIR_SLICE_ARG(weir_buf_slice(&m->from)), WEIR_SLICE_ARG(weir_buf_slice(&m->where)));
    const char *s = weir_arena_dupz(g->a, weir_buf_slice(&text));
    weir_buf_fini(&text);
    return s;
}

const char *gm_next(gm *g, const char *name)
{
    making m = {.name = name};
    const weir_cat_table *t = NULL;
    weir_buf *bufs[] = {&m.before, &m.from, &m.outputs, &m.where};
    for (size_t i = 0; i < 4; i++) {
        weir_buf_init(bufs[i], 1 << 22);
    }
    g->occs = 0;
    g->names = 0;
    g->subs = 9;
    g->watch = NULL;
    g->own = false;
    choose_axes(g);
    m.key = choose_key(g, &t);
    if (!m.key) {
        return NULL;
    }
    if (g->vec[GM_ROOT] && !has_primary(t, &m.pk)) {
        g->vec[GM_ROOT] = 0;
    }
    from(g, &m, t);
    const char *s = make(g, &m);
    note_axes(g);
    for (size_t i = 0; i < 4; i++) {
        weir_buf_fini(bufs[i]);
    }
    return s;
}
