/* ast.h - the SELECT as the parser saw it, in own small nodes: nothing but pg_tree*.c knows
 * libpg_query's tree.
 *
 * Every location is a byte offset in the SELECT's text, -1 where the parser keeps none. Depth is at
 * most WEIR_SQL_DEPTH_MAX.
 */
#ifndef WEIR_PROJECTOR_SQL_AST_H
#define WEIR_PROJECTOR_SQL_AST_H

#include "projector/sql/mem.h"
#include "projector/sql/model.h"

typedef enum weir_ast_kind {
    WEIR_AST_NULL,
    WEIR_AST_INT,    /* text */
    WEIR_AST_NUMBER, /* text: a literal that is no int4 */
    WEIR_AST_BOOL,   /* text: t or f */
    WEIR_AST_STRING,
    WEIR_AST_PARAM,
    WEIR_AST_COLUMN,   /* names; star */
    WEIR_AST_OPERATOR, /* text; args: one or two */
    WEIR_AST_AND,
    WEIR_AST_OR,
    WEIR_AST_NOT,
    WEIR_AST_IS_NULL,
    WEIR_AST_IS_NOT_NULL,
    WEIR_AST_IS_TRUE,
    WEIR_AST_IS_NOT_TRUE,
    WEIR_AST_IS_FALSE,
    WEIR_AST_IS_NOT_FALSE,
    WEIR_AST_DISTINCT,     /* IS DISTINCT FROM */
    WEIR_AST_NOT_DISTINCT, /* IS NOT DISTINCT FROM */
    WEIR_AST_IN,           /* args[0] in args[1…]; negated */
    WEIR_AST_BETWEEN,      /* args[0] between args[1] and args[2]; negated */
    WEIR_AST_OP_ANY,       /* text; args[0] op ANY (args[1]) */
    WEIR_AST_CASE, /* args[0] tested value or NULL; then when, then, …; last: else or NULL */
    WEIR_AST_COALESCE,
    WEIR_AST_NULLIF,
    WEIR_AST_GREATEST,
    WEIR_AST_LEAST,
    WEIR_AST_CAST,      /* args[0]; type */
    WEIR_AST_FUNC,      /* text: name; names; args; star, distinct, order, filter, over */
    WEIR_AST_SUBSELECT, /* sub, select; args[0] for ANY */
    WEIR_AST_ARRAY,
    WEIR_AST_COLLATE, /* args[0]; text: collation */
    WEIR_AST_OTHER,   /* text: what it is, for the refusal */
} weir_ast_kind;

typedef enum weir_ast_sub {
    WEIR_AST_SUB_SCALAR,
    WEIR_AST_SUB_EXISTS,
    WEIR_AST_SUB_ANY, /* x IN (SELECT …), x = ANY (SELECT …) */
    WEIR_AST_SUB_ARRAY,
    WEIR_AST_SUB_OTHER,
} weir_ast_sub;

typedef struct weir_ast_type {
    weir_slice name; /* last part: int4, numeric, my_enum */
    int location;
    bool array;
    int nmods;
    int32_t mods[2];
    bool odd; /* SETOF, %TYPE, or modifiers that are no integer constants */
} weir_ast_type;

struct weir_ast;
struct weir_ast_select;

typedef struct weir_ast_sort {
    struct weir_ast *expr;
    int location;
    bool desc;
    int nulls; /* 0 default, 1 first, 2 last */
    bool using_op;
} weir_ast_sort;

typedef struct weir_ast {
    weir_ast_kind kind;
    int location;
    weir_slice text;
    int nnames;
    weir_slice *names;
    bool star, distinct, over, negated, odd; /* odd: VARIADIC, WITHIN GROUP, a row IS NULL … */
    int nargs;
    struct weir_ast **args;
    int norder;
    weir_ast_sort *order;
    struct weir_ast *filter;
    weir_ast_type *type;
    weir_ast_sub sub;
    struct weir_ast_select *select;
} weir_ast;

typedef struct weir_ast_target {
    weir_slice name; /* AS; {NULL,0}: none */
    int location;
    weir_ast *expr;
} weir_ast_target;

typedef enum weir_ast_from_kind {
    WEIR_AST_TABLE,
    WEIR_AST_JOIN,
    WEIR_AST_FROM_SELECT,
    WEIR_AST_FROM_FUNC,
    WEIR_AST_FROM_OTHER,
} weir_ast_from_kind;

typedef enum weir_ast_join {
    WEIR_AST_INNER,
    WEIR_AST_LEFT,
    WEIR_AST_RIGHT,
    WEIR_AST_FULL
} weir_ast_join;

typedef struct weir_ast_from {
    weir_ast_from_kind kind;
    int location;
    weir_slice schema, name, alias; /* TABLE; alias {NULL,0}: none */
    bool column_aliases, only, lateral, natural;
    weir_ast_join join;
    struct weir_ast_from *l, *r;
    int nusing;
    weir_slice *usings;
    weir_ast *on; /* or NULL */
} weir_ast_from;

typedef enum weir_ast_clause {
    WEIR_AST_HAS_DISTINCT = 1,
    WEIR_AST_HAS_SETOP = 2,
    WEIR_AST_HAS_WITH = 4,
    WEIR_AST_HAS_WINDOW = 8,
    WEIR_AST_HAS_VALUES = 16,
    WEIR_AST_HAS_ORDER = 32,
    WEIR_AST_HAS_LIMIT = 64,
    WEIR_AST_HAS_LOCKING = 128,
    WEIR_AST_HAS_INTO = 256,
} weir_ast_clause;

typedef struct weir_ast_select {
    int location; /* of its first output */
    unsigned has; /* weir_ast_clause */
    int order_location, limit_location, with_location;
    int ntargets;
    weir_ast_target *targets;
    int nfrom;
    weir_ast_from **from;
    weir_ast *where, *having;
    int ngroup;
    weir_ast **group;
} weir_ast_select;

/* Parses text, which must hold exactly one SELECT; NULL: ds says why. at is text's offset in the
 * file, for the diags. */
weir_ast_select *weir_ast_parse(weir_slice text, int at, weir_mem *m, weir_diags *ds);

#endif
