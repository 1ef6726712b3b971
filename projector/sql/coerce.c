/* coerce.c - from one type to another: untyped constants, implicit conversions, common types,
 * explicit casts. */
#include "projector/sql/analyze.h"
#include "projector/sql/literal.h"

static weir_expr *cast_node(weir_an *an, weir_expr *e, weir_type to)
{
    return weir_an_mk(an, WEIR_OP_CAST, to, e->location, &e, 1);
}

static weir_expr *typed_constant(weir_an *an, weir_expr *e, weir_type to)
{
    const char *why = NULL;
    weir_slice text = {NULL, 0};
    if (!e->null && !weir_literal(e->text, to, &an->m, &text, &why)) {
        (void)weir_an_refuse(an, e->location, why, "'" WEIR_SLICE_FMT "' cannot be read as %s",
                             (int)(e->text.n > 60 ? 60 : e->text.n), e->text.p ? e->text.p : "",
                             weir_type_show(to, &an->m));
        return NULL;
    }
    to.typmod = -1;
    weir_expr *c = weir_an_const(an, to, text, e->location);
    c->null = e->null;
    return c;
}

weir_expr *weir_an_settle(weir_an *an, weir_expr *e)
{
    return e->type.ty == WEIR_TY_UNKNOWN ? typed_constant(an, e, weir_type_of(WEIR_TY_TEXT)) : e;
}

weir_expr *weir_an_coerce(weir_an *an, weir_expr *e, weir_type to, const char *what)
{
    weir_ty from = e->type.ty;
    if (from == WEIR_TY_UNKNOWN) {
        return typed_constant(an, e, to);
    }
    if (weir_type_same(e->type, to)) {
        return e;
    }
    bool wider = weir_ty_is_int(from) && weir_ty_is_int(to.ty) && from < to.ty;
    bool to_numeric = weir_ty_is_int(from) && to.ty == WEIR_TY_NUMERIC;
    to.typmod = -1;
    if ((wider || to_numeric) && e->op == WEIR_OP_CONST && !e->null) {
        return weir_an_const(an, to, e->text, e->location);
    }
    if (wider || to_numeric || (weir_ty_is_text(from) && weir_ty_is_text(to.ty))) {
        return cast_node(an, e, to);
    }
    (void)weir_an_refuse(
        an, e->location,
        weir_mem_printf(&an->m, "cast one side: …::%s", weir_type_show(to, &an->m)),
        "%s mixes %s and %s", what, weir_type_show(to, &an->m), weir_type_show(e->type, &an->m));
    return NULL;
}

/* Of two known types the one that both convert to implicitly; UNKNOWN: there is none. */
static weir_type wider_of(weir_type a, weir_type b)
{
    bool numbers = (weir_ty_is_int(a.ty) || a.ty == WEIR_TY_NUMERIC) &&
                   (weir_ty_is_int(b.ty) || b.ty == WEIR_TY_NUMERIC);
    if (weir_type_same(a, b)) {
        weir_type t = a.oid == b.oid ? a : weir_type_of(a.ty);
        t.oid = a.oid;
        t.typmod = a.oid == b.oid && a.typmod == b.typmod ? a.typmod : -1;
        return t;
    }
    if (numbers) {
        return weir_type_of(a.ty > b.ty ? a.ty : b.ty);
    }
    if (weir_ty_is_text(a.ty) && weir_ty_is_text(b.ty)) {
        weir_type t =
            weir_type_of(a.ty); /* each converts to the other: PostgreSQL keeps the first */
        t.oid = a.oid;
        return t;
    }
    return weir_type_of(WEIR_TY_UNKNOWN);
}

bool weir_an_common(weir_an *an, weir_expr **v, int n, int location, const char *what,
                    weir_type *out)
{
    bool any = false;
    bool untyped = false;
    *out = weir_type_of(WEIR_TY_TEXT);
    for (int i = 0; i < n; i++) {
        if (v[i]->type.ty == WEIR_TY_UNKNOWN) {
            untyped = true;
            continue;
        }
        weir_type t = any ? wider_of(*out, v[i]->type) : v[i]->type;
        if (t.ty == WEIR_TY_UNKNOWN) {
            bool real = weir_ty_is_float(out->ty) || weir_ty_is_float(v[i]->type.ty);
            return weir_an_refuse(an, v[i]->location >= 0 ? v[i]->location : location,
                                  real ? "cast the float: …::numeric" : "cast one of them",
                                  "%s mixes %s and %s", what, weir_type_show(*out, &an->m),
                                  weir_type_show(v[i]->type, &an->m));
        }
        *out = t;
        any = true;
    }
    if (untyped) {
        out->typmod = -1;
    }
    return true;
}

bool weir_an_coerce_all(weir_an *an, weir_expr **v, int n, int location, const char *what,
                        weir_type *out)
{
    if (!weir_an_common(an, v, n, location, what, out)) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        v[i] = weir_an_coerce(an, v[i], *out, what);
        if (!v[i]) {
            return false;
        }
    }
    return true;
}

/* --- explicit casts
 * ------------------------------------------------------------------------------------------------
 */

static bool casts_to_text(weir_ty from)
{
    switch (from) {
    case WEIR_TY_UNKNOWN:
    case WEIR_TY_BYTEA:
    case WEIR_TY_ARRAY:
    case WEIR_TY_OTHER:
    case WEIR_TY_TIMETZ: return false;
    default: return true;
    }
}

