/* check.c - the comparing thread: a new generation against PostgreSQL before it may serve.
 *
 * The loop hands over one build at a time and goes on; live changes reach the new generation
 * meanwhile, the comparison is made for that (projector/verify). Away PostgreSQL or Redis only
 * delays it. What Redis lost during a comparison makes it void: it begins again.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/backoff.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/queue.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "projector/proj.h"
#include "projector/verify/verify.h"

enum {
    CONNECT_MS = 5000,
    ANSWER_MS = 30000,
    PG_WAIT_MS = 24 * 3600 * 1000,
    RETRY_BASE_MS = 500,
    RETRY_CAP_MS = 10000,
    TEXT = 600,
    KEYS_SHOWN = 5
};

/* One comparison, on its way to the thread and back. */
typedef struct job {
    proj *p;
    uint32_t id, generation, every;
    char *model, *source;
    weir_rc rc;
    bool final; /* rc is not OK and trying again would not help */
    uint64_t documents, differ;
    int64_t began_ms;
    char text[TEXT];
} job;

struct proj_check {
    proj *p;
    weir_thread *thread;
    weir_queue *jobs;
    char *pg_uri, *redis_uri, *ns;
    /* the loop's */
    uint32_t busy; /* id of the build being compared; 0: none */
    bool again;    /* the result will be void */
    int64_t not_before_ms;
    weir_backoff backoff;
    /* both */
    atomic_bool stop;
    atomic_ullong documents;
    weir_monitor *lock; /* of pg, for cancelling */
    weir_pg *pg;
};

static void job_free(job *j)
{
    if (j) {
        free(j->model);
        free(j->source);
        free(j);
    }
}

/* --- on the thread
 * ------------------------------------------------------------------------------------------ */

static void tell(void *arg, uint64_t documents)
{
    proj_check *c = arg;
    atomic_store(&c->documents, documents);
}

static bool stopped(void *arg)
{
    proj_check *c = arg;
    return atomic_load(&c->stop);
}

static void set_pg(proj_check *c, weir_pg *pg)
{
    weir_monitor_lock(c->lock);
    c->pg = pg;
    weir_monitor_unlock(c->lock);
}

static void describe(const weir_verify *v, job *j)
{
    static const char *const kinds[] = {"", "missing", "different", "left over"};
    size_t n =
        (size_t)snprintf(j->text, sizeof j->text, "%llu of %llu documents differ from PostgreSQL:",
                         (unsigned long long)j->differ, (unsigned long long)v->documents);
    for (int i = 0; i < v->nshown && i < KEYS_SHOWN && n < sizeof j->text; i++) {
        n += (size_t)snprintf(j->text + n, sizeof j->text - n, "%s %.60s %s", i ? "," : "",
                              v->shown[i].key, kinds[v->shown[i].kind]);
    }
}

/* PostgreSQL answers, and its answer is no: the SELECT fails on its data or no longer fits the
 * tables. */
static bool is_final(const weir_error *err)
{
    return err->code == WEIR_E_INPUT || err->code == WEIR_E_LIMIT ||
           strncmp(err->sqlstate, "22", 2) == 0 || strncmp(err->sqlstate, "42", 2) == 0;
}

static void compare(proj_check *c, job *j)
{
    weir_error err = {0};
    weir_verify v = {.ns = c->ns,
                     .generation = j->generation,
                     .every = j->every,
                     .tell = tell,
                     .stop = stopped,
                     .arg = c};
    weir_pg_conf conf = {.uri = c->pg_uri,
                         .application_name = "weir-projector compare",
                         .connect_timeout_ms = CONNECT_MS,
                         .wait_max_ms = PG_WAIT_MS,
                         .options = "-c jit=off -c row_security=off"};
    j->rc = weir_pg_open(&v.pg, &conf, &err);
    set_pg(c, v.pg);
    if (j->rc == WEIR_OK) {
        j->rc = weir_redisc_open(&v.redis, c->redis_uri, ANSWER_MS, &err);
    }
    if (j->rc == WEIR_OK) {
        j->rc = weir_verify_begin(&v, j->model, weir_slice_z(j->source), &err);
        j->rc = j->rc == WEIR_OK ? weir_verify_run(&v, &err) : j->rc;
        j->documents = v.documents;
        j->differ = v.missing + v.different + v.left_over;
        if (j->rc == WEIR_OK && j->differ > 0) {
            describe(&v, j);
        }
        weir_verify_end(&v);
    }
    if (j->rc != WEIR_OK) {
        j->final = is_final(&err);
        (void)snprintf(j->text, sizeof j->text, "it cannot be compared with PostgreSQL: %.400s",
                       err.msg);
    }
    set_pg(c, NULL);
    weir_pg_close(v.pg);
    weir_redisc_close(v.redis);
}

static void on_result(void *arg);

