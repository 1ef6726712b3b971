/* root.c - block 0: outputs, GROUP BY, and which table the document's key comes from. */
#include "projector/sql/analyze.h"

/* --- outputs
 * ---------------------------------------------------------------------------------------------------------
 */

/* The name PostgreSQL gives an output without AS; {NULL,0}: "?column?". weak: a cast's or CASE's
 * own, which gives way to the name of a type around it. */
static weir_slice figure_name(const weir_ast *x, bool *weak)
{
    *weak = false;
    if (!x) {
        return (weir_slice){NULL, 0};
    }
    switch (x->kind) {
    case WEIR_AST_COLUMN: return x->nnames ? x->names[x->nnames - 1] : (weir_slice){NULL, 0};
    case WEIR_AST_FUNC: return x->text;
    case WEIR_AST_COALESCE: return WEIR_SLICE_LIT("coalesce");
    case WEIR_AST_GREATEST: return WEIR_SLICE_LIT("greatest");
    case WEIR_AST_LEAST: return WEIR_SLICE_LIT("least");
    case WEIR_AST_NULLIF: return WEIR_SLICE_LIT("nullif");
    case WEIR_AST_COLLATE: return figure_name(x->args[0], weak);
    case WEIR_AST_CAST: {
        weir_slice n = figure_name(x->args[0], weak);
        *weak = *weak || !n.n;
        return *weak ? x->type->name : n;
    }
    case WEIR_AST_CASE: {
        weir_slice n = figure_name(x->args[x->nargs - 1], weak);
        *weak = *weak || !n.n;
        return *weak ? WEIR_SLICE_LIT("case") : n;
    }
    case WEIR_AST_SUBSELECT:
        if (x->sub == WEIR_AST_SUB_EXISTS) {
            return WEIR_SLICE_LIT("exists");
        }
        if (x->sub == WEIR_AST_SUB_SCALAR && x->select->ntargets == 1) {
            const weir_ast_target *t = &x->select->targets[0];
            weir_slice n = t->name.n ? t->name : figure_name(t->expr, weak);
            *weak = false; /* by then it is the sub-select's column, whatever its name came from */
            return n.n ? n : WEIR_SLICE_LIT("?column?");
        }
        return (weir_slice){NULL, 0};
    default: return (weir_slice){NULL, 0};
    }
}

static bool add_output(weir_an *an, weir_slice name, weir_expr *e, int location)
{
    for (int i = 0; i < an->outputs.n; i++) {
        if (weir_slice_eq(((const weir_output *)an->outputs.p[i])->name, name)) {
            return weir_an_refuse(an, location, "rename one: … AS other_name",
                                  "two outputs are named " WEIR_SLICE_FMT, WEIR_SLICE_ARG(name));
        }
    }
    weir_output *o = WEIR_MEM_NEW(&an->m, weir_output);
    *o = (weir_output){.name = name, .expr = e};
    weir_ptrs_push(&an->m, &an->outputs, o);
    return true;
}

static bool hidden(const weir_an_block *b, int occ, int col)
{
    for (int i = 0; i < b->merged.n; i++) {
        const weir_an_merged *g = b->merged.p[i];
        if (g->right_occ == occ && g->right_col == col) {
            return true;
        }
    }
    return false;
}

/* * and t.* */
static bool expand_star(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    bool any = false;
    bool ok = true;
    for (int i = 0; i < b->occs.n; i++) {
        const weir_an_occ *o = b->occs.p[i];
        if (x->nnames && !weir_slice_eq(o->o.alias, x->names[x->nnames - 1])) {
            continue;
        }
        any = true;
        for (int c = 0; c < o->table->cat->ncols; c++) {
            if (x->nnames == 0 && hidden(b, o->index, c)) {
                continue;
            }
            weir_expr *e = weir_an_column_ref(an, b, o->index, c, x->location);
            ok = e && add_output(an, weir_an_col(o, c)->name, e, x->location) && ok;
        }
    }
    return any ? ok
               : weir_an_refuse(an, x->location, "use the alias given in FROM",
                                "there is no table " WEIR_SLICE_FMT " here",
                                WEIR_SLICE_ARG(x->names[x->nnames - 1]));
}

