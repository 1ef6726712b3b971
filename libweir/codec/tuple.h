/* tuple.h - rows and relation descriptions as the stream tells them: shared by pgoutput, frame and
 * message. */
#ifndef WEIR_CODEC_TUPLE_H
#define WEIR_CODEC_TUPLE_H

#include "libweir/base/slice.h"

enum {
    WEIR_COLUMNS_MAX = 1664
}; /* PostgreSQL's own limit of a target list; tables have at most 1600 */

typedef enum weir_val_kind {
    WEIR_VAL_NULL,
    WEIR_VAL_TEXT,      /* text is PostgreSQL's output function text under the pinned settings */
    WEIR_VAL_UNCHANGED, /* TOASTed and not sent: the third state, never NULL, never a placeholder */
} weir_val_kind;

typedef struct weir_val {
    weir_val_kind kind;
    weir_slice text;
} weir_val;

typedef struct weir_tuple {
    uint16_t n;
    weir_val *v;
} weir_tuple;

typedef struct weir_column {
    weir_slice name;
    uint32_t type_oid;
    int32_t typmod;
    bool key; /* part of the replica identity (every column under FULL) */
} weir_column;

typedef struct weir_relation {
    uint32_t version; /* the log's own number of this description; 0 in pgoutput */
    uint32_t oid;
    weir_slice schema;
    weir_slice name;
    char identity; /* 'd' default, 'n' nothing, 'f' full, 'i' index */
    uint16_t n;
    weir_column *cols;
} weir_relation;

#endif
