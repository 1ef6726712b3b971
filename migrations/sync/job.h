/* job.h - one running sync: its flows, their threads, the copy before them, and what /status says.
 *
 * Life: open (connects nothing), start (threads), stop, close. A file `paused` in the state folder
 * pauses the flows, also over restarts.
 */
#ifndef WEIR_MIGRATIONS_SYNC_JOB_H
#define WEIR_MIGRATIONS_SYNC_JOB_H

#include "libweir/base/buf.h"
#include "libweir/base/metrics.h"
#include "migrations/sync/conf.h"

typedef struct sync_job sync_job;

typedef struct sync_job_conf {
    const sync_conf *conf;
    const char *state_dir;
    const char *feed, *back_feed; /* of the source; of the target (both ways) */
} sync_job_conf;

/* Borrows conf. */
sync_job *sync_job_new(const sync_job_conf *conf);
WEIR_MUST_CHECK weir_rc sync_job_start(sync_job *j, weir_error *err);
void sync_job_stop(sync_job *j); /* waits for the threads */
void sync_job_free(sync_job *j);

/* Members of a JSON object: flows, their states, positions, counts. Any thread. */
void sync_job_status(void *job, weir_buf *out);
/* NULL: every flow runs (or is paused). Else what it waits for, in text. Any thread. */
const char *sync_job_waits(sync_job *j, char *text, size_t size);

#endif
