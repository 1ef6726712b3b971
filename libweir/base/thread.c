/* thread.c - starting and joining a thread; a mutex with its condition. */
#include "libweir/base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libweir/base/xalloc.h"

struct weir_thread {
    pthread_t id;
    char name[16];
    void (*fn)(void *arg);
    void *arg;
};

struct weir_monitor {
    pthread_mutex_t lock;
    pthread_cond_t cond;
};

static void *run(void *arg)
{
    weir_thread *t = arg;
    (void)pthread_setname_np(pthread_self(), t->name);
    t->fn(t->arg);
    return NULL;
}

weir_rc weir_thread_start(weir_thread **out, const char *name, void (*fn)(void *arg), void *arg,
                          weir_error *err)
{
    weir_thread *t = weir_xcalloc(1, sizeof *t);
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    t->fn = fn;
    t->arg = arg;
    /* Blocked before the thread exists, so that no signal can land on it in between. */
    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&t->id, NULL, run, t);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        free(t);
        errno = rc;
        return weir_fail_errno(err, "cannot start thread %s", name);
    }
    *out = t;
    return WEIR_OK;
}

void weir_thread_join(weir_thread *t)
{
    if (t) {
        (void)pthread_join(t->id, NULL);
        free(t);
    }
}

weir_monitor *weir_monitor_new(void)
{
    weir_monitor *m = weir_xcalloc(1, sizeof *m);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->cond, &attr);
    pthread_condattr_destroy(&attr);
    return m;
}

void weir_monitor_free(weir_monitor *m)
{
    if (m) {
        pthread_cond_destroy(&m->cond);
        pthread_mutex_destroy(&m->lock);
        free(m);
    }
}

void weir_monitor_lock(weir_monitor *m)
{
    pthread_mutex_lock(&m->lock);
}

void weir_monitor_unlock(weir_monitor *m)
{
    pthread_mutex_unlock(&m->lock);
}

bool weir_monitor_wait(weir_monitor *m, int64_t timeout_ms)
{
    if (timeout_ms < 0) {
        return pthread_cond_wait(&m->cond, &m->lock) == 0;
    }
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += (time_t)(timeout_ms / 1000);
    ts.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_nsec -= 1000000000;
        ts.tv_sec++;
    }
    return pthread_cond_timedwait(&m->cond, &m->lock, &ts) != ETIMEDOUT;
}

void weir_monitor_wake_one(weir_monitor *m)
{
    pthread_cond_signal(&m->cond);
}

void weir_monitor_wake(weir_monitor *m)
{
    pthread_cond_broadcast(&m->cond);
}