static bool outputs(weir_an *an, weir_an_block *b, const weir_ast_select *s)
{
    bool ok = true;
    b->clause = WEIR_AN_OUTPUT;
    for (int i = 0; i < s->ntargets; i++) {
        const weir_ast_target *t = &s->targets[i];
        if (!t->expr) {
            ok = false;
            continue;
        }
        if (t->expr->kind == WEIR_AST_COLUMN && t->expr->star) {
            ok = expand_star(an, b, t->expr) && ok;
            continue;
        }
        bool weak = false;
        weir_slice name = t->name.n ? t->name : figure_name(t->expr, &weak);
        if (!name.n || (!t->name.n && weir_slice_eqz(name, "?column?"))) {
            name.n = 0;
            ok = weir_an_refuse(an, t->location, "name it: … AS name", "this output has no name");
        }
        weir_expr *e = weir_an_expr(an, b, t->expr);
        e = e ? weir_an_settle(an, e) : NULL;
        ok = e && name.n && add_output(an, name, e, t->location) && ok;
    }
    return ok;
}

/* --- the root and its key
 * -------------------------------------------------------------------------------------------- */

static const weir_output *output_named(const weir_an *an, weir_slice name)
{
    for (int i = 0; i < an->outputs.n; i++) {
        const weir_output *o = an->outputs.p[i];
        if (weir_slice_eq(o->name, name)) {
            return o;
        }
    }
    return NULL;
}

/* The column of occurrence occ that the output is, or is made equal to by an inner join; -1: none.
 */
static int column_at(const weir_an_block *b, const weir_expr *e, int occ)
{
    if (e->op != WEIR_OP_COL) {
        return -1;
    }
    if (e->occ == occ) {
        return e->col;
    }
    for (int i = 0; i < b->where.n; i++) {
        const weir_expr *q = b->where.p[i];
        if (q->op != WEIR_OP_EQ || q->args[0]->op != WEIR_OP_COL || q->args[1]->op != WEIR_OP_COL) {
            continue;
        }
        for (int side = 0; side < 2; side++) {
            const weir_expr *x = q->args[side];
            const weir_expr *y = q->args[1 - side];
            bool same_text = y->type.ty != WEIR_TY_NUMERIC && y->type.ty != WEIR_TY_BPCHAR;
            if (x->occ == e->occ && x->col == e->col && y->occ == occ && same_text) {
                return y->col;
            }
        }
    }
    return -1;
}

/* The key columns are a whole unique key of the table: no more and no less. */
static bool is_unique_key(const weir_cat_table *t, const int *cols, int n)
{
    for (int i = 0; i < t->nindexes; i++) {
        if (t->indexes[i].ncols == n && t->indexes[i].usable && weir_an_covers_unique(t, cols, n)) {
            for (int k = 0, in = 0; k < n; k++) {
                for (int c = 0; c < n; c++) {
                    in += t->indexes[i].cols[k] == cols[c];
                }
                if (k == n - 1 && in == n) {
                    return true;
                }
            }
        }
    }
    return false;
}

static bool key_at(const weir_an *an, const weir_an_block *b, const weir_an_occ *o, bool named,
                   int *cols)
{
    int n = an->src->nkey;
    for (int i = 0; i < n; i++) {
        const weir_output *out = output_named(an, an->src->key[i]);
        bool fits = out && (!named || out->expr->occ == o->index);
        cols[i] = fits ? column_at(b, out->expr, o->index) : -1;
        if (cols[i] < 0) {
            return false;
        }
    }
    return is_unique_key(o->table->cat, cols, n);
}

static int select_at(const weir_an *an, weir_slice in_file)
{
    const char *base = an->src->file_text.p;
    bool inside = base && in_file.p >= base && in_file.p < base + an->src->file_text.n;
    return inside ? (int)(in_file.p - base) - an->src->select_offset : -1;
}

static bool key_outputs_ok(weir_an *an)
{
    bool ok = true;
    for (int i = 0; i < an->src->nkey; i++) {
        weir_slice name = an->src->key[i];
        const weir_output *o = output_named(an, name);
        if (!o) {
            ok = weir_an_refuse(an, select_at(an, name), "name an output of the SELECT",
                                "@key: there is no output " WEIR_SLICE_FMT, WEIR_SLICE_ARG(name));
        } else if (o->expr->op != WEIR_OP_COL) {
            ok = weir_an_refuse(
                an, o->expr->location, "key columns must be plain columns of one table",
                "@key: output " WEIR_SLICE_FMT " is an expression", WEIR_SLICE_ARG(name));
        }
    }
    return ok;
}

