/* from.c - FROM: tables and joins in the order they are written, conditions of inner joins into the
 * block's WHERE. */
#include "projector/sql/analyze.h"

/* Which index is the row's identity in the stream and in the state; -1: none. */
static int identity_of(const weir_cat_table *t)
{
    if (t->identity == 'n') {
        return -1;
    }
    if (t->identity_index >= 0) {
        return t->identity_index;
    }
    if (t->identity != 'f') {
        return -1;
    }
    for (int i = 0; i < t->nindexes; i++) {
        bool ok = t->indexes[i].usable && !t->indexes[i].deferrable;
        for (int k = 0; ok && k < t->indexes[i].ncols; k++) {
            ok = t->cols[t->indexes[i].cols[k]].not_null;
        }
        if (ok) {
            return i;
        }
    }
    return -1;
}

static bool relkind_ok(weir_an *an, const weir_cat_table *t, int location)
{
    switch (t->relkind) {
    case 'r':
    case 'p': return true;
    case 'v':
        return weir_an_refuse(an, location, "write the view's tables and joins here",
                              "view " WEIR_SLICE_FMT " cannot be read: changes come from tables",
                              WEIR_SLICE_ARG(t->name));
    case 'm':
        return weir_an_refuse(an, location, "write its SELECT here",
                              "materialized view " WEIR_SLICE_FMT " has no change stream",
                              WEIR_SLICE_ARG(t->name));
    default:
        return weir_an_refuse(an, location, "use a table of this database",
                              WEIR_SLICE_FMT " is not a table: it has no change stream",
                              WEIR_SLICE_ARG(t->name));
    }
}

static bool table_ok(weir_an *an, const weir_cat_table *t, int location)
{
    if (!relkind_ok(an, t, location)) {
        return false;
    }
    if (t->partly) {
        return weir_an_refuse(an, location,
                              "ALTER PUBLICATION … SET (publish = 'insert, update, delete, "
                              "truncate'), and ADD TABLE without WHERE",
                              "the publication does not send every change of table " WEIR_SLICE_FMT,
                              WEIR_SLICE_ARG(t->name));
    }
    if (!t->published) {
        const char *hint = t->relkind == 'p'
                               ? "create the publication WITH (publish_via_partition_root = true)"
                               : "`weir check` says why it is left out, and what helps";
        return weir_an_refuse(an, location, hint,
                              "table " WEIR_SLICE_FMT " is not in the publication",
                              WEIR_SLICE_ARG(t->name));
    }
    if (t->has_children) {
        return weir_an_refuse(an, location, "partition it, or read the one table that has the rows",
                              "table " WEIR_SLICE_FMT " has tables that inherit from it",
                              WEIR_SLICE_ARG(t->name));
    }
    int key = identity_of(t);
    if (key < 0) {
        const char *fix = t->identity == 'n' ? "REPLICA IDENTITY DEFAULT" : "ADD PRIMARY KEY (…)";
        return weir_an_refuse(
            an, location,
            weir_mem_printf(&an->m, "ALTER TABLE " WEIR_SLICE_FMT "." WEIR_SLICE_FMT " %s",
                            WEIR_SLICE_ARG(t->schema), WEIR_SLICE_ARG(t->name), fix),
            "table " WEIR_SLICE_FMT
            " has no row identity: its updates and deletes cannot be followed",
            WEIR_SLICE_ARG(t->name));
    }
    for (int k = 0; k < t->indexes[key].ncols; k++) {
        if (t->cols[t->indexes[key].cols[k]].generated) {
            return weir_an_refuse(an, location, "use a key of stored columns",
                                  "table " WEIR_SLICE_FMT "'s key has a generated column",
                                  WEIR_SLICE_ARG(t->name));
        }
    }
    return true;
}

weir_an_table *weir_an_table_use(weir_an *an, const weir_cat_table *t, int location, int *index)
{
    for (int i = 0; i < an->tables.n; i++) {
        weir_an_table *have = an->tables.p[i];
        if (have->cat == t || (t->oid && have->cat->oid == t->oid)) {
            *index = i;
            return have;
        }
    }
    if (!table_ok(an, t, location)) {
        return NULL;
    }
    weir_an_table *n = WEIR_MEM_NEW(&an->m, weir_an_table);
    n->cat = t;
    n->key_index = identity_of(t);
    n->need = WEIR_MEM_ARRAY(&an->m, bool, (size_t)t->ncols + 1);
    n->renumber = WEIR_MEM_ARRAY(&an->m, int, (size_t)t->ncols + 1);
    *index = an->tables.n;
    weir_ptrs_push(&an->m, &an->tables, n);
    return n;
}

