/* keyval.h - the values of a key in the one spelling that documents are kept under: PostgreSQL's
 * output text. Pure.
 *
 * What PostgreSQL's input function takes for the same value (04, a uuid in upper case, 1.5 for
 * 1.50) becomes that spelling; of dates and times the ISO forms are understood. Texts and enum
 * labels are themselves.
 */
#ifndef READ_SERVICE_KEYVAL_H
#define READ_SERVICE_KEYVAL_H

#include "libweir/base/arena.h"

typedef enum rsvc_key_kind {
    RSVC_KEY_TEXT, /* and whatever else is not looked at */
    RSVC_KEY_BOOL,
    RSVC_KEY_INT2,
    RSVC_KEY_INT4,
    RSVC_KEY_INT8,
    RSVC_KEY_NUMERIC,
    RSVC_KEY_UUID,
    RSVC_KEY_DATE,
    RSVC_KEY_TIMESTAMP,
    RSVC_KEY_TIMESTAMPTZ,
    RSVC_KEY_CHAR,
    RSVC_KEY_KINDS
} rsvc_key_kind;

typedef struct rsvc_key_type {
    rsvc_key_kind kind;
    int size;  /* NUMERIC: precision; CHAR: characters */
    int scale; /* NUMERIC; may be negative */
} rsvc_key_type;

/* By the names in the entries of <ns>:models; one that is not known is TEXT. */
rsvc_key_type rsvc_key_type_of(weir_slice name);
/* For messages: "an integer, like 42". */
const char *rsvc_key_expected(rsvc_key_type t, weir_arena *a);

/* A key as in a path (codec/dockey.h), of as many parts as there are types. *out is key itself when
 * it is spelled right, else in a. WEIR_E_INPUT: part *bad is no value of its type. WEIR_E_LIMIT: a
 * is full. */
WEIR_MUST_CHECK weir_rc rsvc_key_spell(const rsvc_key_type *types, size_t n, weir_slice key,
                                       weir_arena *a, weir_slice *out, size_t *bad);

#endif
