/* bridge.c - threads and their order of start and stop. */
#include "bridge/bridge.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge/reader.h"
#include "bridge/status.h"
#include "bridge/unseen.h"
#include "bridge/watch.h"
#include "bridge/writer.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/str.h"

enum { STOP_MAX_MS = 8000, WINDOW_BYTES = 16 * 1024 * 1024 };

typedef struct bridge {
    brg_shared s;
    brg_port *port;
    brg_windows *windows;
    brg_reader *reader;
    brg_copier *copier;
    brg_crawl *crawl;
    brg_unseen *unseen;
    brg_feed *feed;
    brg_status *status;
    weir_thread *threads[5];
    int nthreads;
} bridge;

static weir_rc put_instance(brg_shared *s, weir_error *err)
{
    char id[33];
    weir_lmdb_txn *t = NULL;
    weir_random_id(id);
    weir_rc rc = weir_lmdb_begin(s->store.env, true, &t, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = brg_store_put_meta(&s->store, t, "instance", id, err);
    if (rc != WEIR_OK) {
        weir_lmdb_abort(t);
        return rc;
    }
    return weir_lmdb_commit(t, err);
}

static void load_relation(void *arg, weir_slice key, weir_slice value)
{
    const unsigned char *p = (const unsigned char *)key.p;
    if (key.n == 4) {
        brg_relation_add(
            arg, (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3], value);
    }
}

static weir_rc open_log(brg_shared *s, weir_error *err)
{
    const weir_settings *set = s->settings;
    weir_rc rc =
        brg_store_open(&s->store, set->bridge_data_dir, (size_t)set->bridge_log_map_bytes, err);
    if (rc == WEIR_OK) {
        rc = brg_store_meta(&s->store, &s->meta, err);
    }
    if (rc == WEIR_OK && s->meta.instance[0] == '\0') {
        rc = put_instance(s, err);
        rc = rc == WEIR_OK ? brg_store_meta(&s->store, &s->meta, err) : rc;
    }
    if (rc == WEIR_OK) {
        rc = brg_store_each(&s->store, s->store.rel, load_relation, s, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    s->first = s->meta.trimmed;
    s->durable = s->meta.end;
    /* The data folder's own id: a session of this name that still holds the slot can only be a
     * stale one of ours. */
    (void)snprintf(s->application_name, sizeof s->application_name, "weir-bridge-%.12s",
                   s->meta.instance);
    s->ring = brg_ring_new((size_t)set->bridge_ring_max_bytes);
    return WEIR_OK;
}

static void on_signal(void *arg)
{
    bridge *b = arg;
    WEIR_INFO("BRG-STOP", "finishing what was received");
    weir_loop_stop(b->s.loop);
}

static weir_rc start_thread(bridge *b, const char *name, void (*fn)(void *), void *arg,
                            weir_error *err)
{
    atomic_fetch_add(&b->s.running, 1);
    weir_rc rc = weir_thread_start(&b->threads[b->nthreads], name, fn, arg, err);
    if (rc == WEIR_OK) {
        b->nthreads++;
    } else {
        atomic_fetch_sub(&b->s.running, 1);
    }
    return rc;
}

static weir_rc start(bridge *b, weir_error *err)
{
    brg_shared *s = &b->s;
    weir_rc rc = open_log(s, err);
    if (rc == WEIR_OK) {
        rc = weir_loop_new(&s->loop, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_loop_signals(s->loop, on_signal, b, err);
    }
    if (rc == WEIR_OK) {
        b->port = brg_port_new(s);
        b->copier = brg_copier_new(s, b->port);
        b->windows = brg_windows_new(WINDOW_BYTES);
        rc = brg_crawl_open(&b->crawl, s, b->port, b->windows, err);
    }
    if (rc == WEIR_OK) {
        rc = brg_reader_new(&b->reader, s, b->port, b->windows, err);
    }
    if (rc == WEIR_OK) {
        rc = brg_feed_open(&b->feed, s, b->copier, b->crawl, err);
    }
    if (rc == WEIR_OK) {
        rc = brg_status_open(&b->status, s, b->feed, err);
    }
    if (rc == WEIR_OK) {
        rc = start_thread(b, "brg-writer", brg_writer_run, s, err);
    }
    if (rc == WEIR_OK) {
        rc = start_thread(b, "brg-reader", brg_reader_run, b->reader, err);
    }
    if (rc == WEIR_OK) {
        rc = start_thread(b, "brg-copier", brg_copier_run, b->copier, err);
    }
    if (rc == WEIR_OK) {
        rc = start_thread(b, "brg-watch", brg_watch_run, s, err);
    }
    if (rc == WEIR_OK && s->settings->bridge_first_copy) {
        b->unseen = brg_unseen_new(s, b->crawl);
        rc = start_thread(b, "brg-unseen", brg_unseen_run, b->unseen, err);
    }
    if (rc == WEIR_OK) {
        rc = brg_crawl_go(b->crawl, err);
    }
    return rc;
}

static bool wait_running(brg_shared *s, unsigned left, int64_t end_ms)
{
    while (atomic_load(&s->running) > left && weir_mono_ms() < end_ms) {
        weir_monitor_lock(s->m);
        weir_monitor_wake(s->m);
        (void)weir_monitor_wait(s->m, 10);
        weir_monitor_unlock(s->m);
    }
    return atomic_load(&s->running) <= left;
}

/* First who produces, then the writer, which finishes what it has. A server that does not answer
 * cannot hold us: what is confirmed is durable, and what is not comes again. */
static bool stop_threads(bridge *b)
{
    brg_shared *s = &b->s;
    int64_t end = weir_mono_ms() + STOP_MAX_MS;
    uint64_t one = 1;
    atomic_store(&s->stop, true);
    ssize_t k = write(s->wake_fd, &one, sizeof one);
    (void)k;
    if (b->copier) {
        brg_copier_interrupt(b->copier);
    }
    if (b->crawl) {
        brg_crawl_interrupt(b->crawl);
    }
    bool ended = wait_running(s, b->nthreads > 0 ? 1 : 0, end);
    if (s->ring) {
        brg_ring_close(s->ring);
    }
    ended = wait_running(s, 0, end) && ended;
    if (!ended) {
        WEIR_WARN("BRG-STOP-FORCED", "PostgreSQL does not answer; leaving without it");
        return false;
    }
    for (int i = 0; i < b->nthreads; i++) {
        weir_thread_join(b->threads[i]);
    }
    return true;
}

weir_rc brg_bridge_run(const weir_settings *settings, weir_error *err)
{
    static bridge b; /* outlives threads that a forced stop leaves behind */
    memset(&b, 0, sizeof b);
    brg_shared_init(&b.s, settings);
    weir_rc rc = start(&b, err);
    if (rc == WEIR_OK) {
        WEIR_INFO("BRG-READY", "feed=%s slot=%s", settings->bridge_feed, settings->bridge_slot);
        weir_loop_run(b.s.loop);
    }
    if (!stop_threads(&b)) {
        /* Threads that wait for PostgreSQL still use the settings and all this: nothing of it may
         * be freed under them. What is confirmed is durable, the rest comes again. */
        (void)fflush(NULL);
        _exit(rc == WEIR_OK ? 0 : 1);
    }
    brg_status_close(b.status);
    brg_feed_close(b.feed);
    brg_reader_free(b.reader);
    brg_copier_free(b.copier);
    brg_unseen_free(b.unseen);
    brg_crawl_close(b.crawl);
    brg_windows_free(b.windows);
    brg_port_free(b.port);
    if (b.s.loop) {
        weir_loop_free(b.s.loop);
    }
    brg_shared_fini(&b.s);
    return rc;
}
