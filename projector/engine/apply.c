/* apply.c - change events into the state. */
#include "projector/engine/apply.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/hash.h"
#include "libweir/base/xalloc.h"
#include "projector/engine/apply_priv.h"
#include "projector/engine/row.h"

enum { FIRST_INDEX = 1024, KEEP_INDEX = 65536 };

static weir_slice version_key(const uint32_t *version)
{
    return (weir_slice){(const char *)version, sizeof *version};
}

void weir_apply_init(weir_apply *ap, weir_state *st, weir_layout *layout)
{
    *ap = (weir_apply){.st = st, .layout = layout};
    ap->a = weir_arena_new(0); /* the caller resets it when weir_apply_bytes passes its bound */
    ap->relmaps = weir_map_new();
    ap->relations = weir_map_new();
    weir_buf_init(&ap->row, (size_t)1 << 31);
}

static void drop_relmaps(weir_apply *ap)
{
    weir_map_iter it = {0};
    while (weir_map_next(ap->relmaps, &it)) {
        weir_relmap *m = it.value;
        for (int i = 0; m && i < m->n; i++) {
            free(m->tables[i].from);
        }
        free(m);
    }
    weir_map_clear(ap->relmaps);
}

void weir_apply_fini(weir_apply *ap)
{
    if (!ap->a) {
        return;
    }
    drop_relmaps(ap);
    weir_map_iter it = {0};
    while (weir_map_next(ap->relations, &it)) {
        weir_relation *r = it.value;
        free(r);
    }
    weir_map_free(ap->relmaps);
    weir_map_free(ap->relations);
    weir_arena_free(ap->a);
    weir_buf_fini(&ap->row);
    free(ap->changes);
    free(ap->index);
    free(ap->vals);
    *ap = (weir_apply){0};
}

void weir_apply_relayout(weir_apply *ap)
{
    drop_relmaps(ap);
}

size_t weir_apply_bytes(const weir_apply *ap)
{
    return weir_arena_used(ap->a) + ap->n * sizeof *ap->changes;
}

/* --- relations
 * --------------------------------------------------------------------------------------- */

/* One block: the struct, its columns, its texts. */
static weir_relation *relation_dup(const weir_relation *rel)
{
    size_t text = rel->schema.n + rel->name.n;
    for (int i = 0; i < rel->n; i++) {
        text += rel->cols[i].name.n;
    }
    weir_relation *r = weir_xmalloc(sizeof *r + rel->n * sizeof(weir_column) + text + 1);
    *r = *rel;
    r->cols = (weir_column *)(void *)(r + 1);
    char *p = (char *)(r->cols + rel->n);
    weir_slice *names[2] = {&r->schema, &r->name};
    for (int i = 0; i < 2; i++) {
        memcpy(p, names[i]->n ? names[i]->p : "", names[i]->n);
        names[i]->p = p;
        p += names[i]->n;
    }
    for (int i = 0; i < rel->n; i++) {
        r->cols[i] = rel->cols[i];
        memcpy(p, rel->cols[i].name.n ? rel->cols[i].name.p : "", rel->cols[i].name.n);
        r->cols[i].name.p = p;
        p += rel->cols[i].name.n;
    }
    return r;
}

bool weir_apply_knows(const weir_apply *ap, uint32_t version)
{
    return weir_map_has(ap->relations, version_key(&version));
}

bool weir_apply_relation(weir_apply *ap, const weir_relation *rel)
{
    bool created = false;
    void **slot = weir_map_slot(ap->relations, version_key(&rel->version), &created);
    if (created) {
        *slot = relation_dup(rel);
    }
    return created;
}

static void note_misfit(weir_relmap_table *m, int col, const char *what)
{
    const weir_lcol *c = col < 0 ? NULL : &m->t->cols[col];
    if (m->misfit) {
        return;
    }
    m->misfit = true;
    m->misfit_col = col;
    (void)snprintf(m->text, sizeof m->text, "%s%.*s%s", c ? "column " : "",
                   c ? (int)(c->name.n < 100 ? c->name.n : 100) : 0, c ? c->name.p : "", what);
}

/* Values under another type, or with other digits, are other texts, and PostgreSQL rewrites a table
 * without an event. */
static void map_type(weir_apply *ap, weir_relmap_table *m, int i, const weir_column *rc)
{
    weir_lcol *c = &m->t->cols[i];
    bool same = c->wire_oid == rc->type_oid && c->wire_typmod == rc->typmod;
    if (c->wire_oid != 0 && !same && i < m->t->ncomplete) {
        note_misfit(m, i, " has another type");
        return;
    }
    ap->learned = ap->learned || !same;
    c->wire_oid = rc->type_oid;
    c->wire_typmod = rc->typmod;
}

