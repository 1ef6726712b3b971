/* step_apply.c - frames into the state: as many whole transactions as fit into one step, or one
 * piece of a large one.
 *
 * A step ends at a boundary (walk, render, commit, out) or inside a transaction (walk, dirty keys
 * into the state, commit). Until a transaction that is partly in the state has come to its end
 * (open_lsn), nothing is rendered.
 */
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/codec/json.h"
#include "projector/proj.h"

enum {
    RANGE_SOFT = 20000, /* rows looked at for a range in one step */
    ROWS_SOFT = 3000,   /* a step ends at the first boundary after so many changed rows… */
    ROWS_HARD = 6000,   /* …and inside a transaction after so many: bounds LMDB's dirty pages */
    BYTES_SOFT = 8 << 20,
    BYTES_HARD = 16 << 20,
    WALK_BUDGET = 50000,
    DEPLOY_MAX_BYTES = 1000,
};

typedef enum outcome { GO_ON, STEP_DONE, STEP_SPILLED } outcome;

static weir_rc walk_all(proj *p, weir_error *err)
{
    weir_dirty_reset(&p->dirty);
    p->walk.budget = WALK_BUDGET;
    p->walk.tasks = 0;
    for (size_t i = 0; i < p->ap.n; i++) {
        const weir_change *c = &p->ap.changes[i];
        if (weir_slice_eq(c->old_row, c->new_row)) {
            continue;
        }
        for (size_t m = 0; m < p->nlive; m++) {
            weir_rc rc = weir_walk_change(&p->walk, p->live[m], c->t, c->old_row, c->new_row, err);
            if (rc != WEIR_OK) {
                return rc;
            }
        }
    }
    p->tasks += p->walk.tasks;
    return WEIR_OK;
}

static weir_rc commit(proj *p, weir_error *err)
{
    weir_rc rc = proj_record_save(p, err);
    if (rc == WEIR_OK) {
        rc = weir_state_commit(p->st, err);
    }
    weir_apply_reset(&p->ap);
    return rc;
}

