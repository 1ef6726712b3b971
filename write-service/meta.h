/* meta.h - the meta object of a command, as it travels into the WAL. Pure. */
#ifndef WEIR_WRITE_META_H
#define WEIR_WRITE_META_H

#include "libweir/base/buf.h"
#include "write-service/job.h"

/* Appends {"id","name","correlation_id","traceparent"?,"at"}; at is wall_us as an ISO 8601 instant
 * in UTC. */
void wsvc_meta_put(weir_buf *out, const wsvc_job *j, int64_t wall_us);

#endif