static void run(void *arg)
{
    proj_check *c = arg;
    void *item = NULL;
    while (weir_queue_pop(c->jobs, &item, 1, -1) == 1) {
        job *j = item;
        compare(c, j);
        if (!weir_loop_post(c->p->loop, on_result, j)) {
            job_free(j);
        }
    }
}

/* --- on the loop
 * -------------------------------------------------------------------------------------------- */

static void stop_current(proj_check *c)
{
    atomic_store(&c->stop, true);
    weir_monitor_lock(c->lock);
    if (c->pg) {
        weir_pg_cancel(c->pg);
    }
    weir_monitor_unlock(c->lock);
}

static void retry_later(proj_check *c, proj_model *m, const job *j)
{
    WEIR_WARN("PROJ-COMPARE-RETRY", "model=%s generation=%u reason=\"%s\"", m->name, m->generation,
              j->text);
    free(m->reason);
    m->reason = weir_xstrdup(j->text);
    c->not_before_ms = weir_mono_ms() + weir_backoff_next_ms(&c->backoff);
}

static void judge(proj_check *c, proj_model *m, const job *j)
{
    m->checked = j->documents;
    m->check_differs = j->differ;
    m->check_took_ms = weir_mono_ms() - j->began_ms;
    m->record_dirty = true;
    free(m->reason);
    m->reason = weir_xstrdup("");
    free(m->verdict);
    m->verdict = weir_xstrdup(j->text);
    weir_backoff_reset(&c->backoff);
    WEIR_INFO("PROJ-COMPARED", "model=%s generation=%u documents=%llu differ=%llu ms=%lld", m->name,
              m->generation, (unsigned long long)j->documents, (unsigned long long)j->differ,
              (long long)m->check_took_ms);
}

static void on_result(void *arg)
{
    job *j = arg;
    proj *p = j->p;
    proj_check *c = p->check;
    proj_model *m = proj_model_of(p, j->id);
    bool void_result = c->again || atomic_load(&c->stop);
    c->busy = 0;
    c->again = false;
    if (m && m->phase == PROJ_CHECKING && !void_result) {
        if (j->rc == WEIR_OK || j->final) {
            judge(c, m, j);
        } else {
            retry_later(c, m, j);
        }
    }
    job_free(j);
    proj_pump_soon(p);
}

static proj_model *next_to_check(const proj *p)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        proj_model *m = p->models[i];
        if (m->phase == PROJ_CHECKING && m->plan && !m->verdict) {
            return m;
        }
    }
    return NULL;
}

void proj_check_tick(proj *p)
{
    proj_check *c = p->check;
    if (c->busy) {
        const proj_model *m = proj_model_of(p, c->busy);
        if ((!m || m->phase != PROJ_CHECKING) && !atomic_load(&c->stop)) {
            stop_current(c);
        }
        return;
    }
    proj_model *m = p->reemit || p->stopping ? NULL : next_to_check(p);
    if (!m || weir_mono_ms() < c->not_before_ms) {
        return;
    }
    job *j = weir_xcalloc(1, sizeof *j);
    j->p = p;
    j->id = m->id;
    j->generation = m->generation;
    j->every = m->check_every;
    j->began_ms = weir_mono_ms();
    j->model = weir_xstrdup(m->name);
    j->source = weir_xstrdup(m->source);
    atomic_store(&c->stop, false);
    atomic_store(&c->documents, 0);
    if (weir_queue_push(c->jobs, j)) {
        c->busy = m->id;
        WEIR_INFO("PROJ-COMPARE", "model=%s generation=%u every=%u", m->name, m->generation,
                  m->check_every);
    } else {
        job_free(j);
    }
}

void proj_check_restart(proj *p)
{
    if (p->check && p->check->busy) {
        p->check->again = true;
        stop_current(p->check);
    }
}

uint64_t proj_check_documents(const proj *p, const proj_model *m)
{
    if (m->verdict) {
        return m->checked;
    }
    return p->check && p->check->busy == m->id ? atomic_load(&p->check->documents) : 0;
}

weir_rc proj_check_start(proj *p, weir_error *err)
{
    proj_check *c = weir_xcalloc(1, sizeof *c);
    c->p = p;
    c->pg_uri = weir_xstrdup(p->settings->postgres_uri);
    c->redis_uri = weir_xstrdup(p->settings->redis_uri);
    c->ns = weir_xstrdup(p->ns);
    c->jobs = weir_queue_new(1);
    c->lock = weir_monitor_new();
    weir_backoff_init(&c->backoff, RETRY_BASE_MS, RETRY_CAP_MS, 0);
    p->check = c;
    return weir_thread_start(&c->thread, "compare", run, c, err);
}

void proj_check_stop(proj *p)
{
    proj_check *c = p->check;
    if (!c) {
        return;
    }
    stop_current(c);
    weir_queue_close(c->jobs);
    weir_thread_join(c->thread);
    weir_queue_free(c->jobs);
    weir_monitor_free(c->lock);
    free(c->pg_uri);
    free(c->redis_uri);
    free(c->ns);
    free(c);
    p->check = NULL;
}
