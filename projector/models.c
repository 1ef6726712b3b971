/* models.c - which builds of which models exist: what a deploy changes, what the walk serves, what
 * Redis is told. */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "projector/proj.h"

static const char *const phase_names[] = {"building", "ready", "stalled", "gone",
                                          "building", "kept",  "refused"};

const char *proj_phase_name(proj_phase phase)
{
    return phase_names[phase];
}

void proj_model_free(proj_model *m)
{
    if (m) {
        free(m->name);
        free(m->source);
        free(m->key_json);
        free(m->reason);
        free(m->verdict);
        weir_arena_free(m->a);
        free(m);
    }
}

void proj_models_forget(proj *p, proj_model *m)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        if (p->models[i] == m) {
            p->models[i] = p->models[--p->nmodels];
            break;
        }
    }
    weir_dirty_reset(&p->dirty); /* what the last step left names its models */
    proj_model_free(m);
    proj_models_relive(p);
}

void proj_models_removed(proj *p, weir_slice name)
{
    weir_buf_u16(&p->removed, (uint16_t)name.n);
    weir_buf_puts(&p->removed, name);
}

void proj_models_relive(proj *p)
{
    p->nlive = 0;
    p->live = weir_xrealloc(p->live, (p->nmodels + 1) * sizeof(const weir_bound *));
    for (size_t i = 0; i < p->nmodels; i++) {
        const proj_model *m = p->models[i];
        if (proj_model_follows(m)) {
            p->live[p->nlive++] = &m->bound;
        }
    }
}

static void set_reason(proj_model *m, const char *reason)
{
    free(m->reason);
    m->reason = weir_xstrdup(reason ? reason : "");
}

proj_model *proj_model_serving(const proj *p, const char *name)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        proj_model *m = p->models[i];
        bool serves = m->phase == PROJ_READY || (m->phase == PROJ_STALLED && m->served);
        if (serves && strcmp(m->name, name) == 0) {
            return m;
        }
    }
    return NULL;
}

void proj_model_set_phase(proj *p, proj_model *m, proj_phase phase, const char *reason)
{
    if (m->phase == phase && (!reason || strcmp(m->reason ? m->reason : "", reason) == 0)) {
        return;
    }
    m->phase = phase;
    m->passing = m->passing && phase == PROJ_BUILDING;
    m->record_dirty = true;
    set_reason(m, reason);
    p->sink.claim = true; /* the models' entries in Redis are written again */
    free(m->verdict);
    m->verdict = NULL;
    if (phase == PROJ_STALLED) {
        WEIR_ERROR("PROJ-MODEL-STALLED", "model=%s generation=%u reason=\"%s\"", m->name,
                   m->generation, reason);
    } else {
        WEIR_INFO("PROJ-MODEL", "model=%s generation=%u state=%s", m->name, m->generation,
                  phase == PROJ_CHECKING ? "checking" : phase_names[phase]);
    }
}

/* Models that do not use what is gone go on. */
void proj_models_stall(proj *p, const weir_misfit *what)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        proj_model *m = p->models[i];
        if (proj_model_renders(m) && weir_bound_uses(&m->bound, what->t, what->col)) {
            char reason[400];
            (void)snprintf(reason, sizeof reason, "table %.*s was altered: %s",
                           WEIR_SLICE_ARG(what->t->name), what->what);
            /* What can no longer be maintained is no way back. */
            proj_model_set_phase(p, m, m->phase == PROJ_KEPT ? PROJ_GONE : PROJ_STALLED, reason);
        }
    }
    proj_models_relive(p);
    p->refresh = true;
}

/* --- generations
 * ------------------------------------------------------------------------------------------------
 */

void proj_redis_generation(proj *p, weir_slice name, uint32_t generation)
{
    void **slot = weir_map_slot(p->redis_generations, name, NULL);
    if ((uintptr_t)*slot < generation) {
        *slot = (void *)(uintptr_t)generation;
    }
}

uint32_t proj_next_generation(const proj *p, const char *name)
{
    uint32_t g = (uint32_t)(uintptr_t)weir_map_get(p->redis_generations, weir_slice_z(name));
    for (size_t i = 0; i < p->nmodels; i++) {
        if (strcmp(p->models[i]->name, name) == 0 && p->models[i]->generation > g) {
            g = p->models[i]->generation;
        }
    }
    return g + 1;
}

/* --- a deploy
 * -----------------------------------------------------------------------------------------------------
 */

proj_compiled *proj_deployed_of(proj_deployed *d, const char *name)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->m[i].build == 0 && strcmp(d->m[i].name, name) == 0) {
            return &d->m[i];
        }
    }
    return NULL;
}

