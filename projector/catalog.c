/* catalog.c - the catalog thread: reads what is deployed and ordered from PostgreSQL and compiles
 * it; the loop gets finished plans. It also writes down there what became of orders.
 *
 * PostgreSQL may be away for as long as it likes: the thread tries again, the loop goes on with the
 * plans it has.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/queue.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "projector/proj.h"
#include "projector/sql/compile.h"

enum {
    ASKS = 4,
    RETRY_BASE_MS = 200,
    RETRY_CAP_MS = 5000,
    VISIBLE_STEP_MS = 10,
    VISIBLE_MAX_MS = 5000
};

/* A question: the sources of builds that have no plan yet, each compiled for itself; or notes to be
 * written down. */
typedef struct ask {
    size_t n;
    uint64_t seq; /* 0: only notes */
    char **names, **sources;
    uint32_t *ids;
    uint64_t order_done;
    bool has_order_done;
    size_t nnotes;
    proj_note *notes;
} ask;

struct proj_catalog {
    proj *p;
    weir_thread *thread;
    weir_queue *asks;
    char *uri, *publication;
    weir_pg *pg;         /* the thread's */
    atomic_llong wanted; /* the revision that the stream told of */
    atomic_ullong wanted_order;
};

/* What the thread posts to the loop. */
typedef struct answer {
    proj *p;
    proj_deployed *d; /* NULL: why not */
    uint64_t seq;     /* of the newest question it answers */
    char *waits;
    size_t nnotes;
    proj_note *notes; /* written down */
} answer;

void proj_deployed_free(proj_deployed *d)
{
    for (size_t i = 0; d && i < d->n; i++) {
        free(d->m[i].name);
        free(d->m[i].source);
        free(d->m[i].error);
        weir_arena_free(d->m[i].a);
    }
    for (size_t i = 0; d && i < d->norders; i++) {
        free(d->orders[i].model);
    }
    if (d) {
        free(d->orders);
        free(d->m);
        free(d);
    }
}

static void ask_free(ask *q)
{
    for (size_t i = 0; q && i < q->n; i++) {
        free(q->names[i]);
        free(q->sources[i]);
    }
    if (q) {
        proj_notes_free(q->nnotes, q->notes);
        free(q->ids);
        free(q->names);
        free(q->sources);
        free(q);
    }
}

static void on_answer(void *arg)
{
    answer *an = arg;
    proj *p = an->p;
    weir_health_wait(p->health, "postgres", an->waits);
    if (an->nnotes > 0) {
        proj_notes_confirmed(p, an->nnotes, an->notes);
    }
    if (an->d) {
        proj_deployed_free(p->deployed);
        p->deployed = an->d;
        p->answered = an->seq;
        proj_pump_soon(p);
    }
    proj_notes_free(an->nnotes, an->notes);
    free(an->waits);
    free(an);
}

static void tell_notes(proj_catalog *c, const ask *q)
{
    answer *an = weir_xcalloc(1, sizeof *an);
    an->p = c->p;
    an->nnotes = q->nnotes;
    an->notes = proj_notes_copy(q->nnotes, q->notes);
    if (!weir_loop_post(c->p->loop, on_answer, an)) {
        proj_notes_free(an->nnotes, an->notes);
        free(an);
    }
}

static void tell(proj_catalog *c, proj_deployed *d, const char *waits, uint64_t seq)
{
    answer *an = weir_xcalloc(1, sizeof *an);
    an->p = c->p;
    an->d = d;
    an->seq = seq;
    an->waits = waits ? weir_xstrdup(waits) : NULL;
    if (!weir_loop_post(c->p->loop, on_answer, an)) {
        proj_deployed_free(d);
        free(an->waits);
        free(an);
    }
}

static weir_rc refused(const weir_diags *ds, const weir_error *err, proj_compiled *out)
{
    const char *why = err->msg[0] ? err->msg : "it does not compile";
    for (int i = 0; i < ds->n; i++) {
        if (!ds->d[i].warning) {
            why = ds->d[i].msg;
            break;
        }
    }
    out->error = weir_xstrdup(why);
    return WEIR_OK;
}

