/* group.h - which waiting jobs share one transaction. Pure. */
#ifndef WEIR_WRITE_GROUP_H
#define WEIR_WRITE_GROUP_H

#include "write-service/job.h"

typedef struct wsvc_run {
    size_t first, n; /* of the planned order */
    bool alone;
} wsvc_run;

/* Reorders the n jobs (n <= WSVC_GROUP_MAX) so that each run is contiguous, and fills runs (room
 * for n). Jobs that may share come first, in the order they arrived, cut at group_max jobs and
 * bytes_max of bodies; then each job that must be alone. Returns the number of runs. */
size_t wsvc_group_plan(wsvc_job **jobs, size_t n, size_t group_max, size_t bytes_max,
                       wsvc_run *runs);

#endif
