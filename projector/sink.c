/* sink.c - Redis: one MULTI at a time, each proved to follow the one before.
 *
 *   WATCH epoch position models, MGET (the values we rely on)          | in one write with the EXEC
 * before them MULTI, MSET documents…, UNLINK…, HSET models…, SET position, PUBLISH, EXEC EXEC
 * answers nil when somebody touched one of them since the WATCH: another projector took over (a
 * higher epoch: we stop), or Redis was flushed or replaced (we write everything again that is newer
 * than what Redis has).
 */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/rd.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/dockey.h"
#include "libweir/codec/json.h"
#include "projector/proj.h"

enum {
    TOMBSTONES_MAX_BYTES = 1 << 28,
    PAIRS_PER_MSET = 256,
    KEYS_PER_UNLINK = 512,
    NOTICE_KEYS = 2000,
    AGAIN_MS = 200,
    SWEEP_PAUSE_MS = 5
};

static void look(proj *p);

static void count_argv(proj_sink *k, size_t n)
{
    if (n > k->argv_cap) {
        k->argv_cap = n;
        k->argv = weir_xrealloc(k->argv, n * sizeof *k->argv);
    }
}

/* --- looking
 * ----------------------------------------------------------------------------------------------------------
 */

static uint64_t number(const weir_redis_reply *r)
{
    uint64_t v = 0;
    return weir_slice_u64(weir_redis_reply_str(r), &v) ? v : 0;
}

static void wait_then_look(proj *p)
{
    p->sink.state = SINK_WAITING;
    weir_loop_timer_arm(p->sink.again, AGAIN_MS, false);
}

static void fenced(proj *p, uint64_t epoch)
{
    p->sink.state = SINK_FENCED;
    char text[200];
    (void)snprintf(text, sizeof text,
                   "another projector took over (epoch %llu, ours is %llu); stop one of the two",
                   (unsigned long long)epoch, (unsigned long long)p->epoch);
    WEIR_ERROR("PROJ-FENCED", "%s", text);
    weir_health_wait(p->health, "redis", text);
}

static void learn_generations(proj *p, const weir_redis_reply *models)
{
    weir_map_free(p->redis_serving);
    p->redis_serving = weir_map_new();
    for (size_t i = 0; i + 1 < weir_redis_reply_len(models); i += 2) {
        weir_json *j = NULL;
        weir_error err;
        int64_t g = 0;
        weir_slice text = weir_redis_reply_str(weir_redis_reply_at(models, i + 1));
        if (weir_json_parse(&j, text, &err) == WEIR_OK) {
            weir_slice name = weir_redis_reply_str(weir_redis_reply_at(models, i));
            if (weir_json_i64(j, "generation", &g) && g > 0 && g < UINT32_MAX) {
                proj_redis_generation(p, name, (uint32_t)g);
                *weir_map_slot(p->redis_serving, name, NULL) = (void *)(uintptr_t)g;
            }
            /* After a rollback the serving one is not the newest. */
            if (weir_json_i64(j, "newest", &g) && g > 0 && g < UINT32_MAX) {
                proj_redis_generation(p, name, (uint32_t)g);
            }
            weir_json_free(j);
        }
    }
}

static void begin_reemit(proj *p, uint64_t from, bool left_over)
{
    char have[WEIR_LSN_TEXT_MAX];
    char ours[WEIR_LSN_TEXT_MAX];
    WEIR_INFO("PROJ-REDIS-UP", "redis_position=%s ours=%s", weir_lsn_print(from, have),
              weir_lsn_print(p->position, ours));
    weir_buf_reset(&p->sink.tombstones);
    proj_check_restart(p);
    p->reemit = true;
    p->reemit_from = from;
    p->reemit_looked = 0;
    p->reemit_recent = proj_recent_covers(p, from);
    p->reemit_tombs = left_over && p->tomb_floor < from ? p->tomb_floor : from;
    weir_buf_reset(&p->reemit_at);
    /* What was made already goes out first, and Redis may lack what came before it: the position
     * comes with the last of what is written again. */
    p->out.has_position = false;
}