/* WEIR_OK with out->plan or out->error; another code when PostgreSQL could not be asked. */
static weir_rc compile_one(proj_catalog *c, proj_compiled *out, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_catalog cat;
    weir_model_src src;
    weir_diags ds;
    weir_plan *plan = NULL;
    weir_slice text = weir_arena_dup(a, weir_slice_z(out->source));
    weir_diags_init(&ds, a);
    weir_catalog_pg_init(&cat, c->pg, c->publication, a);
    *err = (weir_error){0};
    weir_rc rc = weir_model_parse(text, out->name, a, &src, &ds);
    if (rc == WEIR_OK) {
        rc = weir_plan_compile(&src, &cat, a, &plan, &ds, err);
    }
    if (rc == WEIR_OK) {
        out->a = a;
        out->plan = plan;
        out->fingerprint = weir_plan_fingerprint(plan);
        return WEIR_OK;
    }
    if (rc == WEIR_E_INPUT) {
        rc = refused(&ds, err, out);
    }
    weir_arena_free(a);
    return rc;
}

static void add(proj_deployed *d, weir_slice name, weir_slice source, uint32_t build)
{
    d->m = weir_xrealloc(d->m, (d->n + 1) * sizeof *d->m);
    proj_compiled *m = &d->m[d->n++];
    *m = (proj_compiled){.build = build};
    m->name = weir_xmalloc(name.n + 1);
    memcpy(m->name, name.n ? name.p : "", name.n);
    m->name[name.n] = '\0';
    m->source = weir_xmalloc(source.n + 1);
    memcpy(m->source, source.n ? source.p : "", source.n);
    m->source[source.n] = '\0';
}

static weir_rc read_models(proj_catalog *c, proj_deployed *d, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    /* The revision first: a deploy between the two statements then counts as not seen yet. */
    weir_rc rc = weir_pg_query(c->pg, "SELECT value FROM weir.setting WHERE key = 'revision'", 0,
                               NULL, &rows, err);
    if (rc == WEIR_OK) {
        d->revision = weir_pg_nrows(rows) ? weir_pg_i64(rows, 0, 0) : 0;
        weir_pg_rows_free(rows);
        rows = NULL;
        rc = weir_pg_query(c->pg, "SELECT name, source FROM weir.read_model ORDER BY name", 0, NULL,
                           &rows, err);
    }
    if (rc != WEIR_OK) {
        bool none = strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0;
        return none ? WEIR_OK
                    : rc; /* nothing was ever deployed here: no models, and that is fine */
    }
    for (int i = 0; i < weir_pg_nrows(rows); i++) {
        add(d, weir_pg_value(rows, i, 0), weir_pg_value(rows, i, 1), 0);
    }
    weir_pg_rows_free(rows);
    return WEIR_OK;
}

static bool take_order(const weir_pg_rows *rows, int i, proj_order *o)
{
    static const char *const actions[] = {"rebuild", "rollback", "drop_old"};
    enum { NACTIONS = sizeof actions / sizeof actions[0] };
    int64_t id = weir_pg_i64(rows, i, 0);
    int64_t keep_ms = weir_pg_i64(rows, i, 3);
    int64_t every = weir_pg_i64(rows, i, 4);
    size_t a = 0;
    while (a < NACTIONS && !weir_slice_eqz(weir_pg_value(rows, i, 2), actions[a])) {
        a++;
    }
    if (id <= 0 || a == NACTIONS || every < 0 || every > UINT32_MAX) {
        return false;
    }
    *o = (proj_order){.id = (uint64_t)id,
                      .model = weir_xstrdup(weir_pg_valuez(rows, i, 1)),
                      .action = (proj_action)a,
                      .keep_ms = keep_ms < 0 ? PROJ_KEEP : keep_ms,
                      .check_every = (uint32_t)every};
    return true;
}

/* A state that knows of no order was made anew: what an earlier one had begun will not be finished.
 */
static weir_rc close_stale(proj_catalog *c, weir_error *err)
{
    return weir_pg_query(c->pg,
                         "UPDATE weir.rebuild SET state = 'refused', finished_at = now(), note = "
                         "'the projector''s state was built anew meanwhile' "
                         "WHERE state = 'building'",
                         0, NULL, NULL, err);
}

static weir_rc read_orders(proj_catalog *c, const ask *q, proj_deployed *d, weir_error *err)
{
    char done[24];
    const char *params[] = {done};
    weir_pg_rows *rows = NULL;
    (void)snprintf(done, sizeof done, "%llu", (unsigned long long)q->order_done);
    weir_rc rc = weir_pg_query(c->pg,
                               "SELECT id, model, action, keep_ms, verify_every, "
                               "(SELECT max(id) FROM weir.rebuild) FROM weir.rebuild "
                               "WHERE id > $1::bigint AND state = 'asked' ORDER BY id LIMIT 100",
                               1, params, &rows, err);
    if (rc != WEIR_OK) {
        bool none = strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0;
        return none ? WEIR_OK : rc; /* a control schema from before there were orders */
    }
    d->orders = weir_xcalloc((size_t)weir_pg_nrows(rows) + 1, sizeof *d->orders);
    for (int i = 0; i < weir_pg_nrows(rows); i++) {
        d->newest_order = (uint64_t)weir_pg_i64(rows, i, 5);
        d->norders += take_order(rows, i, &d->orders[d->norders]);
    }
    weir_pg_rows_free(rows);
    return q->has_order_done ? WEIR_OK : close_stale(c, err);
}

