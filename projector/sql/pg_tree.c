/* pg_tree.c - libpg_query's protobuf tree to own nodes: statement, targets, FROM. Its JSON output
 * loses negative integers. */
#include "projector/sql/pg_tree.h"

#include "projector/sql/scan.h"

bool weir_tree_down(weir_tree *t)
{
    if (t->depth >= WEIR_SQL_DEPTH_MAX) {
        if (!t->refused) {
            weir_diag_add(t->ds, false, t->last < 0 ? -1 : t->at + t->last, "split the expression",
                          "the statement is nested too deeply");
        }
        t->refused = true;
        return false;
    }
    t->depth++;
    return true;
}

void weir_tree_up(weir_tree *t)
{
    t->depth--;
}

weir_slice weir_tree_string(weir_tree *t, const PgQuery__Node *n)
{
    if (n && n->node_case == PG_QUERY__NODE__NODE_STRING && n->string->sval) {
        return weir_mem_dupz(t->m, n->string->sval);
    }
    return WEIR_SLICE_LIT("");
}

static weir_slice opt_name(weir_tree *t, const char *z)
{
    return z && *z ? weir_mem_dupz(t->m, z) : (weir_slice){NULL, 0};
}

static weir_ast_from *from_node(weir_tree *t, const PgQuery__Node *n);

static void take_alias(weir_tree *t, weir_ast_from *f, const PgQuery__Alias *alias)
{
    if (alias) {
        f->alias = opt_name(t, alias->aliasname);
        f->column_aliases = alias->n_colnames > 0;
    }
}

static void from_table(weir_tree *t, weir_ast_from *f, const PgQuery__RangeVar *v)
{
    f->kind = WEIR_AST_TABLE;
    f->location = v->location;
    f->schema = opt_name(t, v->schemaname);
    f->name = opt_name(t, v->relname);
    f->only = !v->inh;
    take_alias(t, f, v->alias);
}

static void from_join(weir_tree *t, weir_ast_from *f, const PgQuery__JoinExpr *j)
{
    f->kind = WEIR_AST_JOIN;
    f->natural = j->is_natural;
    f->column_aliases = j->alias != NULL || j->join_using_alias != NULL;
    f->join = j->jointype == PG_QUERY__JOIN_TYPE__JOIN_LEFT    ? WEIR_AST_LEFT
              : j->jointype == PG_QUERY__JOIN_TYPE__JOIN_RIGHT ? WEIR_AST_RIGHT
              : j->jointype == PG_QUERY__JOIN_TYPE__JOIN_FULL  ? WEIR_AST_FULL
                                                               : WEIR_AST_INNER;
    f->l = from_node(t, j->larg);
    f->r = from_node(t, j->rarg);
    f->location = f->r ? f->r->location : -1;
    f->nusing = (int)j->n_using_clause;
    f->usings = WEIR_MEM_ARRAY(t->m, weir_slice, j->n_using_clause + 1);
    for (size_t i = 0; i < j->n_using_clause; i++) {
        f->usings[i] = weir_tree_string(t, j->using_clause[i]);
    }
    f->on = weir_tree_expr(t, j->quals);
}

static weir_ast_from *from_node(weir_tree *t, const PgQuery__Node *n)
{
    if (!n || !weir_tree_down(t)) {
        return NULL;
    }
    weir_ast_from *f = WEIR_MEM_NEW(t->m, weir_ast_from);
    f->kind = WEIR_AST_FROM_OTHER;
    f->location = t->last;
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR: from_table(t, f, n->range_var); break;
    case PG_QUERY__NODE__NODE_JOIN_EXPR: from_join(t, f, n->join_expr); break;
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT: {
        const PgQuery__Node *q = n->range_subselect->subquery;
        f->kind = WEIR_AST_FROM_SELECT;
        f->lateral = n->range_subselect->lateral;
        if (q && q->node_case == PG_QUERY__NODE__NODE_SELECT_STMT) {
            weir_ast_select *s = weir_tree_select(t, q->select_stmt);
            f->location = s ? s->location : t->last;
        }
        break;
    }
    case PG_QUERY__NODE__NODE_RANGE_FUNCTION:
        f->kind = WEIR_AST_FROM_FUNC;
        f->lateral = n->range_function->lateral;
        break;
    default: break;
    }
    if (f->location >= 0) {
        t->last = f->location;
    }
    weir_tree_up(t);
    return f;
}