/* Everything up to lsn is in the state. */
static weir_rc end_at_boundary(proj *p, uint64_t lsn, weir_error *err)
{
    weir_rc rc = walk_all(p, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    p->position = lsn > p->position ? lsn : p->position;
    p->open_lsn = 0;
    if (p->tasks > 0 || p->backlog > 0) {
        rc = proj_spill_dirty(p, 0, err);
    } else {
        rc = proj_render_dirty(p, err);
    }
    if (rc == WEIR_OK) {
        rc = commit(p, err);
    }
    if (rc == WEIR_OK) {
        p->out.commit_us = p->commit_us;
        proj_out_end_step(p);
    }
    return rc;
}

/* The transaction goes on: its rows so far, what they made dirty, and where walks stopped are kept
 * together. */
static weir_rc end_inside(proj *p, weir_error *err)
{
    weir_rc rc = walk_all(p, err);
    if (p->head.commit_lsn > p->open_lsn) {
        p->open_lsn = p->head.commit_lsn;
    }
    if (rc == WEIR_OK) {
        rc = proj_spill_dirty(p, 0, err);
    }
    return rc == WEIR_OK ? commit(p, err) : rc;
}

static bool over(const proj *p, size_t rows, size_t bytes)
{
    return p->ap.n >= rows || weir_apply_bytes(&p->ap) >= bytes;
}

static void on_message(proj *p, const weir_ev *ev)
{
    bool order = weir_slice_eqz(ev->a, "weir.rebuild");
    if (!order && !weir_slice_eqz(ev->a, "weir.deploy")) {
        return;
    }
    weir_error err = {0};
    weir_json *j = NULL;
    int64_t n = 0;
    if (ev->b.n <= DEPLOY_MAX_BYTES && weir_json_parse(&j, ev->b, &err) == WEIR_OK) {
        if (order && weir_json_i64(j, "id", &n) && n > 0) {
            proj_catalog_told_order(p, (uint64_t)n);
        } else if (!order && weir_json_i64(j, "revision", &n)) {
            proj_catalog_told(p, n);
        }
    }
    weir_json_free(j);
    p->refresh = true;
}

static void on_copied(proj *p, const weir_ev *ev)
{
    for (int i = 0; i < p->layout.ntables; i++) {
        weir_ltable *t = p->layout.tables[i];
        bool ours = weir_slice_eqz(ev->copy_id, t->copy_id) || strcmp(t->copy_id, "log") == 0;
        if (t->dropped || !t->copy_id[0] || !ours || !weir_slice_eq(t->schema, ev->a) ||
            !weir_slice_eq(t->name, ev->b)) {
            continue;
        }
        if (t->copy_cols > t->ncomplete) {
            t->ncomplete = t->copy_cols;
        }
        t->copy_id[0] = '\0';
        p->layout_dirty = true;
        p->fit_rel = 0;
        weir_apply_relayout(&p->ap);
        WEIR_INFO("PROJ-TABLE-COMPLETE", "table=%.*s", WEIR_SLICE_ARG(t->name));
    }
}

/* Does the stream still tell what is kept? Looked at once per relation version in a row. */
static void check_fit(proj *p, uint32_t rel)
{
    if (p->fit_rel == rel) {
        return;
    }
    p->fit_rel = rel;
    weir_misfit m;
    while (weir_apply_misfit(&p->ap, rel, &m)) {
        proj_models_stall(p, &m);
        if (m.col < 0) {
            break;
        }
        weir_layout_lose(m.t, m.col);
        p->layout_dirty = true;
        weir_apply_relayout(&p->ap);
    }
    p->layout_dirty = weir_apply_learned(&p->ap) || p->layout_dirty;
}

/* One piece of a truncate; STEP_SPILLED until it is done. */
static weir_rc truncate_some(proj *p, outcome *o, weir_error *err)
{
    while (p->trunc_rel < p->ev.nrels) {
        bool done = false;
        weir_rc rc = weir_apply_truncate(&p->ap, p->ev.rels[p->trunc_rel], ROWS_SOFT, &done, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        if (!done) {
            *o = STEP_SPILLED;
            return end_inside(p, err);
        }
        p->trunc_rel++;
    }
    p->truncating = false;
    return WEIR_OK;
}

/* Enough for one step, in the middle of a frame. Copied rows are true wherever one stops among
 * them. */
static weir_rc end_early(proj *p, outcome *o, weir_error *err)
{
    bool tx = p->head.kind == WEIR_FRAME_TX || p->open_lsn != 0;
    *o = tx ? STEP_SPILLED : STEP_DONE;
    return tx ? end_inside(p, err) : end_at_boundary(p, p->position, err);
}

static void told_again(proj *p)
{
    const weir_ltable *t = NULL;
    for (int i = 0; (t = weir_apply_table(&p->ap, p->ev.rel, i)); i++) {
        proj_table_read_again(p, t);
    }
}

/* One piece of a range. Copied rows are true wherever one stops among them. */
static weir_rc range_some(proj *p, outcome *o, weir_error *err)
{
    bool done = false;
    uint64_t before = p->ap.swept;
    weir_rc rc = weir_apply_range(&p->ap, &p->ev, RANGE_SOFT, &done, err);
    if (p->ap.swept > before) {
        WEIR_INFO("PROJ-SWEPT", "rows=%llu that the source no longer has",
                  (unsigned long long)(p->ap.swept - before));
    }
    p->ranging = !done;
    if (rc == WEIR_OK && done && p->ev.new_row.n == 0) { /* no upper bound: the table's last */
        told_again(p);
    }
    return rc != WEIR_OK || done ? rc : end_early(p, o, err);
}

static weir_rc apply_one(proj *p, const weir_ev *ev, outcome *o, weir_error *err)
{
    switch (ev->kind) {
    case WEIR_EV_INSERT:
    case WEIR_EV_UPDATE:
    case WEIR_EV_DELETE:
    case WEIR_EV_READ: check_fit(p, ev->rel); return weir_apply_event(&p->ap, ev, err);
    case WEIR_EV_TRUNCATE:
        p->ev = *ev;
        p->truncating = true;
        p->trunc_rel = 0;
        return truncate_some(p, o, err);
    case WEIR_EV_MESSAGE: on_message(p, ev); return WEIR_OK;
    case WEIR_EV_COPIED: on_copied(p, ev); return WEIR_OK;
    case WEIR_EV_RANGE:
        p->ev = *ev;
        p->ranging = true;
        return range_some(p, o, err);
    case WEIR_EV_ORIGIN:
    case WEIR_EV_TYPE: return WEIR_OK;
    }
    return WEIR_OK;
}

static weir_rc events(proj *p, outcome *o, weir_error *err)
{
    if (p->truncating) {
        weir_rc rc = truncate_some(p, o, err);
        if (rc != WEIR_OK || *o != GO_ON) {
            return rc;
        }
    }
    if (p->ranging) {
        weir_rc rc = range_some(p, o, err);
        if (rc != WEIR_OK || *o != GO_ON) {
            return rc;
        }
    }
    for (;;) {
        weir_ev ev;
        weir_rc rc = weir_frame_next(&p->dec, p->frame_a, &ev, err);
        if (rc == WEIR_E_EOF) {
            return WEIR_OK;
        }
        if (rc == WEIR_OK) {
            rc = apply_one(p, &ev, o, err);
        }
        if (rc != WEIR_OK || *o != GO_ON) {
            return rc;
        }
        if (over(p, ROWS_HARD, BYTES_HARD)) {
            return end_early(p, o, err);
        }
    }
}

/* What its range needed is forgotten with a cursor behind it, or the range would be applied again
 * without. */
static weir_rc chunk_done(proj *p, weir_error *err)
{
    weir_feed_pos behind = {{p->head.commit_lsn, p->head.xid + 1}, 0};
    if (p->open_lsn == 0 && (!p->has_cursor || weir_cursor_cmp(behind.at, p->cursor.at) > 0)) {
        p->cursor = behind;
        p->has_cursor = true;
    }
    return weir_apply_chunk_end(&p->ap, err);
}

/* The frame is in the state. */
static weir_rc frame_done(proj *p, outcome *o, weir_error *err)
{
    bool tx = p->head.kind == WEIR_FRAME_TX;
    p->in_frame = false;
    p->frame++;
    weir_arena_reset(p->frame_a);
    if (p->head.kind == WEIR_FRAME_CHUNK) {
        return chunk_done(p, err);
    }
    if (!p->head.last) {
        return WEIR_OK;
    }
    if (tx) {
        p->cursor = (weir_feed_pos){{p->head.end_lsn, 0}, 0};
        p->has_cursor = true;
        p->commit_us = p->head.commit_us + WEIR_PG_EPOCH_US;
        weir_metric_add(p->num.transactions, 1);
    }
    bool open = p->open_lsn != 0 && !(tx && p->head.commit_lsn >= p->open_lsn);
    if (tx && !open && over(p, ROWS_SOFT, BYTES_SOFT)) {
        *o = STEP_DONE;
        return end_at_boundary(p, p->head.end_lsn, err);
    }
    if (tx && !open) {
        p->open_lsn = 0; /* its end is in this very step */
        p->position = p->head.end_lsn > p->position ? p->head.end_lsn : p->position;
    }
    return WEIR_OK;
}

static weir_rc open_frame(proj *p, const weir_feed_reply *r, outcome *o, weir_error *err)
{
    weir_frame_head head;
    weir_rc rc = weir_frame_open(&p->dec, r->frames[p->frame], &head, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (head.kind == WEIR_FRAME_TX && head.part == 0 && !head.last && p->ap.n > 0 &&
        p->open_lsn == 0) {
        *o = STEP_DONE; /* what came before a long transaction does not wait for its end */
        return end_at_boundary(p, p->position, err);
    }
    p->head = head;
    p->in_frame = true;
    p->ap.chunk = head.kind == WEIR_FRAME_CHUNK;
    return WEIR_OK;
}

/* The reply is used up: its end is a place to start from again. */
static weir_rc reply_done(proj *p, const weir_feed_reply *r, weir_error *err)
{
    bool inside = p->head.kind == WEIR_FRAME_TX && !p->head.last;
    p->cursor = r->next;
    p->has_cursor = true;
    proj_feed_pop(p);
    p->frame = 0;
    if (inside || p->open_lsn != 0) {
        return end_inside(p, err);
    }
    return end_at_boundary(p, r->next.at.lsn, err);
}

static weir_rc relations(proj *p, const weir_feed_reply *r, weir_error *err)
{
    for (size_t i = 0; i < r->nrelations; i++) {
        weir_relation rel;
        weir_rc rc = weir_relation_decode(r->relations[i], p->frame_a, &rel, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        if (!weir_apply_relation(&p->ap, &rel)) {
            continue;
        }
        for (int t = 0; t < p->layout.ntables; t++) {
            if (p->layout.tables[t]->oid == rel.oid && p->has_cursor) {
                p->refresh = true; /* a kept table was altered: does everything still compile? */
            }
        }
    }
    return WEIR_OK;
}

static weir_rc step_body(proj *p, const weir_feed_reply *r, weir_error *err)
{
    outcome o = GO_ON;
    weir_rc rc = WEIR_OK;
    if (p->frame == 0 && !p->in_frame) {
        rc = relations(p, r, err);
        weir_arena_reset(p->frame_a);
    }
    while (rc == WEIR_OK && o == GO_ON && p->frame < r->nframes) {
        if (!p->in_frame) {
            rc = open_frame(p, r, &o, err);
        }
        if (rc == WEIR_OK && o == GO_ON) {
            rc = events(p, &o, err);
        }
        if (rc == WEIR_OK && o == GO_ON) {
            rc = frame_done(p, &o, err);
        }
    }
    if (rc == WEIR_OK && o == GO_ON) {
        rc = reply_done(p, r, err);
    }
    return rc;
}

weir_rc proj_step_apply(proj *p, weir_error *err)
{
    proj_reply *reply = proj_feed_peek(p);
    uint64_t before = p->ap.rows;
    weir_rc rc = weir_state_begin(p->st, err);
    if (rc == WEIR_OK) {
        rc = step_body(p, &reply->r, err);
    }
    weir_metric_add(p->num.rows, (int64_t)(p->ap.rows - before));
    return rc;
}