static weir_rc connect_pg(proj_catalog *c, weir_error *err)
{
    if (c->pg && !weir_pg_ok(c->pg)) {
        weir_pg_close(c->pg);
        c->pg = NULL;
    }
    if (c->pg) {
        return WEIR_OK;
    }
    weir_pg_conf conf = {.uri = c->uri, .application_name = "weir-projector"};
    return weir_pg_open(&c->pg, &conf, err);
}

static weir_rc write_note(proj_catalog *c, const proj_note *n, weir_error *err)
{
    char id[24], generation[16];
    const char *params[] = {id, n->state, generation, n->text};
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)n->id);
    (void)snprintf(generation, sizeof generation, "%u", n->generation);
    return weir_pg_query(c->pg,
                         "UPDATE weir.rebuild SET state = $2, generation = nullif($3::bigint, 0), "
                         "note = $4, finished_at = CASE WHEN $2 <> 'building' THEN now() END "
                         "WHERE id = $1::bigint",
                         4, params, NULL, err);
}

static weir_rc write_notes(proj_catalog *c, const ask *q, weir_error *err)
{
    weir_rc rc = connect_pg(c, err);
    for (size_t i = 0; i < q->nnotes && rc == WEIR_OK; i++) {
        rc = write_note(c, &q->notes[i], err);
    }
    return rc;
}

static weir_rc load(proj_catalog *c, const ask *q, proj_deployed *d, weir_error *err)
{
    weir_rc rc = connect_pg(c, err);
    if (rc == WEIR_OK) {
        rc = read_models(c, d, err);
    }
    rc = rc == WEIR_OK ? read_orders(c, q, d, err) : rc;
    for (size_t i = 0; i < q->n && rc == WEIR_OK; i++) {
        add(d, weir_slice_z(q->names[i]), weir_slice_z(q->sources[i]), q->ids[i]);
    }
    for (size_t i = 0; i < d->n && rc == WEIR_OK; i++) {
        rc = compile_one(c, &d->m[i], err);
    }
    return rc;
}

static void wait_ms(proj_catalog *c, int64_t ms)
{
    int64_t until = weir_mono_ms() + ms;
    while (weir_mono_ms() < until && !weir_queue_closed(c->asks)) {
        weir_monitor *m = weir_monitor_new(); /* a wait that nobody ends early */
        weir_monitor_lock(m);
        (void)weir_monitor_wait(m, ms < 50 ? ms : 50);
        weir_monitor_unlock(m);
        weir_monitor_free(m);
    }
}

static bool saw_order(proj_catalog *c, const proj_deployed *d, const ask *q)
{
    uint64_t wanted = atomic_load(&c->wanted_order);
    return wanted <= q->order_done || wanted <= d->newest_order;
}

/* A commit is in the stream before SELECT can see it: reads again until the deploy we were told of
 * is visible. The message may be forged, so not for ever. */
static weir_rc load_told(proj_catalog *c, const ask *q, proj_deployed **out, weir_error *err)
{
    int64_t until = weir_mono_ms() + VISIBLE_MAX_MS;
    for (;;) {
        proj_deployed *d = weir_xcalloc(1, sizeof *d);
        weir_rc rc = load(c, q, d, err);
        bool late = weir_mono_ms() > until || weir_queue_closed(c->asks);
        bool seen = d->revision >= atomic_load(&c->wanted) && saw_order(c, d, q);
        if (rc == WEIR_OK && (seen || late)) {
            atomic_store(&c->wanted, 0);
            atomic_store(&c->wanted_order, 0);
            *out = d;
            return WEIR_OK;
        }
        proj_deployed_free(d);
        if (rc != WEIR_OK) {
            return rc;
        }
        wait_ms(c, VISIBLE_STEP_MS);
    }
}

static void answer_notes(proj_catalog *c, const ask *q)
{
    weir_backoff backoff;
    weir_backoff_init(&backoff, RETRY_BASE_MS, RETRY_CAP_MS, 0);
    for (;;) {
        weir_error err = {0};
        if (write_notes(c, q, &err) == WEIR_OK) {
            tell_notes(c, q);
            return;
        }
        WEIR_WARN("PROJ-NOTE-RETRY", "reason=\"%s\"", err.msg);
        weir_pg_close(c->pg);
        c->pg = NULL;
        wait_ms(c, weir_backoff_next_ms(&backoff));
        if (weir_queue_closed(c->asks)) {
            return;
        }
    }
}

