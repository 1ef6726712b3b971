/* run.c - the phases of a migration, from whichever one it was in to the cut-over.
 *
 * prepare → copy → key index → catch-up → constraints → live. Each phase ends with its name in
 * weir_sync.migrate; what happens within one is recorded by the step itself, so that a process that
 * was killed anywhere goes on there. `cutover` and `verify` are processes of their own: they talk
 * to this one through the position it writes.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "libweir/base/backoff.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/thread.h"
#include "migrations/crawler/crawler.h"
#include "migrations/migrate/apply.h"
#include "migrations/migrate/ddl.h"
#include "migrations/migrate/external.h"
#include "migrations/migrate/live.h"
#include "migrations/migrate/progress.h"

enum { TELL_MS = 1000, POLL_MS = 200, UNIQUE_TRIES = 20, CATCH_UP_WAIT_MS = 100 };

typedef struct run {
    mig_session *s;
    mig_state st;
    mig_feed feed;
    bool begun; /* it is known in the target: whatever is away now comes back */
} run;

static weir_rc begin_state(run *r, weir_error *err)
{
    mig_session *s = r->s;
    char hash[32];
    (void)snprintf(hash, sizeof hash, "%016llx", (unsigned long long)s->m->hash);
    weir_rc rc = weir_pg_script(s->target, "BEGIN", err);
    rc = rc == WEIR_OK ? mig_state_sql(s->target,
                                       "INSERT INTO weir_sync.migrate (name, mapping, phase) "
                                       "VALUES ($1, $2, 'prepare')",
                                       s->m->name.z, hash, err)
                       : rc;
    rc = rc == WEIR_OK ? mig_ddl_tables(s, err) : rc;
    return rc == WEIR_OK ? weir_pg_script(s->target, "COMMIT", err) : rc;
}

/* The same file as when it began: other expressions would make two kinds of rows. */
static weir_rc check_same(const run *r, weir_error *err)
{
    char hash[32];
    (void)snprintf(hash, sizeof hash, "%016llx", (unsigned long long)r->s->m->hash);
    if (r->st.phase == MIG_NONE || strcmp(hash, r->st.mapping) == 0) {
        return WEIR_OK;
    }
    return weir_fail(err, WEIR_E_STATE, 0,
                     "the mapping changed since the migration began; put it back, or abort and "
                     "begin again");
}

/* The durable place in the source's log from which everything is followed: before the first chunk.
 */
static weir_rc subscribe(run *r, weir_error *err)
{
    mig_session *s = r->s;
    const char *system_id = "";
    char lsn[WEIR_LSN_TEXT_MAX], sub[16];
    weir_cursor at = r->st.at;
    weir_backoff backoff;
    weir_backoff_init(&backoff, 50, 3000, 0);
    weir_rc rc = WEIR_OK;
    for (;;) {
        rc = s->m->source_feed.z ? mig_external_check(s, &r->feed, err) : WEIR_OK;
        rc = rc == WEIR_OK ? mig_feed_subscribe(&r->feed, &at, r->st.system_id, &system_id, err)
                           : rc;
        if (rc == WEIR_OK || !(err->flags & WEIR_EF_RETRY) || mig_stopped() ||
            !weir_pg_ok(s->source)) {
            break;
        }
        WEIR_WARN("MIG-RETRY", "%s", err->msg);
        mig_pause_ms(weir_backoff_next_ms(&backoff));
    }
    if (rc != WEIR_OK || r->st.at.lsn) {
        return rc;
    }
    r->st.at = at;
    (void)snprintf(sub, sizeof sub, "%u", at.sub);
    const char *params[] = {s->m->name.z, weir_lsn_print(at.lsn, lsn), sub, system_id};
    return weir_pg_query(s->target,
                         "UPDATE weir_sync.migrate SET lsn = $2, sub = $3, system_id = $4, phase = "
                         "'copy' WHERE name = $1",
                         4, params, NULL, err);
}

typedef struct copying {
    crw *c;
    weir_rc rc;
    weir_error err;
    atomic_bool done;
} copying;

static void copy_thread(void *arg)
{
    copying *k = arg;
    k->rc = crw_copy(k->c, &k->err);
    atomic_store(&k->done, true);
}

