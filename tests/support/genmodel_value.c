/* genmodel_value.c - random expressions by type; their bounds keep arithmetic inside its types. */
#include <math.h>

#include "tests/support/genmodel_priv.h"

/* What gen.c puts into columns: integers up to 200, numerics up to 1234.5 or infinite. */
static const double INT_BOUND = 200, NUMERIC_BOUND = 2000;

bool gm_same_class(weir_type t, weir_type want)
{
    return (weir_ty_is_int(t.ty) && weir_ty_is_int(want.ty)) ||
           (weir_ty_is_text(t.ty) && weir_ty_is_text(want.ty)) || weir_type_same(t, want);
}

bool gm_comparable(weir_type t, weir_type unused)
{
    (void)unused;
    return weir_ty_has_equality(t.ty);
}

bool gm_sortable(weir_type t, weir_type unused)
{
    (void)unused;
    return weir_ty_has_order(t.ty);
}

bool gm_anything(weir_type t, weir_type unused)
{
    (void)t;
    (void)unused;
    return true;
}

static bool is_float(weir_type t, weir_type unused)
{
    (void)unused;
    return weir_ty_is_float(t.ty);
}

static bool prints(weir_type t, weir_type unused)
{
    (void)unused;
    return weir_ty_has_equality(t.ty) || weir_ty_is_float(t.ty) || t.ty == WEIR_TY_JSONB;
}

static double limit(weir_ty ty)
{
    return ty == WEIR_TY_INT2   ? INT16_MAX
           : ty == WEIR_TY_INT4 ? INT32_MAX
           : ty == WEIR_TY_INT8 ? 9e18
                                : 1e300;
}

static gm_expr column_expr(gm *g, const gm_occ *o, int c)
{
    const weir_cat_col *col = &o->t->cols[c];
    bool sized = col->type.ty == WEIR_TY_NUMERIC && col->type.typmod >= 0;
    return (gm_expr){.sql = weir_arena_printf(g->a, "%s.%s", o->alias, gm_ident(g, col->name)),
                     .type = col->type,
                     .bound = weir_ty_is_int(col->type.ty) ? INT_BOUND
                              : sized                      ? NUMERIC_BOUND
                                                           : INFINITY};
}

bool gm_column(gm *g, const gm_scope *s, bool (*fits)(weir_type t, weir_type want), weir_type want,
               gm_expr *out)
{
    int n = 0;
    const gm_occ *at = NULL;
    const gm_scope *of = NULL;
    int col = 0;
    for (const gm_scope *x = s; x; x = g->own ? NULL : x->outer) {
        for (int i = 0; i < x->visible; i++) {
            for (int c = 0; c < x->occ[i].t->ncols; c++) {
                const weir_cat_col *k = &x->occ[i].t->cols[c];
                if (!k->generated && fits(k->type, want) && gm_random(g, (uint64_t)++n) == 0) {
                    at = &x->occ[i];
                    of = x;
                    col = c;
                }
            }
        }
    }
    if (n == 0) {
        return false;
    }
    g->hits += of == g->watch;
    *out = column_expr(g, at, col);
    return true;
}

/* --- literals */

static const char *enum_literal(gm *g, weir_type t)
{
    const char *found = "NULL";
    int n = 0;
    for (int i = 0; i < g->nlabels; i++) {
        if (g->labels[i].oid == t.oid && gm_random(g, (uint64_t)++n) == 0) {
            found = g->labels[i].literal;
        }
    }
    return found;
}

