/* step_drain.c - from dirty keys to documents, in pieces: what one MULTI can hold at a time; the
 * rest waits in the state. */
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/rd.h"
#include "projector/proj.h"

enum { ITEMS_MAX = 20000, KEYS_PER_STEP = 4096, WALK_BUDGET = 50000, REEMIT_SCAN = 20000 };

/* A document may gather millions of rows: between two of them the loop gets its turn, or probes,
 * signals and Redis would wait for all of them. */
enum { RENDER_SLICE_US = 50000 };

bool proj_out_is_full(const proj *p)
{
    return p->out.bytes.n >= (size_t)p->settings->projector_multi_max_bytes ||
           p->out.n >= ITEMS_MAX;
}

/* A step that made so many documents since then makes no more; one is made however long it takes.
 */
static bool made_enough(const proj *p, size_t made, int64_t from_us)
{
    return proj_out_is_full(p) || (made > 0 && weir_mono_us() - from_us >= RENDER_SLICE_US);
}

void proj_out_end_step(proj *p)
{
    if ((p->tasks == 0 && p->backlog == 0) || proj_out_is_full(p)) {
        proj_out_seal(p);
    }
}

void proj_out_seal(proj *p)
{
    proj_out *o = &p->out;
    o->full = true;
    if (p->open_lsn == 0 && p->tasks == 0 && p->backlog == 0 && !p->reemit) {
        o->has_position = true;
        o->position = p->position;
    }
}

/* The bound model is a member of proj_model. */
static proj_model *owner(proj *p, const weir_bound *b)
{
    return proj_model_of(p, b->id);
}

