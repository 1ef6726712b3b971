/* step_back.c - what is done between live batches, one bounded unit at a time: building indexes,
 * the pass over the roots of a new model, removing what is no longer needed, sweeping Redis.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/rd.h"
#include "libweir/codec/dockey.h"
#include "projector/engine/row.h"
#include "projector/proj.h"

enum {
    ROWS_PER_UNIT = 2000,
    PASS_ROWS_MIN = 100, /* of a unit of the pass: as many as fit into PASS_MS */
    PASS_ROWS_MAX = 4000,
    PASS_MS = 15, /* live changes wait no longer for their turn */
    COUNT_ROWS = 50000,
    DELETES_PER_UNIT = 1000,
    GONE_PAUSE_MS = 10
};

static const weir_slice nothing = {NULL, 0};

static weir_rc finish(proj *p, weir_error *err)
{
    weir_rc rc = proj_record_save(p, err);
    return rc == WEIR_OK ? weir_state_commit(p->st, err) : rc;
}

/* --- indexes
 * ------------------------------------------------------------------------------------------------------------
 */

static weir_lindex *unbuilt(proj *p)
{
    for (int i = 0; i < p->layout.nindexes; i++) {
        if (!p->layout.indexes[i]->built && !p->layout.indexes[i]->dropped) {
            return p->layout.indexes[i];
        }
    }
    return NULL;
}

/* Copies the next rows of a table: LMDB's own pages must not be read while it is written to. */
static weir_rc take_rows(proj *p, const weir_ltable *t, const weir_key *after, size_t max,
                         weir_buf *out, weir_error *err)
{
    char pbuf[WEIR_IDKEY_MAX];
    char fbuf[WEIR_IDKEY_MAX];
    weir_scan s;
    weir_slice prefix = weir_idkey(pbuf, t->id, nothing, nothing);
    weir_slice from =
        after->n ? weir_idkey(fbuf, t->id, weir_key_slice(after), (weir_slice){"", 1}) : nothing;
    weir_rc rc = weir_scan_start(p->st, &s, WEIR_DB_ROW, prefix, from, err);
    while (rc == WEIR_OK && max-- > 0) {
        weir_slice key;
        weir_slice row;
        rc = weir_scan_next(&s, &key, &row, err);
        if (rc == WEIR_OK) {
            weir_buf_u16(out, (uint16_t)key.n);
            weir_buf_puts(out, key);
            weir_buf_u32(out, (uint32_t)row.n);
            weir_buf_puts(out, row);
        }
    }
    weir_scan_end(p->st, &s);
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

static void set_key(weir_key *k, weir_slice s)
{
    k->n = (uint16_t)(s.n <= sizeof k->b ? s.n : sizeof k->b);
    memcpy(k->b, s.n ? s.p : "", k->n);
}

static weir_rc build_index(proj *p, weir_lindex *x, weir_error *err)
{
    weir_buf rows;
    weir_buf_init(&rows, (size_t)1 << 31);
    if (p->building != x) {
        p->building = x;
        p->build_at.n = 0;
    }
    weir_rc rc = take_rows(p, x->table, &p->build_at, ROWS_PER_UNIT, &rows, err);
    weir_rd rd = weir_rd_of(weir_buf_slice(&rows));
    size_t n = 0;
    while (rc == WEIR_OK && weir_rd_left(&rd) > 0) {
        weir_slice key = weir_rd_bytes(&rd, weir_rd_u16(&rd));
        weir_slice row = weir_rd_bytes(&rd, weir_rd_u32(&rd));
        rc = weir_state_index_row(p->st, x, key, row, err);
        set_key(&p->build_at, key);
        n++;
    }
    if (rc == WEIR_OK && n < ROWS_PER_UNIT) {
        x->built = true;
        p->layout_dirty = true;
        p->building = NULL;
    }
    weir_buf_fini(&rows);
    return rc;
}

/* --- the pass
 * -----------------------------------------------------------------------------------------------------------
 */

static proj_model *to_pass(proj *p)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        proj_model *m = p->models[i];
        if (m->phase == PROJ_BUILDING && m->plan && weir_bound_ready(&m->bound)) {
            return m;
        }
    }
    return NULL;
}

