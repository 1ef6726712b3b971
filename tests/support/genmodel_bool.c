/* genmodel_bool.c - random predicates with three-valued logic. */
#include "tests/support/genmodel_priv.h"

static const char *compare(gm *g, gm_scope *s, int depth)
{
    static const char *const any[] = {"=", "<>", "!="};
    static const char *const ordered[] = {"=", "<>", "<", "<=", ">", ">="};
    gm_expr l = gm_any(g, s, gm_comparable, depth);
    gm_expr r = gm_value(g, s, l.type, depth);
    const char *op = gm_sortable(l.type, l.type) ? GM_PICK(g, ordered) : GM_PICK(g, any);
    return weir_arena_printf(g->a, "%s %s %s", l.sql, op, r.sql);
}

static const char *in_list(gm *g, gm_scope *s, int depth, bool negated)
{
    gm_expr l = gm_any(g, s, gm_comparable, depth);
    const char *list = "";
    int n = 1 + (int)gm_random(g, 4);
    int null_at = gm_chance(g, 50) ? (int)gm_random(g, (uint64_t)n) : -1;
    for (int i = 0; i < n; i++) {
        const char *v = i == null_at       ? "NULL"
                        : gm_chance(g, 20) ? gm_value(g, s, l.type, 0).sql
                                           : gm_literal(g, l.type);
        list = weir_arena_printf(g->a, "%s%s%s", list, i ? ", " : "", v);
    }
    if (!negated && n > 1 && gm_chance(g, 20) && weir_ty_is_int(l.type.ty)) {
        return weir_arena_printf(g->a, "%s = ANY (ARRAY[%s])", l.sql, list);
    }
    return weir_arena_printf(g->a, "%s %sIN (%s)", l.sql, negated ? "NOT " : "", list);
}

static const char *distinct(gm *g, gm_scope *s, int depth)
{
    gm_expr l = gm_any(g, s, gm_comparable, depth);
    return weir_arena_printf(g->a, "%s IS %sDISTINCT FROM %s", l.sql,
                             gm_chance(g, 50) ? "NOT " : "", gm_value(g, s, l.type, depth).sql);
}

static const char *between(gm *g, gm_scope *s, int depth)
{
    gm_expr l = gm_any(g, s, gm_sortable, depth);
    return weir_arena_printf(g->a, "%s %sBETWEEN %s AND %s", l.sql, gm_chance(g, 40) ? "NOT " : "",
                             gm_value(g, s, l.type, 0).sql, gm_value(g, s, l.type, 0).sql);
}

static const char *test(gm *g, gm_scope *s, int depth)
{
    static const char *const tests[] = {"IS TRUE", "IS NOT TRUE", "IS FALSE",   "IS NOT FALSE",
                                        "IS NULL", "IS NOT NULL", "IS UNKNOWN", "IS NOT UNKNOWN"};
    if (gm_chance(g, 40)) {
        return weir_arena_printf(g->a, "%s IS %sNULL", gm_any(g, s, gm_anything, 0).sql,
                                 gm_chance(g, 50) ? "NOT " : "");
    }
    return weir_arena_printf(g->a, "(%s) %s", gm_bool(g, s, depth), GM_PICK(g, tests));
}

static const char *logic(gm *g, gm_scope *s, int depth)
{
    const char *l = gm_bool(g, s, depth);
    if (gm_chance(g, 30)) {
        return weir_arena_printf(g->a, "NOT (%s)", l);
    }
    return weir_arena_printf(g->a, "((%s) %s (%s))", l, gm_chance(g, 50) ? "AND" : "OR",
                             gm_bool(g, s, depth));
}

static const char *exists(gm *g, gm_scope *s, bool negated)
{
    const char *sub = g->subs > 0 ? gm_sub_exists(g, s) : NULL;
    return sub ? weir_arena_printf(g->a, "%s%s", negated ? "NOT " : "", sub) : distinct(g, s, 0);
}

static const char *by_case(gm *g, gm_scope *s)
{
    gm_expr l = gm_any(g, s, gm_comparable, 0);
    if (gm_chance(g, 50)) {
        return weir_arena_printf(g->a, "CASE %s WHEN %s THEN %s WHEN %s THEN %s%s END", l.sql,
                                 gm_literal(g, l.type), gm_bool(g, s, 0),
                                 gm_value(g, s, l.type, 0).sql, gm_bool(g, s, 0),
                                 gm_chance(g, 50) ? " ELSE true" : "");
    }
    return weir_arena_printf(g->a, "CASE WHEN %s THEN %s ELSE %s END", gm_bool(g, s, 1),
                             gm_bool(g, s, 0), gm_bool(g, s, 0));
}

const char *gm_predicate(gm *g, gm_scope *s, int kind)
{
    switch (kind) {
    case 1: return in_list(g, s, 1, false);
    case 2: return in_list(g, s, 1, true);
    case 3: return distinct(g, s, 1);
    case 4: return logic(g, s, 2);
    case 5: return between(g, s, 1);
    case 6: return test(g, s, 1);
    case 7: return exists(g, s, false);
    case 8: return exists(g, s, true);
    case 9: return by_case(g, s);
    default: return compare(g, s, 1);
    }
}

const char *gm_bool(gm *g, gm_scope *s, int depth)
{
    gm_expr column;
    uint64_t k = gm_random(g, depth > 0 ? 20 : 11);
    if (k < 2 && gm_column(g, s, gm_same_class, weir_type_of(WEIR_TY_BOOL), &column)) {
        return column.sql;
    }
    int less = depth > 0 ? depth - 1 : 0;
    switch (k) {
    case 2:
    case 3: return in_list(g, s, less, gm_chance(g, 50));
    case 4: return distinct(g, s, less);
    case 5: return between(g, s, less);
    case 6:
        return weir_arena_printf(g->a, "%s IS %sNULL", gm_any(g, s, gm_anything, 0).sql,
                                 gm_chance(g, 50) ? "NOT " : "");
    case 11:
    case 12:
    case 13: return logic(g, s, less);
    case 14:
    case 15: return test(g, s, less);
    case 16: return exists(g, s, gm_chance(g, 50));
    case 17: return by_case(g, s);
    case 18:
        return weir_arena_printf(g->a, "COALESCE(%s, %s)", gm_bool(g, s, less),
                                 gm_chance(g, 50) ? "false" : "true");
    default: return compare(g, s, less);
    }
}