static void answer_one(proj_catalog *c, const ask *q)
{
    weir_backoff backoff;
    weir_backoff_init(&backoff, RETRY_BASE_MS, RETRY_CAP_MS, 0);
    for (;;) {
        weir_error err = {0};
        proj_deployed *d = NULL;
        if (load_told(c, q, &d, &err) == WEIR_OK) {
            tell(c, d, NULL, q->seq);
            return;
        }
        WEIR_WARN("PROJ-CATALOG-RETRY", "reason=\"%s\"", err.msg);
        tell(c, NULL, err.msg, q->seq);
        weir_pg_close(c->pg);
        c->pg = NULL;
        wait_ms(c, weir_backoff_next_ms(&backoff));
        if (weir_queue_closed(c->asks)) {
            return;
        }
    }
}

static void run(void *arg)
{
    proj_catalog *c = arg;
    void *items[ASKS];
    for (;;) {
        size_t n = weir_queue_pop(c->asks, items, ASKS, -1);
        if (n == 0) {
            break;
        }
        const ask *newest = NULL; /* the newest question is the only one that matters */
        for (size_t i = 0; i < n; i++) {
            const ask *q = items[i];
            newest = q->seq ? q : newest;
            if (q->nnotes > 0) {
                answer_notes(c, q);
            }
        }
        if (newest) {
            answer_one(c, newest);
        }
        for (size_t i = 0; i < n; i++) {
            ask_free(items[i]);
        }
    }
    weir_pg_close(c->pg);
    c->pg = NULL;
}

weir_rc proj_catalog_start(proj *p, weir_error *err)
{
    proj_catalog *c = weir_xcalloc(1, sizeof *c);
    c->p = p;
    c->uri = weir_xstrdup(p->settings->postgres_uri);
    c->publication = weir_xstrdup(p->settings->bridge_publication);
    c->asks = weir_queue_new(ASKS);
    p->catalog = c;
    return weir_thread_start(&c->thread, "catalog", run, c, err);
}

void proj_catalog_told(proj *p, int64_t revision)
{
    if (revision > atomic_load(&p->catalog->wanted)) {
        atomic_store(&p->catalog->wanted, revision);
    }
}

void proj_catalog_refresh(proj *p)
{
    ask *q = weir_xcalloc(1, sizeof *q);
    uint64_t seq = p->asked + 1; /* q may be gone once it is pushed */
    q->seq = seq;
    q->names = weir_xcalloc(p->nmodels + 1, sizeof *q->names);
    q->sources = weir_xcalloc(p->nmodels + 1, sizeof *q->sources);
    q->ids = weir_xcalloc(p->nmodels + 1, sizeof *q->ids);
    q->order_done = p->order_done;
    q->has_order_done = p->has_order_done;
    for (size_t i = 0; i < p->nmodels; i++) {
        const proj_model *m = p->models[i];
        bool lives = m->phase == PROJ_READY || m->phase == PROJ_BUILDING ||
                     m->phase == PROJ_CHECKING || m->phase == PROJ_KEPT;
        if (lives && !m->plan) {
            q->ids[q->n] = m->id;
            q->names[q->n] = weir_xstrdup(m->name);
            q->sources[q->n++] = weir_xstrdup(m->source);
        }
    }
    if (!weir_queue_push(p->catalog->asks, q)) {
        ask_free(q); /* full: again when there is room */
        p->refresh = true;
    } else {
        p->asked = seq;
    }
}

void proj_catalog_told_order(proj *p, uint64_t id)
{
    if (id > atomic_load(&p->catalog->wanted_order)) {
        atomic_store(&p->catalog->wanted_order, id);
    }
}

bool proj_catalog_notes(proj *p)
{
    ask *q = weir_xcalloc(1, sizeof *q);
    q->nnotes = p->nnotes;
    q->notes = proj_notes_copy(p->nnotes, p->notes);
    if (!weir_queue_push(p->catalog->asks, q)) {
        ask_free(q);
        return false;
    }
    return true;
}

void proj_catalog_stop(proj *p)
{
    proj_catalog *c = p->catalog;
    if (!c) {
        return;
    }
    weir_queue_close(c->asks);
    weir_thread_join(c->thread);
    weir_queue_free(c->asks);
    free(c->uri);
    free(c->publication);
    free(c);
    p->catalog = NULL;
}
