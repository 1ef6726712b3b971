/* cutover.c - the moment the target takes over: fence, zero lag, proof, sequences, hooks.
 *
 * The fence of kind lock holds LOCK TABLE … IN SHARE MODE on every mapped source table from before
 * the last position is read until the hooks have run: readers go on, writers wait. Without it the
 * source must be silent: a change that arrives while the proof is made refuses it.
 */
#include <stdio.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "migrations/migrate/ddl.h"
#include "migrations/migrate/hook.h"
#include "migrations/migrate/live.h"
#include "migrations/migrate/progress.h"
#include "migrations/migrate/sequence.h"
#include "migrations/migrate/verify.h"

enum { REACH_MS = 600000 };

typedef struct cutover {
    mig_session *s;
    weir_pg *fence;
    bool fenced; /* fence_sql has run */
    uint64_t lsn;
    mig_state st; /* at zero lag */
    mig_verify v;
    weir_buf text; /* what is printed at the end */
    int sequences;
} cutover;

static const char *folder(const mig_session *s)
{
    const char *slash = strrchr(s->m->file, '/');
    return slash ? weir_arena_dupz(
                       s->a, weir_slice_of(s->m->file,
                                           slash == s->m->file ? 1 : (size_t)(slash - s->m->file)))
                 : ".";
}

static void say(const cutover *c, const char *text)
{
    if (!c->s->json) {
        (void)printf("%s\n", text);
        (void)fflush(stdout);
    }
}

static weir_rc ready(cutover *c, weir_error *err)
{
    mig_session *s = c->s;
    weir_rc rc = mig_session_connect(s, false, err);
    rc = rc == WEIR_OK ? mig_state_read(s->target, s->a, s->m->name.z, &c->st, err) : rc;
    if (rc == WEIR_OK && c->st.phase == MIG_CUT_OVER) {
        rc = weir_fail(err, WEIR_E_STATE, 0, "the migration %s is cut over already", s->m->name.z);
    } else if (rc == WEIR_OK && c->st.phase < MIG_LIVE) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "the migration %s is in phase %s; it can be cut over once it is live",
                       s->m->name.z, mig_phase_name(c->st.phase));
    } else if (rc == WEIR_OK && c->st.rejects && !s->m->rejects_accepted) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "%lld rows did not fit (weir_sync.reject in the target says why): correct "
                       "them in the source, or say rejects = accept in [cutover]",
                       (long long)c->st.rejects);
    }
    return rc == WEIR_OK ? mig_session_check(s, true, false, err) : rc;
}

static weir_rc lock_source(cutover *c, weir_error *err)
{
    mig_session *s = c->s;
    weir_buf b;
    weir_buf_init(&b, 4 << 20);
    weir_buf_printf(&b,
                    "SET idle_in_transaction_session_timeout = 0; BEGIN; SET LOCAL lock_timeout = "
                    "%lld; LOCK TABLE ",
                    (long long)s->m->lock_timeout_ms);
    for (int i = 0; i < s->plan->ntables; i++) {
        weir_buf_printf(&b, "%s%s", i ? ", " : "", s->plan->tables[i].src_from);
    }
    weir_buf_putz(&b, " IN SHARE MODE");
    weir_buf_u8(&b, '\0');
    weir_rc rc = mig_connect(s, true, &c->fence, err);
    rc = rc == WEIR_OK ? weir_pg_script(c->fence, b.p, err) : rc;
    if (rc != WEIR_OK && strcmp(err->sqlstate, "55P03") == 0) {
        weir_error_wrap(err, "a transaction of the source holds a table for longer than "
                             "lock_timeout_ms; nothing was changed, try again");
    }
    weir_buf_fini(&b);
    return rc;
}

static weir_rc raise_fence(cutover *c, weir_error *err)
{
    mig_session *s = c->s;
    weir_rc rc = WEIR_OK;
    if (s->m->fence_sql.z) {
        rc = weir_pg_script(s->source, s->m->fence_sql.z, err);
        if (rc != WEIR_OK) {
            weir_error_wrap(err, "fence_sql");
        }
        c->fenced = true;
    }
    if (rc == WEIR_OK && s->m->fence == MIG_FENCE_LOCK) {
        rc = lock_source(c, err);
    }
    return rc;
}

static weir_rc zero_lag(cutover *c, weir_error *err)
{
    weir_rc rc = mig_source_now(c->s->source, &c->lsn, err);
    rc = rc == WEIR_OK ? mig_wait_applied(c->s, c->lsn, REACH_MS, err) : rc;
    return rc == WEIR_OK ? mig_state_read(c->s->target, c->s->a, c->s->m->name.z, &c->st, err) : rc;
}

/* Nothing may have come since the position the proof speaks of. */
static weir_rc still_silent(cutover *c, weir_error *err)
{
    mig_state now;
    uint64_t lsn = 0;
    weir_rc rc = mig_source_now(c->s->source, &lsn, err);
    rc = rc == WEIR_OK ? mig_wait_applied(c->s, lsn, REACH_MS, err) : rc;
    rc = rc == WEIR_OK ? mig_state_read(c->s->target, c->s->a, c->s->m->name.z, &now, err) : rc;
    if (rc == WEIR_OK && (now.changes != c->st.changes || now.truncates != c->st.truncates)) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "the source is still being written (%lld changes during the cut-over): stop "
                       "its writers, or use fence = lock",
                       (long long)(now.changes - c->st.changes));
    }
    return rc;
}

