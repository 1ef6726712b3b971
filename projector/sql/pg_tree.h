/* pg_tree.h - between the two files that read libpg_query's tree: pg_tree.c (SELECT, FROM) and
 * pg_tree_expr.c. */
#ifndef WEIR_PROJECTOR_SQL_PG_TREE_H
#define WEIR_PROJECTOR_SQL_PG_TREE_H

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include "projector/sql/ast.h"

typedef struct weir_tree {
    weir_mem *m;
    weir_diags *ds;
    int at;       /* offset of the SELECT in the file */
    int depth;    /* of the node being read */
    int last;     /* location read last, for nodes without one */
    bool refused; /* too deep: said once */
} weir_tree;

weir_ast *weir_tree_expr(weir_tree *t, const PgQuery__Node *n);
weir_ast **weir_tree_exprs(weir_tree *t, PgQuery__Node *const *nodes, size_t n);
weir_ast_select *weir_tree_select(weir_tree *t, const PgQuery__SelectStmt *s);
weir_slice weir_tree_string(weir_tree *t,
                            const PgQuery__Node *n); /* of a String node, else {"",0} */
/* One level deeper; false once it is too deep. Every true needs its weir_tree_up. */
bool weir_tree_down(weir_tree *t);
void weir_tree_up(weir_tree *t);

#endif
