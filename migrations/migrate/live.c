/* live.c - the applier's loop. */
#include "migrations/migrate/live.h"

#include <stdio.h>

#include "libweir/base/backoff.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "migrations/migrate/apply.h"
#include "migrations/migrate/progress.h"

enum {
    FETCH_WAIT_MS = 300,
    SEEN_MS = 500,
    NOTE_MS = 50, /* a target in the source's own cluster moves the source by each note */
    RETRY_MS = 1000,
    RETRY_MAX_MS = 60000,
    RETRY_REST = 9, /* times what it took */
    TELL_MS = 2000,
    PAUSED_MS = 200,
    APPLIER_SILENT_MS = 15000
};

weir_rc mig_source_now(weir_pg *source, uint64_t *lsn, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    const char *text = "";
    /* A commit of our own flushes what others wrote with synchronous_commit = off; it waits for no
     * standby, which may be away. */
    weir_rc rc = weir_pg_script(source,
                                "SET synchronous_commit = local; SELECT "
                                "pg_logical_emit_message(true, 'weir.migrate', '')",
                                err);
    rc = rc == WEIR_OK ? mig_value(source, a, "SELECT pg_current_wal_flush_lsn()", NULL, &text, err)
                       : rc;
    if (rc == WEIR_OK && !weir_lsn_parse(weir_slice_z(text), lsn)) {
        rc = weir_fail(err, WEIR_E_PROTO, 0, "the source's position cannot be read");
    }
    weir_arena_free(a);
    return rc;
}

weir_rc mig_wait_applied(mig_session *s, uint64_t lsn, int64_t ms, weir_error *err)
{
    int64_t until = weir_mono_ms() + ms;
    for (;;) {
        mig_state st = {.waits = ""};
        weir_arena *a = weir_arena_new(0);
        weir_rc rc = mig_state_read(s->target, a, s->m->name.z, &st, err);
        char waits[200];
        (void)snprintf(waits, sizeof waits, "%s", st.waits);
        weir_arena_free(a);
        if (rc != WEIR_OK || st.at.lsn >= lsn) {
            return rc;
        }
        if (st.silent_ms > APPLIER_SILENT_MS) {
            return weir_fail(err, WEIR_E_STATE, 0,
                             "nobody follows the source (for %lld s): start weir migrate %s run",
                             (long long)(st.silent_ms / 1000), s->m->file);
        }
        if (st.paused) {
            return weir_fail(err, WEIR_E_STATE, 0,
                             "the migration is paused: weir migrate %s resume", s->m->file);
        }
        if (mig_stopped()) {
            return weir_fail(err, WEIR_E_EOF, 0, "stopped");
        }
        if (weir_mono_ms() > until) {
            char have[WEIR_LSN_TEXT_MAX], want[WEIR_LSN_TEXT_MAX];
            return weir_fail(err, WEIR_E_TIMEOUT, 0,
                             "the target is at %s after %lld s, not at %s%s%s",
                             weir_lsn_print(st.at.lsn, have), (long long)(ms / 1000),
                             weir_lsn_print(lsn, want), waits[0] ? ": " : "", waits);
        }
        mig_pause_ms(20);
    }
}

/* Connections that were lost are opened again. */
static weir_rc reconnect(mig_session *s, weir_error *err)
{
    bool target_lost = !weir_pg_ok(s->target);
    weir_rc rc = WEIR_OK;
    if (!weir_pg_ok(s->source)) {
        weir_pg_close(s->source);
        s->source = NULL;
        rc = mig_connect(s, true, &s->source, err);
    }
    if (rc == WEIR_OK && target_lost) {
        weir_pg_close(s->target);
        s->target = NULL;
        rc = mig_connect(s, false, &s->target, err);
        rc = rc == WEIR_OK ? mig_state_lock(s->target, s->m->name.z, err) : rc;
        rc = rc == WEIR_OK ? mig_apply_prepare(s, err) : rc;
    }
    return rc;
}

