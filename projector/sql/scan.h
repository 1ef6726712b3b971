/* scan.h - the tokens of a model file: where comments, parentheses and the statement are. */
#ifndef WEIR_PROJECTOR_SQL_SCAN_H
#define WEIR_PROJECTOR_SQL_SCAN_H

#include "projector/sql/mem.h"
#include "projector/sql/model.h"

enum {
    WEIR_SQL_BYTES_MAX = 1 << 20, /* of a model file */
    WEIR_SQL_TOKENS_MAX = 60000,
    WEIR_SQL_DEPTH_MAX =
        200, /* of parentheses and operators; bounds every recursion over the tree */
};

typedef struct weir_tok {
    int start, end; /* byte range */
    bool comment;   /* either kind */
} weir_tok;

typedef struct weir_toks {
    weir_slice text;
    weir_tok *t;
    int n;
} weir_toks;

/* Tokens of text in m's arena. false: diags say why (too large, not UTF-8, unterminated string,
 * nested too deeply …). */
WEIR_MUST_CHECK bool weir_scan(weir_slice text, weir_mem *m, weir_toks *out, weir_diags *ds);
/* The text of token i. */
weir_slice weir_tok_text(const weir_toks *ts, int i);
/* Token i is this keyword or symbol (ASCII case ignored). */
bool weir_tok_is(const weir_toks *ts, int i, const char *word);
/* Byte offset of the n-th character (0-based) of text; libpg_query and PostgreSQL count characters.
 */
int weir_sql_char_offset(weir_slice text, int nchars);

#endif
