/* service.c - the projector's heart: which step is next, and starting and stopping it all.
 *
 * pump_one does one bounded step and says whether it should be called again; between steps the loop
 * reads Redis' and the bridge's answers. At most one MULTI is on its way and one more is being
 * made.
 */
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "projector/proj.h"

enum { SLICE_US = 8000, STOP_POLL_MS = 10, STOP_POLLS = 300, STALLED_TICKS = 5 };

void proj_fail(proj *p, const char *id, const weir_error *err)
{
    WEIR_ERROR(id, "%s%s", err->msg,
               err->code == WEIR_E_LIMIT
                   ? "; see projector.map_bytes and the free space of projector.data_dir"
                   : "");
    p->failed = true;
    weir_loop_stop(p->loop);
}

bool proj_failed(const proj *p)
{
    return p->failed;
}

/* --- steps
 * --------------------------------------------------------------------------------------------------------------
 */

static bool discard(proj *p)
{
    weir_error err = {0};
    if (proj_record_discard(p, "the bridge no longer has what we need, or is another one", &err) !=
        WEIR_OK) {
        proj_fail(p, "PROJ-STATE", &err);
        return false;
    }
    p->catalog_known = false;
    proj_feed_restart(p);
    proj_catalog_refresh(p);
    return true;
}

static bool deploy(proj *p)
{
    weir_error err = {0};
    weir_rc rc = proj_models_apply(p, p->deployed, &err);
    proj_deployed_free(p->deployed);
    p->deployed = NULL;
    if (rc != WEIR_OK) {
        weir_state_abort(p->st);
        proj_fail(p, "PROJ-DEPLOY", &err);
        return false;
    }
    p->catalog_known = true;
    proj_feed_begin(p);
    return true;
}

typedef weir_rc step_fn(proj *p, weir_error *err);

static bool run(proj *p, step_fn *step)
{
    weir_error err = {0};
    weir_rc rc = step(p, &err);
    weir_metric_add(p->num.steps, 1);
    p->progress_ms = weir_mono_ms();
    if (rc != WEIR_OK) {
        weir_state_abort(p->st);
        proj_fail(p, "PROJ-STEP", &err);
    }
    return rc == WEIR_OK;
}

static bool background(proj *p, bool *did)
{
    weir_error err = {0};
    weir_rc rc = proj_step_background(p, did, &err);
    if (rc != WEIR_OK) {
        weir_state_abort(p->st);
        proj_fail(p, "PROJ-STEP", &err);
    }
    return rc == WEIR_OK;
}

/* Nothing came, but the stream has gone on: readers who wait for a position must hear of it. */
static bool follow_head(proj *p)
{
    if (!p->feed.caught_up || p->feed.nreplies > 0 || p->in_frame || p->feed.state != FEED_ON) {
        return false;
    }
    uint64_t lsn = p->feed.next.at.lsn;
    if (lsn <= p->position && !p->sink.claim) {
        return false;
    }
    if (lsn > p->position) {
        p->position = lsn;
        p->cursor = p->feed.next;
    }
    proj_out_seal(p);
    return true;
}

/* Live work, a piece of background work in every fourth turn. */
static bool work(proj *p)
{
    bool did = false;
    bool reply = proj_feed_peek(p) != NULL;
    if (reply && (p->turn++ & 3) != 3) {
        return run(p, proj_step_apply);
    }
    if (!p->in_frame && !background(p, &did)) {
        return false;
    }
    if (did) {
        return true;
    }
    if (reply) {
        return run(p, proj_step_apply);
    }
    if (follow_head(p)) {
        return true;
    }
    if (p->sink.claim && p->has_cursor) {
        proj_out_seal(p);
        return true;
    }
    return false;
}

static bool send(proj *p)
{
    proj_out *o = &p->out;
    if (o->n == 0 && !o->has_position && !o->models_changed && !p->sink.claim) {
        proj_out_reset(o);
        return true;
    }
    if (!proj_sink_idle(p)) {
        return false;
    }
    proj_sink_send(p);
    proj_pump_soon(p); /* after the loop has written it */
    return false;
}