static proj_compiled *plan_for(proj_deployed *d, const proj_model *m)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->m[i].build == m->id && d->m[i].plan && d->m[i].fingerprint == m->fingerprint) {
            return &d->m[i];
        }
    }
    return NULL;
}

/* By these names the read-service knows how a key's value is spelled. */
static void put_key_type(weir_buf *b, weir_type t)
{
    switch (t.ty) {
    case WEIR_TY_BOOL: weir_buf_putz(b, "\"boolean\""); break;
    case WEIR_TY_INT2: weir_buf_putz(b, "\"smallint\""); break;
    case WEIR_TY_INT4: weir_buf_putz(b, "\"integer\""); break;
    case WEIR_TY_INT8: weir_buf_putz(b, "\"bigint\""); break;
    case WEIR_TY_UUID: weir_buf_putz(b, "\"uuid\""); break;
    case WEIR_TY_DATE: weir_buf_putz(b, "\"date\""); break;
    case WEIR_TY_TIMESTAMP: weir_buf_putz(b, "\"timestamp\""); break;
    case WEIR_TY_TIMESTAMPTZ: weir_buf_putz(b, "\"timestamptz\""); break;
    case WEIR_TY_NUMERIC:
        weir_buf_printf(b, "\"numeric(%d,%d)\"", (t.typmod - 4) >> 16,
                        (((t.typmod - 4) & 0x7ff) ^ 1024) - 1024);
        break;
    case WEIR_TY_BPCHAR:
        weir_buf_printf(b, t.typmod > 4 ? "\"char(%d)\"" : "\"text\"", t.typmod - 4);
        break;
    default: weir_buf_putz(b, "\"text\""); break;
    }
}

static char *key_json(const weir_plan *plan)
{
    const weir_plan_table *root = &plan->tables[plan->occs[plan->root].table];
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_buf_u8(&b, '[');
    for (int i = 0; i < plan->nkey; i++) {
        weir_buf_putz(&b, i ? "," : "");
        weir_json_quote(&b, plan->key_names[i]);
    }
    weir_buf_putz(&b, "],\"types\":[");
    for (int i = 0; i < plan->nkey; i++) {
        weir_buf_putz(&b, i ? "," : "");
        put_key_type(&b, root->cols[plan->key_cols[i]].type);
    }
    weir_buf_putz(&b, "]");
    weir_buf_u8(&b, 0);
    size_t n = 0;
    return weir_buf_take(&b, &n);
}

/* Takes the compiled plan's arena. */
static weir_rc attach(proj *p, proj_model *m, proj_compiled *c, weir_error *err)
{
    m->a = c->a;
    m->plan = c->plan;
    c->a = NULL;
    c->plan = NULL;
    free(m->key_json);
    m->key_json = key_json(m->plan);
    p->layout_dirty = true;
    return weir_layout_bind(&p->layout, m->plan, m->id, m->a, &m->bound, err);
}

static void replace_source(proj_model *m, const char *source)
{
    free(m->source);
    m->source = weir_xstrdup(source);
    m->record_dirty = true;
}

/* After a start a build has its source only; what its tables are now decides whether it goes on. */
static weir_rc compile_again(proj *p, proj_model *m, proj_deployed *d, weir_error *err)
{
    proj_compiled *c = plan_for(d, m);
    if (c) {
        return attach(p, m, c, err);
    }
    if (m->phase == PROJ_KEPT) {
        proj_model_set_phase(p, m, PROJ_GONE, "its tables changed");
    } else {
        proj_model_set_phase(p, m, PROJ_STALLED, "its tables changed");
    }
    return WEIR_OK;
}

