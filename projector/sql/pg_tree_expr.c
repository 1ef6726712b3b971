/* pg_tree_expr.c - libpg_query's protobuf tree to own nodes: expressions. */
#include "projector/sql/pg_tree.h"

static weir_ast *mk(weir_tree *t, weir_ast_kind kind, int location)
{
    weir_ast *e = WEIR_MEM_NEW(t->m, weir_ast);
    e->kind = kind;
    e->location = location >= 0 ? location : t->last;
    t->last = e->location;
    return e;
}

static weir_ast *other(weir_tree *t, int location, const char *what)
{
    weir_ast *e = mk(t, WEIR_AST_OTHER, location);
    e->text = weir_slice_z(what);
    return e;
}

weir_ast **weir_tree_exprs(weir_tree *t, PgQuery__Node *const *nodes, size_t n)
{
    weir_ast **v = WEIR_MEM_ARRAY(t->m, weir_ast *, n + 1);
    for (size_t i = 0; i < n; i++) {
        v[i] = weir_tree_expr(t, nodes[i]);
    }
    return v;
}

static void set_args(weir_tree *t, weir_ast *e, PgQuery__Node *const *nodes, size_t n)
{
    e->nargs = (int)n;
    e->args = weir_tree_exprs(t, nodes, n);
}

static void set_args2(weir_tree *t, weir_ast *e, const PgQuery__Node *a, const PgQuery__Node *b)
{
    e->args = WEIR_MEM_ARRAY(t->m, weir_ast *, 2);
    e->args[e->nargs++] = weir_tree_expr(t, a);
    if (b) {
        e->args[e->nargs++] = weir_tree_expr(t, b);
    }
}

/* The last part of a qualified name; parts before it must be pg_catalog, or *odd. */
static weir_slice last_name(weir_tree *t, PgQuery__Node *const *names, size_t n, bool *odd)
{
    if (n == 0) {
        return WEIR_SLICE_LIT("");
    }
    for (size_t i = 0; i + 1 < n; i++) {
        *odd |= !weir_slice_eqz(weir_tree_string(t, names[i]), "pg_catalog");
    }
    return weir_tree_string(t, names[n - 1]);
}

static weir_ast *constant(weir_tree *t, const PgQuery__AConst *c)
{
    weir_ast *e = mk(t, WEIR_AST_NULL, c->location);
    if (c->isnull) {
        return e;
    }
    switch (c->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        e->kind = WEIR_AST_INT;
        e->text = weir_slice_z(weir_mem_printf(t->m, "%d", c->ival->ival));
        return e;
    case PG_QUERY__A__CONST__VAL_FVAL:
        e->kind = WEIR_AST_NUMBER;
        e->text = weir_mem_dupz(t->m, c->fval->fval);
        return e;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        e->kind = WEIR_AST_BOOL;
        e->text = weir_slice_z(c->boolval->boolval ? "t" : "f");
        return e;
    case PG_QUERY__A__CONST__VAL_SVAL:
        e->kind = WEIR_AST_STRING;
        e->text = weir_mem_dupz(t->m, c->sval->sval);
        return e;
    default: return other(t, c->location, "a bit string");
    }
}

static weir_ast *column(weir_tree *t, const PgQuery__ColumnRef *c)
{
    weir_ast *e = mk(t, WEIR_AST_COLUMN, c->location);
    e->names = WEIR_MEM_ARRAY(t->m, weir_slice, c->n_fields + 1);
    for (size_t i = 0; i < c->n_fields; i++) {
        if (c->fields[i]->node_case == PG_QUERY__NODE__NODE_A_STAR) {
            e->star = true;
        } else {
            e->names[e->nnames++] = weir_tree_string(t, c->fields[i]);
        }
    }
    return e;
}

static weir_ast *with_list(weir_tree *t, weir_ast *e, const PgQuery__AExpr *x)
{
    const PgQuery__Node *r = x->rexpr;
    bool list = r && r->node_case == PG_QUERY__NODE__NODE_LIST;
    size_t n = list ? r->list->n_items : 0;
    e->args = WEIR_MEM_ARRAY(t->m, weir_ast *, n + 1);
    e->args[e->nargs++] = weir_tree_expr(t, x->lexpr);
    for (size_t i = 0; i < n; i++) {
        e->args[e->nargs++] = weir_tree_expr(t, r->list->items[i]);
    }
    return e;
}

