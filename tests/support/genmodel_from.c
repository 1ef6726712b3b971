/* genmodel_from.c - the tables of a random SELECT: joins by unique keys, children, chains. */
#include "tests/support/genmodel_priv.h"

enum { MAX_WAYS = 256, MAX_KEY = 8 };

bool gm_joinable(weir_type a, weir_type b)
{
    if (weir_ty_is_int(a.ty) && weir_ty_is_int(b.ty)) {
        return true;
    }
    return weir_ty_has_equality(a.ty) && weir_type_same(a, b);
}

gm_occ *gm_add(gm *g, gm_scope *s, const weir_cat_table *t)
{
    gm_occ *o = &s->occ[s->n++];
    *o = (gm_occ){.alias = gm_alias(g, "t"), .t = t};
    s->visible = s->n;
    g->occs++;
    return o;
}

static bool full(const gm *g, const gm_scope *s)
{
    return s->n == GM_SCOPE_OCCS || g->occs >= GM_MODEL_OCCS;
}

/* alias.column of a random column of o that can equal type t; NULL: there is none. Booleans would
 * join half of everything. */
static const char *partner(gm *g, const gm_occ *o, weir_type t)
{
    int found[64], n = 0;
    for (int c = 0; c < o->t->ncols && n < 64; c++) {
        if (gm_joinable(o->t->cols[c].type, t) && !o->t->cols[c].generated) {
            found[n++] = c;
        }
    }
    if (n == 0) {
        return NULL;
    }
    const weir_cat_col *c = &o->t->cols[found[gm_random(g, (uint64_t)n)]];
    return weir_arena_printf(g->a, "%s.%s", o->alias, gm_ident(g, c->name));
}

static const char *equality(gm *g, const char *l, const char *r)
{
    return gm_chance(g, 50) ? weir_arena_printf(g->a, "%s = %s", l, r)
                            : weir_arena_printf(g->a, "%s = %s", r, l);
}

/* Every column of a unique key of t equal to a column of the scope, mostly of one table. */
static const char *by_key(gm *g, const gm_scope *s, const gm_occ *o, const weir_cat_index *x)
{
    if (!x->usable || x->ncols > MAX_KEY || s->n == 0) {
        return NULL;
    }
    const char *cond = "";
    int from = (int)gm_random(g, (uint64_t)s->n);
    for (int k = 0; k < x->ncols; k++) {
        const weir_cat_col *c = &o->t->cols[x->cols[k]];
        const char *p = partner(g, &s->occ[from], c->type);
        for (int i = 0; i < s->n && !p; i++) {
            p = partner(g, &s->occ[i], c->type);
        }
        if (!p) {
            return NULL;
        }
        const char *mine = weir_arena_printf(g->a, "%s.%s", o->alias, gm_ident(g, c->name));
        cond = weir_arena_printf(g->a, "%s%s%s", cond, *cond ? " AND " : "", equality(g, mine, p));
    }
    return cond;
}

static const char *by_some_key(gm *g, const gm_scope *s, gm_occ *o)
{
    for (int tries = 0; tries < 40; tries++) {
        o->t = g->t[gm_random(g, (uint64_t)g->ntables)];
        if (o->t->nindexes == 0) {
            continue;
        }
        const char *cond = by_key(g, s, o, &o->t->indexes[gm_random(g, (uint64_t)o->t->nindexes)]);
        if (cond) {
            return cond;
        }
    }
    return NULL;
}

bool gm_join_one(gm *g, gm_scope *s, weir_buf *b, bool left)
{
    gm_occ o = {.alias = gm_alias(g, "p"), .optional = left};
    const char *cond = full(g, s) ? NULL : by_some_key(g, s, &o);
    if (!cond) {
        return false;
    }
    s->occ[s->n++] = o;
    s->visible = s->n;
    g->occs++;
    const char *more = "";
    if (gm_chance(g, left ? 25 : 8)) {
        int subs = g->subs;
        g->subs = 0; /* an outer join's ON takes no sub-select */
        bool own = g->own;
        gm_scope mine = {.n = s->n, .visible = s->n};
        memcpy(mine.occ, s->occ, sizeof mine.occ);
        g->own = true;
        more = weir_arena_printf(g->a, " AND (%s)", gm_bool(g, &mine, 1));
        g->own = own;
        g->subs = subs;
    }
    weir_buf_printf(b, "\n  %s %s %s ON %s%s", left ? "LEFT JOIN" : "JOIN", gm_table(g, o.t),
                    o.alias, cond, more);
    return true;
}

/* How many columns of t are in some key: joins meet there. */
static bool in_key(const weir_cat_table *t, int col)
{
    for (int i = 0; i < t->nindexes; i++) {
        for (int k = 0; k < t->indexes[i].ncols; k++) {
            if (t->indexes[i].cols[k] == col) {
                return true;
            }
        }
    }
    return false;
}