static const weir_cat_table *find_table(weir_an *an, const weir_ast_from *f)
{
    weir_error err = {0};
    const weir_cat_table *t = an->cat->find(an->cat, f->schema, f->name, &err);
    if (!t && err.code != WEIR_OK && err.code != WEIR_E_NOTFOUND) {
        an->fatal = err.code;
        if (an->err) {
            *an->err = err;
        }
        return NULL;
    }
    if (!t) {
        (void)weir_an_refuse(an, f->location, "is it spelled right, and in the search_path?",
                             "there is no table " WEIR_SLICE_FMT "%s" WEIR_SLICE_FMT,
                             WEIR_SLICE_ARG(f->schema), f->schema.n ? "." : "",
                             WEIR_SLICE_ARG(f->name));
    }
    return t;
}

static bool alias_free(weir_an *an, const weir_an_block *b, weir_slice alias, int location)
{
    for (int i = 0; i < b->occs.n; i++) {
        if (weir_slice_eq(((weir_an_occ *)b->occs.p[i])->o.alias, alias)) {
            return weir_an_refuse(an, location, "give each its own alias",
                                  "table name " WEIR_SLICE_FMT " is used twice",
                                  WEIR_SLICE_ARG(alias));
        }
    }
    return true;
}

static bool from_table(weir_an *an, weir_an_block *b, const weir_ast_from *f)
{
    if (f->column_aliases) {
        return weir_an_refuse(an, f->location, "rename with AS in the outputs",
                              "column aliases in FROM are not supported");
    }
    if (f->only) {
        return weir_an_refuse(an, f->location, "leave ONLY out", "ONLY is not supported");
    }
    const weir_cat_table *t = find_table(an, f);
    weir_slice alias = f->alias.n ? f->alias : f->name;
    int ti = 0;
    weir_an_table *use = t ? weir_an_table_use(an, t, f->location, &ti) : NULL;
    if (!use || !alias_free(an, b, alias, f->location)) {
        return false;
    }
    if (an->occs.n == WEIR_AN_OCCS_MAX) {
        return weir_an_refuse(an, f->location, "split the model", "a model reads at most %d tables",
                              WEIR_AN_OCCS_MAX);
    }
    weir_an_occ *o = WEIR_MEM_NEW(&an->m, weir_an_occ);
    o->index = an->occs.n;
    o->table = use;
    o->table_index = ti;
    o->block = b;
    o->location = f->location;
    o->many = -1;
    o->o = (weir_occ){
        .table = ti, .block = b->index, .alias = alias, .join = WEIR_JOIN_INNER, .up = -1};
    weir_ptrs_push(&an->m, &an->occs, o);
    weir_ptrs_push(&an->m, &b->occs, o);
    return true;
}

static bool from_item(weir_an *an, weir_an_block *b, const weir_ast_from *f);

/* USING (c): the left column is the one of that name among [lo, mid), the right one is of the last
 * occurrence range. */
static bool using_side(weir_an *an, weir_an_block *b, weir_slice name, int lo, int hi, int location,
                       int *occ, int *col)
{
    int found = 0;
    for (int i = lo; i < hi; i++) {
        const weir_an_occ *o = b->occs.p[i];
        const weir_cat_table *t = o->table->cat;
        for (int c = 0; c < t->ncols; c++) {
            bool hidden = false;
            for (int g = 0; g < b->merged.n; g++) {
                const weir_an_merged *m = b->merged.p[g];
                hidden |= m->right_occ == o->index && m->right_col == c;
            }
            if (!hidden && weir_slice_eq(t->cols[c].name, name)) {
                *occ = o->index;
                *col = c;
                found++;
            }
        }
    }
    if (found != 1) {
        return weir_an_refuse(an, location, "write ON a.x = b.x",
                              found ? "USING column " WEIR_SLICE_FMT " is ambiguous"
                                    : "USING column " WEIR_SLICE_FMT " is not on both sides",
                              WEIR_SLICE_ARG(name));
    }
    return true;
}

static bool join_using(weir_an *an, weir_an_block *b, const weir_ast_from *f, const int range[3],
                       weir_ptrs *out)
{
    for (int i = 0; i < f->nusing; i++) {
        weir_an_merged *g = WEIR_MEM_NEW(&an->m, weir_an_merged);
        g->name = f->usings[i];
        if (!using_side(an, b, g->name, range[0], range[1], f->location, &g->left_occ,
                        &g->left_col) ||
            !using_side(an, b, g->name, range[1], range[2], f->location, &g->right_occ,
                        &g->right_col)) {
            return false;
        }
        weir_expr *l = weir_an_column_ref(an, b, g->left_occ, g->left_col, f->location);
        weir_expr *r = weir_an_column_ref(an, b, g->right_occ, g->right_col, f->location);
        weir_expr *eq = l && r ? weir_an_compare(an, WEIR_OP_EQ, l, r, f->location) : NULL;
        if (!eq) {
            return false;
        }
        weir_ptrs_push(&an->m, out, eq);
        weir_ptrs_push(&an->m, &b->merged, g);
    }
    return true;
}

