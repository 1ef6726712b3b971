/* watch.c - a thread that keeps the catalog fresh. */
#include "write-service/watch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"

enum { EVERY_MS = 1000, APART_MS = 50, CONNECT_MS = 2000, ANSWER_MS = 5000 };
enum { FORGET_EVERY_MS = 10000, FORGET_AT_ONCE = 2000, FORGET_TURNS = 20 };
enum { TIDY_TABLES = 16, TIDY_NAME_BYTES = 140, TIDY_AFTER_MS = 150, TIDY_APART_MS = 2000 };

typedef struct untidy {
    char table[TIDY_NAME_BYTES];
    int64_t due_ms, done_ms; /* 0: not due; never */
} untidy;

struct wsvc_watch {
    wsvc_watch_conf conf;
    weir_thread *thread;
    weir_monitor *mon;
    uint64_t asked; /* under mon, as stop */
    bool stop;
    untidy tidy[TIDY_TABLES];
    atomic_bool ended;
    weir_pg *pg; /* the thread's own, as below */
    int64_t revision;
    bool loaded;
    int64_t forgot_ms; /* when old keys were removed last */
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

/* In steps, so that no statement takes long; what is left waits for the next time. */
static void forget_keys(wsvc_watch *w)
{
    static const char sql[] =
        "DELETE FROM weir.idempotency WHERE key IN (SELECT key FROM weir.idempotency WHERE "
        "stored_at < clock_timestamp() - $1::bigint * interval '1 millisecond' AND reply IS NOT "
        "NULL ORDER BY stored_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED) RETURNING NULL";
    char keep[24], at_once[24];
    const char *params[] = {keep, at_once};
    int64_t now_ms = weir_mono_ms();
    if (!w->loaded || !w->pg || now_ms - w->forgot_ms < FORGET_EVERY_MS) {
        return;
    }
    w->forgot_ms = now_ms;
    (void)snprintf(keep, sizeof keep, "%lld", (long long)w->conf.keep_keys_ms);
    (void)snprintf(at_once, sizeof at_once, "%d", FORGET_AT_ONCE);
    for (int turn = 0, n = FORGET_AT_ONCE; turn < FORGET_TURNS && n == FORGET_AT_ONCE; turn++) {
        weir_pg_rows *rows = NULL;
        weir_error err = {0};
        n = 0;
        if (weir_pg_query(w->pg, sql, 2, params, &rows, &err) == WEIR_OK) {
            n = weir_pg_nrows(rows);
        } else if (strcmp(err.sqlstate, "42P01") != 0) { /* an older control schema has no table */
            WEIR_WARN("WSVC-KEYS", "old Idempotency-Keys could not be removed: %s", err.msg);
        }
        weir_pg_rows_free(rows);
    }
}

void wsvc_watch_tidy(wsvc_watch *w, const char *table)
{
    int64_t now_ms = weir_mono_ms();
    if (strlen(table) >= TIDY_NAME_BYTES) {
        return;
    }
    weir_monitor_lock(w->mon);
    untidy *at = &w->tidy[0]; /* its own place, or that of the one done longest ago */
    for (untidy *u = w->tidy; u < w->tidy + TIDY_TABLES; u++) {
        if (strcmp(u->table, table) == 0) {
            at = u;
            break;
        }
        at = u->due_ms == 0 && (at->due_ms > 0 || u->done_ms < at->done_ms) ? u : at;
    }
    bool mine = strcmp(at->table, table) == 0;
    if (at->due_ms == 0) {
        int64_t next_ms = mine && at->done_ms > 0 ? at->done_ms + TIDY_APART_MS : 0;
        at->due_ms = now_ms + TIDY_AFTER_MS > next_ms ? now_ms + TIDY_AFTER_MS : next_ms;
        memcpy(at->table, table, strlen(table) + 1);
        weir_monitor_wake(w->mon);
    } /* else it is to be done already, or all places are taken: autovacuum comes too */
    weir_monitor_unlock(w->mon);
}

/* The monitor is held. 0: nothing is due. */
static int64_t tidy_due_ms(const wsvc_watch *w)
{
    int64_t due_ms = 0;
    for (const untidy *u = w->tidy; u < w->tidy + TIDY_TABLES; u++) {
        due_ms = u->due_ms > 0 && (due_ms == 0 || u->due_ms < due_ms) ? u->due_ms : due_ms;
    }
    return due_ms;
}

static bool take_untidy(wsvc_watch *w, char table[TIDY_NAME_BYTES])
{
    int64_t now_ms = weir_mono_ms();
    bool found = false;
    weir_monitor_lock(w->mon);
    for (untidy *u = w->tidy; u < w->tidy + TIDY_TABLES && !found; u++) {
        found = u->due_ms > 0 && u->due_ms <= now_ms;
        if (found) {
            u->due_ms = 0;
            u->done_ms = now_ms;
            memcpy(table, u->table, sizeof u->table);
        }
    }
    weir_monitor_unlock(w->mon);
    return found;
}

static void tidy_tables(wsvc_watch *w)
{
    /* 8 MiB: some milliseconds. Indexes do not shrink with their table, and are read as a whole.
     * Others' tables would only be skipped with a warning. */
    static const char sql[] =
        "SELECT format('VACUUM (SKIP_LOCKED, TRUNCATE OFF, INDEX_CLEANUP ON, PROCESS_TOAST OFF) "
        "%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = "
        "c.relnamespace WHERE c.oid = to_regclass($1) AND c.relkind = 'r' AND "
        "pg_relation_size(c.oid) <= 8388608 AND pg_indexes_size(c.oid) <= 8388608 AND "
        "pg_has_role(c.relowner, 'USAGE')";
    char table[TIDY_NAME_BYTES];
    while (w->loaded && w->pg && take_untidy(w, table)) {
        weir_pg_rows *rows = NULL;
        weir_error err = {0};
        const char *params[] = {table};
        weir_rc rc = weir_pg_query(w->pg, sql, 1, params, &rows, &err);
        if (rc == WEIR_OK && weir_pg_nrows(rows) == 1) {
            rc = weir_pg_script(w->pg, weir_pg_valuez(rows, 0, 0), &err);
        }
        if (rc != WEIR_OK) {
            WEIR_DEBUG("WSVC-TIDY", "table=%s %s", table, err.msg);
        }
        weir_pg_rows_free(rows);
    }
}

/* Until the next look is due. false: stop. *asked: what that look will answer. */
static bool rest(wsvc_watch *w, uint64_t *asked)
{
    /* What cannot be tidied now waits for PostgreSQL; we must not ask for that without a pause. */
    bool can_tidy = w->loaded && w->pg;
    int64_t from = weir_mono_ms();
    weir_monitor_lock(w->mon);
    for (;;) {
        int64_t next_ms = from + (w->asked > *asked ? APART_MS : EVERY_MS);
        int64_t tidy_ms = can_tidy ? tidy_due_ms(w) : 0;
        next_ms = tidy_ms > 0 && tidy_ms < next_ms ? tidy_ms : next_ms;
        int64_t left = next_ms - weir_mono_ms();
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
        forget_keys(w);
        tidy_tables(w);
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