/* mine.x = theirs.y over columns that can be equal and select few rows; sometimes two of them. */
static const char *loose(gm *g, const gm_occ *mine, const gm_occ *theirs)
{
    int mc[MAX_WAYS], tc[MAX_WAYS], n = 0;
    for (int i = 0; i < mine->t->ncols; i++) {
        for (int k = 0; k < theirs->t->ncols && n < MAX_WAYS; k++) {
            const weir_cat_col *x = &mine->t->cols[i], *y = &theirs->t->cols[k];
            bool few = x->type.ty != WEIR_TY_BOOL && (in_key(mine->t, i) || in_key(theirs->t, k));
            if (few && gm_joinable(x->type, y->type) && !x->generated && !y->generated) {
                mc[n] = i;
                tc[n++] = k;
            }
        }
    }
    if (n == 0) {
        return NULL;
    }
    const char *cond = "";
    for (int count = gm_chance(g, 15) ? 2 : 1; count > 0; count--) {
        uint64_t at = gm_random(g, (uint64_t)n);
        const char *l =
            weir_arena_printf(g->a, "%s.%s", mine->alias, gm_ident(g, mine->t->cols[mc[at]].name));
        const char *r = weir_arena_printf(g->a, "%s.%s", theirs->alias,
                                          gm_ident(g, theirs->t->cols[tc[at]].name));
        cond = weir_arena_printf(g->a, "%s%s%s", cond, *cond ? " AND " : "", equality(g, l, r));
    }
    return cond;
}

bool gm_join_many(gm *g, gm_scope *s, weir_buf *b, bool left)
{
    for (int tries = 0; tries < 20 && !full(g, s); tries++) {
        gm_occ o = {.alias = gm_alias(g, "m"),
                    .t = g->t[gm_random(g, (uint64_t)g->ntables)],
                    .optional = left};
        const char *cond = loose(g, &o, &s->occ[s->n - 1]);
        if (cond) {
            s->occ[s->n++] = o;
            s->visible = s->n;
            g->occs++;
            weir_buf_printf(b, "\n  %s %s %s ON %s", left ? "LEFT JOIN" : "JOIN", gm_table(g, o.t),
                            o.alias, cond);
            return true;
        }
    }
    return false;
}

bool gm_join_before(gm *g, gm_scope *s, bool right, weir_buf *before, weir_buf *on)
{
    gm_occ o = {.alias = gm_alias(g, "r"), .optional = right};
    const char *cond = full(g, s) ? NULL : by_some_key(g, s, &o);
    if (!cond) {
        return false;
    }
    s->occ[s->n++] = o;
    s->visible = s->n;
    g->occs++;
    weir_buf_printf(before, "%s %s %sJOIN ", gm_table(g, o.t), o.alias, right ? "RIGHT " : "");
    weir_buf_printf(on, " ON %s", cond);
    return true;
}

static int count_named(const gm_scope *s, weir_slice name, weir_type t)
{
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        for (int c = 0; c < s->occ[i].t->ncols; c++) {
            const weir_cat_col *col = &s->occ[i].t->cols[c];
            if (weir_slice_eq(col->name, name)) {
                n += gm_joinable(col->type, t) && !col->generated ? 1 : 100;
            }
        }
    }
    return n;
}

/* All columns of a unique key go by the same name in exactly one table so far. */
bool gm_join_using(gm *g, gm_scope *s, weir_buf *b)
{
    for (int tries = 0; tries < 40 && !full(g, s); tries++) {
        const weir_cat_table *t = g->t[gm_random(g, (uint64_t)g->ntables)];
        if (t->nindexes == 0) {
            continue;
        }
        const weir_cat_index *x = &t->indexes[gm_random(g, (uint64_t)t->nindexes)];
        const char *names = "";
        bool ok = x->usable && x->ncols > 0;
        for (int k = 0; k < x->ncols && ok; k++) {
            const weir_cat_col *c = &t->cols[x->cols[k]];
            ok = count_named(s, c->name, c->type) == 1;
            names =
                weir_arena_printf(g->a, "%s%s%s", names, *names ? ", " : "", gm_ident(g, c->name));
        }
        if (!ok) {
            continue;
        }
        bool left = gm_chance(g, 50);
        gm_occ *o = gm_add(g, s, t);
        o->optional = left;
        weir_buf_printf(b, "\n  %s %s %s USING (%s)", left ? "LEFT JOIN" : "JOIN", gm_table(g, t),
                        o->alias, names);
        return true;
    }
    return false;
}

/* A visible table of the scopes around, mostly of the nearest. */
static const gm_occ *outer_occ(gm *g, const gm_scope *s)
{
    const gm_scope *o = s->outer;
    while (o && o->outer && !g->own && gm_chance(g, 10)) {
        o = o->outer;
    }
    if (!o || o->visible == 0) {
        return NULL;
    }
    g->hits += o == g->watch;
    return &o->occ[gm_random(g, (uint64_t)o->visible)];
}

bool gm_child(gm *g, gm_scope *s, bool unique, const char **cond)
{
    for (int tries = 0; tries < 40 && !full(g, s); tries++) {
        const gm_occ *to = outer_occ(g, s);
        if (!to) {
            return false;
        }
        gm_occ o = {.alias = gm_alias(g, unique ? "o" : "c"),
                    .t = g->t[gm_random(g, (uint64_t)g->ntables)]};
        if (unique) {
            gm_scope one = {.n = 1, .occ = {*to}};
            *cond = o.t->nindexes == 0
                        ? NULL
                        : by_key(g, &one, &o, &o.t->indexes[gm_random(g, (uint64_t)o.t->nindexes)]);
        } else {
            *cond = loose(g, &o, to);
        }
        if (*cond) {
            s->occ[s->n++] = o;
            s->visible = s->n;
            g->occs++;
            return true;
        }
    }
    return false;
}