static weir_ast *operator(weir_tree *t, const PgQuery__AExpr *x)
{
    bool odd = false;
    weir_slice name = last_name(t, x->name, x->n_name, &odd);
    weir_ast *e = mk(t, WEIR_AST_OPERATOR, x->location);
    e->text = odd ? WEIR_SLICE_LIT("OPERATOR()") : name;
    switch (x->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
        if (!x->lexpr) {
            set_args2(t, e, x->rexpr, NULL);
            return e;
        }
        break;
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY: e->kind = WEIR_AST_OP_ANY; break;
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT: e->kind = WEIR_AST_DISTINCT; break;
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT: e->kind = WEIR_AST_NOT_DISTINCT; break;
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF: e->kind = WEIR_AST_NULLIF; break;
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
        e->kind = WEIR_AST_IN;
        e->negated = weir_slice_eqz(name, "<>");
        return with_list(t, e, x);
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
        e->kind = WEIR_AST_BETWEEN;
        e->negated = x->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN;
        return with_list(t, e, x);
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE: return other(t, x->location, "LIKE");
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE: return other(t, x->location, "ILIKE");
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR: return other(t, x->location, "SIMILAR TO");
    default: return other(t, x->location, "this operator");
    }
    set_args2(t, e, x->lexpr, x->rexpr);
    return e;
}

static weir_ast *logic(weir_tree *t, const PgQuery__BoolExpr *b)
{
    weir_ast *e = mk(t,
                     b->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR  ? WEIR_AST_AND
                     : b->boolop == PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR ? WEIR_AST_OR
                                                                      : WEIR_AST_NOT,
                     b->location);
    set_args(t, e, b->args, b->n_args);
    return e;
}

static weir_ast *null_test(weir_tree *t, const PgQuery__NullTest *n)
{
    bool is = n->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    weir_ast *e = mk(t, is ? WEIR_AST_IS_NULL : WEIR_AST_IS_NOT_NULL, n->location);
    set_args2(t, e, n->arg, NULL);
    return e;
}

static weir_ast *bool_test(weir_tree *t, const PgQuery__BooleanTest *b)
{
    weir_ast_kind kind = WEIR_AST_IS_NULL;
    switch (b->booltesttype) {
    case PG_QUERY__BOOL_TEST_TYPE__IS_TRUE: kind = WEIR_AST_IS_TRUE; break;
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_TRUE: kind = WEIR_AST_IS_NOT_TRUE; break;
    case PG_QUERY__BOOL_TEST_TYPE__IS_FALSE: kind = WEIR_AST_IS_FALSE; break;
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE: kind = WEIR_AST_IS_NOT_FALSE; break;
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_UNKNOWN: kind = WEIR_AST_IS_NOT_NULL; break;
    default: break; /* IS UNKNOWN */
    }
    weir_ast *e = mk(t, kind, b->location);
    set_args2(t, e, b->arg, NULL);
    return e;
}

static void take_order(weir_tree *t, weir_ast *e, const PgQuery__FuncCall *f)
{
    e->order = WEIR_MEM_ARRAY(t->m, weir_ast_sort, f->n_agg_order + 1);
    for (size_t i = 0; i < f->n_agg_order; i++) {
        const PgQuery__Node *n = f->agg_order[i];
        if (n->node_case != PG_QUERY__NODE__NODE_SORT_BY) {
            continue;
        }
        const PgQuery__SortBy *s = n->sort_by;
        weir_ast *x = weir_tree_expr(t, s->node);
        e->order[e->norder++] = (weir_ast_sort){
            .expr = x,
            .location = s->location >= 0 ? s->location
                        : x              ? x->location
                                         : -1,
            .desc = s->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_DESC,
            .nulls = s->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST  ? 1
                     : s->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_LAST ? 2
                                                                                     : 0,
            .using_op = s->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_USING,
        };
    }
}

static weir_ast *func(weir_tree *t, const PgQuery__FuncCall *f)
{
    weir_ast *e = mk(t, WEIR_AST_FUNC, f->location);
    e->names = WEIR_MEM_ARRAY(t->m, weir_slice, f->n_funcname + 1);
    for (size_t i = 0; i < f->n_funcname; i++) {
        e->names[e->nnames++] = weir_tree_string(t, f->funcname[i]);
    }
    e->text = last_name(t, f->funcname, f->n_funcname, &e->odd);
    e->star = f->agg_star;
    e->distinct = f->agg_distinct;
    e->over = f->over != NULL;
    e->odd |= f->agg_within_group || f->func_variadic;
    set_args(t, e, f->args, f->n_args);
    take_order(t, e, f);
    e->filter = weir_tree_expr(t, f->agg_filter);
    return e;
}

static weir_ast *sublink(weir_tree *t, const PgQuery__SubLink *s)
{
    weir_ast *e = mk(t, WEIR_AST_SUBSELECT, s->location);
    switch (s->sub_link_type) {
    case PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK: e->sub = WEIR_AST_SUB_SCALAR; break;
    case PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK: e->sub = WEIR_AST_SUB_EXISTS; break;
    case PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK: e->sub = WEIR_AST_SUB_ANY; break;
    case PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK: e->sub = WEIR_AST_SUB_ARRAY; break;
    default: e->sub = WEIR_AST_SUB_OTHER; break;
    }
    const PgQuery__Node *q = s->subselect;
    if (q && q->node_case == PG_QUERY__NODE__NODE_SELECT_STMT) {
        e->select = weir_tree_select(t, q->select_stmt);
    }
    return e->select ? e : NULL;
}