static bool root_is(weir_an *an, const weir_an_occ *o, const int *cols, int n)
{
    if (o->o.join == WEIR_JOIN_LEFT) {
        return weir_an_refuse(an, o->location, "start from it: FROM it LEFT JOIN the others",
                              "the key's table " WEIR_SLICE_FMT
                              " is on the optional side of an outer join",
                              WEIR_SLICE_ARG(o->o.alias));
    }
    for (int i = 0; i < n; i++) {
        const weir_cat_col *c = weir_an_col(o, cols[i]);
        if (!c->not_null || !weir_type_keyable(c->type) || c->nondeterministic) {
            return weir_an_refuse(an, o->location,
                                  c->not_null ? "keys are integers, text, uuid, dates, timestamps, "
                                                "booleans, enums, numeric(p,s)"
                                              : "declare the column NOT NULL",
                                  "key column " WEIR_SLICE_FMT "." WEIR_SLICE_FMT " %s",
                                  WEIR_SLICE_ARG(o->o.alias), WEIR_SLICE_ARG(c->name),
                                  c->not_null ? "has a type that cannot be a key" : "may be NULL");
        }
    }
    an->root = o->index;
    an->nkey = n;
    an->key_cols = WEIR_MEM_ARRAY(&an->m, int, (size_t)n + 1);
    memcpy(an->key_cols, cols, (size_t)n * sizeof(*cols));
    return true;
}

static bool refuse_key(weir_an *an)
{
    const weir_output *first = output_named(an, an->src->key[0]);
    int occ = first->expr->occ;
    for (int i = 1; i < an->src->nkey; i++) {
        const weir_output *o = output_named(an, an->src->key[i]);
        if (o->expr->occ != occ) {
            return weir_an_refuse(an, o->expr->location, "take all key columns from one table",
                                  "@key: the columns come from different tables");
        }
    }
    const weir_an_occ *o = weir_an_occ_at(an, occ);
    return weir_an_refuse(
        an, first->expr->location,
        "name exactly the columns of the table's primary key or of a unique constraint",
        "@key: the columns are no unique key of table " WEIR_SLICE_FMT,
        WEIR_SLICE_ARG(o->table->cat->name));
}

/* Without @key: the outputs that are the primary key of the first table that is always there. */
static bool default_key(weir_an *an, const weir_an_block *b)
{
    const weir_an_occ *o = b->occs.p[0];
    for (int i = 1; i < b->occs.n && o->o.join == WEIR_JOIN_LEFT; i++) {
        o = b->occs.p[i];
    }
    const weir_cat_table *t = o->table->cat;
    const weir_cat_index *pk = NULL;
    for (int i = 0; i < t->nindexes; i++) {
        pk = t->indexes[i].primary ? &t->indexes[i] : pk;
    }
    weir_slice *names = WEIR_MEM_ARRAY(&an->m, weir_slice, (size_t)(pk ? pk->ncols : 0) + 1);
    int found = 0;
    for (int k = 0; pk && k < pk->ncols; k++) {
        for (int i = 0; i < an->outputs.n; i++) {
            const weir_output *out = an->outputs.p[i];
            if (out->expr->op == WEIR_OP_COL && out->expr->occ == o->index &&
                out->expr->col == pk->cols[k]) {
                names[found++] = out->name;
                break;
            }
        }
        if (found <= k) {
            break;
        }
    }
    if (!pk || found < pk->ncols) {
        return weir_an_refuse(an, o->location, "add a line: -- @key column",
                              "the model has no @key, and the primary key of " WEIR_SLICE_FMT
                              " is not among the outputs",
                              WEIR_SLICE_ARG(t->name));
    }
    an->key_names = names;
    return root_is(an, o, pk->cols, pk->ncols);
}

