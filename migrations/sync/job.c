/* job.c - flows and their threads. */
#include "migrations/sync/job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "migrations/sync/apply.h"
#include "migrations/sync/dest_lake.h"
#include "migrations/sync/flow.h"
#include "migrations/sync/folder_job.h"
#include "migrations/sync/job_copy.h"

enum { LOOK_MS = 250, RETRY_MS = 1000, LOOK_AGAIN_MS = 5000 };

typedef struct direction {
    sync_job *j;
    const char *name, *from, *to; /* "source" and "target" or the reverse */
    const sync_side_conf *read, *write;
    const char *feed, *subscription, *origin;
    bool forward;
    sync_apply *apply;
    sync_lake *lake; /* instead of apply */
    sync_dest dest;
    sync_flow *flow;
    sync_apply_counts counts;
    weir_thread *thread;
    char failure[500]; /* under the job's m: why it does not begin, until an operator acts */
} direction;

struct sync_job {
    sync_job_conf conf;
    weir_arena *a;
    weir_monitor *m;
    bool stop, paused;
    direction dir[2];
    int n;
    weir_thread *watch, *finish;
    sync_folder *folder; /* instead of directions */
    char phase[500];     /* under m: what happens before the flows run; "" they run */
    sync_copy_view copy;
};

static bool stopping(sync_job *j)
{
    weir_monitor_lock(j->m);
    bool stop = j->stop;
    weir_monitor_unlock(j->m);
    return stop;
}

static void set_phase(sync_job *j, const char *text)
{
    weir_monitor_lock(j->m);
    (void)snprintf(j->phase, sizeof j->phase, "%s", text);
    weir_monitor_unlock(j->m);
}

static void set_failure(direction *d, const char *text)
{
    weir_monitor_lock(d->j->m);
    (void)snprintf(d->failure, sizeof d->failure, "%s", text);
    weir_monitor_unlock(d->j->m);
}

/* --- routes ---------------------------------------------------------------------------------- */

static weir_rc route(void *arg, const weir_relation *rel, sync_route *out, weir_error *err)
{
    direction *d = arg;
    const sync_conf *c = d->j->conf.conf;
    (void)err;
    for (size_t i = 0; i < c->ntables; i++) {
        const sync_table_conf *t = &c->table[i];
        const char *schema = d->forward ? t->schema : t->to_schema;
        const char *name = d->forward ? t->name : t->to_name;
        if (weir_slice_eqz(rel->schema, schema) && weir_slice_eqz(rel->name, name)) {
            out->schema = d->forward ? t->to_schema : t->schema;
            out->name = d->forward ? t->to_name : t->name;
            out->rules = t->rules;
        }
    }
    out->rules.policy = d->forward ? out->rules.policy : out->rules.back;
    return WEIR_OK;
}

/* Does a policy need to know who wrote the row that is there? */
static bool detects(const sync_conf *c)
{
    bool yes = c->both || c->rules.policy > SYNC_APPLY_REMOTE;
    for (size_t i = 0; i < c->ntables; i++) {
        yes = yes || c->table[i].rules.policy > SYNC_APPLY_REMOTE;
    }
    return yes;
}

/* --- threads --------------------------------------------------------------------------------- */

static bool still_on(void *arg)
{
    return !stopping(arg);
}

static void on_copy(void *arg, const sync_copy_view *v)
{
    sync_job *j = arg;
    weir_monitor_lock(j->m);
    j->copy = *v;
    (void)snprintf(j->phase, sizeof j->phase, "%s", v->text);
    weir_monitor_unlock(j->m);
}

static sync_begin begin_of(direction *d)
{
    sync_job *j = d->j;
    return (sync_begin){.conf = j->conf.conf,
                        .flow = d->name,
                        .feed = d->feed,
                        .subscription = d->subscription,
                        .source_uri = d->read->uri,
                        .target_uri = d->write->uri,
                        .copy = j->conf.conf->copy && d->forward,
                        .on = still_on,
                        .progress = on_copy,
                        .arg = j};
}