static const weir_ltable *root_table(const proj_model *m)
{
    return m->bound.tables[m->plan->occs[m->plan->root].table];
}

/* A part of the rows per unit, in the same order as the pass: for progress only. */
static weir_rc count_rows(proj *p, proj_model *m, weir_error *err)
{
    char pbuf[WEIR_IDKEY_MAX];
    char fbuf[WEIR_IDKEY_MAX];
    weir_scan s;
    weir_slice k;
    weir_slice v;
    uint32_t id = root_table(m)->id;
    weir_slice from = m->pass_at.n
                          ? weir_idkey(fbuf, id, weir_key_slice(&m->pass_at), (weir_slice){"", 1})
                          : nothing;
    weir_rc rc =
        weir_scan_start(p->st, &s, WEIR_DB_ROW, weir_idkey(pbuf, id, nothing, nothing), from, err);
    for (int left = COUNT_ROWS; rc == WEIR_OK && left > 0; left--) {
        rc = weir_scan_next(&s, &k, &v, err);
        if (rc == WEIR_OK) {
            m->pass_total++;
            if (left == 1) {
                set_key(&m->pass_at, k);
            }
        }
    }
    weir_scan_end(p->st, &s);
    if (rc == WEIR_E_EOF) {
        m->counted = true;
        m->pass_at.n = 0;
        return WEIR_OK;
    }
    return rc;
}

static weir_rc pass_row(proj *p, proj_model *m, weir_slice row, weir_buf *key, weir_error *err)
{
    int root = m->plan->root;
    int table = m->plan->occs[root].table;
    weir_tuple *t = &m->bound.walk_rows[root];
    weir_buf_reset(key);
    if (!weir_row_pick(row, m->bound.to_plan[table], (size_t)m->bound.nto[table], t->v, t->n)) {
        return weir_fail(err, WEIR_E_SYS, 0, "a stored row is damaged");
    }
    return weir_walk_dockey(&m->bound, t, key) ? proj_emit(p, m, weir_buf_slice(key), false, err)
                                               : WEIR_OK;
}

/* The next unit takes as long as it may. */
static void adapt_unit(proj_model *m, size_t n, int64_t took_us)
{
    size_t fit = n * PASS_MS * 1000 / (size_t)(took_us > 0 ? took_us : 1);
    fit = fit > 2 * m->pass_unit ? 2 * m->pass_unit : fit;
    m->pass_unit = fit < PASS_ROWS_MIN ? PASS_ROWS_MIN : fit > PASS_ROWS_MAX ? PASS_ROWS_MAX : fit;
}

static weir_rc pass_rows(proj *p, proj_model *m, weir_error *err)
{
    int64_t began = weir_mono_us();
    size_t max = m->pass_unit ? m->pass_unit : PASS_ROWS_MIN;
    weir_buf rows;
    weir_buf key;
    weir_buf_init(&rows, (size_t)1 << 31);
    weir_buf_init(&key, (size_t)1 << 30);
    weir_rc rc = take_rows(p, root_table(m), &m->pass_at, max, &rows, err);
    weir_rd rd = weir_rd_of(weir_buf_slice(&rows));
    size_t n = 0;
    bool cut = false;
    while (rc == WEIR_OK && weir_rd_left(&rd) > 0 && !cut) {
        weir_slice rowkey = weir_rd_bytes(&rd, weir_rd_u16(&rd));
        weir_slice row = weir_rd_bytes(&rd, weir_rd_u32(&rd));
        rc = pass_row(p, m, row, &key, err);
        set_key(&m->pass_at, rowkey);
        n++;
        bool late = weir_mono_us() - began > 2 * PASS_MS * 1000;
        cut = (late || proj_out_is_full(p)) && weir_rd_left(&rd) > 0;
    }
    m->pass_unit = max;
    adapt_unit(m, n, weir_mono_us() - began);
    m->pass_done += n;
    weir_buf_fini(&rows);
    weir_buf_fini(&key);
    if (rc == WEIR_OK && n < max && !cut) {
        proj_loaded(p, m);
    }
    return rc;
}

