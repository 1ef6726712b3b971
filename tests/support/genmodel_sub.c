/* genmodel_sub.c - random sub-selects, nested arrays and aggregates. */
#include "tests/support/genmodel_priv.h"

static const char *text_of(gm *g, weir_buf *b)
{
    const char *s = weir_arena_dupz(g->a, weir_buf_slice(b));
    weir_buf_fini(b);
    return s;
}

/* --- aggregates */

/* An argument that names a column of s, or the aggregate would belong to another query. */
static bool argument(gm *g, gm_scope *s, bool (*fits)(weir_type t, weir_type want), weir_type want,
                     int depth, gm_expr *out)
{
    const gm_scope *watch = g->watch;
    int hits = g->hits;
    bool own = g->own, ok = false;
    for (int tries = 0; tries < 10 && !ok; tries++) {
        g->watch = s;
        g->own = true;
        gm_expr column;
        if (!gm_column(g, s, fits, want, &column)) {
            break;
        }
        g->hits = 0;
        *out = depth > 0 ? gm_value(g, s, column.type, depth) : column;
        ok = depth == 0 || g->hits > 0;
    }
    g->watch = watch;
    g->hits = hits;
    g->own = own;
    return ok;
}

static const char *filter(gm *g, gm_scope *s, int mod)
{
    bool own = g->own;
    g->own = true;
    const char *f = mod == 1 ? weir_arena_printf(g->a, " FILTER (WHERE %s)", gm_bool(g, s, 1)) : "";
    g->own = own;
    return f;
}