/* One existing build against what is deployed now. */
static weir_rc review(proj *p, proj_model *m, proj_deployed *d, weir_error *err)
{
    const proj_compiled *now = proj_deployed_of(d, m->name);
    if (m->phase == PROJ_GONE) {
        return WEIR_OK;
    }
    if (!now || (m->phase == PROJ_STALLED && !m->served)) {
        proj_model_set_phase(p, m, PROJ_GONE, NULL);
        return WEIR_OK;
    }
    bool same = now->fingerprint == m->fingerprint;
    if (m->phase == PROJ_STALLED || (m->phase == PROJ_REFUSED && same)) {
        if (m->phase == PROJ_STALLED && now->error && strcmp(now->error, m->reason) != 0) {
            proj_model_set_phase(p, m, PROJ_STALLED, now->error); /* another reason by now */
        }
        return WEIR_OK; /* serves what it has until a new build replaces it; says why */
    }
    bool other = m->phase == PROJ_KEPT || m->held != 0; /* it is not the deployed SELECT */
    if (!now->plan && now->error && !other) {
        proj_model_set_phase(p, m, PROJ_STALLED, now->error);
        return WEIR_OK;
    }
    bool unborn =
        m->phase == PROJ_BUILDING || m->phase == PROJ_CHECKING || m->phase == PROJ_REFUSED;
    if (!same && unborn) {
        proj_model_set_phase(p, m, PROJ_GONE, NULL);
        return WEIR_OK;
    }
    if (same && m->held != 0) {
        m->held = 0; /* the older file was deployed again */
        m->record_dirty = true;
    }
    if (!m->plan) {
        if (same && strcmp(m->source, now->source) != 0) {
            replace_source(m, now->source);
        }
        return compile_again(p, m, d, err);
    }
    return WEIR_OK;
}

static bool has_build(const proj *p, const proj_compiled *c)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        const proj_model *m = p->models[i];
        bool counts = m->phase == PROJ_BUILDING || m->phase == PROJ_CHECKING ||
                      m->phase == PROJ_READY || m->phase == PROJ_REFUSED;
        if (counts && m->fingerprint == c->fingerprint && strcmp(m->name, c->name) == 0) {
            return true;
        }
    }
    return proj_model_is_held(p, c->name, c->fingerprint);
}

