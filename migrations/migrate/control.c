/* control.c - status, pause, resume, abort: what asks or tells a migration without running it. */
#include <stdio.h>

#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "migrations/crawler/crawler.h"
#include "migrations/migrate/ddl.h"
#include "migrations/migrate/live.h"
#include "migrations/migrate/state.h"

static weir_rc open_target(mig_session *s, mig_state *st, weir_error *err)
{
    weir_rc rc = mig_connect(s, false, &s->target, err);
    return rc == WEIR_OK ? mig_state_read(s->target, s->a, s->m->name.z, st, err) : rc;
}

/* WAL the target has not yet taken; -1 when the source does not answer. */
static int64_t lag_of(mig_session *s, const mig_state *st)
{
    weir_error err;
    char lsn[WEIR_LSN_TEXT_MAX];
    const char *lag = "";
    int64_t n = -1;
    if (!st->at.lsn || mig_connect(s, true, &s->source, &err) != WEIR_OK ||
        mig_value(s->source, s->a,
                  "SELECT greatest(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), $1), 0)::bigint",
                  weir_lsn_print(st->at.lsn, lsn), &lag, &err) != WEIR_OK ||
        !weir_slice_i64(weir_slice_z(lag), &n)) {
        return -1;
    }
    return n;
}

static const char TABLES[] =
    "SELECT t.tab, t.made, coalesce(c.rows, 0), coalesce(c.copied, false), coalesce(r.n, 0) FROM "
    "weir_sync.migrate_table t LEFT JOIN LATERAL (SELECT (SELECT sum(k.rows) FROM weir_sync.chunk "
    "k "
    "WHERE k.job = w.job AND k.tab = w.tab) AS rows, w.copied_at IS NOT NULL AS copied FROM "
    "weir_sync.crawl_table w WHERE w.job = t.name AND right(w.tab, length(t.tab) + 3) = ' > ' || "
    "t.tab LIMIT 1) c ON true LEFT JOIN LATERAL (SELECT count(*) AS n FROM weir_sync.reject j "
    "WHERE j.job = t.name AND right(j.tab, length(t.tab) + 3) = ' > ' || t.tab) r ON true WHERE "
    "t.name = $1 "
    "ORDER BY t.tab";

static weir_rc print_tables(mig_session *s, weir_buf *b, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(s->target, TABLES, 1, &s->m->name.z, &r, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        bool copied = weir_pg_valuez(r, i, 3)[0] == 't';
        if (s->json) {
            weir_buf_printf(b, "%s{\"table\":", i ? "," : "");
            weir_json_quote(b, weir_pg_value(r, i, 0));
            weir_buf_printf(b, ",\"rows_copied\":%lld,\"copied\":%s,\"rejects\":%lld}",
                            (long long)weir_pg_i64(r, i, 2), copied ? "true" : "false",
                            (long long)weir_pg_i64(r, i, 4));
        } else {
            weir_buf_printf(b, "  %-32s %12lld rows copied%s", weir_pg_valuez(r, i, 0),
                            (long long)weir_pg_i64(r, i, 2), copied ? "" : ", not yet all");
            if (weir_pg_i64(r, i, 4)) {
                weir_buf_printf(b, ", %lld rejects", (long long)weir_pg_i64(r, i, 4));
            }
            weir_buf_putz(b, "\n");
        }
    }
    weir_pg_rows_free(r);
    return rc;
}

int mig_check_verb(mig_session *s)
{
    weir_error err = {0};
    mig_state st;
    weir_rc rc = mig_session_connect(s, true, &err);
    rc = rc == WEIR_OK ? mig_state_read(s->target, s->a, s->m->name.z, &st, &err) : rc;
    if (rc == WEIR_OK && st.phase == MIG_CUT_OVER) {
        rc = weir_fail(&err, WEIR_E_STATE, 0, "the migration %s is cut over", s->m->name.z);
    }
    rc = rc == WEIR_OK && st.phase == MIG_NONE ? mig_session_check(s, false, !s->json, &err) : rc;
    return rc == WEIR_OK ? 0 : mig_fail(&err);
}

int mig_live_verb(mig_session *s)
{
    weir_error err = {0};
    mig_state st;
    weir_rc rc = open_target(s, &st, &err);
    if (rc == WEIR_OK && st.phase == MIG_NONE) {
        rc = weir_fail(&err, WEIR_E_STATE, 0, "the migration %s has not begun: weir migrate %s run",
                       s->m->name.z, s->m->file);
    } else if (rc == WEIR_OK && st.phase < MIG_LIVE) {
        rc = weir_fail(&err, WEIR_E_STATE, 0,
                       "the migration %s is in phase %s, and nobody runs it: weir migrate %s run, "
                       "until it is live",
                       s->m->name.z, mig_phase_name(st.phase), s->m->file);
    } else if (rc == WEIR_OK && st.phase == MIG_CUT_OVER) {
        rc = weir_fail(&err, WEIR_E_STATE, 0, "the migration %s is cut over", s->m->name.z);
    }
    return rc == WEIR_OK ? 0 : mig_fail(&err);
}