/* Redis is there; what does it have, and what has to be written again? */
static void take_look(proj *p, uint64_t epoch, bool has, uint64_t position)
{
    proj_sink *k = &p->sink;
    /* Another projector wrote here since this state did: its generations, perhaps without ours. */
    bool foreign = !k->looked && epoch > p->epoch && p->has_cursor;
    if (!k->looked) {
        p->epoch = (epoch > p->epoch ? epoch : p->epoch) + 1;
        p->epoch_claimed = true;
    } else if (epoch > p->epoch) {
        fenced(p, epoch);
        return;
    }
    /* Tombstones whose EXEC may have arrived without our knowing. */
    bool left_over = !k->looked || k->tombstones.n > 0;
    k->looked = true;
    k->claim = true;
    k->has_position = has;
    k->position = position;
    k->state = SINK_IDLE;
    weir_health_wait(p->health, "redis", k->refusal[0] ? k->refusal : NULL);
    /* Every time, also when the positions agree: what the pass over a new model wrote has no
     * position of its own, and nobody knows whether an EXEC that was on its way arrived. */
    p->sweep_after = p->sweep_after || !has || position < p->tomb_floor || foreign ||
                     k->flying_removals; /* whose record is gone already */
    k->flying_removals = false;
    begin_reemit(p, has && !foreign ? position : 0, left_over);
    proj_pump_soon(p);
}

static void on_models(void *arg, const weir_redis_reply *r)
{
    proj *p = arg;
    if (r && weir_redis_reply_type(r) == WEIR_REDIS_ARRAY) {
        learn_generations(p, r);
    }
}

static void on_look(void *arg, const weir_redis_reply *r)
{
    proj *p = arg;
    if (!r) {
        return; /* on_away has seen to it */
    }
    if (weir_redis_reply_len(r) != 2) {
        weir_slice text = weir_redis_reply_str(r);
        WEIR_ERROR("PROJ-REDIS", "unexpected answer: %.*s", WEIR_SLICE_ARG(text));
        wait_then_look(p);
        return;
    }
    weir_slice pos = weir_redis_reply_str(weir_redis_reply_at(r, 1));
    uint64_t lsn = 0;
    bool has = weir_lsn_parse(pos, &lsn);
    take_look(p, number(weir_redis_reply_at(r, 0)), has, lsn);
}

static weir_rc send_watch(proj *p, weir_redis_fn *fn)
{
    proj_sink *k = &p->sink;
    weir_slice w[4] = {WEIR_SLICE_LIT("WATCH"), weir_dockey_epoch(k->a, p->ns),
                       weir_dockey_position(k->a, p->ns), weir_dockey_models(k->a, p->ns)};
    weir_rc rc = weir_redis_send(k->redis, 4, w, NULL, NULL);
    w[0] = WEIR_SLICE_LIT("MGET");
    return rc == WEIR_OK ? weir_redis_send(k->redis, 3, w, fn, p) : rc;
}

static void look(proj *p)
{
    proj_sink *k = &p->sink;
    weir_arena_reset(k->a);
    k->state = SINK_LOOKING;
    weir_slice h[2] = {WEIR_SLICE_LIT("HGETALL"), weir_dockey_models(k->a, p->ns)};
    weir_rc rc = weir_redis_send(k->redis, 2, h, on_models, p);
    if (rc == WEIR_OK) {
        rc = send_watch(p, on_look);
    }
    if (rc != WEIR_OK) {
        wait_then_look(p);
    }
}

static void on_again(void *arg)
{
    proj *p = arg;
    if (p->sink.state == SINK_WAITING && weir_redis_up(p->sink.redis)) {
        if (weir_redis_sendz(p->sink.redis, "UNWATCH", NULL, NULL) == WEIR_OK) {
            look(p);
        } else {
            wait_then_look(p);
        }
    }
}

static void on_up(void *arg)
{
    proj *p = arg;
    if (p->sink.state != SINK_FENCED) {
        look(p);
    }
}

static void on_away(void *arg, const weir_error *why)
{
    proj *p = arg;
    if (p->sink.state != SINK_FENCED) {
        p->sink.state = SINK_AWAY;
        weir_health_wait(p->health, "redis", why->msg);
    }
    p->sweep_waits = false;
}

/* --- writing
 * ----------------------------------------------------------------------------------------------------------
 */

static weir_slice at(const proj_out *o, size_t off, size_t n)
{
    return (weir_slice){o->bytes.p + off, n};
}

static weir_slice redis_key(proj *p, const proj_out *o, const proj_item *it)
{
    weir_slice key = at(o, it->key_off, it->key_n);
    if (!it->model) {
        return key;
    }
    return weir_dockey_doc(p->sink.a, p->ns, weir_slice_z(it->model->name), it->model->generation,
                           key);
}