static bool has_entry(const proj *p, const char *name)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        if (p->models[i]->phase != PROJ_GONE && strcmp(p->models[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

weir_rc proj_model_new(proj *p, proj_compiled *c, proj_model **out, weir_error *err)
{
    proj_model *m = weir_xcalloc(1, sizeof *m);
    m->id = p->layout.next_id++;
    m->generation = proj_next_generation(p, c->name);
    m->fingerprint = c->fingerprint;
    m->name = weir_xstrdup(c->name);
    m->source = weir_xstrdup(c->source);
    m->key_json = weir_xstrdup("[]");
    m->reason = weir_xstrdup("");
    m->phase = PROJ_READY; /* until proj_model_set_phase says what it is */
    m->keep_ms = p->settings->projector_keep_old_ms;
    m->check_every = (uint32_t)p->settings->projector_verify_every;
    *out = m;
    p->models = weir_xrealloc(p->models, (p->nmodels + 1) * sizeof(proj_model *));
    p->models[p->nmodels++] = m;
    p->layout_dirty = true;
    if (!c->plan) {
        proj_model_set_phase(p, m, PROJ_STALLED, c->error ? c->error : "it does not compile");
        return WEIR_OK;
    }
    proj_model_set_phase(p, m, PROJ_BUILDING, NULL);
    return attach(p, m, c, err);
}

static weir_rc apply_all(proj *p, proj_deployed *d, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < p->nmodels && rc == WEIR_OK; i++) {
        rc = review(p, p->models[i], d, err);
    }
    rc = rc == WEIR_OK ? proj_orders_apply(p, d, err) : rc;
    for (size_t i = 0; i < d->n && rc == WEIR_OK; i++) {
        proj_compiled *c = &d->m[i];
        proj_model *made = NULL;
        bool wanted =
            c->build == 0 && (c->plan ? !has_build(p, c) : c->error && !has_entry(p, c->name));
        if (wanted) {
            rc = proj_model_new(p, c, &made, err);
        }
    }
    return rc;
}

static void collect_garbage(proj *p)
{
    weir_layout_unmark(&p->layout);
    for (size_t i = 0; i < p->nmodels; i++) {
        proj_model *m = p->models[i];
        if (proj_model_renders(m)) {
            weir_layout_mark(&m->bound);
        }
    }
    if (weir_layout_drop_unmarked(&p->layout) > 0) {
        p->layout_dirty = true;
        p->building = NULL;
    }
}

weir_rc proj_models_apply(proj *p, proj_deployed *d, weir_error *err)
{
    weir_rc rc = weir_state_begin(p->st, err);
    if (rc == WEIR_OK) {
        rc = apply_all(p, d, err);
    }
    if (rc == WEIR_OK) {
        collect_garbage(p);
        rc = proj_record_save(p, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_state_commit(p->st, err);
    }
    /* What Redis knows and nobody deployed any more, perhaps while we were away with another state.
     */
    weir_map_iter it = {0};
    while (weir_map_next(p->redis_generations, &it)) {
        proj_models_removed(p, it.key);
    }
    weir_apply_relayout(&p->ap);
    p->fit_rel = 0;
    p->revision = d->revision;
    p->sink.claim = true;
    proj_models_relive(p);
    proj_models_conditions(p);
    return rc;
}

/* --- what is told
 * ----------------------------------------------------------------------------------------------------
 */

int proj_model_permille(const proj *p, const proj_model *m)
{
    if (m->phase == PROJ_CHECKING) {
        return 999;
    }
    if (m->phase != PROJ_BUILDING) {
        return 1000;
    }
    if (!m->passing || m->pass_total == 0) {
        (void)p;
        return 0;
    }
    uint64_t done = m->pass_done * 1000 / m->pass_total;
    return done > 999 ? 999 : (int)done;
}

/* The newest build that does not serve: being made, or failed before it ever served. */
static const proj_model *unborn(const proj *p, const char *name)
{
    const proj_model *found = NULL;
    for (size_t i = 0; i < p->nmodels; i++) {
        const proj_model *m = p->models[i];
        bool counts = m->phase == PROJ_BUILDING || m->phase == PROJ_CHECKING ||
                      (m->phase == PROJ_STALLED && !m->served);
        if (counts && strcmp(m->name, name) == 0 && (!found || m->generation > found->generation)) {
            found = m;
        }
    }
    return found;
}

/* What is to take the place of a stalled build that serves, or was: the newest. */
static const proj_model *successor(const proj *p, const proj_model *m)
{
    const proj_model *found = NULL;
    for (size_t i = 0; i < p->nmodels; i++) {
        const proj_model *o = p->models[i];
        bool counts =
            o->phase == PROJ_BUILDING || o->phase == PROJ_CHECKING || o->phase == PROJ_REFUSED;
        if (counts && o->generation > (found ? found : m)->generation &&
            strcmp(o->name, m->name) == 0) {
            found = o;
        }
    }
    return found;
}

const char *proj_model_why(const proj *p, const proj_model *m, char *buf, size_t size)
{
    const char *reason = m->reason ? m->reason : "";
    const proj_model *next = m->phase == PROJ_STALLED && m->served ? successor(p, m) : NULL;
    if (!next) {
        return reason;
    }
    if (next->phase == PROJ_REFUSED) {
        (void)snprintf(buf, size, "%s; generation %u, which was to take its place, was refused: %s",
                       reason, next->generation, next->reason ? next->reason : "");
    } else {
        (void)snprintf(buf, size, "%s; a new version is being built", reason);
    }
    return buf;
}

void proj_model_json(const proj *p, const char *name, weir_buf *out)
{
    const proj_model *serving = proj_model_serving(p, name);
    const proj_model *other = unborn(p, name);
    const proj_model *m = serving ? serving : other;
    char text[PROJ_WHY_MAX];
    if (!m) {
        return;
    }
    bool building = other && (other->phase == PROJ_BUILDING || other->phase == PROJ_CHECKING);
    weir_buf_printf(
        out, "{\"generation\":%u,\"newest\":%u,\"state\":\"%s\",\"key\":%s,\"progress\":%.3f",
        m->generation, proj_next_generation(p, name) - 1, phase_names[m->phase], m->key_json,
        proj_model_permille(p, building ? other : m) / 1000.0);
    if (m->held) {
        weir_buf_putz(out, ",\"rolled_back\":true");
    }
    const char *why = proj_model_why(p, m, text, sizeof text);
    if (why[0]) {
        weir_buf_putz(out, ",\"reason\":");
        weir_json_quote(out, weir_slice_z(why));
    }
    weir_buf_u8(out, '}');
}

static void condition_of(proj *p, const proj_model *m)
{
    char what[100], why[PROJ_WHY_MAX], text[PROJ_WHY_MAX + 20];
    (void)snprintf(what, sizeof what, "model %s", m->name);
    bool building = m->phase == PROJ_BUILDING || m->phase == PROJ_CHECKING;
    if (building && !m->served && m->generation <= 1) {
        (void)snprintf(text, sizeof text, "is being built, %.1f%%",
                       proj_model_permille(p, m) / 10.0);
        weir_health_wait(p->health, what, text);
    } else if (m->phase == PROJ_STALLED) {
        (void)snprintf(text, sizeof text, "stalled: %s", proj_model_why(p, m, why, sizeof why));
        weir_health_wait(p->health, what, text);
    }
}

void proj_models_conditions(proj *p)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        char what[100];
        (void)snprintf(what, sizeof what, "model %s", p->models[i]->name);
        weir_health_wait(p->health, what, NULL);
    }
    for (size_t i = 0; i < p->nmodels; i++) {
        condition_of(p, p->models[i]);
    }
}