static void map_column(weir_apply *ap, weir_relmap_table *m, int i, const weir_relation *rel)
{
    const weir_lcol *col = &m->t->cols[i];
    m->from[i] = -1;
    for (int c = 0; c < rel->n && !col->lost; c++) {
        if (weir_slice_eq(rel->cols[c].name, col->name)) {
            m->from[i] = c;
        }
    }
    if (m->from[i] >= 0) {
        map_type(ap, m, i, &rel->cols[m->from[i]]);
    } else if (!col->lost && i < m->t->ncomplete) {
        note_misfit(m, i, " is no longer there");
    }
}

static bool is_key(const weir_ltable *t, int col)
{
    for (int i = 0; i < t->nkey; i++) {
        if (t->key[i] == col) {
            return true;
        }
    }
    return false;
}

static void map_table(weir_apply *ap, weir_relmap_table *m, weir_ltable *t,
                      const weir_relation *rel)
{
    m->t = t;
    m->ncols = t->ncols;
    m->from = weir_xcalloc((size_t)t->ncols, sizeof *m->from);
    for (int i = 0; i < t->ncols; i++) {
        map_column(ap, m, i, rel);
    }
    if (m->misfit && is_key(t, m->misfit_col)) {
        m->misfit_col = -1;
    }
    for (int i = 0; i < t->nkey; i++) {
        int c = m->from[t->key[i]];
        if (t->ncomplete > 0 && (c < 0 || !rel->cols[c].key)) {
            note_misfit(m, -1, "the stream identifies rows by other columns than the model's");
            m->misfit_col = -1;
        }
    }
}

weir_relmap *weir_apply_map(weir_apply *ap, uint32_t version)
{
    void **slot = weir_map_slot(ap->relmaps, version_key(&version), NULL);
    if (*slot) {
        return *slot;
    }
    const weir_relation *rel = weir_map_get(ap->relations, version_key(&version));
    if (!rel) {
        return NULL;
    }
    weir_relmap *m = weir_xcalloc(1, sizeof *m);
    for (int i = 0; i < ap->layout->ntables && m->n < WEIR_TABLES_PER_REL; i++) {
        weir_ltable *t = ap->layout->tables[i];
        if (!t->dropped && t->oid == rel->oid) {
            map_table(ap, &m->tables[m->n++], t, rel);
        }
    }
    *slot = m;
    return m;
}

bool weir_apply_misfit(weir_apply *ap, uint32_t version, weir_misfit *out)
{
    weir_relmap *m = weir_apply_map(ap, version);
    for (int i = 0; m && i < m->n; i++) {
        const weir_relmap_table *rt = &m->tables[i];
        if (rt->misfit) {
            *out = (weir_misfit){rt->t, rt->misfit_col, rt->text};
            return true;
        }
    }
    return false;
}

bool weir_apply_learned(weir_apply *ap)
{
    bool learned = ap->learned;
    ap->learned = false;
    return learned;
}

/* --- net changes
 * -------------------------------------------------------------------------------------- */

static size_t slot_of(const weir_apply *ap, const weir_ltable *t, weir_slice rowkey)
{
    size_t mask = ap->nindex - 1;
    size_t i = (size_t)(weir_hash64(rowkey) + t->id * UINT64_C(0x9E3779B97F4A7C15)) & mask;
    for (;; i = (i + 1) & mask) {
        if (ap->index[i] == 0) {
            return i;
        }
        const weir_change *c = &ap->changes[ap->index[i] - 1];
        if (c->t == t && weir_slice_eq(c->rowkey, rowkey)) {
            return i;
        }
    }
}

static void grow(weir_apply *ap)
{
    ap->nindex = ap->nindex ? ap->nindex * 2 : FIRST_INDEX;
    free(ap->index);
    ap->index = weir_xcalloc(ap->nindex, sizeof *ap->index);
    for (size_t i = 0; i < ap->n; i++) {
        ap->index[slot_of(ap, ap->changes[i].t, ap->changes[i].rowkey)] = (uint32_t)(i + 1);
    }
}

void weir_apply_reset(weir_apply *ap)
{
    if (ap->nindex > KEEP_INDEX) {
        free(ap->index);
        ap->index = NULL;
        ap->nindex = 0;
    } else if (ap->nindex) {
        memset(ap->index, 0, ap->nindex * sizeof *ap->index);
        if (ap->nindex > FIRST_INDEX && ap->n * 16 < ap->nindex) {
            ap->nindex /= 2; /* memory stays, the clearing of small batches becomes cheap again */
        }
    }
    ap->n = 0;
    weir_arena_reset(ap->a);
}