int mig_status(mig_session *s)
{
    weir_error err = {0};
    mig_state st;
    char lsn[WEIR_LSN_TEXT_MAX];
    weir_rc rc = open_target(s, &st, &err);
    if (rc != WEIR_OK) {
        return mig_fail(&err);
    }
    weir_buf b;
    weir_buf_init(&b, 16 << 20);
    int64_t lag = st.phase == MIG_NONE || st.phase == MIG_CUT_OVER ? -1 : lag_of(s, &st);
    (void)weir_lsn_print(st.at.lsn, lsn);
    bool runs = st.phase != MIG_NONE && st.phase != MIG_CUT_OVER && st.silent_ms < 10000;
    if (s->json) {
        weir_buf_printf(&b,
                        "{\"name\":\"%s\",\"phase\":\"%s\",\"running\":%s,\"paused\":%s,"
                        "\"position\":\"%s\",\"lag_bytes\":%lld,\"changes\":%lld,\"rejects\":%lld,"
                        "\"waits\":",
                        s->m->name.z, mig_phase_name(st.phase), runs ? "true" : "false",
                        st.paused ? "true" : "false", lsn, (long long)lag, (long long)st.changes,
                        (long long)st.rejects);
        weir_json_quote(&b, weir_slice_z(st.waits));
        weir_buf_putz(&b, ",\"tables\":[");
    } else if (st.phase == MIG_NONE) {
        weir_buf_printf(&b, "%s: not begun; see weir migrate %s --dry-run\n", s->m->name.z,
                        s->m->file);
    } else if (st.phase == MIG_CUT_OVER) {
        weir_buf_printf(&b, "%s: cut over; %lld changes were applied, %lld rejects\n", s->m->name.z,
                        (long long)st.changes, (long long)st.rejects);
    } else {
        weir_buf_printf(&b,
                        "%s: phase %s%s%s\n  position %s, %s behind, %lld changes applied, %lld "
                        "rejects%s%s\n",
                        s->m->name.z, mig_phase_name(st.phase), st.paused ? ", paused" : "",
                        runs ? "" : ", nobody runs it", lsn,
                        lag < 0 ? "the source does not answer how far"
                                : weir_arena_printf(s->a, "%lld bytes", (long long)lag),
                        (long long)st.changes, (long long)st.rejects,
                        st.waits[0] ? "\n  waits for " : "", st.waits);
    }
    rc = st.phase == MIG_NONE ? WEIR_OK : print_tables(s, &b, &err);
    weir_buf_putz(&b, s->json ? "]}\n" : "");
    (void)fwrite(b.n ? b.p : "", 1, b.n, stdout);
    (void)fflush(stdout);
    weir_buf_fini(&b);
    return rc == WEIR_OK ? 0 : mig_fail(&err);
}

int mig_set_paused(mig_session *s, bool paused)
{
    weir_error err = {0};
    mig_state st;
    weir_rc rc = open_target(s, &st, &err);
    if (rc == WEIR_OK && st.phase == MIG_NONE) {
        rc = weir_fail(&err, WEIR_E_STATE, 0, "the migration %s has not begun", s->m->name.z);
    }
    rc = rc == WEIR_OK ? mig_state_sql(s->target,
                                       "UPDATE weir_sync.migrate SET paused = $2::boolean WHERE "
                                       "name = $1",
                                       s->m->name.z, paused ? "t" : "f", &err)
                       : rc;
    if (rc != WEIR_OK) {
        return mig_fail(&err);
    }
    if (!s->json) {
        (void)printf("%s: %s\n", s->m->name.z, paused ? "paused" : "goes on");
    }
    return 0;
}

static bool confirmed(const mig_session *s, const mig_state *st)
{
    char line[16] = "";
    if (s->yes) {
        return true;
    }
    (void)printf("This drops the tables weir made in the target for %s (phase %s) and forgets the "
                 "migration. Type yes: ",
                 s->m->name.z, mig_phase_name(st->phase));
    (void)fflush(stdout);
    return fgets(line, sizeof line, stdin) && strcmp(line, "yes\n") == 0;
}

/* The bridge need not be there: a subscription nobody reads lapses by itself. */
static void forget_subscription(mig_session *s)
{
    weir_error err = {0};
    mig_feed *f = weir_arena_zalloc(s->a, sizeof *f);
    s->plan = weir_arena_zalloc(s->a, sizeof *s->plan);
    mig_feed_init(f, s);
    if (mig_feed_unsubscribe(f, &err) != WEIR_OK) {
        WEIR_INFO("MIG-UNSUBSCRIBE", "%s", err.msg);
    }
    mig_feed_fini(f);
}

int mig_abort(mig_session *s)
{
    weir_error err = {0};
    mig_state st;
    int tables = 0;
    weir_rc rc = open_target(s, &st, &err);
    if (rc == WEIR_OK && st.phase == MIG_NONE) {
        (void)printf("%s: there is nothing in the target\n", s->m->name.z);
        return 0;
    }
    if (rc == WEIR_OK && st.phase == MIG_CUT_OVER && !s->yes) {
        rc = weir_fail(&err, WEIR_E_STATE, 0,
                       "%s is cut over: the target may hold what the source does not; --yes "
                       "insists",
                       s->m->name.z);
    }
    rc = rc == WEIR_OK ? mig_state_lock(s->target, s->m->name.z, &err) : rc;
    if (rc == WEIR_OK && !confirmed(s, &st)) {
        (void)fprintf(stderr, "nothing was changed\n");
        return 1;
    }
    /* After a cut-over the tables are the application's; only the bookkeeping goes. */
    if (rc == WEIR_OK && st.phase == MIG_CUT_OVER) {
        rc = mig_state_sql(s->target, "DELETE FROM weir_sync.migrate WHERE name = $1", s->m->name.z,
                           NULL, &err);
    } else if (rc == WEIR_OK) {
        rc = mig_ddl_drop(s, &tables, &err);
    }
    if (rc == WEIR_OK && s->feed) {
        forget_subscription(s);
    }
    rc = rc == WEIR_OK ? crw_forget(s->m->target_uri.z, s->m->name.z, &err) : rc;
    if (rc != WEIR_OK) {
        return mig_fail(&err);
    }
    (void)printf("%s: forgotten; %d tables dropped\n", s->m->name.z, tables);
    return 0;
}