/* " ORDER BY …" of kind GM_ORDER: none, or direction, place of NULLs, unique or with ties. */
static const char *order(gm *g, gm_scope *s, int kind, int depth)
{
    static const char *const ways[] = {
        "", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST", " ASC", " NULLS FIRST"};
    gm_expr e;
    if (kind == 0) {
        return "";
    }
    if (!argument(g, s, gm_sortable, weir_type_of(WEIR_TY_UNKNOWN), depth, &e)) {
        return "";
    }
    const char *list = weir_arena_printf(g->a, " ORDER BY %s%s", e.sql, ways[(kind - 1) % 6]);
    if (kind > 6) {
        return gm_chance(g, 50) && argument(g, s, gm_sortable, e.type, 0, &e)
                   ? weir_arena_printf(g->a, "%s, %s%s", list, e.sql, GM_PICK(g, ways))
                   : list;
    }
    const gm_occ *o = &s->occ[0];
    for (int i = 0; i < o->t->nindexes; i++) {
        const weir_cat_index *x = &o->t->indexes[i];
        for (int k = 0; x->primary && k < x->ncols; k++) {
            const weir_cat_col *c = &o->t->cols[x->cols[k]];
            if (weir_ty_has_order(c->type.ty)) {
                list = weir_arena_printf(g->a, "%s, %s.%s%s", list, o->alias, gm_ident(g, c->name),
                                         GM_PICK(g, ways));
            }
        }
    }
    return list;
}

static gm_expr count_star(gm *g, gm_scope *s, int mod)
{
    return (gm_expr){.sql = weir_arena_printf(g->a, "count(*)%s", filter(g, s, mod)),
                     .type = weir_type_of(WEIR_TY_INT8),
                     .bound = 1e6};
}

static bool scaled(weir_type t)
{
    return t.ty != WEIR_TY_NUMERIC || t.typmod >= 0;
}

static gm_expr sum_or_avg(gm *g, gm_scope *s, int kind, int mod, int depth)
{
    gm_expr e;
    weir_type want = weir_type_of(gm_chance(g, 50) ? WEIR_TY_NUMERIC : WEIR_TY_INT4);
    if (!argument(g, s, gm_same_class, want, depth, &e)) {
        return count_star(g, s, mod);
    }
    bool distinct = mod == 2 && scaled(e.type);
    mod = distinct && gm_chance(g, 30) ? 1 : mod;
    weir_ty ty = kind == 4                                                ? WEIR_TY_NUMERIC
                 : e.type.ty == WEIR_TY_INT2 || e.type.ty == WEIR_TY_INT4 ? WEIR_TY_INT8
                                                                          : WEIR_TY_NUMERIC;
    return (gm_expr){.sql =
                         weir_arena_printf(g->a, "%s(%s%s)%s", kind == 4 ? "avg" : "sum",
                                           distinct ? "DISTINCT " : "", e.sql, filter(g, s, mod)),
                     .type = weir_type_of(ty),
                     .bound = e.bound * 1e5};
}

static bool extreme_fits(weir_type t, weir_type unused)
{
    (void)unused;
    return weir_ty_has_order(t.ty) && t.ty != WEIR_TY_BOOL && t.ty != WEIR_TY_UUID;
}

static gm_expr extreme(gm *g, gm_scope *s, int kind, int mod, int depth)
{
    gm_expr e;
    if (!argument(g, s, extreme_fits, weir_type_of(WEIR_TY_UNKNOWN), depth, &e)) {
        return count_star(g, s, mod);
    }
    if (!scaled(e.type)) {
        e.sql = weir_arena_printf(
            g->a, "(CASE WHEN (%s) BETWEEN -1000000 AND 1000000 THEN %s END)::numeric(10,2)", e.sql,
            e.sql);
    }
    e.sql = weir_arena_printf(g->a, "%s(%s%s)%s", kind == 5 ? "min" : "max",
                              mod == 2 ? "DISTINCT " : "", e.sql, filter(g, s, mod));
    e.type.typmod = -1;
    return e;
}

static gm_expr count(gm *g, gm_scope *s, int mod, int depth)
{
    gm_expr e;
    if (!argument(g, s, mod == 2 ? gm_comparable : gm_anything, weir_type_of(WEIR_TY_UNKNOWN),
                  depth, &e)) {
        return count_star(g, s, mod);
    }
    bool distinct = mod == 2 && scaled(e.type);
    mod = distinct && gm_chance(g, 30) ? 1 : mod;
    return (gm_expr){.sql = weir_arena_printf(g->a, "count(%s%s)%s", distinct ? "DISTINCT " : "",
                                              e.sql, filter(g, s, mod)),
                     .type = weir_type_of(WEIR_TY_INT8),
                     .bound = 1e6};
}

static gm_expr booleans(gm *g, gm_scope *s, int kind, int mod)
{
    static const char *const ands[] = {"bool_and", "every"};
    gm_expr e;
    if (!argument(g, s, gm_comparable, weir_type_of(WEIR_TY_UNKNOWN), 0, &e)) {
        return count_star(g, s, mod);
    }
    const char *test = e.type.ty == WEIR_TY_BOOL
                           ? e.sql
                           : weir_arena_printf(g->a, "%s <> %s", e.sql, gm_literal(g, e.type));
    return (gm_expr){.sql = weir_arena_printf(g->a, "%s(%s)%s",
                                              kind == 7 ? GM_PICK(g, ands) : "bool_or", test,
                                              filter(g, s, mod)),
                     .type = weir_type_of(WEIR_TY_BOOL)};
}

static gm_expr strings(gm *g, gm_scope *s, int mod, int depth)
{
    static const char *const delims[] = {"', '", "''", "'/'", "E'\\n'"};
    gm_expr e;
    if (!argument(g, s, gm_comparable, weir_type_of(WEIR_TY_UNKNOWN), depth, &e)) {
        return count_star(g, s, mod);
    }
    int kind = g->vec[GM_ORDER];
    return (gm_expr){.sql = weir_arena_printf(g->a, "string_agg((%s)::text, %s%s)%s", e.sql,
                                              GM_PICK(g, delims), order(g, s, kind, 1),
                                              filter(g, s, mod)),
                     .type = weir_type_of(WEIR_TY_TEXT)};
}

static gm_expr json_agg(gm *g, gm_scope *s, int mod, int depth)
{
    bool own = g->own;
    const gm_scope *watch = g->watch;
    int hits = g->hits;
    gm_expr e = {0};
    do {
        g->watch = s;
        g->hits = 0;
        g->own = true;
        e = gm_element(g, s, depth);
    } while (g->hits == 0 && depth == 0 && gm_chance(g, 90));
    if (g->hits == 0) {
        e.sql = weir_arena_printf(g->a, "to_jsonb(%s)", gm_any(g, s, gm_anything, 0).sql);
    }
    g->own = own;
    g->watch = watch;
    g->hits = hits;
    const char *sql = weir_arena_printf(g->a, "jsonb_agg(%s%s)%s", e.sql,
                                        order(g, s, g->vec[GM_ORDER], 1), filter(g, s, mod));
    return (gm_expr){
        .sql = gm_chance(g, 50) ? weir_arena_printf(g->a, "COALESCE(%s, '[]'::jsonb)", sql) : sql,
        .type = weir_type_of(WEIR_TY_JSONB)};
}

gm_expr gm_aggregate(gm *g, gm_scope *s, int kind, int mod, int depth)
{
    switch (kind) {
    case 2: return count(g, s, mod, depth);
    case 3:
    case 4: return sum_or_avg(g, s, kind, mod, depth);
    case 5:
    case 6: return extreme(g, s, kind, mod, depth);
    case 7:
    case 8: return booleans(g, s, kind, mod);
    case 9: return strings(g, s, mod, depth);
    case 10: return json_agg(g, s, mod, 0);
    default: return count_star(g, s, mod);
    }
}

gm_expr gm_over(gm *g, gm_scope *s, gm_expr e)
{
    const char *more = gm_aggregate(g, s, 1, 0, 0).sql;
    bool number = weir_ty_is_int(e.type.ty) || e.type.ty == WEIR_TY_NUMERIC;
    gm_expr out = {.type = e.type, .bound = e.bound};
    switch (gm_random(g, 7)) {
    case 0:
        out.sql = number ? weir_arena_printf(g->a, "(%s + %s)", e.sql, more) : e.sql;
        return out;
    case 1: out.sql = weir_arena_printf(g->a, "CASE WHEN %s > 1 THEN %s END", more, e.sql); break;
    case 2:
        out.sql = weir_arena_printf(g->a, "jsonb_build_object('v', %s, 'n', %s)", e.sql, more);
        break;
    case 3: out.sql = weir_arena_printf(g->a, "(%s) IS NULL", e.sql); break;
    case 4: out.sql = number ? weir_arena_printf(g->a, "COALESCE(%s, 0)", e.sql) : e.sql; break;
    case 5:
        out.sql = weir_ty_has_equality(e.type.ty)
                      ? weir_arena_printf(g->a, "NULLIF(%s, %s)", e.sql, gm_literal(g, e.type))
                      : e.sql;
        break;
    default: out.sql = weir_arena_printf(g->a, "to_jsonb(%s)", e.sql); break;
    }
    return out;
}

/* --- sub-selects */

typedef struct body {
    gm_scope s;
    weir_buf from;
    const char *cond;
} body;

/* FROM and the ties to the outer query; joins more tables as the axes say. */
static bool open(gm *g, body *b, gm_scope *outer, bool unique, bool many)
{
    memset(b, 0, sizeof *b);
    b->s.outer = outer;
    if (g->subs <= 0 || !gm_child(g, &b->s, unique, &b->cond)) {
        return false;
    }
    g->subs--;
    weir_buf_init(&b->from, 1 << 20);
    weir_buf_printf(&b->from, "%s %s", gm_table(g, b->s.occ[0].t), b->s.occ[0].alias);
    int link = g->vec[GM_LINK];
    if (many && link == 2 && gm_chance(g, 60)) {
        gm_join_many(g, &b->s, &b->from, gm_chance(g, 40));
    }
    while (gm_chance(g, link > 0 ? 50 : 15)) {
        gm_join_one(g, &b->s, &b->from, gm_chance(g, 50));
    }
    return true;
}

static const char *close(gm *g, body *b, const char *output)
{
    const char *more = "";
    if (gm_chance(g, 35)) {
        more = weir_arena_printf(g->a, " AND (%s)", gm_bool(g, &b->s, 1));
    }
    return weir_arena_printf(g->a, "(SELECT %s\n  FROM %s\n WHERE %s%s)", output,
                             text_of(g, &b->from), b->cond, more);
}

bool gm_sub_aggregate(gm *g, gm_scope *s, int kind, int mod, gm_expr *out)
{
    body b;
    if (!open(g, &b, s, false, true)) {
        return false;
    }
    bool own = g->own;
    g->own = false;
    *out = gm_aggregate(g, &b.s, kind, mod, 1);
    out->sql = close(g, &b, kind > 1 && gm_chance(g, 25) ? gm_over(g, &b.s, *out).sql : out->sql);
    g->own = own;
    return true;
}

bool gm_sub_nested(gm *g, gm_scope *s, int depth, gm_expr *out)
{
    body b;
    if (!open(g, &b, s, false, true)) {
        return false;
    }
    bool own = g->own;
    g->own = false;
    int mod = g->vec[GM_MOD] == 1 ? 1 : 0;
    *out = json_agg(g, &b.s, mod, depth - 1);
    out->sql = close(g, &b, out->sql);
    g->own = own;
    return true;
}

bool gm_sub_one(gm *g, gm_scope *s, gm_expr *out)
{
    body b;
    if (!open(g, &b, s, true, false)) {
        return false;
    }
    bool own = g->own;
    g->own = false;
    *out = gm_any(g, &b.s, gm_anything, 1);
    if (strcmp(out->sql, "NULL") == 0) {
        out->sql = "1";
        out->type = weir_type_of(WEIR_TY_INT4);
    }
    out->sql = close(g, &b, out->sql);
    g->own = own;
    return true;
}

bool gm_sub_value(gm *g, gm_scope *s, weir_type want, gm_expr *out)
{
    body b;
    if (!open(g, &b, s, true, false)) {
        return false;
    }
    bool own = g->own;
    g->own = false;
    *out = gm_value(g, &b.s, want, 0);
    out->sql = close(g, &b, out->sql);
    out->type.typmod = -1;
    g->own = own;
    return true;
}

const char *gm_sub_exists(gm *g, gm_scope *s)
{
    static const char *const outputs[] = {"1", "*", "'x'"};
    body b;
    if (!open(g, &b, s, false, true)) {
        return NULL;
    }
    bool own = g->own;
    g->own = false;
    const char *sql = weir_arena_printf(g->a, "EXISTS %s", close(g, &b, GM_PICK(g, outputs)));
    g->own = own;
    return sql;
}

/* --- elements of arrays */

static void member(gm *g, gm_scope *s, int depth, weir_buf *b)
{
    static const char *const names[] = {"'a'", "'bb'", "'name'", "'é'", "'a key'", "'zz'", "'id'"};
    gm_expr e;
    if (depth > 0 && gm_sub_nested(g, s, depth, &e)) {
        weir_buf_printf(b, "'sub%d', %s", depth, e.sql);
        return;
    }
    e = gm_chance(g, 60) ? gm_any(g, s, gm_anything, 0) : gm_flavour(g, s, (int)gm_random(g, 8));
    weir_buf_printf(b, "%s, %s", GM_PICK(g, names), e.sql);
}

gm_expr gm_element(gm *g, gm_scope *s, int depth)
{
    weir_buf b;
    if (depth == 0 && gm_chance(g, 25)) {
        gm_expr e = gm_any(g, s, gm_anything, 0);
        return (gm_expr){.sql = gm_chance(g, 50)
                                    ? weir_arena_printf(g->a, "to_jsonb(%s)", e.sql)
                                    : weir_arena_printf(g->a, "jsonb_build_array(%s, %s)", e.sql,
                                                        gm_bool(g, s, 0)),
                         .type = weir_type_of(WEIR_TY_JSONB)};
    }
    weir_buf_init(&b, 1 << 20);
    weir_buf_putz(&b, "jsonb_build_object(");
    for (int i = 0, n = 1 + (int)gm_random(g, 4); i < n; i++) {
        weir_buf_putz(&b, i ? ", " : "");
        member(g, s, i == 0 ? depth : 0, &b);
    }
    weir_buf_putz(&b, ")");
    return (gm_expr){.sql = text_of(g, &b), .type = weir_type_of(WEIR_TY_JSONB)};
}