static void take_clauses(weir_tree *t, const PgQuery__SelectStmt *s, weir_ast_select *q)
{
    q->has |= s->n_distinct_clause ? WEIR_AST_HAS_DISTINCT : 0;
    q->has |= s->larg || s->rarg ? WEIR_AST_HAS_SETOP : 0;
    q->has |= s->with_clause ? WEIR_AST_HAS_WITH : 0;
    q->has |= s->n_window_clause ? WEIR_AST_HAS_WINDOW : 0;
    q->has |= s->n_values_lists ? WEIR_AST_HAS_VALUES : 0;
    q->has |= s->n_sort_clause ? WEIR_AST_HAS_ORDER : 0;
    q->has |= s->limit_count || s->limit_offset ? WEIR_AST_HAS_LIMIT : 0;
    q->has |= s->n_locking_clause ? WEIR_AST_HAS_LOCKING : 0;
    q->has |= s->into_clause ? WEIR_AST_HAS_INTO : 0;
    if (s->with_clause) {
        q->with_location = s->with_clause->location;
    }
    if (s->n_sort_clause && s->sort_clause[0]->node_case == PG_QUERY__NODE__NODE_SORT_BY) {
        const weir_ast *e = weir_tree_expr(t, s->sort_clause[0]->sort_by->node);
        q->order_location = e ? e->location : -1;
    }
    if (q->has & WEIR_AST_HAS_LIMIT) {
        const weir_ast *e = weir_tree_expr(t, s->limit_count ? s->limit_count : s->limit_offset);
        q->limit_location = e ? e->location : -1;
    }
}

static void take_targets(weir_tree *t, const PgQuery__SelectStmt *s, weir_ast_select *q)
{
    q->targets = WEIR_MEM_ARRAY(t->m, weir_ast_target, s->n_target_list + 1);
    for (size_t i = 0; i < s->n_target_list; i++) {
        const PgQuery__Node *n = s->target_list[i];
        if (n->node_case != PG_QUERY__NODE__NODE_RES_TARGET) {
            continue;
        }
        t->last = n->res_target->location;
        q->targets[q->ntargets++] = (weir_ast_target){
            .name = opt_name(t, n->res_target->name),
            .location = n->res_target->location,
            .expr = weir_tree_expr(t, n->res_target->val),
        };
    }
    q->location = q->ntargets ? q->targets[0].location : t->last;
}

static int setop_location(const PgQuery__SelectStmt *s)
{
    while (s->rarg) {
        s = s->rarg;
    }
    bool named =
        s->n_target_list > 0 && s->target_list[0]->node_case == PG_QUERY__NODE__NODE_RES_TARGET;
    return named ? s->target_list[0]->res_target->location : -1;
}

weir_ast_select *weir_tree_select(weir_tree *t, const PgQuery__SelectStmt *s)
{
    if (!weir_tree_down(t)) {
        return NULL;
    }
    weir_ast_select *q = WEIR_MEM_NEW(t->m, weir_ast_select);
    q->order_location = q->limit_location = q->with_location = -1;
    take_targets(t, s, q);
    if (s->larg || s->rarg) {
        q->location = setop_location(s);
    }
    take_clauses(t, s, q);
    q->from = WEIR_MEM_ARRAY(t->m, weir_ast_from *, s->n_from_clause + 1);
    for (size_t i = 0; i < s->n_from_clause; i++) {
        weir_ast_from *f = from_node(t, s->from_clause[i]);
        if (f) {
            q->from[q->nfrom++] = f;
        }
    }
    q->where = weir_tree_expr(t, s->where_clause);
    q->having = weir_tree_expr(t, s->having_clause);
    q->ngroup = (int)s->n_group_clause;
    q->group = weir_tree_exprs(t, s->group_clause, s->n_group_clause);
    weir_tree_up(t);
    return q;
}

static weir_ast_select *convert(const PgQuery__ParseResult *r, int at, weir_mem *m, weir_diags *ds)
{
    bool one = r->n_stmts == 1 && r->stmts[0]->stmt;
    if (!one || r->stmts[0]->stmt->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
        weir_diag_add(ds, false, at, "a read model is one SELECT statement",
                      r->n_stmts > 1 ? "the file has more than one statement"
                                     : "this is not a SELECT");
        return NULL;
    }
    weir_tree t = {.m = m, .ds = ds, .at = at, .last = 0};
    weir_ast_select *s = weir_tree_select(&t, r->stmts[0]->stmt->select_stmt);
    return t.refused ? NULL : s;
}

weir_ast_select *weir_ast_parse(weir_slice text, int at, weir_mem *m, weir_diags *ds)
{
    weir_ast_select *s = NULL;
    PgQueryProtobufParseResult r = pg_query_parse_protobuf(weir_mem_dup(m, text).p);
    if (r.error) {
        int off = r.error->cursorpos > 0 ? weir_sql_char_offset(text, r.error->cursorpos - 1) : -1;
        weir_diag_add(ds, false, off < 0 ? -1 : at + off, NULL, "%s",
                      r.error->message ? r.error->message : "syntax error");
    } else {
        PgQuery__ParseResult *p = pg_query__parse_result__unpack(
            NULL, r.parse_tree.len, (const uint8_t *)r.parse_tree.data);
        if (p) {
            s = convert(p, at, m, ds);
            pg_query__parse_result__free_unpacked(p, NULL);
        } else {
            weir_diag_add(ds, false, at, NULL, "the SQL parser's answer could not be read");
        }
    }
    pg_query_free_protobuf_parse_result(r);
    return s;
}