static weir_rc watch_copy(run *r, copying *k, weir_error *err)
{
    bool paused = false;
    weir_rc rc = WEIR_OK;
    for (int64_t told = 0; !atomic_load(&k->done);) {
        int64_t now = weir_mono_ms();
        if (mig_stopped()) {
            crw_stop(k->c);
        } else if (now - told >= TELL_MS) {
            told = now;
            crw_state st;
            mig_state state;
            crw_progress(k->c, &st);
            mig_progress_copy(r->s, &st);
            weir_arena *a = weir_arena_new(0);
            rc = mig_state_seen(r->s->target, r->s->m->name.z, st.waits, err);
            rc = rc == WEIR_OK ? mig_state_read(r->s->target, a, r->s->m->name.z, &state, err) : rc;
            weir_arena_free(a);
            if (rc != WEIR_OK) {
                crw_stop(k->c);
            } else if (state.paused != paused) {
                paused = state.paused;
                crw_pause(k->c, paused);
            }
        }
        mig_pause_ms(POLL_MS / 4);
    }
    return rc;
}

static weir_rc copy_tables(run *r, crw_table **out, weir_error *err)
{
    mig_session *s = r->s;
    weir_rc rc = WEIR_OK;
    crw_table *tabs = WEIR_ARENA_ARRAY(s->a, crw_table, (size_t)s->plan->ntables + 1);
    for (int i = 0; rc == WEIR_OK && i < s->plan->ntables; i++) {
        const mig_ptable *t = &s->plan->tables[i];
        crw_column *cols = WEIR_ARENA_ARRAY(s->a, crw_column, (size_t)t->ncols + 1);
        for (int k = 0; k < t->ncols; k++) {
            const mig_pcol *col = &t->cols[k];
            cols[k] = (crw_column){.name = col->name, .expr = col->plain ? NULL : col->expr};
            cols[k].from = col->plain ? t->src.cols[col->source_col].name : NULL;
        }
        tabs[i] = (crw_table){.source_schema = t->src.schema,
                              .source_name = t->src.name,
                              .target_schema = t->map->schema.z,
                              .target_name = t->map->name.z,
                              .columns = cols,
                              .ncolumns = (size_t)t->ncols,
                              .filter = t->map->where.z ? t->where : NULL};
        rc = mig_ddl_made(s, t, &tabs[i].fresh, err);
    }
    *out = tabs;
    return rc;
}

static weir_rc copy(run *r, weir_error *err)
{
    mig_session *s = r->s;
    crw_table *tables = NULL;
    weir_rc rc = copy_tables(r, &tables, err);
    crw_conf conf = {.source_uri = s->m->source_uri.z,
                     .target_uri = s->m->target_uri.z,
                     .job = s->m->name.z,
                     .tables = tables,
                     .ntables = (size_t)s->plan->ntables,
                     .workers = (int)s->m->workers,
                     .chunk_rows = s->m->chunk_rows,
                     .chunk_rows_max = s->m->chunk_rows,
                     .rows_per_s = s->m->chunk_rows_per_s,
                     .source_keep_pct = (int)s->m->source_keep_pct,
                     .rejects_max = s->m->rejects_max ? s->m->rejects_max : -1};
    copying k = {.c = NULL};
    weir_thread *thread = NULL;
    rc = rc == WEIR_OK ? crw_open(&k.c, &conf, err) : rc;
    rc = rc == WEIR_OK ? weir_thread_start(&thread, "copy", copy_thread, &k, err) : rc;
    if (rc == WEIR_OK) {
        rc = watch_copy(r, &k, err);
        weir_thread_join(thread);
        if (rc == WEIR_OK && k.rc != WEIR_OK) {
            *err = k.err;
            rc = k.rc;
        }
    }
    if (rc == WEIR_OK) {
        char lsn[WEIR_LSN_TEXT_MAX];
        crw_state st;
        crw_progress(k.c, &st);
        mig_progress_copy(s, &st);
        rc = mig_state_sql(s->target,
                           "UPDATE weir_sync.migrate SET passed = $2, phase = 'key index' WHERE "
                           "name = $1",
                           s->m->name.z, weir_lsn_print(crw_passed_lsn(k.c), lsn), err);
    }
    crw_close(k.c);
    return rc;
}