/* A flow did not begin. What needs an operator is told once, and tried again all the same. */
static void not_begun(direction *d, const weir_error *err)
{
    sync_job *j = d->j;
    bool retry = (err->flags & WEIR_EF_RETRY) != 0;
    weir_monitor_lock(j->m);
    bool told = strcmp(d->failure, err->msg) == 0;
    weir_monitor_unlock(j->m);
    set_phase(j, err->msg);
    set_failure(d, retry ? "" : err->msg);
    if (retry) {
        WEIR_WARN("SYNC-BEGIN-RETRY", "flow=%s %s", d->name, err->msg);
    } else if (!told) {
        WEIR_ERROR("SYNC-BEGIN-FAILED", "flow=%s %s", d->name, err->msg);
    }
    int64_t until = weir_mono_ms() + (retry ? RETRY_MS : LOOK_AGAIN_MS);
    weir_monitor_lock(j->m);
    for (int64_t left = 1; !j->stop && left > 0; left = until - weir_mono_ms()) {
        (void)weir_monitor_wait(j->m, left);
    }
    weir_monitor_unlock(j->m);
}

/* Before a flow: its position, and the copy that belongs to it. Tried again until it is there. */
static bool prepare(direction *d)
{
    sync_job *j = d->j;
    sync_begin b = begin_of(d);
    while (!stopping(j)) {
        weir_error err = {.code = WEIR_OK};
        weir_rc rc = d->lake ? sync_lake_begin(d->lake, &err) : sync_begin_flow(&b, &err);
        if (rc == WEIR_OK) {
            set_phase(j, "");
            set_failure(d, "");
            return true;
        }
        if (!stopping(j)) {
            not_begun(d, &err);
        }
    }
    return false;
}

static void run_direction(void *arg)
{
    direction *d = arg;
    if (prepare(d)) {
        sync_flow_run(d->flow);
    }
}

/* Unique indexes could refuse rows that are from different moments, so the copy's indexes wait
 * until the flow has passed the copy. true: nothing is left. */
static bool finish_copy(direction *d)
{
    sync_begin b = begin_of(d);
    weir_error err = {.code = WEIR_OK};
    bool left = false;
    uint64_t loose_until = 0;
    sync_flow_view v;
    sync_flow_view_get(d->flow, &v);
    if (v.state != SYNC_FLOW_RUNNING) {
        return false;
    }
    weir_rc rc = sync_begin_left(&b, &left, &loose_until, &err);
    bool passed = v.position.lsn > loose_until || (v.caught_up && v.head.lsn > loose_until);
    if (rc == WEIR_OK && left && passed) {
        rc = sync_begin_finish(&b, &err);
        left = rc != WEIR_OK;
        set_phase(d->j, rc == WEIR_OK ? "" : err.msg);
    }
    if (rc != WEIR_OK && !stopping(d->j)) {
        WEIR_WARN("SYNC-FINISH-RETRY", "flow=%s %s", d->name, err.msg);
    }
    return rc == WEIR_OK && !left;
}

static void run_finish(void *arg)
{
    direction *d = arg;
    sync_job *j = d->j;
    while (!stopping(j) && !finish_copy(d)) {
        weir_monitor_lock(j->m);
        (void)weir_monitor_wait(j->m, RETRY_MS);
        weir_monitor_unlock(j->m);
    }
}

static void run_watch(void *arg)
{
    sync_job *j = arg;
    const char *file = weir_arena_printf(j->a, "%s/paused", j->conf.state_dir);
    while (!stopping(j)) {
        bool paused = access(file, F_OK) == 0;
        for (int i = 0; i < j->n; i++) {
            sync_flow_pause(j->dir[i].flow, paused);
        }
        if (j->folder) {
            sync_folder_pause(j->folder, paused);
        }
        weir_monitor_lock(j->m);
        j->paused = paused;
        (void)weir_monitor_wait(j->m, LOOK_MS);
        weir_monitor_unlock(j->m);
    }
}

static void make_apply(direction *d)
{
    const sync_conf *c = d->j->conf.conf;
    bool detect = detects(c);
    sync_apply_conf ac = {.uri = d->write->uri,
                          .source_uri = d->read->uri,
                          .feed = d->feed,
                          .tombstones_keep_ms = c->both ? c->tombstones_keep_ms : 0,
                          .conflicts_keep_ms = c->conflicts_keep_ms,
                          .flow = d->name,
                          .route = route,
                          .arg = d,
                          .rules = c->rules,
                          .origin = detect ? d->origin : NULL,
                          .from_source = d->forward,
                          .trace = c->both,
                          .defers = c->both && d->forward,
                          .decides = c->both && !d->forward,
                          .counts = &d->counts};
    d->apply = sync_apply_new(&ac);
    d->dest = sync_apply_dest(d->apply);
}