static bool join_on(weir_an *an, weir_an_block *b, const weir_ast_from *f, const int range[3],
                    weir_ptrs *out)
{
    b->clause = WEIR_AN_ON;
    b->lo = range[0];
    b->hi = range[2];
    int blocks = an->blocks.n;
    weir_expr *on = weir_an_bool(an, b, f->on, "ON");
    bool ok = on != NULL;
    if (ok && f->join != WEIR_AST_INNER && an->blocks.n > blocks) {
        ok = weir_an_refuse(an, f->on->location, "put the sub-select into WHERE or an output",
                            "a sub-select in the ON of an outer join is not supported");
    }
    if (ok) {
        weir_an_conjuncts(an, on, out);
    }
    return ok;
}

/* The one table of an outer join's nullable side. */
static weir_an_occ *nullable_side(weir_an *an, weir_an_block *b, const weir_ast_from *f, int lo,
                                  int hi)
{
    if (hi - lo != 1) {
        (void)weir_an_refuse(
            an, f->location,
            "join the tables one after another: a LEFT JOIN b ON … LEFT JOIN c ON …",
            "the optional side of an outer join must be one table");
        return NULL;
    }
    weir_an_occ *o = b->occs.p[lo];
    o->o.join = WEIR_JOIN_LEFT;
    return o;
}

static bool join_kind_ok(weir_an *an, const weir_ast_from *f)
{
    if (f->natural) {
        return weir_an_refuse(an, f->location, "name the columns: JOIN … USING (…)",
                              "NATURAL JOIN changes its meaning with every new column");
    }
    if (f->join == WEIR_AST_FULL) {
        return weir_an_refuse(an, f->location, "use LEFT JOIN from the table that has the key",
                              "FULL JOIN is not supported");
    }
    if (f->column_aliases) {
        return weir_an_refuse(an, f->location, "name the tables instead",
                              "an alias for a join is not supported");
    }
    return true;
}

static bool from_join(weir_an *an, weir_an_block *b, const weir_ast_from *f)
{
    if (!join_kind_ok(an, f)) {
        return false;
    }
    int range[3] = {b->occs.n, 0, 0};
    if (!from_item(an, b, f->l)) {
        return false;
    }
    range[1] = b->occs.n;
    if (!from_item(an, b, f->r)) {
        return false;
    }
    range[2] = b->occs.n;
    weir_ptrs *out = &b->where;
    if (f->join == WEIR_AST_LEFT || f->join == WEIR_AST_RIGHT) {
        bool left = f->join == WEIR_AST_LEFT;
        weir_an_occ *o =
            nullable_side(an, b, f, left ? range[1] : range[0], left ? range[2] : range[1]);
        if (!o) {
            return false;
        }
        out = &o->on;
    }
    if (f->nusing) {
        return f->join == WEIR_AST_RIGHT ? weir_an_refuse(an, f->location, "write it as LEFT JOIN",
                                                          "RIGHT JOIN with USING is not supported")
                                         : join_using(an, b, f, range, out);
    }
    return f->on ? join_on(an, b, f, range, out) : true;
}

static bool from_item(weir_an *an, weir_an_block *b, const weir_ast_from *f)
{
    if (!f) {
        return false;
    }
    switch (f->kind) {
    case WEIR_AST_TABLE: return from_table(an, b, f);
    case WEIR_AST_JOIN: return from_join(an, b, f);
    case WEIR_AST_FROM_SELECT:
        return weir_an_refuse(
            an, f->location,
            f->lateral ? "write it as an output: (SELECT jsonb_agg(…) FROM … WHERE …) AS name"
                       : "join its tables directly, or write it as a correlated sub-select output",
            f->lateral ? "LATERAL is not supported" : "a sub-select in FROM is not supported");
    case WEIR_AST_FROM_FUNC:
        return weir_an_refuse(an, f->location, "only tables can be followed",
                              "a function in FROM is not supported");
    default:
        return weir_an_refuse(an, f->location, "only tables and joins can be followed",
                              "this FROM item is not supported");
    }
}

bool weir_an_from(weir_an *an, weir_an_block *b, const weir_ast_select *s)
{
    if (s->nfrom == 0) {
        return weir_an_refuse(an, s->location, "a document needs the table its key comes from",
                              "the SELECT has no FROM");
    }
    b->clause = WEIR_AN_ON;
    for (int i = 0; i < s->nfrom; i++) {
        if (!from_item(an, b, s->from[i])) {
            return false;
        }
    }
    return true;
}
