/* watch.c - a thread that keeps the catalog fresh. */
#include "write-service/watch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"

enum { EVERY_MS = 1000, APART_MS = 50, CONNECT_MS = 2000, ANSWER_MS = 5000 };

struct wsvc_watch {
    wsvc_watch_conf conf;
    weir_thread *thread;
    weir_monitor *mon;
    uint64_t asked; /* under mon, as stop */
    bool stop;
    atomic_bool ended;
    weir_pg *pg; /* the thread's own, as below */
    int64_t revision;
    bool loaded;
};

typedef struct message {
    const wsvc_watch_conf *conf;
    wsvc_seen seen;
} message;

static void on_loop(void *arg)
{
    message *m = arg;
    m->conf->seen(m->conf->arg, &m->seen);
    free(m);
}

static weir_rc look(wsvc_watch *w, wsvc_catalog **fresh, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    if (w->pg && !weir_pg_alive(w->pg)) {
        weir_pg_close(w->pg);
        w->pg = NULL;
    }
    if (!w->pg) {
        weir_pg_conf pc = {.uri = w->conf.uri,
                           .application_name = w->conf.application_name,
                           .connect_timeout_ms = CONNECT_MS,
                           .wait_max_ms = ANSWER_MS};
        rc = weir_pg_open(&w->pg, &pc, err);
    }
    int64_t revision = 0;
    if (rc == WEIR_OK) {
        rc = wsvc_catalog_revision(w->pg, &revision, err);
    }
    if (rc == WEIR_OK && (!w->loaded || revision != w->revision)) {
        rc = wsvc_catalog_load(fresh, w->pg, err);
        w->loaded = rc == WEIR_OK;
        w->revision = rc == WEIR_OK ? (*fresh)->revision : 0;
    }
    if (rc == WEIR_E_NOTFOUND) {
        w->loaded = false; /* dropped under us: what comes next is new whatever its number */
    }
    return rc;
}

static void tell(wsvc_watch *w, uint64_t asked)
{
    weir_error err = {0};
    message *m = weir_xcalloc(1, sizeof *m);
    m->conf = &w->conf;
    m->seen.asked = asked;
    m->seen.rc = look(w, &m->seen.catalog, &err);
    (void)snprintf(m->seen.text, sizeof m->seen.text, "%s", m->seen.rc == WEIR_OK ? "" : err.msg);
    if (!weir_loop_post(w->conf.loop, on_loop, m)) {
        wsvc_catalog_free(m->seen.catalog);
        free(m);
    }
}

/* Until the next look is due. false: stop. *asked: what that look will answer. */
static bool rest(wsvc_watch *w, uint64_t *asked)
{
    int64_t from = weir_mono_ms();
    weir_monitor_lock(w->mon);
    for (;;) {
        int64_t left = from + (w->asked > *asked ? APART_MS : EVERY_MS) - weir_mono_ms();
        if (w->stop || left <= 0) {
            break;
        }
        (void)weir_monitor_wait(w->mon, left);
    }
    bool go = !w->stop;
    *asked = w->asked;
    weir_monitor_unlock(w->mon);
    return go;
}

static void watch_main(void *arg)
{
    wsvc_watch *w = arg;
    uint64_t asked = 0;
    do {
        tell(w, asked);
    } while (rest(w, &asked));
    weir_pg_close(w->pg);
    atomic_store(&w->ended, true);
}

weir_rc wsvc_watch_start(wsvc_watch **out, const wsvc_watch_conf *conf, weir_error *err)
{
    wsvc_watch *w = weir_xcalloc(1, sizeof *w);
    w->conf = *conf;
    w->mon = weir_monitor_new();
    weir_rc rc = weir_thread_start(&w->thread, "catalog", watch_main, w, err);
    if (rc != WEIR_OK) {
        wsvc_watch_free(w);
        return rc;
    }
    *out = w;
    return WEIR_OK;
}

uint64_t wsvc_watch_ask(wsvc_watch *w)
{
    weir_monitor_lock(w->mon);
    uint64_t n = ++w->asked;
    weir_monitor_wake(w->mon);
    weir_monitor_unlock(w->mon);
    return n;
}

void wsvc_watch_stop(wsvc_watch *w)
{
    weir_monitor_lock(w->mon);
    w->stop = true;
    weir_monitor_wake(w->mon);
    weir_monitor_unlock(w->mon);
}

bool wsvc_watch_ended(wsvc_watch *w)
{
    return atomic_load(&w->ended);
}

void wsvc_watch_free(wsvc_watch *w)
{
    if (!w) {
        return;
    }
    weir_thread_join(w->thread);
    weir_monitor_free(w->mon);
    free(w);
}
