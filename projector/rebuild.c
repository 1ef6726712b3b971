/* rebuild.c - from one generation of a model to the next: compare, switch, what is kept for a way
 * back, and the orders of `weir rebuild`.
 *
 *   building ──pass over──▶ checking ──no difference──▶ ready        the one before: kept or gone
 *                              └──────differences──────▶ refused     the one before goes on serving
 *   kept ──rollback──▶ ready       kept ──its time is over, drop_old, another switch──▶ gone
 *
 * A build that replaces nothing becomes ready without a comparison: it costs no read from
 * PostgreSQL. A kept generation is maintained like the serving one, so going back is a switch of
 * one entry in Redis, in the same MULTI as everything that was written before it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "projector/proj.h"

enum { TEXT = 400 };

static int64_t wall_ms(void)
{
    return weir_wall_us() / 1000;
}

static proj_model *in_phase(const proj *p, const char *name, proj_phase phase)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        if (p->models[i]->phase == phase && strcmp(p->models[i]->name, name) == 0) {
            return p->models[i];
        }
    }
    return NULL;
}

static proj_model *being_built(const proj *p, const char *name)
{
    proj_model *m = in_phase(p, name, PROJ_BUILDING);
    return m ? m : in_phase(p, name, PROJ_CHECKING);
}

void proj_load_rate(const proj_model *m, double *rate, double *eta_s)
{
    int64_t ms = m->load_ms ? weir_mono_ms() - m->load_ms : 0;
    *rate = ms > 0 ? (double)(m->pass_done - m->load_from) * 1000.0 / (double)ms : 0;
    *eta_s = *rate > 0 && m->counted && m->pass_total > m->pass_done
                 ? (double)(m->pass_total - m->pass_done) / *rate
                 : 0;
}

bool proj_model_is_held(const proj *p, const char *name, uint64_t fingerprint)
{
    const proj_model *m = proj_model_serving(p, name);
    return m && m->held != 0 && m->held == fingerprint;
}

/* --- the switch
 * --------------------------------------------------------------------------------------------- */

static void keep(proj_model *m, int64_t keep_ms)
{
    m->phase = PROJ_KEPT;
    m->kept_until_ms = keep_ms == PROJ_KEEP ? PROJ_KEEP : wall_ms() + keep_ms;
    m->record_dirty = true;
}

static void drop(proj_model *m)
{
    m->phase = PROJ_GONE;
    m->record_dirty = true;
}

/* The others of that name, now that m serves. What stalled cannot be maintained, so it is no way
 * back. */
static bool retire(proj *p, const proj_model *m, int64_t keep_ms)
{
    bool known = false;
    for (size_t i = 0; i < p->nmodels; i++) {
        proj_model *o = p->models[i];
        if (o == m || o->phase == PROJ_GONE || strcmp(o->name, m->name) != 0) {
            continue;
        }
        known = true;
        if (o->phase == PROJ_READY && o->plan && keep_ms != 0) {
            keep(o, keep_ms);
        } else {
            drop(o);
        }
    }
    return known;
}

static void serve(proj *p, proj_model *m)
{
    m->phase = PROJ_READY;
    m->served = true;
    m->passing = false;
    m->kept_until_ms = 0;
    m->record_dirty = true;
    free(m->reason);
    m->reason = weir_xstrdup("");
    p->sink.claim = true;
    p->out.models_changed = true;
    proj_models_relive(p);
    proj_models_conditions(p);
}

static weir_rc switch_to(proj *p, proj_model *m, weir_error *err)
{
    char text[TEXT];
    char at[WEIR_LSN_TEXT_MAX];
    bool known = retire(p, m, m->keep_ms);
    serve(p, m);
    if (m->generation > 1 && !known) {
        proj_sweep_start(p); /* the generation before is only in Redis: its state was lost */
    }
    WEIR_INFO("PROJ-MODEL",
              "model=%s generation=%u state=ready documents=%llu parked=%llu compared=%llu "
              "position=%s",
              m->name, m->generation, (unsigned long long)m->documents,
              (unsigned long long)m->parked, (unsigned long long)m->checked,
              weir_lsn_print(p->position, at));
    if (m->order == 0) {
        return WEIR_OK;
    }
    double load_s = (double)m->load_took_ms / 1000;
    (void)snprintf(text, sizeof text,
                   "%llu documents loaded in %.1f s (%.0f/s), %llu compared with PostgreSQL in "
                   "%.1f s, 0 differ",
                   (unsigned long long)m->documents, load_s,
                   load_s > 0 ? (double)(m->pass_done - m->load_from) / load_s : 0,
                   (unsigned long long)m->checked, (double)m->check_took_ms / 1000);
    return proj_note_add(p, m->order, "done", m->generation, text, err);
}