weir_expr *weir_an_to_text(weir_an *an, weir_expr *e, int location)
{
    weir_type text = weir_type_of(WEIR_TY_TEXT);
    if (e->type.ty == WEIR_TY_TEXT) {
        return e;
    }
    if (e->type.ty == WEIR_TY_UNKNOWN) {
        return weir_an_settle(an, e);
    }
    if (!casts_to_text(e->type.ty)) {
        (void)weir_an_refuse(an, location, "leave the value as it is",
                             "a conversion of %s to text is not supported",
                             weir_type_show(e->type, &an->m));
        return NULL;
    }
    return cast_node(an, e, text);
}

/* Explicit casts that the engine evaluates as PostgreSQL does; to text besides. */
static bool cast_exists(weir_ty from, weir_ty to)
{
    bool number = weir_ty_is_int(from) || weir_ty_is_float(from) || from == WEIR_TY_NUMERIC;
    bool text = weir_ty_is_text(from);
    switch (to) {
    case WEIR_TY_INT4: return number || text || from == WEIR_TY_BOOL;
    case WEIR_TY_INT2:
    case WEIR_TY_INT8:
    case WEIR_TY_NUMERIC: return number || text;
    case WEIR_TY_BOOL: return text || from == WEIR_TY_INT4;
    case WEIR_TY_UUID: return text;
    case WEIR_TY_DATE: return from == WEIR_TY_TIMESTAMP || from == WEIR_TY_TIMESTAMPTZ;
    case WEIR_TY_TIMESTAMP: return from == WEIR_TY_DATE || from == WEIR_TY_TIMESTAMPTZ;
    case WEIR_TY_TIMESTAMPTZ: return from == WEIR_TY_DATE || from == WEIR_TY_TIMESTAMP;
    case WEIR_TY_BPCHAR: return text;
    default: return false;
    }
}

static bool numeric_modifier(weir_an *an, const weir_ast_type *to, weir_type *out)
{
    int scale = to->nmods > 1 ? to->mods[1] : 0;
    if (to->mods[0] < 1 || to->mods[0] > 1000 || scale < 0 || scale > to->mods[0]) {
        return weir_an_refuse(an, to->location, "numeric(12,2)",
                              "numeric precision or scale out of range");
    }
    out->typmod = weir_numeric_typmod(to->mods[0], scale);
    return true;
}

static bool target_type(weir_an *an, const weir_ast_type *to, weir_type *out)
{
    static const char hint[] = "casts go to text, integers, numeric, boolean, date, timestamp, "
                               "uuid; constants also to jsonb";
    if (weir_slice_eqz(to->name, "json")) {
        return weir_an_refuse(an, to->location, "cast to jsonb",
                              "json cannot be kept byte for byte");
    }
    if (to->odd || to->array || !weir_type_named(to->name, out)) {
        return weir_an_refuse(an, to->location, hint,
                              "a cast to " WEIR_SLICE_FMT "%s is not supported",
                              WEIR_SLICE_ARG(to->name), to->array ? "[]" : "");
    }
    if (to->nmods == 0) {
        return true;
    }
    if (out->ty == WEIR_TY_NUMERIC) {
        return numeric_modifier(an, to, out);
    }
    bool sized =
        weir_ty_is_text(out->ty) && to->nmods == 1 && to->mods[0] >= 1 && to->mods[0] <= 10485760;
    if (!sized) {
        return weir_an_refuse(an, to->location, "leave the modifier out",
                              "a cast to " WEIR_SLICE_FMT "(n) is not supported",
                              WEIR_SLICE_ARG(to->name));
    }
    out->typmod = to->mods[0] + 4;
    return true;
}

static weir_expr *cast_sized(weir_an *an, weir_expr *e, weir_type t)
{
    bool sized = t.ty == WEIR_TY_NUMERIC || weir_ty_is_text(t.ty);
    return sized && e->type.typmod != t.typmod && (t.typmod >= 0 || t.ty == WEIR_TY_NUMERIC)
               ? cast_node(an, e, t)
               : e;
}

/* text and varchar are one type to the engine; only what they meet in a comparison tells them
 * apart. In place: columns are found again by their nodes, and a cast's argument is nobody else's.
 */
static weir_expr *named(weir_expr *e, uint32_t oid)
{
    if (e && e->type.ty == WEIR_TY_TEXT) {
        e->type.oid = oid;
    }
    return e;
}

static weir_expr *cast_to(weir_an *an, weir_expr *e, weir_type t, int location)
{
    if (e->type.ty == WEIR_TY_UNKNOWN) {
        e = typed_constant(an, e, t);
        return e && t.typmod >= 0 ? cast_node(an, e, t) : e;
    }
    if (weir_type_same(e->type, t)) {
        return cast_sized(an, e, t);
    }
    if (t.ty == WEIR_TY_TEXT) {
        e = weir_an_to_text(an, e, location);
        return e ? cast_sized(an, e, t) : NULL;
    }
    if (!cast_exists(e->type.ty, t.ty)) {
        (void)weir_an_refuse(an, location, "keep the value in a column of that type",
                             "a cast from %s to %s is not supported",
                             weir_type_show(e->type, &an->m), weir_type_show(t, &an->m));
        return NULL;
    }
    return cast_node(an, e, t);
}

weir_expr *weir_an_cast(weir_an *an, weir_expr *e, const weir_ast_type *to, int location)
{
    weir_type t;
    return target_type(an, to, &t) ? named(cast_to(an, e, t, location), t.oid) : NULL;
}
