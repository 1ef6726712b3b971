/* pair.c - a worker's two connections, and how their sessions are set. */
#include "libweir/base/log.h"
#include "migrations/crawler/job.h"

enum { BUFFER_MAX_BYTES = 1 << 30, STEP_MAX_MS = 7 * 24 * 3600 * 1000 };

static const char pair_options[] =
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 "
    "-c row_security=off -c jit=off -c max_parallel_workers_per_gather=0 ";

void crw_pair_init(crw_pair *p)
{
    p->source = p->target = NULL;
    weir_buf_init(&p->buf, BUFFER_MAX_BYTES);
}

void crw_pair_close(crw_pair *p)
{
    weir_pg_close(p->source);
    weir_pg_close(p->target);
    p->source = p->target = NULL;
    weir_buf_fini(&p->buf);
    weir_buf_init(&p->buf, BUFFER_MAX_BYTES);
}

static weir_rc open_one(weir_pg **pg, const char *uri, const char *options, weir_error *err)
{
    if (*pg && weir_pg_ok(*pg)) {
        return WEIR_OK;
    }
    weir_pg_close(*pg);
    *pg = NULL;
    weir_pg_conf conf = {
        .uri = uri, .application_name = "weir-crawl", .wait_max_ms = 600000, .options = options};
    return weir_pg_open(pg, &conf, err);
}

weir_rc crw_step_session(crw *c, weir_pg **pg, weir_error *err)
{
    if (*pg && weir_pg_ok(*pg)) {
        return WEIR_OK;
    }
    weir_pg_close(*pg);
    *pg = NULL;
    weir_pg_conf conf = {.uri = c->own.target_uri,
                         .application_name = "weir-crawl",
                         .wait_max_ms = STEP_MAX_MS,
                         .options = "-c statement_timeout=0 -c lock_timeout=0 -c "
                                    "maintenance_work_mem=512MB"};
    return weir_pg_open(pg, &conf, err);
}

/* Triggers and foreign keys stay quiet, as they do for PostgreSQL's own replication; a role that
 * may not say so copies with them. */
static weir_rc quiet(weir_pg *pg, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(pg, "SHOW session_replication_role", 0, NULL, &r, err);
    bool done = rc == WEIR_OK && strcmp(weir_pg_valuez(r, 0, 0), "replica") == 0;
    weir_pg_rows_free(r);
    if (rc != WEIR_OK || done) {
        return rc;
    }
    weir_error why;
    if (weir_pg_script(pg, "SET session_replication_role = replica", &why) != WEIR_OK) {
        WEIR_WARN("CRW-TRIGGERS",
                  "the target's role may not set session_replication_role: triggers and foreign "
                  "keys of the target see every copied row");
    }
    return weir_pg_ok(pg) ? WEIR_OK : weir_fail(err, why.code, why.flags, "%s", why.msg);
}

weir_rc crw_pair_open(crw_pair *p, weir_error *err)
{
    if (p->source && p->target && weir_pg_ok(p->source) && weir_pg_ok(p->target)) {
        return WEIR_OK;
    }
    weir_arena *a = weir_arena_new(0);
    /* An index scan in key order whatever the planner thinks of a table it has no figures of. */
    weir_rc rc = open_one(
        &p->source, p->c->own.source_uri,
        weir_arena_printf(a, "%s-c enable_seqscan=off -c synchronize_seqscans=off", pair_options),
        err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "source");
    } else {
        /* A chunk lost with the server's memory is lost with its record: nobody needs to wait. */
        rc = open_one(&p->target, p->c->own.target_uri,
                      weir_arena_printf(a, "%s-c synchronous_commit=off", pair_options), err);
        if (rc == WEIR_OK) {
            rc = quiet(p->target, err);
        }
        if (rc != WEIR_OK) {
            weir_error_wrap(err, "target");
        }
    }
    weir_arena_free(a);
    return rc;
}