static weir_ast *cast(weir_tree *t, const PgQuery__TypeCast *c)
{
    weir_ast *e = mk(t, WEIR_AST_CAST, c->location);
    set_args2(t, e, c->arg, NULL);
    const PgQuery__TypeName *tn = c->type_name;
    weir_ast_type *ty = WEIR_MEM_NEW(t->m, weir_ast_type);
    e->type = ty;
    if (!tn) {
        return e;
    }
    ty->name = last_name(t, tn->names, tn->n_names, &ty->odd);
    ty->location = tn->location;
    ty->array = tn->n_array_bounds > 0;
    ty->odd |= tn->setof || tn->pct_type || tn->n_typmods > 2;
    for (size_t i = 0; i < tn->n_typmods && i < 2; i++) {
        const PgQuery__Node *n = tn->typmods[i];
        bool number = n->node_case == PG_QUERY__NODE__NODE_A_CONST &&
                      n->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL;
        ty->odd |= !number;
        ty->mods[ty->nmods++] = number ? n->a_const->ival->ival : 0;
    }
    return e;
}

static weir_ast *case_expr(weir_tree *t, const PgQuery__CaseExpr *c)
{
    weir_ast *e = mk(t, WEIR_AST_CASE, c->location);
    e->args = WEIR_MEM_ARRAY(t->m, weir_ast *, 2 * c->n_args + 2);
    e->args[e->nargs++] = weir_tree_expr(t, c->arg);
    for (size_t i = 0; i < c->n_args; i++) {
        const PgQuery__Node *n = c->args[i];
        if (n->node_case != PG_QUERY__NODE__NODE_CASE_WHEN) {
            continue;
        }
        e->args[e->nargs++] = weir_tree_expr(t, n->case_when->expr);
        e->args[e->nargs++] = weir_tree_expr(t, n->case_when->result);
    }
    e->args[e->nargs++] = weir_tree_expr(t, c->defresult);
    return e;
}

static weir_ast *min_max(weir_tree *t, const PgQuery__MinMaxExpr *x)
{
    bool greatest = x->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST;
    weir_ast *e = mk(t, greatest ? WEIR_AST_GREATEST : WEIR_AST_LEAST, x->location);
    set_args(t, e, x->args, x->n_args);
    return e;
}

static weir_ast *collate(weir_tree *t, const PgQuery__CollateClause *c)
{
    bool odd = false;
    weir_ast *e = mk(t, WEIR_AST_COLLATE, c->location);
    e->text = last_name(t, c->collname, c->n_collname, &odd);
    e->odd = odd;
    set_args2(t, e, c->arg, NULL);
    return e;
}

static weir_ast *dispatch(weir_tree *t, const PgQuery__Node *n)
{
    weir_ast *e = NULL;
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST: return constant(t, n->a_const);
    case PG_QUERY__NODE__NODE_COLUMN_REF: return column(t, n->column_ref);
    case PG_QUERY__NODE__NODE_A_EXPR: return operator(t, n->a_expr);
    case PG_QUERY__NODE__NODE_BOOL_EXPR: return logic(t, n->bool_expr);
    case PG_QUERY__NODE__NODE_NULL_TEST: return null_test(t, n->null_test);
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST: return bool_test(t, n->boolean_test);
    case PG_QUERY__NODE__NODE_FUNC_CALL: return func(t, n->func_call);
    case PG_QUERY__NODE__NODE_SUB_LINK: return sublink(t, n->sub_link);
    case PG_QUERY__NODE__NODE_TYPE_CAST: return cast(t, n->type_cast);
    case PG_QUERY__NODE__NODE_CASE_EXPR: return case_expr(t, n->case_expr);
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR: return min_max(t, n->min_max_expr);
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE: return collate(t, n->collate_clause);
    case PG_QUERY__NODE__NODE_PARAM_REF: return mk(t, WEIR_AST_PARAM, n->param_ref->location);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        e = mk(t, WEIR_AST_COALESCE, n->coalesce_expr->location);
        set_args(t, e, n->coalesce_expr->args, n->coalesce_expr->n_args);
        return e;
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        e = mk(t, WEIR_AST_ARRAY, n->a_array_expr->location);
        set_args(t, e, n->a_array_expr->elements, n->a_array_expr->n_elements);
        return e;
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return other(t, n->sqlvalue_function->location, "a value of the session or clock");
    case PG_QUERY__NODE__NODE_ROW_EXPR: return other(t, n->row_expr->location, "a row");
    case PG_QUERY__NODE__NODE_GROUPING_SET:
        return other(t, n->grouping_set->location, "GROUPING SETS");
    case PG_QUERY__NODE__NODE_A_INDIRECTION: return other(t, -1, "a subscript or field selection");
    case PG_QUERY__NODE__NODE_XML_EXPR: return other(t, -1, "an XML expression");
    default: return other(t, -1, "this construct");
    }
}

weir_ast *weir_tree_expr(weir_tree *t, const PgQuery__Node *n)
{
    if (!n || !weir_tree_down(t)) {
        return NULL;
    }
    weir_ast *e = dispatch(t, n);
    weir_tree_up(t);
    return e;
}