static weir_rc refuse(proj *p, proj_model *m, weir_error *err)
{
    char *why = m->verdict;
    m->verdict = NULL;
    proj_model_set_phase(p, m, PROJ_REFUSED, why);
    WEIR_ERROR("PROJ-REBUILD-REFUSED", "model=%s generation=%u reason=\"%s\" next=\"weir rebuild\"",
               m->name, m->generation, why);
    proj_models_relive(p);
    proj_sweep_start(p); /* what nobody knows of may be the difference */
    weir_rc rc = WEIR_OK;
    if (m->order) {
        rc = proj_note_add(p, m->order, "refused", m->generation, why, err);
    }
    free(why);
    return rc;
}

void proj_loaded(proj *p, proj_model *m)
{
    m->passing = false;
    m->record_dirty = true;
    m->checked = m->check_differs = 0;
    m->load_took_ms = m->load_ms ? weir_mono_ms() - m->load_ms : 0;
    if (m->check_every == 0 || !proj_model_serving(p, m->name)) {
        free(m->verdict);
        m->verdict = weir_xstrdup("");
    }
    m->read_again = false;
    m->phase = PROJ_CHECKING; /* with a verdict it is over in the next step */
    proj_models_relive(p);
    WEIR_INFO("PROJ-LOADED", "model=%s generation=%u rows=%llu documents=%llu ms=%lld", m->name,
              m->generation, (unsigned long long)m->pass_done, (unsigned long long)m->documents,
              (long long)m->load_took_ms);
}

/* --- steps
 * --------------------------------------------------------------------------------------------------
 */

static proj_model *judged(const proj *p)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        if (p->models[i]->phase == PROJ_CHECKING && p->models[i]->verdict) {
            return p->models[i];
        }
    }
    return NULL;
}

static proj_model *expired(const proj *p)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        const proj_model *m = p->models[i];
        if (m->phase == PROJ_KEPT && m->kept_until_ms != PROJ_KEEP &&
            m->kept_until_ms <= wall_ms()) {
            return p->models[i];
        }
    }
    return NULL;
}

bool proj_rebuild_due(const proj *p)
{
    return judged(p) || expired(p);
}

weir_rc proj_rebuild_step(proj *p, weir_error *err)
{
    proj_model *m = judged(p);
    if (m && m->verdict[0] && m->read_again) {
        m->read_again = false;
        free(m->verdict);
        m->verdict = NULL; /* compared once more, with the rows that came meanwhile */
        return WEIR_OK;
    }
    if (m) {
        return m->verdict[0] ? refuse(p, m, err) : switch_to(p, m, err);
    }
    m = expired(p);
    if (m) {
        WEIR_INFO("PROJ-KEPT-OVER", "model=%s generation=%u", m->name, m->generation);
        drop(m);
        proj_models_relive(p);
        p->refresh = true; /* what only it needed of the tables can go */
    }
    return WEIR_OK;
}

/* ALTER TABLE gives a model another plan and changes rows without an event: the build that the plan
 * asks for can be compared before the crawl has read those rows, and be refused for nothing. While
 * it stays refused nobody builds another, and after a restart the old plan serves no more. What
 * an order began is the caller's to repeat. */
void proj_table_read_again(proj *p, const weir_ltable *t)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        proj_model *m = p->models[i];
        if (m->plan && !weir_bound_uses(&m->bound, t, -1)) {
            continue;
        }
        m->read_again = m->read_again || m->phase == PROJ_CHECKING;
        if (m->phase == PROJ_REFUSED && m->order == 0) {
            drop(m);
            p->refresh = true;
        }
    }
}

/* --- orders
 * -------------------------------------------------------------------------------------------------
 */