/* Where it stands is committed with what it emitted; after a restart it goes on there. Live changes
 * reach the build from the moment the pass begins, counting included. */
static weir_rc pass(proj *p, proj_model *m, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    m->record_dirty = true;
    if (!m->passing) {
        m->passing = true;
        m->counted = false;
        m->pass_at.n = 0;
        m->pass_done = 0;
        m->pass_total = 0;
        proj_models_relive(p);
    }
    if (!m->counted) {
        return count_rows(p, m, err);
    }
    if (m->load_ms == 0) {
        m->load_ms = weir_mono_ms();
        m->load_from = m->pass_done;
    }
    p->emit_ahead = 1;
    if (rc == WEIR_OK) {
        rc = pass_rows(p, m, err);
    }
    p->emit_ahead = 0;
    int permille = proj_model_permille(p, m);
    if (permille / 10 != m->told_permille / 10) {
        m->told_permille = permille;
        p->out.models_changed = true;
    }
    return rc;
}

/* --- removal
 * ------------------------------------------------------------------------------------------------------------
 */

/* Some entries of one database under one id. */
typedef struct removal {
    weir_db db;
    uint32_t id;
    size_t max;
    const proj_model *m; /* of a build: its documents go from Redis too; or NULL */
} removal;

static void remove_document(proj *p, const proj_model *m, weir_slice key)
{
    weir_arena_reset(p->frame_a);
    proj_out_delete_key(
        &p->out, weir_dockey_doc(p->frame_a, p->ns, weir_slice_z(m->name), m->generation, key));
}

