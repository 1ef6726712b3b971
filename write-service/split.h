/* split.h - the body of a batch cut into its commands, each argument object byte for byte. Pure. */
#ifndef WEIR_WRITE_SPLIT_H
#define WEIR_WRITE_SPLIT_H

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

enum { WSVC_BATCH_MAX = 100 };

typedef struct wsvc_part {
    weir_slice name;      /* without quotes */
    weir_slice arguments; /* a JSON object; {} when the part has none */
} wsvc_part;

/* body: [{"name": …, "arguments": {…}}…], 1 to WSVC_BATCH_MAX of them. Slices point into body.
 * WEIR_E_INPUT says what is wrong, and with which one. */
WEIR_MUST_CHECK weir_rc wsvc_batch_split(weir_slice body, wsvc_part parts[WSVC_BATCH_MAX],
                                         size_t *n, weir_error *err);

#endif