static weir_rc start_direction(direction *d, weir_error *err)
{
    const sync_conf *c = d->j->conf.conf;
    if (c->lake) {
        d->lake = sync_lake_new(c, d->name, d->feed, d->subscription);
        d->dest = sync_lake_dest(d->lake);
    } else {
        make_apply(d);
    }
    sync_flow_conf fc = {.name = d->name,
                         .feed = d->feed,
                         .subscription = d->subscription,
                         .drop_origin = c->both ? "weir_" : NULL,
                         .dest = &d->dest};
    weir_rc rc = sync_flow_new(&d->flow, &fc, err);
    return rc;
}

sync_job *sync_job_new(const sync_job_conf *conf)
{
    sync_job *j = weir_xcalloc(1, sizeof *j);
    const sync_conf *c = conf->conf;
    j->conf = *conf;
    j->a = weir_arena_new(0);
    j->m = weir_monitor_new();
    (void)snprintf(j->phase, sizeof j->phase, "starting");
    j->n = c->folder ? 0 : c->both ? 2 : 1;
    if (c->folder) {
        j->folder = sync_folder_new(c);
        j->phase[0] = '\0';
    }
    for (int i = 0; i < j->n; i++) {
        direction *d = &j->dir[i];
        d->j = j;
        d->forward = i == 0;
        d->name = weir_arena_printf(j->a, "%s%s", c->name, i ? "_back" : "");
        d->from = i ? "target" : "source";
        d->to = i ? "source" : c->lake ? "lake" : "target";
        d->read = i ? &c->target : &c->source;
        d->write = i ? &c->source : &c->target;
        d->feed = i ? conf->back_feed : conf->feed;
        d->subscription = weir_arena_printf(j->a, "sync-%s", d->name);
        d->origin = weir_arena_printf(j->a, "weir_sync_%s", d->name);
    }
    return j;
}

weir_rc sync_job_start(sync_job *j, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (int i = 0; rc == WEIR_OK && i < j->n; i++) {
        rc = start_direction(&j->dir[i], err);
    }
    for (int i = 0; rc == WEIR_OK && i < j->n; i++) {
        rc = weir_thread_start(&j->dir[i].thread, i ? "sync-back" : "sync-flow", run_direction,
                               &j->dir[i], err);
    }
    if (rc == WEIR_OK && j->folder) {
        rc = sync_folder_start(j->folder, err);
    }
    if (rc == WEIR_OK && j->conf.conf->copy && j->dir[0].apply) {
        rc = weir_thread_start(&j->finish, "sync-finish", run_finish, &j->dir[0], err);
    }
    if (rc == WEIR_OK) {
        rc = weir_thread_start(&j->watch, "sync-watch", run_watch, j, err);
    }
    return rc;
}

void sync_job_stop(sync_job *j)
{
    weir_monitor_lock(j->m);
    j->stop = true;
    weir_monitor_wake(j->m);
    weir_monitor_unlock(j->m);
    for (int i = 0; i < j->n; i++) {
        if (j->dir[i].flow) {
            sync_flow_stop(j->dir[i].flow);
        }
    }
    for (int i = 0; i < j->n; i++) {
        weir_thread_join(j->dir[i].thread);
        j->dir[i].thread = NULL;
    }
    if (j->folder) {
        sync_folder_stop(j->folder);
    }
    weir_thread_join(j->watch);
    weir_thread_join(j->finish);
    j->watch = j->finish = NULL;
}

void sync_job_free(sync_job *j)
{
    if (!j) {
        return;
    }
    for (int i = 0; i < j->n; i++) {
        sync_flow_free(j->dir[i].flow);
        sync_apply_free(j->dir[i].apply);
        sync_lake_free(j->dir[i].lake);
    }
    sync_folder_free(j->folder);
    weir_monitor_free(j->m);
    weir_arena_free(j->a);
    free(j);
}

/* --- status ---------------------------------------------------------------------------------- */

static unsigned long long get(atomic_ullong *c)
{
    return atomic_load(c);
}