static weir_rc no(proj *p, const proj_order *o, const char *why, weir_error *err)
{
    WEIR_WARN("PROJ-ORDER-REFUSED", "order=%llu model=%s reason=\"%s\"", (unsigned long long)o->id,
              o->model, why);
    return proj_note_add(p, o->id, "refused", 0, why, err);
}

static weir_rc order_rebuild(proj *p, const proj_order *o, proj_deployed *d, weir_error *err)
{
    proj_compiled *c = proj_deployed_of(d, o->model);
    proj_model *m = being_built(p, o->model);
    if (!c) {
        return no(p, o, "no such read model is deployed", err);
    }
    if (!c->plan) {
        return no(p, o, c->error ? c->error : "it does not compile", err);
    }
    if (m && m->order) {
        return no(p, o, "it is being rebuilt already; see weir rebuild --status", err);
    }
    if (!m) {
        proj_model *failed = in_phase(p, o->model, PROJ_REFUSED);
        if (failed) {
            drop(failed);
        }
        weir_rc rc = proj_model_new(p, c, &m, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    m->order = o->id; /* a build that a deploy began is joined */
    m->keep_ms = o->keep_ms;
    m->check_every = o->check_every;
    m->record_dirty = true;
    return proj_note_add(p, o->id, "building", m->generation, "", err);
}

/* The build under way is given up; without one the kept generation serves again, and the one that
 * served is kept instead. */
static weir_rc order_rollback(proj *p, const proj_order *o, proj_deployed *d, weir_error *err)
{
    char text[TEXT];
    proj_model *now = proj_model_serving(p, o->model);
    proj_model *m = being_built(p, o->model);
    if (m && now) {
        weir_rc rc = m->order ? proj_note_add(p, m->order, "refused", m->generation,
                                              "given up by weir rebuild --rollback", err)
                              : WEIR_OK;
        drop(m);
        now->held = m->fingerprint != now->fingerprint ? m->fingerprint : now->held;
        now->record_dirty = true;
        (void)snprintf(text, sizeof text,
                       "the build of generation %u is given up; generation %u goes on serving",
                       m->generation, now->generation);
        return rc == WEIR_OK ? proj_note_add(p, o->id, "done", now->generation, text, err) : rc;
    }
    m = in_phase(p, o->model, PROJ_KEPT);
    if (!m || !m->plan || !now) {
        return no(p, o, "no earlier generation is kept", err);
    }
    const proj_compiled *c = proj_deployed_of(d, o->model);
    (void)retire(p, m, PROJ_KEEP);
    now->held = 0;
    m->held = c && c->fingerprint != m->fingerprint ? c->fingerprint : 0;
    serve(p, m);
    (void)snprintf(text, sizeof text, "generation %u serves again, generation %u is %s",
                   m->generation, now->generation,
                   now->phase == PROJ_KEPT ? "kept" : "being removed");
    WEIR_INFO("PROJ-ROLLBACK", "model=%s generation=%u from=%u", m->name, m->generation,
              now->generation);
    return proj_note_add(p, o->id, "done", m->generation, text, err);
}

static weir_rc order_drop(proj *p, const proj_order *o, weir_error *err)
{
    char text[TEXT];
    proj_model *m = in_phase(p, o->model, PROJ_KEPT);
    if (!m) {
        return no(p, o, "no earlier generation is kept", err);
    }
    drop(m);
    (void)snprintf(text, sizeof text, "generation %u is being removed, %llu documents",
                   m->generation, (unsigned long long)m->documents);
    return proj_note_add(p, o->id, "done", m->generation, text, err);
}

weir_rc proj_orders_apply(proj *p, proj_deployed *d, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < d->norders && rc == WEIR_OK; i++) {
        const proj_order *o = &d->orders[i];
        if (o->id <= p->order_done) {
            continue;
        }
        switch (o->action) {
        case PROJ_REBUILD: rc = order_rebuild(p, o, d, err); break;
        case PROJ_ROLLBACK: rc = order_rollback(p, o, d, err); break;
        case PROJ_DROP_OLD: rc = order_drop(p, o, err); break;
        }
        p->order_done = o->id;
        p->order_done_dirty = true;
    }
    if (!p->has_order_done) {
        p->has_order_done = true;
        p->order_done_dirty = true;
    }
    return rc;
}
