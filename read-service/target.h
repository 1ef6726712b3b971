/* target.h - what a request path asks for: a model and a key. Pure. */
#ifndef READ_SERVICE_TARGET_H
#define READ_SERVICE_TARGET_H

#include "libweir/base/arena.h"

enum { RSVC_KEY_PARTS_MAX = 32, RSVC_MODEL_NAME_MAX = 100 };

typedef struct rsvc_target {
    weir_slice model; /* decoded; {NULL,0}: all models */
    weir_slice key;   /* canonical text, see codec/dockey.h; {NULL,0}: none given */
    size_t key_parts;
} rsvc_target;

/* Path without query, as received: /queries, /queries/{model} or /queries/{model}/{key…}. Parts of
 * out live in a or in path. WEIR_E_NOTFOUND: not a path of ours. WEIR_E_INPUT: malformed, err says
 * how. */
WEIR_MUST_CHECK weir_rc rsvc_target_parse(weir_slice path, weir_arena *a, rsvc_target *out,
                                          weir_error *err);

#endif
