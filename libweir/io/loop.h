/* loop.h - one epoll loop: file descriptors, timers, stop signals, and messages from other threads.
 *
 * Everything but weir_loop_post and weir_loop_wake is called on the loop's own thread. Callbacks
 * may remove any source, also their own; what they free is really freed at the end of the turn.
 */
#ifndef WEIR_IO_LOOP_H
#define WEIR_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "libweir/base/err.h"

typedef struct weir_loop weir_loop;
typedef struct weir_loop_fd weir_loop_fd;
typedef struct weir_loop_timer weir_loop_timer;

enum { WEIR_LOOP_IN = 1, WEIR_LOOP_OUT = 2, WEIR_LOOP_HUP = 4 };

WEIR_MUST_CHECK weir_rc weir_loop_new(weir_loop **out, weir_error *err);
void weir_loop_free(weir_loop *l); /* after run returned; frees remaining sources */

/* Runs until weir_loop_stop. Each turn: events, due timers, posted messages, then the turn hooks.
 */
void weir_loop_run(weir_loop *l);
/* One turn, waiting at most wait_ms: for tests. */
void weir_loop_turn(weir_loop *l, int64_t wait_ms);
void weir_loop_stop(weir_loop *l);

typedef void weir_loop_fd_fn(void *arg, unsigned events);
/* The descriptor stays the caller's. NULL and err on failure. */
weir_loop_fd *weir_loop_add(weir_loop *l, int fd, unsigned events, weir_loop_fd_fn *fn, void *arg,
                            weir_error *err);
void weir_loop_mod(weir_loop_fd *f, unsigned events);
void weir_loop_del(weir_loop_fd *f); /* before the descriptor is closed; NULL is fine */

typedef void weir_loop_fn(void *arg);
/* A timer starts unarmed. once=false repeats. */
weir_loop_timer *weir_loop_timer_new(weir_loop *l, weir_loop_fn *fn, void *arg);
void weir_loop_timer_arm(weir_loop_timer *t, int64_t after_ms, bool repeat);
void weir_loop_timer_disarm(weir_loop_timer *t);
void weir_loop_timer_free(weir_loop_timer *t);

/* Runs fn(arg) at the end of every turn (flush what the turn produced). Lives as long as the loop,
 * or until weir_loop_off_turn. */
void weir_loop_on_turn(weir_loop *l, weir_loop_fn *fn, void *arg);
void weir_loop_off_turn(weir_loop *l, weir_loop_fn *fn, void *arg);
/* Asks for one more pass of the hooks before the loop waits: something was produced that another
 * hook must flush. */
void weir_loop_again(weir_loop *l);

/* From any thread: fn(arg) will run once on the loop thread, in order. The caller bounds how many
 * it posts. false: the loop is stopped for good and fn will not run; the caller keeps arg. */
WEIR_MUST_CHECK bool weir_loop_post(weir_loop *l, weir_loop_fn *fn, void *arg);
void weir_loop_wake(weir_loop *l); /* any thread: ends a wait early */

/* SIGTERM and SIGINT call fn on the loop; a second signal of either kind ends the process at once.
 * Blocks the signals for the process: call before any thread starts. */
WEIR_MUST_CHECK weir_rc weir_loop_signals(weir_loop *l, weir_loop_fn *fn, void *arg,
                                          weir_error *err);
/* Each SIGHUP calls fn on the loop. As above: before any thread starts. */
WEIR_MUST_CHECK weir_rc weir_loop_on_hangup(weir_loop *l, weir_loop_fn *fn, void *arg,
                                            weir_error *err);

#endif