static const char *number_literal(gm *g, weir_type t)
{
    static const char *const ints[] = {"0", "1", "2", "3", "5", "7", "12", "-1", "-3", "200"};
    static const char *const numerics[] = {"0.0",  "1.5",   "1.50",           "-2.250",     "10.00",
                                           "0.10", "1e2",   "'NaN'::numeric", "2::numeric", ".5",
                                           "3.",   "-0.00", "1234.5"};
    static const char *const bigs[] = {"3000000000", "7::int8", "-3000000000", "5::bigint"};
    if (t.ty == WEIR_TY_NUMERIC) {
        return GM_PICK(g, numerics);
    }
    if (t.ty == WEIR_TY_INT8 && gm_chance(g, 20)) {
        return GM_PICK(g, bigs);
    }
    return t.ty == WEIR_TY_INT2 && gm_chance(g, 40) ? "4::int2" : GM_PICK(g, ints);
}

const char *gm_literal(gm *g, weir_type t)
{
    static const char *const texts[] = {"'a'",     "'b'",          "'it''s'", "'é\"\\'", "''",
                                        "' pad '", "'long'::text", "'x/y'",   "E'\\t'",  "'Ω≈ç'"};
    static const char *const dates[] = {"'2024-02-29'::date", "DATE '1999-12-31'",
                                        "'infinity'::date", "date '2024-01-01'"};
    static const char *const stamps[] = {"'2024-01-01 00:00:00.1'::timestamp",
                                         "TIMESTAMP '2024-06-30 23:59:59.999999'",
                                         "'-infinity'::timestamp", "'1970-01-01'::timestamp"};
    static const char *const zoned[] = {"'2024-01-01 09:00:00+00'::timestamptz",
                                        "TIMESTAMPTZ '2020-02-02 00:00:00Z'",
                                        "'2024-06-30 23:59:59.5+00'::timestamptz"};
    static const char *const uuids[] = {"'00000000-0000-0000-0000-000000000001'::uuid",
                                        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid"};
    static const char *const times[] = {"'00:00:00'::time", "TIME '12:30:01'"};
    static const char *const jsons[] = {"'{\"b\": 1.50, \"a\": []}'::jsonb", "'[1, null]'::jsonb"};
    if (gm_chance(g, 4) && t.ty != WEIR_TY_ENUM) {
        return "NULL";
    }
    switch (t.ty) {
    case WEIR_TY_BOOL: return gm_chance(g, 50) ? "true" : "false";
    case WEIR_TY_TEXT: return GM_PICK(g, texts);
    case WEIR_TY_BPCHAR: return gm_chance(g, 50) ? "'a'" : "'b '::char(4)";
    case WEIR_TY_DATE: return GM_PICK(g, dates);
    case WEIR_TY_TIMESTAMP: return GM_PICK(g, stamps);
    case WEIR_TY_TIMESTAMPTZ: return GM_PICK(g, zoned);
    case WEIR_TY_TIME: return GM_PICK(g, times);
    case WEIR_TY_UUID: return GM_PICK(g, uuids);
    case WEIR_TY_JSONB: return GM_PICK(g, jsons);
    case WEIR_TY_ENUM: return enum_literal(g, t);
    default: break;
    }
    return weir_ty_is_int(t.ty) || t.ty == WEIR_TY_NUMERIC ? number_literal(g, t) : "NULL";
}

/* A typed NULL where a bare one would have no type. */
static const char *typed_null(weir_ty ty)
{
    switch (ty) {
    case WEIR_TY_BOOL: return "NULL::bool";
    case WEIR_TY_INT2: return "NULL::int2";
    case WEIR_TY_INT4: return "NULL::int4";
    case WEIR_TY_INT8: return "NULL::int8";
    case WEIR_TY_NUMERIC: return "NULL::numeric";
    case WEIR_TY_TEXT: return "NULL::text";
    case WEIR_TY_BPCHAR: return "NULL::char(6)";
    case WEIR_TY_DATE: return "NULL::date";
    case WEIR_TY_TIME: return "NULL::time";
    case WEIR_TY_TIMESTAMP: return "NULL::timestamp";
    case WEIR_TY_TIMESTAMPTZ: return "NULL::timestamptz";
    case WEIR_TY_UUID: return "NULL::uuid";
    case WEIR_TY_JSONB: return "NULL::jsonb";
    default: return "NULL";
    }
}

static gm_expr literal_expr(gm *g, weir_type t)
{
    const char *s = gm_literal(g, t);
    if (strcmp(s, "NULL") == 0) {
        s = typed_null(t.ty);
    } else if (weir_ty_is_int(t.ty)) {
        bool big = strlen(s) > 9 || strstr(s, "int8") || strstr(s, "bigint");
        t = weir_type_of(big ? WEIR_TY_INT8 : strstr(s, "int2") ? WEIR_TY_INT2 : WEIR_TY_INT4);
    }
    double bound = t.ty == WEIR_TY_NUMERIC ? NUMERIC_BOUND : t.ty == WEIR_TY_INT8 ? 4e9 : 200;
    t.typmod = -1;
    return (gm_expr){.sql = s, .type = t, .bound = bound};
}

/* Types without a cast: a column has to say which it is. */
static bool opaque(weir_type t)
{
    return t.ty == WEIR_TY_ENUM || !weir_ty_has_equality(t.ty);
}

static gm_expr leaf(gm *g, gm_scope *s, weir_type want)
{
    gm_expr e;
    if ((gm_chance(g, 80) || opaque(want)) && gm_column(g, s, gm_same_class, want, &e)) {
        return e;
    }
    return literal_expr(g, want);
}

/* --- forms that every type has */

static weir_type wider(weir_type a, weir_type b)
{
    weir_type t = weir_ty_is_int(a.ty) && b.ty > a.ty ? b : a;
    t.typmod = -1;
    return t;
}

static gm_expr pair_of(gm *g, const char *sql, gm_expr l, gm_expr r)
{
    (void)g;
    return (gm_expr){.sql = sql, .type = wider(l.type, r.type), .bound = fmax(l.bound, r.bound)};
}

static gm_expr by_case(gm *g, gm_scope *s, weir_type want, int depth)
{
    gm_expr l = gm_value(g, s, want, depth), r = gm_value(g, s, want, depth);
    if (gm_chance(g, 50)) {
        gm_expr x = gm_any(g, s, gm_comparable, 0);
        return pair_of(g,
                       weir_arena_printf(g->a, "CASE %s WHEN %s THEN %s WHEN %s THEN %s%s END",
                                         x.sql, gm_literal(g, x.type), l.sql,
                                         gm_value(g, s, x.type, 0).sql, r.sql,
                                         gm_chance(g, 30) ? " ELSE NULL" : ""),
                       l, r);
    }
    return pair_of(
        g,
        weir_arena_printf(g->a, "CASE WHEN %s THEN %s ELSE %s END", gm_bool(g, s, 1), l.sql, r.sql),
        l, r);
}

static gm_expr by_choice(gm *g, gm_scope *s, weir_type want, int depth)
{
    gm_expr l = gm_value(g, s, want, depth), r = gm_value(g, s, want, depth);
    if (gm_chance(g, 45) && weir_ty_has_equality(want.ty)) {
        gm_expr e = l;
        e.sql = weir_arena_printf(g->a, "NULLIF(%s, %s)", l.sql, r.sql);
        e.type.typmod = -1;
        return e;
    }
    return pair_of(g, weir_arena_printf(g->a, "COALESCE(%s, %s)", l.sql, r.sql), l, r);
}

static gm_expr by_extreme(gm *g, gm_scope *s, weir_type want, int depth)
{
    gm_expr l = gm_value(g, s, want, depth), r = gm_value(g, s, want, depth);
    const char *third = gm_chance(g, 40) ? weir_arena_printf(g->a, ", %s", l.sql) : "";
    return pair_of(g,
                   weir_arena_printf(g->a, "%s(%s, %s%s)", gm_chance(g, 50) ? "GREATEST" : "LEAST",
                                     l.sql, r.sql, third),
                   l, r);
}

/* --- numbers */

static gm_expr widen(gm *g, gm_expr e, weir_ty ty)
{
    e.sql = weir_arena_printf(g->a, "(%s)::%s", e.sql, ty == WEIR_TY_INT8 ? "int8" : "numeric");
    e.type = weir_type_of(ty);
    return e;
}

static gm_expr divide(gm *g, gm_expr l, gm_expr r, char op)
{
    weir_type t = wider(l.type, r.type);
    if (l.type.ty == WEIR_TY_NUMERIC || r.type.ty == WEIR_TY_NUMERIC) {
        t = weir_type_of(WEIR_TY_NUMERIC);
    }
    const char *sql = gm_chance(g, 50)
                          ? weir_arena_printf(g->a, "((%s) %c NULLIF(%s, 0))", l.sql, op, r.sql)
                          : weir_arena_printf(g->a, "CASE WHEN (%s) <> 0 THEN (%s) %c (%s) END",
                                              r.sql, l.sql, op, r.sql);
    /* a numeric divisor may be small */
    double bound = t.ty == WEIR_TY_NUMERIC ? l.bound * 1e20 : l.bound;
    return (gm_expr){.sql = sql, .type = t, .bound = bound};
}

static gm_expr arithmetic(gm *g, gm_expr l, gm_expr r)
{
    static const char ops[] = "++--**/%";
    char op = ops[gm_random(g, sizeof ops - 1)];
    if (op == '/' || op == '%') {
        return divide(g, l, r, op);
    }
    double bound = op == '*' ? l.bound * r.bound : l.bound + r.bound;
    bool numeric = l.type.ty == WEIR_TY_NUMERIC || r.type.ty == WEIR_TY_NUMERIC;
    if (!numeric && bound > limit(wider(l.type, r.type).ty)) {
        l = widen(g, l, bound > 9e18 ? WEIR_TY_NUMERIC : WEIR_TY_INT8);
        numeric = l.type.ty == WEIR_TY_NUMERIC;
    }
    weir_type t = numeric ? weir_type_of(WEIR_TY_NUMERIC) : wider(l.type, r.type);
    return (gm_expr){
        .sql = weir_arena_printf(g->a, "(%s %c %s)", l.sql, op, r.sql), .type = t, .bound = bound};
}

static gm_expr negate(gm *g, gm_expr e)
{
    e.sql = weir_arena_printf(g->a, "(- (%s))", e.sql);
    e.type.typmod = -1;
    return e;
}

static gm_expr numeric_cast(gm *g, gm_scope *s, int depth)
{
    gm_expr e;
    static const char *const to[] = {"numeric(12,2)", "numeric(20,5)", "numeric(16)",
                                     "decimal(14,3)"};
    if (gm_chance(g, 30) && gm_column(g, s, is_float, weir_type_of(WEIR_TY_FLOAT8), &e)) {
        e = widen(g, e, WEIR_TY_NUMERIC);
    } else {
        e = gm_value(g, s, weir_type_of(gm_chance(g, 50) ? WEIR_TY_INT4 : WEIR_TY_NUMERIC), depth);
    }
    if (e.bound > 1e9) {
        e.sql = weir_arena_printf(g->a, "CASE WHEN (%s) BETWEEN -1000000 AND 1000000 THEN %s END",
                                  e.sql, e.sql);
        e.bound = 1e6;
    }
    const char *name = GM_PICK(g, to);
    e.sql = weir_arena_printf(g->a, "(%s)::%s", e.sql, name);
    e.type = weir_type_of(WEIR_TY_NUMERIC);
    e.type.typmod = (12 << 16) + 2 + 4; /* some scale */
    return e;
}

static gm_expr int_cast(gm *g, gm_scope *s, int depth)
{
    static const char *const names[] = {"int2", "int4", "int8"};
    static const weir_ty tys[] = {WEIR_TY_INT2, WEIR_TY_INT4, WEIR_TY_INT8};
    uint64_t to = gm_random(g, 3);
    gm_expr e;
    if (gm_chance(g, 15)) {
        return (gm_expr){.sql = weir_arena_printf(g->a, "(%s)::int4", gm_bool(g, s, 0)),
                         .type = weir_type_of(WEIR_TY_INT4),
                         .bound = 1};
    }
    if (gm_chance(g, 20) && gm_column(g, s, is_float, weir_type_of(WEIR_TY_FLOAT8), &e)) {
        e.sql = weir_arena_printf(g->a,
                                  "CASE WHEN %s::numeric BETWEEN -30000 AND 30000 THEN %s::%s END",
                                  e.sql, e.sql, names[to]);
    } else {
        e = gm_value(g, s, weir_type_of(gm_chance(g, 40) ? WEIR_TY_INT4 : WEIR_TY_NUMERIC), depth);
        e.sql = weir_arena_printf(g->a, "CASE WHEN (%s) BETWEEN -30000 AND 30000 THEN (%s)::%s END",
                                  e.sql, e.sql, names[to]);
    }
    e.type = weir_type_of(tys[to]);
    e.bound = 30001;
    return e;
}

static gm_expr number(gm *g, gm_scope *s, weir_type want, int depth)
{
    weir_type other =
        want.ty == WEIR_TY_NUMERIC && gm_chance(g, 40) ? weir_type_of(WEIR_TY_INT4) : want;
    gm_expr e;
    switch (gm_random(g, 7)) {
    case 0: return negate(g, gm_value(g, s, want, depth - 1));
    case 1:
    case 2:
        return want.ty == WEIR_TY_NUMERIC ? numeric_cast(g, s, depth - 1)
                                          : int_cast(g, s, depth - 1);
    case 3:
        if (g->subs > 0 && weir_ty_is_int(want.ty) && gm_sub_aggregate(g, s, 1, 0, &e)) {
            return e;
        }
        break;
    default: break;
    }
    e = arithmetic(g, gm_value(g, s, want, depth - 1), gm_value(g, s, other, depth - 1));
    if (weir_ty_is_int(want.ty) && !weir_ty_is_int(e.type.ty)) {
        return leaf(g, s, want);
    }
    return e;
}

/* --- text */

static gm_expr text_expr(const char *sql)
{
    return (gm_expr){.sql = sql, .type = weir_type_of(WEIR_TY_TEXT)};
}

static gm_expr concat(gm *g, gm_scope *s, int depth)
{
    gm_expr l = gm_value(g, s, weir_type_of(WEIR_TY_TEXT), depth);
    gm_expr r = gm_chance(g, 50) ? gm_any(g, s, gm_comparable, 0)
                                 : gm_value(g, s, weir_type_of(WEIR_TY_TEXT), depth);
    if (strcmp(l.sql, "NULL") == 0) {
        l = text_expr("'-'");
    }
    if (gm_chance(g, 30)) {
        gm_expr t = l;
        l = r;
        r = t;
    }
    return text_expr(weir_arena_printf(g->a, "((%s) || (%s))", l.sql, r.sql));
}

static gm_expr text_cast(gm *g, gm_scope *s, int depth)
{
    static const char *const to[] = {"text", "text", "varchar(3)", "varchar"};
    gm_expr e = gm_any(g, s, depth > 0 ? gm_comparable : prints, depth);
    const char *name = GM_PICK(g, to);
    return text_expr(gm_chance(g, 30) ? weir_arena_printf(g->a, "CAST(%s AS %s)", e.sql, name)
                                      : weir_arena_printf(g->a, "(%s)::%s", e.sql, name));
}

static gm_expr time_cast(gm *g, gm_scope *s, weir_type want, int depth)
{
    static const weir_ty tys[] = {WEIR_TY_DATE, WEIR_TY_TIMESTAMP, WEIR_TY_TIMESTAMPTZ};
    weir_ty from = GM_PICK(g, tys);
    const char *name = want.ty == WEIR_TY_DATE        ? "date"
                       : want.ty == WEIR_TY_TIMESTAMP ? "timestamp"
                                                      : "timestamptz";
    gm_expr e = gm_value(g, s, weir_type_of(from), depth);
    if (strcmp(e.sql, "NULL") == 0) {
        return literal_expr(g, want);
    }
    return (gm_expr){.sql = weir_arena_printf(g->a, "(%s)::%s", e.sql, name),
                     .type = weir_type_of(want.ty)};
}

/* --- any */

gm_expr gm_value(gm *g, gm_scope *s, weir_type want, int depth)
{
    gm_expr sub;
    if (depth > 0 && g->subs > 0 && gm_chance(g, 6) && gm_sub_value(g, s, want, &sub)) {
        return sub;
    }
    if (depth <= 0 || gm_chance(g, 35)) {
        return leaf(g, s, want);
    }
    uint64_t form = gm_random(g, 8);
    if (form == 0) {
        return by_case(g, s, want, depth - 1);
    }
    if (form == 1) {
        return by_choice(g, s, want, depth - 1);
    }
    if (form == 2 && weir_ty_has_order(want.ty)) {
        return by_extreme(g, s, want, depth - 1);
    }
    if (weir_ty_is_int(want.ty) || want.ty == WEIR_TY_NUMERIC) {
        return number(g, s, want, depth);
    }
    if (want.ty == WEIR_TY_TEXT) {
        return form < 5 ? concat(g, s, depth - 1) : text_cast(g, s, depth - 1);
    }
    if (want.ty == WEIR_TY_DATE || want.ty == WEIR_TY_TIMESTAMP || want.ty == WEIR_TY_TIMESTAMPTZ) {
        return time_cast(g, s, want, depth - 1);
    }
    return leaf(g, s, want);
}

gm_expr gm_any(gm *g, gm_scope *s, bool (*fits)(weir_type t, weir_type want), int depth)
{
    gm_expr e;
    weir_type none = weir_type_of(WEIR_TY_UNKNOWN);
    if (!gm_column(g, s, fits, none, &e)) {
        return literal_expr(g, weir_type_of(WEIR_TY_INT4));
    }
    return depth > 0 ? gm_value(g, s, e.type, depth) : e;
}

gm_expr gm_flavour(gm *g, gm_scope *s, int flavour)
{
    static const weir_ty casts[] = {WEIR_TY_DATE, WEIR_TY_TIMESTAMP, WEIR_TY_TIMESTAMPTZ};
    weir_type integer = weir_type_of(WEIR_TY_INT4), numeric = weir_type_of(WEIR_TY_NUMERIC);
    gm_expr e = gm_any(g, s, flavour == 3 ? gm_sortable : gm_anything, 0);
    switch (flavour) {
    case 1: return by_case(g, s, e.type, 1);
    case 2: return by_choice(g, s, e.type, 1);
    case 3: return by_extreme(g, s, e.type, 1);
    case 4:
        switch (gm_random(g, 4)) {
        case 0: return int_cast(g, s, 1);
        case 1: return numeric_cast(g, s, 1);
        case 2: return time_cast(g, s, weir_type_of(GM_PICK(g, casts)), 1);
        default: return text_cast(g, s, 1);
        }
    case 5: return concat(g, s, 1);
    case 6: return arithmetic(g, gm_value(g, s, integer, 1), gm_value(g, s, integer, 1));
    case 7: return arithmetic(g, gm_value(g, s, numeric, 1), gm_value(g, s, numeric, 1));
    case 8: return gm_element(g, s, 0);
    case 9: return (gm_expr){.sql = gm_bool(g, s, 2), .type = weir_type_of(WEIR_TY_BOOL)};
    default: return e;
    }
}
