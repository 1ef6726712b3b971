/* thread.h - starting and joining a thread, with a name that shows in `top -H`. */
#ifndef WEIR_BASE_THREAD_H
#define WEIR_BASE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "libweir/base/err.h"

typedef struct weir_thread weir_thread;

/* Runs fn(arg) on a new thread with all signals blocked. name at most 15 characters. */
WEIR_MUST_CHECK weir_rc weir_thread_start(weir_thread **out, const char *name,
                                          void (*fn)(void *arg), void *arg, weir_error *err);
void weir_thread_join(weir_thread *t); /* waits, then frees t; NULL is fine */

/* A plain mutex with condition, for the few places where a queue is not the right shape. */
typedef struct weir_monitor weir_monitor;
weir_monitor *weir_monitor_new(void);
void weir_monitor_free(weir_monitor *m);
void weir_monitor_lock(weir_monitor *m);
void weir_monitor_unlock(weir_monitor *m);
/* Caller holds the lock. false: timeout_ms passed (monotonic clock; -1 waits for ever). Spurious
 * wake-ups return true. */
bool weir_monitor_wait(weir_monitor *m, int64_t timeout_ms);
void weir_monitor_wake(weir_monitor *m); /* wakes all waiters */
void weir_monitor_wake_one(weir_monitor *m);

#endif
