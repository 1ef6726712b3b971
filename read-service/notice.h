/* notice.h - what the projector publishes after each change: a position, and which models changed.
 * Pure. */
#ifndef READ_SERVICE_NOTICE_H
#define READ_SERVICE_NOTICE_H

#include "libweir/base/slice.h"

typedef struct rsvc_notice {
    uint64_t position;
    bool models; /* some model's entry may have changed */
} rsvc_notice;

/* false: malformed. See codec/dockey.h for the lines. */
bool rsvc_notice_parse(weir_slice payload, rsvc_notice *out);

#endif