/* The change record of a row, with its stored image read on first touch. */
static weir_rc change_of(weir_apply *ap, const weir_ltable *t, weir_slice rowkey, weir_change **out,
                         weir_error *err)
{
    if ((ap->n + 1) * 2 > ap->nindex) {
        grow(ap);
    }
    size_t at = slot_of(ap, t, rowkey);
    if (ap->index[at] != 0) {
        *out = &ap->changes[ap->index[at] - 1];
        return WEIR_OK;
    }
    weir_slice row;
    weir_rc rc = weir_state_row_get(ap->st, t, rowkey, &row, err);
    if (rc != WEIR_OK && rc != WEIR_E_NOTFOUND) {
        return rc;
    }
    weir_slice old = rc == WEIR_OK ? weir_arena_dup(ap->a, row) : (weir_slice){NULL, 0};
    if (ap->n == ap->cap) {
        ap->cap = ap->cap ? ap->cap * 2 : FIRST_INDEX;
        ap->changes = weir_xrealloc(ap->changes, ap->cap * sizeof *ap->changes);
    }
    ap->changes[ap->n] = (weir_change){t, weir_arena_dup(ap->a, rowkey), old, old};
    ap->index[at] = (uint32_t)(ap->n + 1);
    *out = &ap->changes[ap->n++];
    return WEIR_OK;
}

static weir_rc write_row(weir_apply *ap, weir_change *c, weir_slice new_row, weir_error *err)
{
    if (weir_slice_eq(c->new_row, new_row)) {
        return WEIR_OK;
    }
    weir_slice copy = new_row.n ? weir_arena_dup(ap->a, new_row) : (weir_slice){NULL, 0};
    weir_rc rc = weir_state_row_write(ap->st, c->t, c->rowkey, c->new_row, copy, err);
    c->new_row = copy;
    return rc;
}

/* --- events
 * ------------------------------------------------------------------------------------------- */

/* WEIR_E_NOTFOUND: a key column is not there. */
static weir_rc key_of(const weir_relmap_table *m, const weir_tuple *row, const weir_tuple *other,
                      weir_key *k, weir_error *err)
{
    weir_ty types[WEIR_KEY_COLS_MAX];
    weir_val vals[WEIR_KEY_COLS_MAX];
    const weir_ltable *t = m->t;
    for (int i = 0; i < t->nkey; i++) {
        int c = m->from[t->key[i]];
        if (c < 0 || c >= row->n) {
            return WEIR_E_NOTFOUND;
        }
        types[i] = t->cols[t->key[i]].ty;
        vals[i] = row->v[c];
        if (vals[i].kind == WEIR_VAL_UNCHANGED && other && c < other->n) {
            vals[i] = other->v[c];
        }
    }
    return weir_key_make(k, (size_t)t->nkey, types, vals, err);
}

static void need_vals(weir_apply *ap, size_t n)
{
    if (n > ap->cap_vals) {
        ap->cap_vals = n * 2;
        ap->vals = weir_xrealloc(ap->vals, ap->cap_vals * sizeof *ap->vals);
    }
}

/* The row as it is to be stored, in ap->row. stored fills what the event leaves unchanged. */
static weir_rc build_row(weir_apply *ap, const weir_relmap_table *m, const weir_ev *ev,
                         weir_slice stored, weir_error *err)
{
    size_t n = (size_t)m->ncols;
    bool have_stored = false;
    need_vals(ap, 2 * n);
    weir_val *vals = ap->vals;
    weir_val *before = ap->vals + n;
    for (size_t i = 0; i < n; i++) {
        int c = m->from[i];
        vals[i] = c >= 0 && c < ev->new_row.n ? ev->new_row.v[c]
                                              : (weir_val){WEIR_VAL_UNCHANGED, {NULL, 0}};
        if (vals[i].kind == WEIR_VAL_UNCHANGED && ev->kind == WEIR_EV_UPDATE &&
            ev->old_kind == WEIR_OLD_ROW && c >= 0 && c < ev->old_row.n) {
            vals[i] = ev->old_row.v[c];
        }
        if (vals[i].kind == WEIR_VAL_UNCHANGED && stored.n) {
            if (!have_stored && !weir_row_decode(stored, before, n)) {
                return weir_fail(err, WEIR_E_SYS, 0, "a stored row is damaged");
            }
            have_stored = true;
            vals[i] = before[i];
        }
    }
    weir_buf_reset(&ap->row);
    weir_row_encode(&ap->row, vals, n);
    if (ap->row.failed) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "a row of %.*s is too large",
                         WEIR_SLICE_ARG(m->t->name));
    }
    return WEIR_OK;
}