/* true: call again. */
static bool pump_one(proj *p)
{
    if (p->out.full) {
        return send(p);
    }
    if (p->feed.lapsed) {
        return discard(p);
    }
    if (p->refresh) {
        p->refresh = false;
        proj_catalog_refresh(p);
    }
    /* At the start a transaction may be open: its rest can only come once the models are known. */
    bool quiet = p->open_lsn == 0 && p->tasks == 0 && !p->in_frame && p->out.n == 0;
    if (p->deployed && p->sink.looked && (quiet || !p->catalog_known)) {
        return deploy(p);
    }
    if (!p->catalog_known) {
        return false;
    }
    if (p->tasks > 0) {
        return run(p, proj_step_tasks);
    }
    if (p->open_lsn != 0) {
        return proj_feed_peek(p) && run(p, proj_step_apply);
    }
    if (!proj_sink_idle(p) && p->sink.state != SINK_BUSY) {
        return false; /* without Redis nothing is made: what we hold stays bounded */
    }
    if (p->reemit) {
        return run(p, proj_step_reemit);
    }
    if (p->backlog > 0) {
        return run(p, proj_step_dirty);
    }
    return work(p);
}

static void pump(void *arg)
{
    proj *p = arg;
    int64_t until = weir_mono_us() + SLICE_US;
    p->pump_posted = false;
    while (!p->failed && !p->stopping && pump_one(p)) {
        if (weir_mono_us() > until) {
            proj_pump_soon(p);
            return;
        }
    }
}

void proj_pump_soon(proj *p)
{
    if (!p->pump_posted && !p->stopping) {
        p->pump_posted = weir_loop_post(p->loop, pump, p);
    }
}

/* --- life
 * ---------------------------------------------------------------------------------------------------------------
 */

static void on_gone_timer(void *arg)
{
    proj *p = arg;
    p->gone_waits = false;
    proj_pump_soon(p);
}

static void on_sweep_timer(void *arg)
{
    proj *p = arg;
    p->sweep_waits = false;
    proj_pump_soon(p);
}

/* What made a model stall may have gone without an event: a table that has its name again. */
static bool some_stalled(const proj *p)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        if (p->models[i]->phase == PROJ_STALLED) {
            return true;
        }
    }
    return false;
}

static void on_slow(void *arg)
{
    proj *p = arg;
    if (++p->slow_ticks % STALLED_TICKS == 0 && some_stalled(p)) {
        p->refresh = true;
    }
    proj_status_tick(p);
    proj_evict_tick(p);
    proj_check_tick(p);
    proj_notes_tick(p);
    proj_pump_soon(p);
}