static void put_flow(direction *d, weir_buf *out)
{
    sync_flow_view v;
    char at[WEIR_LSN_TEXT_MAX];
    char head[WEIR_LSN_TEXT_MAX];
    sync_flow_view_get(d->flow, &v);
    weir_monitor_lock(d->j->m);
    if (v.state == SYNC_FLOW_STARTING && d->failure[0]) {
        v.state = SYNC_FLOW_FAILED;
        (void)snprintf(v.text, sizeof v.text, "%s", d->failure);
    }
    weir_monitor_unlock(d->j->m);
    uint64_t lag = v.caught_up || v.head.lsn < v.position.lsn ? 0 : v.head.lsn - v.position.lsn;
    int64_t age_ms = v.caught_up || !v.last_commit_us
                         ? 0
                         : (weir_wall_us() - WEIR_PG_EPOCH_US - v.last_commit_us) / 1000;
    weir_buf_printf(
        out, "{\"flow\":\"%s\",\"from\":\"%s\",\"to\":\"%s\",\"state\":\"%s\",\"reason\":", d->name,
        d->from, d->to, sync_flow_state_name(v.state));
    weir_json_quote(out, weir_slice_z(v.text));
    weir_buf_printf(out,
                    ",\"position\":\"%s\",\"head\":\"%s\",\"caught_up\":%s,\"lag_bytes\":%" PRIu64
                    ",\"lag_ms\":%" PRId64,
                    weir_lsn_print(v.position.lsn, at), weir_lsn_print(v.head.lsn, head),
                    v.caught_up ? "true" : "false", lag, age_ms < 0 ? 0 : age_ms);
    weir_buf_printf(out,
                    ",\"transactions\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"events\":%" PRIu64,
                    v.transactions, v.dropped, v.events);
    if (d->lake) {
        sync_lake_view l;
        sync_lake_view_get(d->lake, &l);
        weir_buf_printf(out,
                        ",\"rows\":%" PRIu64 ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64
                        ",\"commits\":%" PRIu64 ",\"waiting_rows\":%" PRIu64 ",\"tables\":%" PRIu64
                        ",\"copied\":%" PRIu64 "}",
                        l.rows, l.files, l.bytes, l.commits, l.waiting_rows, l.tables, l.copied);
        return;
    }
    sync_apply_counts *c = &d->counts;
    weir_buf_printf(out,
                    ",\"groups\":%llu,\"inserted\":%llu,\"updated\":%llu,\"deleted\":%llu,"
                    "\"truncated\":%llu,\"conflicts\":%llu,\"orphans\":%llu,\"careful\":%llu}",
                    get(&c->groups), get(&c->inserted), get(&c->updated), get(&c->deleted),
                    get(&c->truncated), get(&c->conflicts), get(&c->orphans), get(&c->careful));
}

void sync_job_status(void *job, weir_buf *out)
{
    sync_job *j = job;
    weir_monitor_lock(j->m);
    sync_copy_view copy = j->copy;
    bool paused = j->paused;
    char phase[sizeof j->phase];
    memcpy(phase, j->phase, sizeof phase);
    weir_monitor_unlock(j->m);
    weir_buf_printf(out,
                    "\"name\":\"%s\",\"ways\":\"%s\",\"paused\":%s,\"phase\":", j->conf.conf->name,
                    j->conf.conf->both ? "both" : "one", paused ? "true" : "false");
    weir_json_quote(out, weir_slice_z(phase));
    weir_buf_printf(
        out,
        ",\"copy\":{\"tables\":%" PRId64 ",\"tables_done\":%" PRId64 ",\"rows\":%" PRId64
        ",\"rows_total\":%" PRId64 ",\"rows_per_s\":%" PRId64 ",\"eta_s\":%" PRId64 "},\"flows\":[",
        copy.tables, copy.tables_done, copy.rows, copy.rows_total, copy.rows_per_s, copy.eta_s);
    for (int i = 0; i < j->n; i++) {
        weir_buf_putz(out, i ? "," : "");
        put_flow(&j->dir[i], out);
    }
    if (j->folder) {
        sync_folder_status(j->folder, out);
    }
    weir_buf_putz(out, "]");
}

const char *sync_job_waits(sync_job *j, char *text, size_t size)
{
    weir_monitor_lock(j->m);
    (void)snprintf(text, size, "%s", j->phase);
    for (int i = 0; i < j->n; i++) {
        if (j->dir[i].failure[0]) {
            (void)snprintf(text, size, "%s", j->dir[i].failure);
        }
    }
    weir_monitor_unlock(j->m);
    if (text[0] == '\0' && j->folder) {
        bool failed = sync_folder_waits(j->folder, text, size);
        (void)failed; /* the text says it */
    }
    for (int i = 0; text[0] == '\0' && i < j->n; i++) {
        sync_flow_view v;
        sync_flow_view_get(j->dir[i].flow, &v);
        if (v.state != SYNC_FLOW_RUNNING && v.state != SYNC_FLOW_PAUSED) {
            (void)snprintf(text, size, "%s: %s", j->dir[i].name,
                           v.text[0] ? v.text : sync_flow_state_name(v.state));
        }
    }
    return text[0] ? text : NULL;
}