/* Within a MULTI the reason comes at once; EXEC says no more than that there was one. */
static void keep_refusal(proj *p, weir_slice text)
{
    if (!p->sink.refusal[0]) {
        (void)snprintf(p->sink.refusal, sizeof p->sink.refusal, "Redis refuses writes: %.*s",
                       (int)(text.n < 150 ? text.n : 150), text.p);
    }
}

static void on_queued(void *arg, const weir_redis_reply *r)
{
    proj *p = arg;
    if (r && weir_redis_reply_type(r) == WEIR_REDIS_ERROR) {
        keep_refusal(p, weir_redis_reply_str(r));
    }
}

static weir_rc send_documents(proj *p, const proj_out *o)
{
    proj_sink *k = &p->sink;
    weir_rc rc = WEIR_OK;
    size_t n = 1;
    count_argv(k, 1 + 2 * PAIRS_PER_MSET);
    k->argv[0] = WEIR_SLICE_LIT("MSET");
    for (size_t i = 0; i < o->n && rc == WEIR_OK; i++) {
        if (o->items[i].del) {
            continue;
        }
        k->argv[n++] = redis_key(p, o, &o->items[i]);
        k->argv[n++] = at(o, o->items[i].doc_off, o->items[i].doc_n);
        if (n == 1 + 2 * PAIRS_PER_MSET) {
            rc = weir_redis_send(k->redis, n, k->argv, on_queued, p);
            n = 1;
        }
    }
    return rc == WEIR_OK && n > 1 ? weir_redis_send(k->redis, n, k->argv, on_queued, p) : rc;
}

static weir_rc send_deletes(proj *p, const proj_out *o)
{
    proj_sink *k = &p->sink;
    weir_rc rc = WEIR_OK;
    size_t n = 1;
    count_argv(k, 1 + KEYS_PER_UNLINK);
    k->argv[0] = WEIR_SLICE_LIT("UNLINK");
    for (size_t i = 0; i < o->n && rc == WEIR_OK; i++) {
        if (!o->items[i].del) {
            continue;
        }
        k->argv[n++] = redis_key(p, o, &o->items[i]);
        if (n == 1 + KEYS_PER_UNLINK) {
            rc = weir_redis_send(k->redis, n, k->argv, NULL, NULL);
            n = 1;
        }
    }
    return rc == WEIR_OK && n > 1 ? weir_redis_send(k->redis, n, k->argv, NULL, NULL) : rc;
}

/* Names that have no build left. */
static weir_rc send_removed(proj *p)
{
    proj_sink *k = &p->sink;
    weir_rc rc = WEIR_OK;
    weir_rd rd = weir_rd_of(weir_buf_slice(&p->removed));
    while (rc == WEIR_OK && weir_rd_left(&rd) > 0) {
        weir_slice name = weir_rd_bytes(&rd, weir_rd_u16(&rd));
        bool known = false;
        for (size_t i = 0; i < p->nmodels; i++) {
            known = known || weir_slice_eqz(name, p->models[i]->name);
        }
        if (!known) {
            weir_slice argv[3] = {WEIR_SLICE_LIT("HDEL"), weir_dockey_models(k->a, p->ns), name};
            rc = weir_redis_send(k->redis, 3, argv, NULL, NULL);
        }
    }
    weir_buf_reset(&p->removed);
    return rc;
}

/* Readers may be sent to another generation only when Redis has all of it: after a reconnect it may
 * have lost some. */
static bool hold_back(proj *p, const char *name)
{
    const proj_model *m = proj_model_serving(p, name);
    uint32_t told = (uint32_t)(uintptr_t)weir_map_get(p->redis_serving, weir_slice_z(name));
    if (m && p->reemit && told != 0 && told != m->generation) {
        p->held_back = true;
        return true;
    }
    if (m) {
        *weir_map_slot(p->redis_serving, weir_slice_z(name), NULL) =
            (void *)(uintptr_t)m->generation;
    }
    return false;
}