static bool temporary(const mig_session *s, weir_rc rc, const weir_error *err)
{
    return (err->flags & WEIR_EF_RETRY) || rc == WEIR_E_CONN || rc == WEIR_E_TIMEOUT ||
           rc == WEIR_E_AGAIN || !s->source || !s->target || !weir_pg_ok(s->source) ||
           !weir_pg_ok(s->target);
}

static bool pending(const mig_feed *f)
{
    bool something = f->nkeys || f->nxids;
    for (int i = 0; !something && i < f->ntouched; i++) {
        something = f->touched[i].truncated;
    }
    return something;
}

static weir_rc step(mig_session *s, mig_feed *f, int64_t wait_ms, weir_error *err)
{
    weir_rc rc = reconnect(s, err);
    if (rc == WEIR_OK && !pending(f)) { /* what could not be applied is tried again first */
        rc = mig_feed_fetch(f, wait_ms, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    if (pending(f)) {
        rc = mig_apply(s, f, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        mig_feed_reset(f);
    }
    return WEIR_OK;
}

weir_rc mig_live_step(mig_session *s, mig_feed *f, int64_t wait_ms, weir_error *err)
{
    weir_backoff backoff;
    weir_backoff_init(&backoff, 50, 3000, 0);
    for (;;) {
        weir_rc rc = step(s, f, wait_ms, err);
        if (rc == WEIR_OK) {
            return WEIR_OK;
        }
        if (mig_stopped()) {
            return weir_fail(err, WEIR_E_EOF, 0, "stopped");
        }
        if (!temporary(s, rc, err)) {
            return rc;
        }
        WEIR_WARN("MIG-RETRY", "%s", err->msg);
        mig_pause_ms(weir_backoff_next_ms(&backoff));
    }
}

/* The position also moves while nothing happens to our tables; verify and cut-over wait for it. */
static weir_rc note_idle(mig_session *s, mig_feed *f, const char *waits, weir_error *err)
{
    char lsn[WEIR_LSN_TEXT_MAX], sub[16];
    (void)snprintf(sub, sizeof sub, "%u", f->next.sub);
    const char *params[] = {s->m->name.z, weir_lsn_print(f->next.lsn, lsn), sub, waits};
    weir_rc rc = weir_pg_query(
        s->target,
        f->whole && !pending(f)
            ? "UPDATE weir_sync.migrate SET lsn = greatest(lsn, $2), sub = CASE WHEN $2::pg_lsn >= "
              "lsn THEN $3 ELSE sub END, seen_at = clock_timestamp(), waits = $4 WHERE name = $1"
            : "UPDATE weir_sync.migrate SET seen_at = clock_timestamp(), waits = $4 WHERE name = "
              "$1 "
              "AND ($2::text, $3::text) IS NOT NULL",
        4, params, NULL, err);
    return rc;
}

static weir_rc retry_rejects(mig_session *s, mig_feed *f, weir_error *err)
{
    int n = 0;
    weir_rc rc = mig_apply_retry(s, f, &n, err);
    if (rc == WEIR_OK && n) {
        rc = mig_apply(s, f, err);
        mig_feed_reset(f);
    }
    return rc;
}

/* Many rejects take long to be tried, one by one; the source's changes wait meanwhile. */
static int64_t rest_ms(int64_t took_ms)
{
    int64_t ms = took_ms * RETRY_REST;
    return ms < RETRY_MS ? RETRY_MS : ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
}

typedef struct ticks {
    int64_t seen, retry_at, told, noted_ms;
    int64_t changes;
    bool dirty; /* something was applied since rejects were tried */
    weir_cursor noted;
} ticks;

/* What happens between two fetches. *phase and *paused as the target says. */
static weir_rc between(mig_session *s, mig_feed *f, ticks *k, mig_state *st, weir_error *err)
{
    int64_t now = weir_mono_ms();
    weir_rc rc = WEIR_OK;
    bool moved = weir_cursor_cmp(f->next, k->noted) != 0;
    if ((moved && now - k->noted_ms >= NOTE_MS) || now - k->seen >= SEEN_MS) {
        rc = note_idle(s, f, "", err);
        k->noted_ms = now;
        k->noted = f->next;
    }
    if (rc == WEIR_OK && k->dirty && now >= k->retry_at) {
        rc = retry_rejects(s, f, err);
        k->retry_at = weir_mono_ms() + rest_ms(weir_mono_ms() - now);
        k->dirty = false;
    }
    if (rc == WEIR_OK && now - k->seen >= SEEN_MS) {
        weir_arena *a = weir_arena_new(0);
        k->seen = now;
        rc = mig_state_read(s->target, a, s->m->name.z, st, err);
        st->mapping = st->waits = st->system_id = "";
        weir_arena_free(a);
        if (rc == WEIR_OK && st->at.lsn) {
            weir_error late;
            if (mig_feed_ack(f, st->at, &late) != WEIR_OK) {
                WEIR_DEBUG("MIG-ACK", "%s", late.msg); /* the next one says it again */
            }
        }
        k->dirty = k->dirty || st->changes != k->changes;
        k->changes = st->changes;
        if (rc == WEIR_OK && now - k->told >= TELL_MS) {
            k->told = now;
            mig_progress_live(s, st, f->head.lsn);
        }
    }
    return rc;
}

static weir_rc between_safe(mig_session *s, mig_feed *f, ticks *k, mig_state *st, weir_error *err)
{
    weir_rc rc = between(s, f, k, st, err);
    if (rc != WEIR_OK && !mig_stopped() && temporary(s, rc, err)) {
        WEIR_WARN("MIG-RETRY", "%s", err->msg); /* the next step connects again */
        return WEIR_OK;
    }
    return rc;
}

weir_rc mig_live_catch_up(mig_session *s, mig_feed *f, weir_error *err)
{
    uint64_t goal = 0;
    ticks k = {0};
    mig_state st = {0};
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = mig_state_read(s->target, a, s->m->name.z, &st, err);
    st.mapping = st.waits = st.system_id = "";
    weir_arena_free(a);
    uint64_t passed = st.passed;
    rc = rc == WEIR_OK ? mig_source_now(s->source, &goal, err) : rc;
    goal = goal > passed ? goal : passed;
    while (rc == WEIR_OK && f->next.lsn < goal) {
        rc = mig_live_step(s, f, FETCH_WAIT_MS, err);
        rc = rc == WEIR_OK ? between_safe(s, f, &k, &st, err) : rc;
        if (rc == WEIR_OK && mig_stopped()) {
            rc = weir_fail(err, WEIR_E_EOF, 0, "stopped");
        }
    }
    return rc;
}

weir_rc mig_live(mig_session *s, mig_feed *f, weir_error *err)
{
    ticks k = {0};
    mig_state st = {.phase = MIG_LIVE};
    weir_rc rc = WEIR_OK;
    while (rc == WEIR_OK && st.phase != MIG_CUT_OVER) {
        if (mig_stopped()) {
            return weir_fail(err, WEIR_E_EOF, 0, "stopped");
        }
        if (st.paused) {
            mig_pause_ms(PAUSED_MS);
            rc = reconnect(s, err);
            rc = rc != WEIR_OK && temporary(s, rc, err) ? WEIR_OK : rc;
            if (!s->source || !s->target) {
                continue;
            }
        } else {
            rc = mig_live_step(s, f, FETCH_WAIT_MS, err);
        }
        rc = rc == WEIR_OK ? between_safe(s, f, &k, &st, err) : rc;
        if (rc == WEIR_OK && k.seen && st.phase == MIG_NONE) {
            return weir_fail(err, WEIR_E_STATE, 0, "the migration was aborted");
        }
    }
    return rc;
}
