/* model.h - a read model's file: header annotations and one SELECT; where an error is, and how it
 * is shown. */
#ifndef WEIR_PROJECTOR_SQL_MODEL_H
#define WEIR_PROJECTOR_SQL_MODEL_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"

/* One finding. Several may come from one compile. */
typedef struct weir_diag {
    bool warning;
    int location;     /* byte offset in the file, -1: none */
    const char *msg;  /* what and why, one line */
    const char *hint; /* the rewrite that would work, or NULL */
} weir_diag;

enum { WEIR_DIAGS_MAX = 50 };
typedef struct weir_diags {
    weir_arena *a; /* owns the texts */
    int n;
    int errors;
    weir_diag d[WEIR_DIAGS_MAX];
} weir_diags;
void weir_diags_init(weir_diags *ds, weir_arena *a);
void weir_diag_add(weir_diags *ds, bool warning, int location, const char *hint, const char *fmt,
                   ...) WEIR_PRINTF(5, 6);
/* "file:line:col: error: msg", the source line, a caret line, "hint: …"; colour only when asked. */
void weir_diags_print(const weir_diags *ds, const char *file, weir_slice text, bool colour,
                      weir_buf *out);

typedef struct weir_model_src {
    weir_slice file_text; /* borrowed */
    weir_slice name;      /* @model, default: given by the caller from the file's name */
    weir_slice select;    /* the one SELECT, without a final semicolon; borrowed from file_text */
    int select_offset;    /* of it in file_text */
    int nkey;
    weir_slice *key; /* @key a, b */
} weir_model_src;

/* Annotations and syntax only; no catalog. Annotations known: @model name, @key col[, col…].
 * Unknown ones are errors with did-you-mean (@index, @as are errors that say they are
 * reserved). Model names: [a-z_][a-z0-9_]{0,62}. WEIR_E_INPUT when ds->errors > 0. Any
 * thread (libpg_query keeps per-thread state). */
WEIR_MUST_CHECK weir_rc weir_model_parse(weir_slice file_text, const char *default_name,
                                         weir_arena *a, weir_model_src *out, weir_diags *ds);

#endif