bool weir_an_root(weir_an *an, weir_an_block *b)
{
    if (an->src->nkey == 0) {
        return default_key(an, b);
    }
    if (!key_outputs_ok(an)) {
        return false;
    }
    int *cols = WEIR_MEM_ARRAY(&an->m, int, (size_t)an->src->nkey + 1);
    an->key_names = an->src->key;
    const weir_an_occ *optional = NULL;
    /* the table that the outputs name comes first, then one whose columns are equal to them */
    for (int i = 0; i < 2 * b->occs.n; i++) {
        const weir_an_occ *o = b->occs.p[i % b->occs.n];
        if (key_at(an, b, o, i < b->occs.n, cols)) {
            if (o->o.join != WEIR_JOIN_LEFT) {
                return root_is(an, o, cols, an->src->nkey);
            }
            optional = o;
        }
    }
    return optional ? root_is(an, optional, cols, an->src->nkey) : refuse_key(an);
}

/* --- GROUP BY
 * --------------------------------------------------------------------------------------------------------
 */

static weir_expr *group_item(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    if (x && x->kind == WEIR_AST_INT) {
        (void)weir_an_refuse(an, x->location, "name the column",
                             "GROUP BY by position is not supported");
        return NULL;
    }
    weir_expr *e = weir_an_expr(an, b, x);
    if (e && e->op != WEIR_OP_COL) {
        (void)weir_an_refuse(an, x->location, "GROUP BY the key's columns",
                             "GROUP BY an expression is not supported: it would be a rollup");
        return NULL;
    }
    return e;
}

bool weir_an_group(weir_an *an, weir_an_block *b, const weir_ast_select *s)
{
    b->grouped = s->ngroup > 0;
    b->clause = WEIR_AN_GROUP;
    int *cols = WEIR_MEM_ARRAY(&an->m, int, (size_t)s->ngroup + 1);
    int n = 0;
    for (int i = 0; i < s->ngroup; i++) {
        weir_expr *e = group_item(an, b, s->group[i]);
        if (!e) {
            return false;
        }
        if (e->occ == an->root) {
            cols[n++] = e->col;
        } else {
            weir_an_bare *bare = WEIR_MEM_NEW(&an->m, weir_an_bare);
            *bare = (weir_an_bare){.occ = e->occ, .col = e->col, .location = e->location};
            weir_ptrs_push(&an->m, &b->bare, bare);
        }
    }
    const weir_an_occ *root = weir_an_occ_at(an, an->root);
    if (b->grouped && !weir_an_covers_unique(root->table->cat, cols, n)) {
        return weir_an_refuse(
            an, s->group[0]->location, "GROUP BY the primary key of the key's table",
            "GROUP BY something other than the document's key (a rollup) is not supported yet");
    }
    if (!b->grouped && b->aggs.n) {
        const weir_an_agg *g = b->aggs.p[0];
        return weir_an_refuse(
            an, g->location,
            "GROUP BY the key, or aggregate in a sub-select: (SELECT … WHERE …) AS name",
            "an aggregate over the whole table has no key");
    }
    return true;
}

static bool having(weir_an *an, weir_an_block *b, const weir_ast_select *s)
{
    if (!s->having) {
        return true;
    }
    b->clause = WEIR_AN_HAVING;
    b->having = weir_an_bool(an, b, s->having, "HAVING");
    if (b->having && s->ngroup == 0) {
        return weir_an_refuse(an, s->having->location, "use WHERE",
                              "HAVING without GROUP BY is not supported");
    }
    return b->having != NULL;
}

bool weir_an_block_root(weir_an *an, weir_an_block *b, const weir_ast_select *s)
{
    bool ok = weir_an_clauses(an, b, s);
    if (s->has & (WEIR_AST_HAS_SETOP | WEIR_AST_HAS_VALUES)) {
        return false;
    }
    if (!weir_an_from(an, b, s)) {
        return false;
    }
    ok = weir_an_where(an, b, s) && ok;
    ok = outputs(an, b, s) && ok;
    ok = having(an, b, s) && ok;
    if (!ok || !weir_an_root(an, b) || !weir_an_group(an, b, s) || !weir_an_bind(an, b) ||
        !weir_an_shape(an, b) || !weir_an_bare_ok(an, b)) {
        return false;
    }
    weir_an_order(an, b);
    return true;
}
