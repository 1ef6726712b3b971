/* verify_recheck.c - suspects read again on both sides until they agree or stand still. */
#include "migrations/migrate/live.h"
#include "migrations/migrate/verify.h"

enum { ROUNDS_MAX = 60, REACH_MS = 120000, ROUND_MS = 100 };

static bool equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static const char *kind_of(const mig_suspect *s)
{
    return !s->target ? "missing" : !s->source ? "left over" : "different";
}

/* One reading of all open suspects, the source first. */
static weir_rc read_both(mig_verify *v, mig_suspect *list, int n, weir_arena *a, weir_error *err)
{
    uint64_t lsn = 0;
    weir_rc rc = mig_verify_reread(v, true, list, n, a, err);
    if (rc == WEIR_OK && !v->final) {
        rc = mig_source_now(v->s->source, &lsn, err);
        rc = rc == WEIR_OK ? mig_wait_applied(v->s, lsn, REACH_MS, err) : rc;
    }
    return rc == WEIR_OK ? mig_verify_reread(v, false, list, n, a, err) : rc;
}

weir_rc mig_verify_recheck(mig_verify *v, mig_suspect *list, int n, weir_arena *a, weir_error *err)
{
    weir_rc rc = mig_verify_rejects(v, a, err);
    mig_suspect *open = WEIR_ARENA_ARRAY(a, mig_suspect, (size_t)n + 1);
    int *at = WEIR_ARENA_ARRAY(a, int, (size_t)n + 1);
    int left = n;
    for (int i = 0; i < n; i++) {
        open[i] = list[i];
        at[i] = i;
        list[i].kind = NULL;
    }
    for (int round = 0; rc == WEIR_OK && left > 0; round++) {
        mig_suspect *before = WEIR_ARENA_ARRAY(a, mig_suspect, (size_t)left);
        memcpy(before, open, (size_t)left * sizeof *before);
        rc = read_both(v, open, left, a, err);
        int kept = 0;
        for (int i = 0; rc == WEIR_OK && i < left; i++) {
            bool same = equal(open[i].source, open[i].target) &&
                        !(open[i].source && strcmp(open[i].source, "twice") == 0);
            bool still = round > 0 && equal(open[i].source, before[i].source) &&
                         equal(open[i].target, before[i].target);
            if (!same && (still || v->final || round == ROUNDS_MAX)) {
                list[at[i]] = open[i];
                list[at[i]].kind = still || v->final ? kind_of(&open[i]) : "moving";
            } else if (!same) {
                open[kept] = open[i];
                at[kept++] = at[i];
            }
        }
        left = kept;
        if (rc == WEIR_OK && left > 0) {
            if (mig_stopped()) {
                rc = weir_fail(err, WEIR_E_EOF, 0, "stopped");
            }
            mig_pause_ms(ROUND_MS);
        }
    }
    return rc;
}