/* Every name's entry, and the removal of names that have none. */
static weir_rc send_models(proj *p)
{
    proj_sink *k = &p->sink;
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < p->nmodels && rc == WEIR_OK; i++) {
        weir_buf b;
        if (hold_back(p, p->models[i]->name)) {
            continue;
        }
        weir_buf_init(&b, 1 << 20);
        proj_model_json(p, p->models[i]->name, &b);
        weir_slice name = weir_slice_z(p->models[i]->name);
        weir_slice argv[4] = {b.n ? WEIR_SLICE_LIT("HSET") : WEIR_SLICE_LIT("HDEL"),
                              weir_dockey_models(k->a, p->ns), name, weir_buf_slice(&b)};
        rc = weir_redis_send(k->redis, b.n ? 4 : 3, argv, NULL, NULL);
        weir_buf_fini(&b);
    }
    return rc == WEIR_OK ? send_removed(p) : rc;
}

static bool serving(const proj_model *m)
{
    return m->phase == PROJ_READY || m->phase == PROJ_STALLED;
}

static void notice_lines(proj *p, const proj_out *o, weir_buf *b)
{
    if (o->models_changed) {
        for (size_t i = 0; i < p->nmodels; i++) {
            weir_buf_printf(b, "\n%s\t*", p->models[i]->name);
        }
        return;
    }
    if (o->n > NOTICE_KEYS) {
        for (size_t i = 0; i < p->nmodels; i++) {
            if (serving(p->models[i])) {
                weir_buf_printf(b, "\n%s\t*", p->models[i]->name);
            }
        }
        return;
    }
    for (size_t i = 0; i < o->n; i++) {
        const proj_item *it = &o->items[i];
        if (it->model && serving(it->model)) {
            weir_buf_u8(b, '\n');
            weir_buf_putz(b, it->model->name);
            weir_buf_u8(b, '\t');
            weir_buf_puts(b, at(o, it->key_off, it->key_n));
        }
    }
}

/* A MULTI without a position announces its documents at the position readers already have: they are
 * newer, never older. */
static weir_rc send_position(proj *p, const proj_out *o)
{
    proj_sink *k = &p->sink;
    char text[WEIR_LSN_TEXT_MAX];
    weir_rc rc = WEIR_OK;
    uint64_t lsn = o->has_position ? o->position : k->position;
    weir_slice pos = weir_slice_z(weir_lsn_print(lsn, text));
    if (o->has_position) {
        weir_slice set[3] = {WEIR_SLICE_LIT("SET"), weir_dockey_position(k->a, p->ns), pos};
        rc = weir_redis_send(k->redis, 3, set, on_queued, p);
    }
    weir_buf b;
    weir_buf_init(&b, (size_t)1 << 30);
    weir_buf_puts(&b, pos);
    notice_lines(p, o, &b);
    weir_slice pub[3] = {WEIR_SLICE_LIT("PUBLISH"), weir_dockey_notice(k->a, p->ns),
                         weir_buf_slice(&b)};
    if (rc == WEIR_OK) {
        rc = weir_redis_send(k->redis, 3, pub, NULL, NULL);
    }
    weir_buf_fini(&b);
    return rc;
}

/* --- the answer
 * ---------------------------------------------------------------------------------------------------------
 */

static bool refused(proj *p, const weir_redis_reply *r)
{
    if (weir_redis_reply_type(r) != WEIR_REDIS_ERROR) {
        return false;
    }
    keep_refusal(p, weir_redis_reply_str(r));
    WEIR_ERROR("PROJ-EXEC", "%s", p->sink.refusal);
    weir_health_wait(p->health, "redis", p->sink.refusal);
    return true;
}

static bool exec_good(proj *p, const weir_redis_reply *r)
{
    if (refused(p, r)) {
        return false;
    }
    if (weir_redis_reply_type(r) != WEIR_REDIS_ARRAY) {
        WEIR_WARN("PROJ-EXEC-WATCH", "epoch or position changed under us");
        return false;
    }
    for (size_t i = 0; i < weir_redis_reply_len(r); i++) {
        if (refused(p, weir_redis_reply_at(r, i))) {
            return false;
        }
    }
    return true;
}