/* The locks end with their session: a proof made without them proves nothing. */
static weir_rc still_fenced(cutover *c, weir_error *err)
{
    if (c->s->m->fence == MIG_FENCE_NONE) {
        return WEIR_OK;
    }
    weir_rc rc = weir_pg_script(c->fence, "SELECT 1", err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "the fence is gone, writers of the source may have come between; the "
                             "source stays in charge, try again");
    }
    return rc;
}

static weir_rc prove(cutover *c, weir_error *err)
{
    c->v = (mig_verify){.s = c->s, .a = c->s->a, .final = true};
    weir_rc rc = mig_verify_all(&c->v, err);
    mig_progress_end(c->s);
    if (rc != WEIR_OK) {
        return rc;
    }
    mig_verify_print(&c->v, &c->text);
    int64_t differ = mig_verify_differences(&c->v);
    for (int i = 0; i < c->v.ntables; i++) {
        const mig_verified *t = &c->v.tables[i];
        bool same = strcmp(t->source_hash, t->target_hash) == 0 && t->source_rows == t->target_rows;
        differ += !same && t->differ == 0 && t->rejected == 0;
    }
    if (differ) {
        return weir_fail(err, WEIR_E_CONFLICT, 0, "%lld rows differ; the source stays in charge",
                         (long long)differ);
    }
    return c->s->m->fence == MIG_FENCE_NONE ? still_silent(c, err) : still_fenced(c, err);
}

/* The proof as it is kept and printed with --json. */
static void proof_json(const cutover *c, weir_buf *b)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    weir_buf_printf(b,
                    "{\"ok\":true,\"position\":\"%s\",\"fence\":\"%s\",\"rejected\":%lld,"
                    "\"sequences\":%d,\"tables\":",
                    weir_lsn_print(c->lsn, lsn), c->s->m->fence == MIG_FENCE_LOCK ? "lock" : "none",
                    (long long)mig_verify_rejected(&c->v), c->sequences);
    mig_verify_json(&c->v, b);
    weir_buf_putz(b, "}");
}

static weir_rc finish(cutover *c, weir_error *err)
{
    mig_session *s = c->s;
    char lsn[WEIR_LSN_TEXT_MAX];
    weir_rc rc = mig_ddl_foreign_keys(s, err);
    rc = rc == WEIR_OK ? mig_sequences_set(s, &c->sequences, &c->text, err) : rc;
    rc = rc == WEIR_OK ? still_fenced(c, err) : rc;
    if (rc == WEIR_OK && s->m->after.z) {
        rc = mig_hook_run(s->m->after.z, folder(s), s->m->name.z, weir_lsn_print(c->lsn, lsn), err);
    }
    weir_buf b;
    weir_buf_init(&b, 64 << 20);
    proof_json(c, &b);
    weir_buf_u8(&b, '\0');
    rc = rc == WEIR_OK ? mig_state_sql(s->target,
                                       "UPDATE weir_sync.migrate SET phase = 'cut over', proof = "
                                       "$2, cutover_at = clock_timestamp() WHERE name = $1",
                                       s->m->name.z, b.p, err)
                       : rc;
    if (rc == WEIR_OK) {
        (void)fwrite(c->text.n ? c->text.p : "", 1, s->json ? 0 : c->text.n, stdout);
        if (s->json) {
            (void)printf("%s\n", b.p);
        } else {
            (void)printf(
                "equal at %s: every row of the source is in the target as the mapping says, "
                "and nothing else\ncut over; %d sequences set\n",
                weir_lsn_print(c->lsn, lsn), c->sequences);
        }
        (void)fflush(stdout);
    }
    weir_buf_fini(&b);
    return rc;
}

static weir_rc steps(cutover *c, weir_error *err)
{
    mig_session *s = c->s;
    weir_rc rc = ready(c, err);
    if (rc == WEIR_OK && s->m->before.z) {
        rc = mig_hook_run(s->m->before.z, folder(s), s->m->name.z, "", err);
    }
    if (rc == WEIR_OK) {
        say(c, s->m->fence == MIG_FENCE_LOCK ? "fence: writers of the source wait"
                                             : "no fence: the source must be silent");
        rc = raise_fence(c, err);
    }
    if (rc == WEIR_OK) {
        say(c, "waiting for zero lag");
        rc = zero_lag(c, err);
    }
    if (rc == WEIR_OK && c->st.rejects && !s->m->rejects_accepted) {
        rc = weir_fail(err, WEIR_E_STATE, 0, "%lld rows did not fit: see weir_sync.reject",
                       (long long)c->st.rejects);
    }
    rc = rc == WEIR_OK ? prove(c, err) : rc;
    return rc == WEIR_OK ? finish(c, err) : rc;
}

int mig_cutover(mig_session *s)
{
    cutover *c = weir_arena_zalloc(s->a, sizeof *c);
    c->s = s;
    weir_error err = {0}, late = {0};
    weir_buf_init(&c->text, 64 << 20);
    weir_rc rc = steps(c, &err);
    if (rc != WEIR_OK) {
        (void)fwrite(c->text.n ? c->text.p : "", 1, c->text.n, stderr);
    }
    if (rc != WEIR_OK && c->fenced && s->m->unfence_sql.z &&
        weir_pg_script(s->source, s->m->unfence_sql.z, &late) != WEIR_OK) {
        (void)fprintf(stderr, "weir migrate: unfence_sql failed: %s\n", late.msg);
    }
    weir_pg_close(c->fence); /* and with it the locks */
    weir_buf_fini(&c->text);
    return rc == WEIR_OK ? 0 : mig_fail(&err);
}