weir_rc proj_spill_dirty(proj *p, size_t from, weir_error *err)
{
    for (size_t i = from; i < p->dirty.n; i++) {
        char buf[WEIR_IDKEY_MAX];
        bool cut = false;
        weir_slice key = weir_dirty_text(&p->dirty, i);
        weir_slice skey = weir_dockey_state(buf, p->dirty.keys[i].model->id, key, &cut);
        weir_rc rc =
            weir_state_put(p->st, WEIR_DB_DIRTY, skey, cut ? key : (weir_slice){"", 0}, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    p->backlog = weir_state_count(p->st, WEIR_DB_DIRTY);
    return WEIR_OK;
}

weir_rc proj_render_dirty(proj *p, weir_error *err)
{
    size_t i = 0;
    int64_t from_us = weir_mono_us();
    for (; i < p->dirty.n && !made_enough(p, i, from_us); i++) {
        proj_model *m = owner(p, p->dirty.keys[i].model);
        if (m) {
            weir_rc rc = proj_emit(p, m, weir_dirty_text(&p->dirty, i), false, err);
            if (rc != WEIR_OK) {
                return rc;
            }
        }
    }
    return i < p->dirty.n ? proj_spill_dirty(p, i, err) : WEIR_OK;
}

static weir_rc finish(proj *p, weir_error *err)
{
    weir_rc rc = proj_record_save(p, err);
    return rc == WEIR_OK ? weir_state_commit(p->st, err) : rc;
}

/* --- walks to be continued
 * --------------------------------------------------------------------------------- */

static weir_rc next_task(proj *p, char key[8], weir_buf *task, weir_error *err)
{
    weir_scan s;
    weir_slice k;
    weir_slice v;
    weir_rc rc =
        weir_scan_start(p->st, &s, WEIR_DB_TASK, (weir_slice){NULL, 0}, (weir_slice){NULL, 0}, err);
    if (rc == WEIR_OK) {
        rc = weir_scan_next(&s, &k, &v, err);
    }
    if (rc == WEIR_OK && k.n == 8) {
        memcpy(key, k.p, 8);
        weir_buf_puts(task, v);
    }
    weir_scan_end(p->st, &s);
    return rc;
}

static weir_rc tasks_body(proj *p, weir_error *err)
{
    weir_buf task;
    weir_buf_init(&task, 65536);
    weir_dirty_reset(&p->dirty);
    p->walk.budget = WALK_BUDGET;
    weir_rc rc = WEIR_OK;
    while (rc == WEIR_OK && p->walk.budget > 0) {
        char key[8] = {0};
        weir_buf_reset(&task);
        rc = next_task(p, key, &task, err);
        if (rc == WEIR_OK) {
            rc = weir_state_del(p->st, WEIR_DB_TASK, (weir_slice){key, 8}, err);
        }
        if (rc == WEIR_OK) {
            rc = weir_walk_task(&p->walk, p->live, p->nlive, weir_buf_slice(&task), err);
            rc = rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
        }
    }
    weir_buf_fini(&task);
    if (rc != WEIR_OK && rc != WEIR_E_EOF) {
        return rc;
    }
    p->tasks = weir_state_count(p->st, WEIR_DB_TASK);
    return proj_spill_dirty(p, 0, err);
}

weir_rc proj_step_tasks(proj *p, weir_error *err)
{
    weir_rc rc = weir_state_begin(p->st, err);
    if (rc == WEIR_OK) {
        rc = tasks_body(p, err);
    }
    return rc == WEIR_OK ? finish(p, err) : rc;
}

/* --- dirty keys in the state
 * --------------------------------------------------------------------------------- */

/* Loads up to KEYS_PER_STEP keys into p->dirty; keys of builds that are gone are dropped. */
static weir_rc load_dirty(proj *p, weir_buf *drop, weir_error *err)
{
    weir_scan s;
    size_t left = KEYS_PER_STEP;
    weir_rc rc = weir_scan_start(p->st, &s, WEIR_DB_DIRTY, (weir_slice){NULL, 0},
                                 (weir_slice){NULL, 0}, err);
    while (rc == WEIR_OK && left-- > 0) {
        weir_slice k;
        weir_slice v;
        rc = weir_scan_next(&s, &k, &v, err);
        if (rc != WEIR_OK) {
            break;
        }
        weir_rd rd = weir_rd_of(k);
        proj_model *m = proj_model_of(p, weir_rd_u32(&rd));
        if (m && proj_model_renders(m)) {
            weir_dirty_add(&p->dirty, &m->bound, v.n ? v : weir_rd_bytes(&rd, weir_rd_left(&rd)));
        } else {
            weir_buf_u16(drop, (uint16_t)k.n);
            weir_buf_puts(drop, k);
        }
    }
    weir_scan_end(p->st, &s);
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

static weir_rc drop_keys(proj *p, const weir_buf *drop, weir_error *err)
{
    weir_rd rd = weir_rd_of(weir_buf_slice(drop));
    while (weir_rd_left(&rd) > 0) {
        weir_slice k = weir_rd_bytes(&rd, weir_rd_u16(&rd));
        weir_rc rc = weir_state_del(p->st, WEIR_DB_DIRTY, k, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    return WEIR_OK;
}

static weir_rc dirty_body(proj *p, weir_error *err)
{
    weir_buf drop;
    weir_buf_init(&drop, (size_t)1 << 24);
    weir_dirty_reset(&p->dirty);
    weir_rc rc = load_dirty(p, &drop, err);
    if (rc == WEIR_OK) {
        rc = drop_keys(p, &drop, err);
    }
    weir_buf_fini(&drop);
    int64_t from_us = weir_mono_us();
    for (size_t i = 0; i < p->dirty.n && rc == WEIR_OK && !made_enough(p, i, from_us); i++) {
        char buf[WEIR_IDKEY_MAX];
        bool cut = false;
        weir_slice key = weir_dirty_text(&p->dirty, i);
        proj_model *m = owner(p, p->dirty.keys[i].model);
        rc = proj_emit(p, m, key, false, err);
        if (rc == WEIR_OK) {
            rc =
                weir_state_del(p->st, WEIR_DB_DIRTY, weir_dockey_state(buf, m->id, key, &cut), err);
        }
    }
    p->backlog = weir_state_count(p->st, WEIR_DB_DIRTY);
    return rc;
}

weir_rc proj_step_dirty(proj *p, weir_error *err)
{
    weir_rc rc = weir_state_begin(p->st, err);
    if (rc == WEIR_OK) {
        rc = dirty_body(p, err);
    }
    if (rc == WEIR_OK) {
        rc = finish(p, err);
    }
    if (rc == WEIR_OK) {
        p->out.commit_us = p->commit_us;
        proj_out_end_step(p);
    }
    return rc;
}

/* --- everything again
 * ------------------------------------------------------------------------------------------ */

static void reemit_past(proj *p, weir_slice key)
{
    weir_buf_reset(&p->reemit_at);
    weir_buf_puts(&p->reemit_at, key);
}

/* One entry of the emit map, or of the index by position: into p->dirty when Redis may lack it. */
static weir_rc load_one(proj *p, weir_slice k, weir_slice v, bool *added, weir_error *err)
{
    proj_emitted e = {.skey = k};
    if (p->reemit_recent) {
        weir_rc rc = proj_recent_look(p, k, &e, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    } else {
        proj_emit_value now = proj_emit_read(v);
        e.lsn = now.lsn;
        e.current = true;
        e.dead = now.dead;
        e.whole = now.whole;
    }
    if (e.dead && e.lsn <= p->reemit_from) {
        /* whoever sent that delete did not live to see the answer */
        proj_sink_tombstone(p, e.skey);
    }
    weir_rd kr = weir_rd_of(e.skey);
    proj_model *m = proj_model_of(p, weir_rd_u32(&kr));
    *added = e.current && e.lsn > p->reemit_from && m && proj_model_renders(m);
    if (*added) {
        weir_dirty_add(&p->dirty, &m->bound,
                       e.whole.n ? e.whole : weir_rd_bytes(&kr, weir_rd_left(&kr)));
        weir_buf_u16(&p->reemit_keys, (uint16_t)k.n);
        weir_buf_puts(&p->reemit_keys, k);
    }
    return WEIR_OK;
}

/* The next emitted documents above reemit_from into p->dirty. *end: none is left. */
static weir_rc load_emitted(proj *p, bool *end, weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    weir_scan s;
    weir_slice none = {NULL, 0};
    size_t left = REEMIT_SCAN;
    weir_slice at = weir_buf_slice(&p->reemit_at);
    if (at.n == 0 && p->reemit_recent) {
        at = proj_recent_key(buf, p->reemit_tombs + 1, none);
    }
    weir_rc rc =
        weir_scan_start(p->st, &s, p->reemit_recent ? WEIR_DB_RECENT : WEIR_DB_EMIT, none, at, err);
    *end = false;
    while (rc == WEIR_OK && left-- > 0 && p->dirty.n < KEYS_PER_STEP) {
        bool added = false;
        weir_slice k;
        weir_slice v;
        rc = weir_scan_next(&s, &k, &v, err);
        if (rc != WEIR_OK) {
            break;
        }
        if (weir_slice_eq(weir_buf_slice(&p->reemit_at), k)) {
            continue; /* where the last step ended */
        }
        p->reemit_looked++;
        rc = load_one(p, k, v, &added, err);
        if (rc == WEIR_OK && !added && p->dirty.n == 0) {
            reemit_past(p, k);
        }
    }
    weir_scan_end(p->st, &s);
    *end = rc == WEIR_E_EOF;
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

static weir_rc reemit_body(proj *p, weir_error *err)
{
    bool end = false;
    weir_dirty_reset(&p->dirty);
    weir_buf_reset(&p->reemit_keys);
    p->reemit_of = weir_state_count(p->st, p->reemit_recent ? WEIR_DB_RECENT : WEIR_DB_EMIT);
    weir_rc rc = load_emitted(p, &end, err);
    weir_rd places = weir_rd_of(weir_buf_slice(&p->reemit_keys));
    size_t i = 0;
    int64_t from_us = weir_mono_us();
    for (; i < p->dirty.n && rc == WEIR_OK && !made_enough(p, i, from_us); i++) {
        weir_slice key = weir_dirty_text(&p->dirty, i);
        proj_model *m = owner(p, p->dirty.keys[i].model);
        rc = proj_emit(p, m, key, true, err);
        reemit_past(p, weir_rd_bytes(&places, weir_rd_u16(&places)));
    }
    weir_metric_add(p->num.reemitted, (int64_t)i);
    p->reemit_looked -= p->dirty.n - i; /* these come again */
    if (rc == WEIR_OK && end && i == p->dirty.n) {
        p->reemit = false;
        p->out.models_changed = p->out.models_changed || p->held_back;
        p->held_back = false;
        WEIR_INFO("PROJ-REEMIT-DONE", "Redis has everything, looked_at=%llu",
                  (unsigned long long)p->reemit_looked);
    }
    return rc;
}

weir_rc proj_step_reemit(proj *p, weir_error *err)
{
    weir_rc rc = weir_state_begin(p->st, err);
    if (rc == WEIR_OK) {
        rc = reemit_body(p, err);
    }
    if (rc == WEIR_OK) {
        rc = finish(p, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    proj_out_seal(p);
    if (!p->reemit && p->sweep_after) {
        p->sweep_after = false;
        proj_sweep_start(p);
    }
    return WEIR_OK;
}