/* Redis has this: the tombstones in it have served. */
static weir_rc drop_tombstones(proj *p, weir_error *err)
{
    weir_rd rd = weir_rd_of(weir_buf_slice(&p->sink.tombstones));
    weir_rc rc = WEIR_OK;
    while (rc == WEIR_OK && weir_rd_left(&rd) > 0) {
        weir_slice key = weir_rd_bytes(&rd, weir_rd_u16(&rd));
        weir_slice v;
        rc = weir_state_get(p->st, WEIR_DB_EMIT, key, &v, err);
        if (rc == WEIR_OK && proj_emit_read(v).dead) { /* not made again meanwhile */
            rc = weir_state_del(p->st, WEIR_DB_EMIT, key, err);
        }
        rc = rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    if (rc == WEIR_OK) {
        char b[8];
        uint64_t v = p->tomb_floor;
        for (int i = 7; i >= 0; i--) {
            b[i] = (char)v;
            v >>= 8;
        }
        rc = weir_state_put(p->st, WEIR_DB_META, WEIR_SLICE_LIT("floor"), (weir_slice){b, 8}, err);
    }
    return rc;
}

static void confirmed(proj *p)
{
    proj_sink *k = &p->sink;
    if (k->flying_has_position) {
        k->position = k->flying_position;
        k->has_position = true;
    }
    if (k->flying_commit_us && k->flying_has_position) {
        p->lag_us = weir_wall_us() - k->flying_commit_us;
        weir_metric_observe_us(p->num.visible, p->lag_us > 0 ? p->lag_us : 0);
    }
    k->flying_models = false;
    k->flying_removals = false;
    if (k->refusal[0]) {
        k->refusal[0] = '\0';
        weir_health_wait(p->health, "redis", NULL);
    }
    weir_metric_add(p->num.execs, 1);
    if (k->tombstones.n == 0 || !k->flying_has_position) {
        return;
    }
    weir_error err = {0};
    p->tomb_floor = k->position;
    weir_rc rc = weir_state_begin(p->st, &err);
    if (rc == WEIR_OK) {
        rc = drop_tombstones(p, &err);
    }
    if (rc == WEIR_OK) {
        rc = weir_state_commit(p->st, &err);
    }
    if (rc != WEIR_OK) {
        proj_fail(p, "PROJ-STATE", &err);
    }
    weir_buf_reset(&k->tombstones);
}

static void on_exec(void *arg, const weir_redis_reply *r)
{
    proj *p = arg;
    if (!r) {
        return;
    }
    p->sink.flying_failed = !exec_good(p, r);
    if (!p->sink.flying_failed) {
        confirmed(p);
    }
}

/* The values that the WATCH after the EXEC guards. */
static void on_next_watch(void *arg, const weir_redis_reply *r)
{
    proj *p = arg;
    proj_sink *k = &p->sink;
    uint64_t lsn = 0;
    if (!r || k->state != SINK_BUSY) {
        return;
    }
    bool has = weir_redis_reply_len(r) == 2 &&
               weir_lsn_parse(weir_redis_reply_str(weir_redis_reply_at(r, 1)), &lsn);
    bool same = !k->flying_failed && weir_redis_reply_len(r) == 2 &&
                number(weir_redis_reply_at(r, 0)) == p->epoch && has == k->has_position &&
                lsn == k->position;
    if (!same) {
        wait_then_look(p);
        return;
    }
    k->state = SINK_IDLE;
    proj_pump_soon(p);
}

void proj_sink_tombstone(proj *p, weir_slice emit_key)
{
    weir_buf *b = &p->sink.tombstones;
    if (b->n < TOMBSTONES_MAX_BYTES - WEIR_IDKEY_MAX) { /* what stays goes after another start */
        weir_buf_u16(b, (uint16_t)emit_key.n);
        weir_buf_puts(b, emit_key);
    }
}

static void note_tombstones(proj *p, const proj_out *o)
{
    for (size_t i = 0; i < o->n; i++) {
        const proj_item *it = &o->items[i];
        if (it->model && it->tombstone) {
            char buf[WEIR_IDKEY_MAX];
            bool cut = false;
            weir_slice key =
                weir_dockey_state(buf, it->model->id, at(o, it->key_off, it->key_n), &cut);
            proj_sink_tombstone(p, key);
        }
        p->sink.flying_removals = p->sink.flying_removals || !it->model;
    }
}

static weir_rc send_all(proj *p, proj_out *o)
{
    proj_sink *k = &p->sink;
    weir_rc rc = weir_redis_sendz(k->redis, "MULTI", NULL, NULL);
    if (rc == WEIR_OK && k->claim) {
        char text[24];
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)p->epoch);
        weir_slice set[3] = {WEIR_SLICE_LIT("SET"), weir_dockey_epoch(k->a, p->ns),
                             weir_slice_z(text)};
        rc = weir_redis_send(k->redis, 3, set, on_queued, p);
    }
    if (rc == WEIR_OK) {
        rc = send_documents(p, o);
    }
    if (rc == WEIR_OK) {
        rc = send_deletes(p, o);
    }
    if (rc == WEIR_OK && o->models_changed) {
        rc = send_models(p);
    }
    if (rc == WEIR_OK) {
        rc = send_position(p, o);
    }
    if (rc == WEIR_OK) {
        rc = weir_redis_sendz(k->redis, "EXEC", on_exec, p);
    }
    return rc == WEIR_OK ? send_watch(p, on_next_watch) : rc;
}

