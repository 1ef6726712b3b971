/* copier.h - the copier thread: tables copied into the running stream by chunks, on request (op
 * `copy`).
 *
 * Jobs are known by their copy_id and are not durable: after a restart the subscriber asks again.
 */
#ifndef WEIR_BRIDGE_COPIER_H
#define WEIR_BRIDGE_COPIER_H

#include "bridge/port.h"
#include "libweir/codec/message.h"

typedef enum brg_job_state {
    BRG_JOB_QUEUED,
    BRG_JOB_RUNNING,
    BRG_JOB_DONE,
    BRG_JOB_FAILED
} brg_job_state;

typedef struct brg_job_view {
    brg_job_state state;
    uint64_t rows, tables_done;
    char error[300];
} brg_job_view;

typedef struct brg_copier brg_copier;

brg_copier *brg_copier_new(brg_shared *s, brg_port *port);
void brg_copier_free(brg_copier *c);
void brg_copier_run(void *arg); /* brg_copier */
/* Ends a query of the copier that runs now, so that stopping does not wait for it. Any thread. */
void brg_copier_interrupt(brg_copier *c);

/* Loop thread: starts the job unless copy_id is known. WEIR_E_LIMIT: too many wait. */
WEIR_MUST_CHECK weir_rc brg_copier_request(brg_copier *c, weir_slice copy_id,
                                           const weir_feed_table *tables, size_t n,
                                           brg_job_view *view, weir_error *err);
const char *brg_job_state_name(brg_job_state state);
/* Jobs that are queued or run. */
size_t brg_copier_open_jobs(brg_copier *c);

#endif