/* The keys of the entries to go, u16 length each; *n counts them. */
static weir_rc take_keys(proj *p, const removal *r, weir_buf *keys, size_t *n, weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    weir_scan s;
    weir_slice prefix = weir_idkey(buf, r->id, nothing, nothing);
    weir_rc rc = weir_scan_start(p->st, &s, r->db, prefix, nothing, err);
    while (rc == WEIR_OK && *n < r->max) {
        weir_slice rest;
        weir_slice v;
        rc = weir_scan_next(&s, &rest, &v, err);
        if (rc != WEIR_OK) {
            break;
        }
        weir_buf_u16(keys, (uint16_t)rest.n);
        weir_buf_puts(keys, rest);
        (*n)++;
        if (r->m && v.n >= 25 && !(v.p[24] & 1)) {
            remove_document(p, r->m, v.n > 25 ? (weir_slice){v.p + 25, v.n - 25} : rest);
        }
    }
    weir_scan_end(p->st, &s);
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

/* *left: there may be more. */
static weir_rc remove_some(proj *p, const removal *r, bool *left, weir_error *err)
{
    weir_buf keys;
    size_t n = 0;
    weir_buf_init(&keys, (size_t)1 << 30);
    weir_rc rc = take_keys(p, r, &keys, &n, err);
    weir_rd rd = weir_rd_of(weir_buf_slice(&keys));
    while (rc == WEIR_OK && weir_rd_left(&rd) > 0) {
        char kbuf[WEIR_IDKEY_MAX];
        weir_slice key = weir_rd_bytes(&rd, weir_rd_u16(&rd));
        rc = weir_state_del(p->st, r->db, weir_idkey(kbuf, r->id, key, nothing), err);
    }
    weir_buf_fini(&keys);
    *left = n == r->max;
    return rc;
}

static proj_model *gone_model(proj *p)
{
    for (size_t i = 0; i < p->nmodels && !p->gone_waits; i++) {
        const proj_model *m = p->models[i];
        bool refused = m->phase == PROJ_REFUSED && (m->documents > 0 || m->parked > 0);
        if (m->phase == PROJ_GONE || refused) {
            return p->models[i];
        }
    }
    return NULL;
}

/* Readers keep an old generation in use until they hear of the new one: the first removal comes
 * with or after that MULTI. */
static weir_rc remove_model(proj *p, proj_model *m, bool *forget, weir_error *err)
{
    bool left = false;
    bool more = false;
    removal docs = {WEIR_DB_EMIT, m->id, DELETES_PER_UNIT, m};
    removal parked = {WEIR_DB_PARKED, m->id, DELETES_PER_UNIT, NULL};
    weir_rc rc = remove_some(p, &docs, &left, err);
    if (rc == WEIR_OK) {
        rc = remove_some(p, &parked, &more, err);
    }
    left = left || more;
    if (rc == WEIR_OK && !left && m->phase == PROJ_REFUSED) {
        m->documents = m->parked = 0; /* its record stays, to say why */
        m->record_dirty = true;
    } else if (rc == WEIR_OK && !left) {
        *forget = true;
        p->out.models_changed = true;
        rc = proj_record_gone(p, m, err);
    }
    p->gone_waits = true;
    weir_loop_timer_arm(p->gone_timer, GONE_PAUSE_MS, false);
    return rc;
}

static weir_rc drop_table(proj *p, weir_ltable *t, weir_error *err)
{
    bool left = false;
    removal rows = {WEIR_DB_ROW, t->id, ROWS_PER_UNIT, NULL};
    weir_rc rc = remove_some(p, &rows, &left, err);
    if (rc == WEIR_OK && !left) {
        for (int i = 0; i < p->layout.nindexes; i++) {
            if (p->layout.indexes[i]->table == t) {
                return WEIR_OK; /* its indexes first: they point to it */
            }
        }
        weir_layout_forget_table(&p->layout, t);
        weir_apply_relayout(&p->ap);
        p->layout_dirty = true;
    }
    return rc;
}

static weir_rc drop_index(proj *p, weir_lindex *x, weir_error *err)
{
    bool left = false;
    removal entries = {WEIR_DB_IDX, x->id, ROWS_PER_UNIT, NULL};
    weir_rc rc = remove_some(p, &entries, &left, err);
    if (rc == WEIR_OK && !left) {
        weir_layout_forget_index(&p->layout, x);
        p->layout_dirty = true;
    }
    return rc;
}

static weir_lindex *dropped_index(proj *p)
{
    for (int i = 0; i < p->layout.nindexes; i++) {
        if (p->layout.indexes[i]->dropped) {
            return p->layout.indexes[i];
        }
    }
    return NULL;
}

/* A build that is gone may still be bound to what is dropped: its record goes first. */
static weir_ltable *dropped_table(proj *p)
{
    for (int i = 0; i < p->layout.ntables; i++) {
        if (p->layout.tables[i]->dropped) {
            return p->layout.tables[i];
        }
    }
    return NULL;
}

/* --- sweeping Redis
 * ------------------------------------------------------------------------------------------------------
 */

void proj_sweep_start(proj *p)
{
    p->sweeping = true;
    p->sweep_waits = false;
    (void)snprintf(p->sweep_cursor, sizeof p->sweep_cursor, "0");
    weir_buf_reset(&p->sweep_keys);
}

void proj_sweep_take(proj *p, weir_slice redis_key)
{
    weir_buf_u32(&p->sweep_keys, (uint32_t)redis_key.n);
    weir_buf_puts(&p->sweep_keys, redis_key);
}

/* <ns>:<model>:<generation>:<key>; false: not a document's. */
static bool parse_key(const proj *p, weir_slice k, weir_slice *model, uint64_t *generation,
                      weir_slice *key)
{
    size_t at = strlen(p->ns) + 1;
    if (k.n <= at) {
        return false;
    }
    const char *end = k.p + k.n;
    const char *m = k.p + at;
    const char *c1 = memchr(m, ':', (size_t)(end - m));
    const char *c2 = c1 ? memchr(c1 + 1, ':', (size_t)(end - c1 - 1)) : NULL;
    if (!c2) {
        return false;
    }
    *model = (weir_slice){m, (size_t)(c1 - m)};
    *key = (weir_slice){c2 + 1, (size_t)(end - c2 - 1)};
    return weir_slice_u64((weir_slice){c1 + 1, (size_t)(c2 - c1 - 1)}, generation);
}

/* Is that key a document we know of? Keys that are none of ours by their form are left alone. The
 * generation Redis still serves while its successor is being built after a lost state is left alone
 * too. */
static weir_rc keep_key(proj *p, weir_slice k, bool *keep, weir_error *err)
{
    weir_slice name;
    weir_slice key;
    uint64_t g = 0;
    *keep = true;
    if (!parse_key(p, k, &name, &g, &key)) {
        return WEIR_OK;
    }
    bool building = false;
    for (size_t i = 0; i < p->nmodels; i++) {
        const proj_model *m = p->models[i];
        if (!weir_slice_eqz(name, m->name)) {
            continue;
        }
        if (m->generation == g) {
            return proj_emit_live(p, m->id, key, keep, err);
        }
        bool serves = m->phase == PROJ_READY || m->phase == PROJ_KEPT || m->phase == PROJ_REFUSED;
        building = building || (!serves && m->generation > g);
    }
    *keep = building;
    return WEIR_OK;
}

static weir_rc sweep(proj *p, weir_error *err)
{
    weir_rd rd = weir_rd_of(weir_buf_slice(&p->sweep_keys));
    weir_rc rc = WEIR_OK;
    while (rc == WEIR_OK && weir_rd_left(&rd) > 0) {
        weir_slice k = weir_rd_bytes(&rd, weir_rd_u32(&rd));
        bool keep = true;
        rc = keep_key(p, k, &keep, err);
        if (rc == WEIR_OK && !keep) {
            proj_out_delete_key(&p->out, k);
        }
    }
    weir_buf_reset(&p->sweep_keys);
    return rc;
}

/* --- one unit
 * --------------------------------------------------------------------------------------------------------------
 */

static weir_rc unit(proj *p, bool *did, proj_model **forget, weir_error *err)
{
    weir_lindex *x = NULL;
    weir_ltable *t = NULL;
    proj_model *m = NULL;
    bool gone = false;
    *did = true;
    if (proj_rebuild_due(p)) {
        return proj_rebuild_step(p, err);
    }
    if ((x = unbuilt(p))) {
        return build_index(p, x, err);
    }
    if ((m = to_pass(p))) {
        return pass(p, m, err);
    }
    if ((m = gone_model(p))) {
        weir_rc rc = remove_model(p, m, &gone, err);
        *forget = gone ? m : NULL;
        return rc;
    }
    if (p->sweep_keys.n > 0) {
        return sweep(p, err);
    }
    if ((x = dropped_index(p))) {
        return drop_index(p, x, err);
    }
    if ((t = dropped_table(p))) {
        return drop_table(p, t, err);
    }
    *did = false;
    return WEIR_OK;
}

static bool any(proj *p)
{
    return unbuilt(p) || to_pass(p) || proj_rebuild_due(p) || gone_model(p) ||
           p->sweep_keys.n > 0 || dropped_index(p) || dropped_table(p);
}

weir_rc proj_step_background(proj *p, bool *did, weir_error *err)
{
    proj_model *forget = NULL;
    *did = false;
    proj_check_tick(p);
    proj_notes_tick(p);
    if (p->sweeping && !p->sweep_waits && p->sweep_keys.n == 0) {
        proj_sink_scan(p);
    }
    if (!any(p)) {
        return WEIR_OK;
    }
    weir_rc rc = weir_state_begin(p->st, err);
    if (rc == WEIR_OK) {
        rc = unit(p, did, &forget, err);
    }
    if (rc == WEIR_OK) {
        rc = finish(p, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    if (forget) {
        WEIR_INFO("PROJ-MODEL-REMOVED", "model=%s generation=%u", forget->name, forget->generation);
        p->sink.claim = true;
        proj_models_removed(p, weir_slice_z(forget->name));
        proj_models_forget(p, forget);
    }
    if (p->out.n > 0 || p->out.models_changed) {
        proj_out_seal(p);
    }
    return WEIR_OK;
}