bool proj_sink_idle(const proj *p)
{
    return p->sink.state == SINK_IDLE && weir_redis_up(p->sink.redis);
}

void proj_sink_send(proj *p)
{
    proj_sink *k = &p->sink;
    proj_out *o = &p->out;
    o->models_changed = o->models_changed || k->claim;
    k->flying_has_position = o->has_position;
    k->flying_position = o->position;
    k->flying_commit_us = o->commit_us;
    k->flying_failed = true; /* until EXEC says otherwise */
    k->flying_models = k->flying_models || o->models_changed;
    k->state = SINK_BUSY;
    weir_arena_reset(k->a);
    note_tombstones(p, o);
    weir_metric_add(p->num.bytes, (int64_t)o->bytes.n);
    weir_rc rc = send_all(p, o);
    k->claim = false;
    proj_out_reset(o);
    if (rc != WEIR_OK && k->state == SINK_BUSY) {
        rc = weir_redis_sendz(k->redis, "DISCARD", NULL, NULL);
        WEIR_WARN("PROJ-REDIS-FULL", "more than the connection takes; discarded: %s",
                  weir_rc_name(rc));
        wait_then_look(p);
    }
}

/* --- SCAN
 * ---------------------------------------------------------------------------------------------------------------
 */

static void on_scan(void *arg, const weir_redis_reply *r)
{
    proj *p = arg;
    weir_loop_timer_arm(p->sweep_timer, SWEEP_PAUSE_MS, false); /* a rate limit */
    if (!r || weir_redis_reply_len(r) != 2 || !p->sweeping) {
        return;
    }
    weir_slice next = weir_redis_reply_str(weir_redis_reply_at(r, 0));
    const weir_redis_reply *keys = weir_redis_reply_at(r, 1);
    for (size_t i = 0; i < weir_redis_reply_len(keys); i++) {
        proj_sweep_take(p, weir_redis_reply_str(weir_redis_reply_at(keys, i)));
    }
    (void)snprintf(p->sweep_cursor, sizeof p->sweep_cursor, "%.*s", WEIR_SLICE_ARG(next));
    if (strcmp(p->sweep_cursor, "0") == 0) {
        p->sweeping = false;
    }
    proj_pump_soon(p);
}

void proj_sink_scan(proj *p)
{
    char match[200];
    (void)snprintf(match, sizeof match, "%s:*", p->ns);
    weir_slice argv[6] = {WEIR_SLICE_LIT("SCAN"),  weir_slice_z(p->sweep_cursor),
                          WEIR_SLICE_LIT("MATCH"), weir_slice_z(match),
                          WEIR_SLICE_LIT("COUNT"), WEIR_SLICE_LIT("500")};
    p->sweep_waits = weir_redis_send(p->sink.redis, 6, argv, on_scan, p) == WEIR_OK;
}

/* --- life
 * ---------------------------------------------------------------------------------------------------------------
 */

weir_rc proj_sink_start(proj *p, weir_error *err)
{
    proj_sink *k = &p->sink;
    k->a = weir_arena_new(0); /* the keys of one MULTI */
    k->again = weir_loop_timer_new(p->loop, on_again, p);
    weir_buf_init(&k->tombstones, TOMBSTONES_MAX_BYTES);
    weir_health_wait(p->health, "redis", "not connected yet");
    weir_redis_conf conf = {.uri = p->settings->redis_uri,
                            .on_up = on_up,
                            .on_away = on_away,
                            .arg = p,
                            .command_timeout_ms = 30000};
    return weir_redis_open(&k->redis, p->loop, &conf, err);
}

void proj_sink_stop(proj *p)
{
    proj_sink *k = &p->sink;
    weir_redis_close(k->redis);
    k->redis = NULL;
    weir_arena_free(k->a);
    weir_buf_fini(&k->tombstones);
    free(k->argv);
}