static weir_rc apply_put(weir_apply *ap, const weir_relmap_table *m, const weir_ev *ev,
                         weir_error *err)
{
    weir_key key;
    weir_key old_key;
    bool old_tuple = ev->kind == WEIR_EV_UPDATE && ev->old_kind != WEIR_OLD_NONE;
    weir_rc rc = key_of(m, &ev->new_row, old_tuple ? &ev->old_row : NULL, &key, err);
    old_key = key;
    if (rc == WEIR_OK && old_tuple) {
        rc = key_of(m, &ev->old_row, NULL, &old_key, err);
    }
    if (rc != WEIR_OK) {
        return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc; /* a misfit: the model is stalled */
    }
    bool moved = !weir_slice_eq(weir_key_slice(&key), weir_key_slice(&old_key));
    weir_change *c = NULL;
    rc = change_of(ap, m->t, weir_key_slice(moved ? &old_key : &key), &c, err);
    if (rc == WEIR_OK) {
        rc = build_row(ap, m, ev, c->new_row, err);
    }
    if (rc == WEIR_OK && moved) {
        rc = write_row(ap, c, (weir_slice){NULL, 0}, err);
        if (rc == WEIR_OK) {
            rc = change_of(ap, m->t, weir_key_slice(&key), &c, err);
        }
    }
    if (rc == WEIR_OK) {
        rc = write_row(ap, c, weir_buf_slice(&ap->row), err);
    }
    return rc == WEIR_OK ? weir_range_name(ap, m->t, weir_key_slice(&key), err) : rc;
}

weir_rc weir_apply_remove(weir_apply *ap, const weir_ltable *t, weir_slice rowkey, weir_error *err)
{
    weir_change *c = NULL;
    weir_rc rc = change_of(ap, t, rowkey, &c, err);
    return rc == WEIR_OK ? write_row(ap, c, (weir_slice){NULL, 0}, err) : rc;
}

static weir_rc apply_delete(weir_apply *ap, const weir_relmap_table *m, const weir_ev *ev,
                            weir_error *err)
{
    weir_key key;
    weir_rc rc = key_of(m, &ev->old_row, NULL, &key, err);
    if (rc != WEIR_OK) {
        return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    return weir_apply_remove(ap, m->t, weir_key_slice(&key), err);
}

weir_rc weir_apply_event(weir_apply *ap, const weir_ev *ev, weir_error *err)
{
    if (ev->kind != WEIR_EV_INSERT && ev->kind != WEIR_EV_UPDATE && ev->kind != WEIR_EV_DELETE &&
        ev->kind != WEIR_EV_READ) {
        return WEIR_OK;
    }
    const weir_relmap *m = weir_apply_map(ap, ev->rel);
    if (!m) {
        return weir_fail(err, WEIR_E_PROTO, 0, "relation version %u was never described", ev->rel);
    }
    ap->rows++;
    for (int i = 0; i < m->n; i++) {
        weir_rc rc = ev->kind == WEIR_EV_DELETE ? apply_delete(ap, &m->tables[i], ev, err)
                                                : apply_put(ap, &m->tables[i], ev, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    return WEIR_OK;
}

static weir_rc truncate_table(weir_apply *ap, const weir_ltable *t, size_t *left, weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    weir_slice prefix = weir_idkey(buf, t->id, (weir_slice){NULL, 0}, (weir_slice){NULL, 0});
    weir_rc rc = WEIR_OK;
    while (*left > 0) {
        weir_scan s;
        weir_slice rest;
        weir_slice row;
        rc = weir_scan_start(ap->st, &s, WEIR_DB_ROW, prefix, (weir_slice){NULL, 0}, err);
        if (rc == WEIR_OK) {
            rc = weir_scan_next(&s, &rest, &row, err);
        }
        weir_key key = {.n = 0};
        if (rc == WEIR_OK && rest.n <= sizeof key.b) {
            key.n = (uint16_t)rest.n;
            memcpy(key.b, rest.p, rest.n);
        }
        weir_scan_end(ap->st, &s);
        if (rc != WEIR_OK) {
            return rc == WEIR_E_EOF ? WEIR_OK : rc;
        }
        rc = weir_apply_remove(ap, t, weir_key_slice(&key), err);
        if (rc != WEIR_OK) {
            return rc;
        }
        (*left)--;
    }
    return WEIR_OK;
}

weir_rc weir_apply_truncate(weir_apply *ap, uint32_t rel, size_t max, bool *done, weir_error *err)
{
    const weir_relmap *m = weir_apply_map(ap, rel);
    *done = true;
    if (!m) {
        return weir_fail(err, WEIR_E_PROTO, 0, "relation version %u was never described", rel);
    }
    size_t left = max;
    for (int i = 0; i < m->n; i++) {
        weir_rc rc = truncate_table(ap, m->tables[i].t, &left, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    *done = left > 0;
    return WEIR_OK;
}