static weir_rc open_state(proj *p, weir_error *err)
{
    const weir_settings *s = p->settings;
    weir_rc rc = proj_record_prepare(s->projector_data_dir, err);
    if (rc == WEIR_OK) {
        rc = weir_state_open(&p->st, s->projector_data_dir, (size_t)s->projector_map_bytes, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_layout_init(&p->layout);
    weir_apply_init(&p->ap, p->st, &p->layout);
    weir_dirty_init(&p->dirty);
    weir_walk_init(&p->walk, p->st, &p->dirty, &p->next_task);
    weir_render_init(&p->render, p->st, (size_t)s->projector_document_max_bytes);
    weir_buf_init(&p->out.bytes, (size_t)1 << 31);
    weir_buf_init(&p->reemit_at, WEIR_IDKEY_MAX);
    weir_buf_init(&p->reemit_keys, (size_t)1 << 26);
    weir_buf_init(&p->sweep_keys, (size_t)1 << 28);
    weir_buf_init(&p->removed, (size_t)1 << 24);
    p->frame_a = weir_arena_new(0); /* one frame's events */
    p->redis_generations = weir_map_new();
    p->redis_serving = weir_map_new();
    return proj_record_load(p, err);
}

static weir_rc start_all(proj *p, weir_error *err)
{
    weir_rc rc = proj_sink_start(p, err);
    if (rc == WEIR_OK) {
        rc = proj_feed_start(p, err);
    }
    if (rc == WEIR_OK) {
        rc = proj_checkpoint_start(p, err);
    }
    if (rc == WEIR_OK) {
        weir_health_wait(p->health, "postgres", "the deployed models are not read yet");
        rc = proj_catalog_start(p, err);
    }
    if (rc == WEIR_OK) {
        rc = proj_check_start(p, err);
    }
    if (rc == WEIR_OK) {
        proj_catalog_refresh(p);
        rc = weir_health_serve(p->health, p->loop, p->settings->projector_listen,
                               (int)p->settings->projector_port, &p->http, err);
    }
    return rc;
}

weir_rc proj_open(proj **out, const weir_settings *s, weir_loop *l, weir_error *err)
{
    proj *p = weir_xcalloc(1, sizeof *p);
    p->settings = s;
    p->ns = s->redis_namespace;
    p->loop = l;
    p->metrics = weir_metrics_new();
    p->health = weir_health_new(p->metrics);
    p->sweep_after = true; /* leftovers of whatever ended the last run */
    proj_status_start(p);
    p->gone_timer = weir_loop_timer_new(l, on_gone_timer, p);
    p->sweep_timer = weir_loop_timer_new(l, on_sweep_timer, p);
    p->slow_timer = weir_loop_timer_new(l, on_slow, p);
    weir_loop_timer_arm(p->slow_timer, 1000, true);
    *out = p;
    weir_rc rc = open_state(p, err);
    return rc == WEIR_OK ? start_all(p, err) : rc;
}

static void on_stop_timer(void *arg)
{
    proj *p = arg;
    if (p->sink.state != SINK_BUSY || ++p->stop_tries > STOP_POLLS) {
        weir_loop_stop(p->loop);
        return;
    }
    weir_loop_timer_arm(p->stop_timer, STOP_POLL_MS, false);
}

/* What is on its way to Redis is waited for; everything else is in the state and goes on from
 * there. */
void proj_stop(proj *p)
{
    if (p->stopping) {
        return;
    }
    p->stopping = true;
    p->stop_timer = weir_loop_timer_new(p->loop, on_stop_timer, p);
    weir_loop_timer_arm(p->stop_timer, 0, false);
}

static void free_state(proj *p)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        proj_model_free(p->models[i]);
    }
    free(p->models);
    free(p->live);
    free(p->out.items);
    free(p->system_id);
    weir_buf_fini(&p->out.bytes);
    weir_buf_fini(&p->reemit_at);
    weir_buf_fini(&p->reemit_keys);
    weir_buf_fini(&p->sweep_keys);
    weir_buf_fini(&p->removed);
    weir_arena_free(p->frame_a);
    if (p->redis_generations) {
        weir_map_free(p->redis_generations);
        weir_map_free(p->redis_serving);
    }
    proj_notes_free(p->nnotes, p->notes);
    if (p->st) {
        weir_render_fini(&p->render);
        weir_walk_fini(&p->walk);
        weir_dirty_fini(&p->dirty);
        weir_apply_fini(&p->ap);
        weir_layout_fini(&p->layout);
    }
    weir_state_close(p->st);
}

void proj_close(proj *p)
{
    if (!p) {
        return;
    }
    weir_error err = {0};
    p->stopping = true;
    proj_check_stop(p);
    proj_catalog_stop(p);
    proj_checkpoint_stop(p);
    if (p->http) {
        weir_http_close(p->http);
    }
    if (p->feed.client) {
        proj_feed_stop(p);
    }
    if (p->sink.redis) {
        proj_sink_stop(p);
    }
    if (p->st && !p->failed && p->progress_ms > 0 && proj_record_mark(p, true, &err) != WEIR_OK) {
        WEIR_ERROR("PROJ-STATE", "%s", err.msg);
    }
    proj_deployed_free(p->deployed);
    free_state(p);
    weir_health_free(p->health);
    weir_metrics_free(p->metrics);
    free(p);
}