/* Unique indexes may meet two rows that exchanged a value, one of which is still on its way. */
static weir_rc constraints(run *r, weir_error *err)
{
    for (int tries = 0;; tries++) {
        weir_rc rc = mig_ddl_extras(r->s, err);
        if (rc != WEIR_E_AGAIN) {
            return rc;
        }
        if (tries == UNIQUE_TRIES) {
            err->code = WEIR_E_STATE;
            return WEIR_E_STATE;
        }
        rc = mig_live_step(r->s, &r->feed, CATCH_UP_WAIT_MS, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
}

static weir_rc next_phase(run *r, mig_phase p, weir_error *err)
{
    r->st.phase = p;
    mig_progress_phase(r->s, p);
    return mig_state_phase(r->s->target, r->s->m->name.z, p, err);
}

static weir_rc phases(run *r, weir_error *err)
{
    mig_session *s = r->s;
    bool resumed = r->st.phase >= MIG_LIVE;
    weir_rc rc = subscribe(r, err);
    if (rc == WEIR_OK && r->st.phase <= MIG_COPY) {
        r->st.phase = MIG_COPY;
        mig_progress_phase(s, MIG_COPY);
        rc = copy(r, err);
        r->st.phase = rc == WEIR_OK ? MIG_KEYS : MIG_COPY;
    }
    if (rc == WEIR_OK && r->st.phase == MIG_KEYS) {
        mig_progress_phase(s, MIG_KEYS);
        rc = mig_ddl_keys(s, err);
        rc = rc == WEIR_OK ? next_phase(r, MIG_CATCH_UP, err) : rc;
    }
    rc = rc == WEIR_OK ? mig_apply_prepare(s, err) : rc;
    if (rc == WEIR_OK && r->st.phase == MIG_CATCH_UP) {
        rc = mig_live_catch_up(s, &r->feed, err);
        rc = rc == WEIR_OK ? next_phase(r, MIG_CONSTRAINTS, err) : rc;
    }
    if (rc == WEIR_OK && r->st.phase == MIG_CONSTRAINTS) {
        rc = constraints(r, err);
        rc = rc == WEIR_OK ? next_phase(r, MIG_LIVE, err) : rc;
    }
    if (rc == WEIR_OK) {
        if (r->st.phase != MIG_LIVE || resumed) {
            mig_progress_phase(s, r->st.phase);
        }
        rc = mig_live(s, &r->feed, err);
    }
    return rc;
}

static weir_rc run_all(run *r, weir_error *err)
{
    mig_session *s = r->s;
    if (!s->feed) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "no feed of the source is named: use `weir migrate %s run`, which starts "
                         "a bridge, or [source] feed",
                         s->m->file);
    }
    weir_rc rc = mig_session_connect(s, false, err);
    rc = rc == WEIR_OK ? mig_state_read(s->target, s->a, s->m->name.z, &r->st, err) : rc;
    rc = rc == WEIR_OK ? check_same(r, err) : rc;
    if (rc == WEIR_OK && r->st.phase == MIG_CUT_OVER) {
        return weir_fail(err, WEIR_E_STATE, 0, "the migration %s is cut over", s->m->name.z);
    }
    bool first = r->st.phase == MIG_NONE;
    rc = rc == WEIR_OK ? mig_session_check(s, !first, first, err) : rc;
    rc = rc == WEIR_OK ? mig_state_schema(s->target, err) : rc;
    rc = rc == WEIR_OK ? mig_state_lock(s->target, s->m->name.z, err) : rc;
    if (rc == WEIR_OK && first) {
        rc = begin_state(r, err);
        r->st.phase = MIG_PREPARE;
    }
    if (rc == WEIR_OK) {
        r->begun = true;
        mig_feed_init(&r->feed, s);
        rc = phases(r, err);
        mig_feed_fini(&r->feed);
    }
    return rc;
}

/* Each phase goes on where it was: a server that was away is waited for, a target that lost what it
 * had not written to disk gets it again. */
static bool passes(const run *r, weir_rc rc, const weir_error *err)
{
    return rc != WEIR_OK && r->begun && !mig_stopped() &&
           ((err->flags & WEIR_EF_RETRY) || rc == WEIR_E_CONN || rc == WEIR_E_TIMEOUT ||
            rc == WEIR_E_AGAIN);
}

int mig_run(mig_session *s)
{
    run *r = weir_arena_zalloc(s->a, sizeof *r);
    r->s = s;
    weir_error err = {0};
    weir_backoff backoff;
    weir_backoff_init(&backoff, 100, 5000, 0);
    weir_rc rc = run_all(r, &err);
    while (passes(r, rc, &err)) {
        mig_progress_end(s);
        WEIR_WARN("MIG-AGAIN", "%s", err.msg);
        mig_session_disconnect(s);
        mig_pause_ms(weir_backoff_next_ms(&backoff));
        rc = run_all(r, &err);
    }
    mig_progress_end(s);
    if (rc == WEIR_E_EOF || (rc != WEIR_OK && mig_stopped())) {
        return 3; /* asked to stop: everything committed stays, the next run goes on */
    }
    return rc == WEIR_OK ? 0 : mig_fail(&err);
}
