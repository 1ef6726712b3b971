/* loop_priv.h - the loop's own structs, shared by loop.c, loop_timer.c and loop_signal.c only. */
#ifndef WEIR_IO_LOOP_PRIV_H
#define WEIR_IO_LOOP_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "libweir/io/loop.h"

enum { LOOP_EVENTS_MAX = 256, LOOP_HOOK_PASSES_MAX = 8 };

struct weir_loop_fd {
    weir_loop *l;
    int fd;
    unsigned events;
    weir_loop_fd_fn *fn;
    void *arg;
    bool dead;
    weir_loop_fd *prev, *next;
};

struct weir_loop_timer {
    weir_loop *l;
    weir_loop_fn *fn;
    void *arg;
    int64_t due_ms;
    int64_t period_ms; /* 0: once */
    size_t at;         /* place in the heap, SIZE_MAX when unarmed */
    bool dead;
    weir_loop_timer *prev, *next;
};

typedef struct loop_hook {
    weir_loop_fn *fn;
    void *arg;
} loop_hook;

struct weir_loop {
    int epfd;
    int wakefd;
    bool stopping;
    bool again;
    weir_loop_fd *fds, *dead_fds;
    weir_loop_timer *timers, *dead_timers;
    weir_loop_timer **heap;
    size_t nheap, heap_cap;
    loop_hook *hooks;
    size_t nhooks, hooks_cap;
    /* stop signals */
    int sigfd;
    weir_loop_fd *sig_source;
    weir_loop_fn *sig_fn;
    void *sig_arg;
    /* SIGHUP */
    int hupfd;
    weir_loop_fd *hup_source;
    weir_loop_fn *hup_fn;
    void *hup_arg;
    /* from other threads, under lock */
    pthread_mutex_t lock;
    loop_hook *posts;
    size_t nposts, posts_cap;
    bool closed;
    atomic_bool woken; /* the eventfd has been written and not yet read */
};

/* Milliseconds until the next timer, -1 when there is none. */
int64_t weir_loop_timer_next_ms(const weir_loop *l, int64_t now_ms);
/* Runs what is due at now_ms, each timer at most once. */
void weir_loop_timer_run(weir_loop *l, int64_t now_ms);
void weir_loop_timer_sweep(weir_loop *l);
void weir_loop_timer_fini(weir_loop *l);
void weir_loop_signals_fini(weir_loop *l);
void weir_loop_hangup_fini(weir_loop *l);
/* Grows *items (of size bytes each) to hold one more; aborts when there is no memory. */
void *weir_loop_grow(void *items, size_t n, size_t *cap, size_t size);

#endif
