/* verify_report.c - the result of a verification for people and machines, and the verb. */
#include <stdio.h>

#include "libweir/base/str.h"
#include "migrations/migrate/live.h"
#include "migrations/migrate/progress.h"
#include "migrations/migrate/verify.h"

void mig_verify_print(const mig_verify *v, weir_buf *out)
{
    weir_buf_printf(out, "  %-28s %12s %12s  %-32s  %-32s\n", "table", "source rows", "target rows",
                    "source hash", "target hash");
    for (int i = 0; i < v->ntables; i++) {
        const mig_verified *t = &v->tables[i];
        if (!t->t) {
            continue;
        }
        weir_buf_printf(out, "  %-28s %12lld %12lld  %-32s  %-32s %s", t->t->label,
                        (long long)t->source_rows, (long long)t->target_rows, t->source_hash,
                        t->target_hash, t->differ ? "DIFFERENT" : "equal");
        if (t->suspects && !t->differ) {
            weir_buf_printf(out, " (%lld rows changed meanwhile and were read again)",
                            (long long)t->suspects);
        }
        if (t->rejected) {
            weir_buf_printf(out, ", %lld rejected", (long long)t->rejected);
        }
        weir_buf_putz(out, "\n");
        for (const mig_difference *d = t->first; d; d = d->next) {
            weir_buf_printf(out, "      %s: key %s\n", d->kind, d->key);
        }
        if (t->differ > t->shown) {
            weir_buf_printf(out, "      and %lld more\n", (long long)(t->differ - t->shown));
        }
    }
}

void mig_verify_json(const mig_verify *v, weir_buf *out)
{
    weir_buf_putz(out, "[");
    for (int i = 0; i < v->ntables && v->tables[i].t; i++) {
        const mig_verified *t = &v->tables[i];
        weir_buf_printf(out, "%s{\"table\":", i ? "," : "");
        weir_json_quote(out, weir_slice_z(t->t->label));
        weir_buf_printf(out,
                        ",\"source_rows\":%lld,\"target_rows\":%lld,\"source_"
                        "hash\":\"%s\",\"target_hash\":\"%s\",\"rejected\":%lld,\"suspects\":%lld,"
                        "\"differences\":%lld,\"keys\":[",
                        (long long)t->source_rows, (long long)t->target_rows, t->source_hash,
                        t->target_hash, (long long)t->rejected, (long long)t->suspects,
                        (long long)t->differ);
        for (const mig_difference *d = t->first; d; d = d->next) {
            weir_buf_printf(out, "%s{\"kind\":\"%s\",\"key\":", d == t->first ? "" : ",", d->kind);
            weir_json_quote(out, weir_slice_z(d->key));
            weir_buf_putz(out, "}");
        }
        weir_buf_putz(out, "]}");
    }
    weir_buf_putz(out, "]");
}

static weir_rc begin(mig_session *s, weir_error *err)
{
    mig_state st;
    weir_rc rc = mig_session_connect(s, false, err);
    rc = rc == WEIR_OK ? mig_state_read(s->target, s->a, s->m->name.z, &st, err) : rc;
    if (rc == WEIR_OK && (st.phase == MIG_NONE || st.phase < MIG_LIVE)) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "the migration %s is in phase %s; it can be verified once it is live",
                       s->m->name.z, mig_phase_name(st.phase));
    }
    rc = rc == WEIR_OK ? mig_session_check(s, true, false, err) : rc;
    if (rc == WEIR_OK && s->restart) {
        rc = mig_state_sql(s->target, "DELETE FROM weir_sync.migrate_verify WHERE name = $1",
                           s->m->name.z, NULL, err);
    }
    return rc;
}

int mig_verify_verb(mig_session *s)
{
    weir_error err = {0};
    weir_rc rc = begin(s, &err);
    mig_verify v = {.s = s, .a = s->a};
    rc = rc == WEIR_OK ? mig_verify_all(&v, &err) : rc;
    mig_progress_end(s);
    if (rc != WEIR_OK) {
        return mig_fail(&err);
    }
    int64_t differ = mig_verify_differences(&v);
    weir_buf b;
    weir_buf_init(&b, 64 << 20);
    if (s->json) {
        weir_buf_printf(&b, "{\"ok\":%s,\"differences\":%lld,\"rejected\":%lld,\"tables\":",
                        differ ? "false" : "true", (long long)differ,
                        (long long)mig_verify_rejected(&v));
        mig_verify_json(&v, &b);
        weir_buf_putz(&b, "}\n");
    } else {
        mig_verify_print(&v, &b);
        weir_buf_printf(&b, differ ? "%lld rows differ\n" : "%lld differences\n",
                        (long long)differ);
    }
    (void)fwrite(b.p, 1, b.n, stdout);
    (void)fflush(stdout);
    weir_buf_fini(&b);
    rc = mig_state_sql(s->target, "DELETE FROM weir_sync.migrate_verify WHERE name = $1",
                       s->m->name.z, NULL, &err);
    if (rc == WEIR_OK && !differ) {
        rc = mig_state_sql(s->target,
                           "UPDATE weir_sync.migrate SET phase = 'verified' WHERE name = $1 AND "
                           "phase = 'live'",
                           s->m->name.z, NULL, &err);
    }
    return rc != WEIR_OK ? mig_fail(&err) : differ ? 1 : 0;
}
