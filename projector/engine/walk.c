/* walk.c - from changed rows up to the documents they can touch. */
#include "projector/engine/walk.h"

#include "libweir/base/rd.h"
#include "libweir/codec/dockey.h"
#include "projector/engine/row.h"

static bool broken;

void weir_walk_set_broken(bool on)
{
    broken = on;
}

/* The number is counted up through the struct.
 * NOLINTNEXTLINE(readability-non-const-parameter) */
void weir_walk_init(weir_walk *w, weir_state *st, weir_dirty *dirty, uint64_t *next_task)
{
    *w = (weir_walk){.st = st, .dirty = dirty, .next_task = next_task};
    weir_buf_init(&w->key, (size_t)1 << 30);
}

void weir_walk_fini(weir_walk *w)
{
    weir_buf_fini(&w->key);
}

bool weir_walk_dockey(const weir_bound *m, const weir_tuple *root, weir_buf *out)
{
    weir_slice parts[WEIR_KEY_COLS_MAX];
    int n = m->plan->nkey < WEIR_KEY_COLS_MAX ? m->plan->nkey : WEIR_KEY_COLS_MAX;
    for (int i = 0; i < n; i++) {
        const weir_val *v = &root->v[m->plan->key_cols[i]];
        if (v->kind != WEIR_VAL_TEXT) {
            return false;
        }
        parts[i] = v->text;
    }
    weir_dockey_text(out, parts, (size_t)n);
    return true;
}

static weir_rc put_task(weir_walk *w, const weir_bound *m, int occ, weir_slice prefix,
                        weir_slice resume, weir_error *err)
{
    weir_buf b;
    weir_buf_init(&b, 4096);
    weir_buf_u32(&b, m->id);
    weir_buf_u16(&b, (uint16_t)occ);
    weir_buf_u16(&b, (uint16_t)prefix.n);
    weir_buf_puts(&b, prefix);
    weir_buf_puts(&b, resume);
    char key[8];
    uint64_t no = (*w->next_task)++;
    for (int i = 7; i >= 0; i--) {
        key[i] = (char)no;
        no >>= 8;
    }
    weir_rc rc = weir_state_put(w->st, WEIR_DB_TASK, (weir_slice){key, 8}, weir_buf_slice(&b), err);
    weir_buf_fini(&b);
    w->tasks++;
    return rc;
}

/* The columns of an image of occ that its edge compares, as key bytes. WEIR_E_NOTFOUND: no partner.
 */
static weir_rc edge_key(const weir_bound *m, const weir_occ *o, const weir_tuple *image,
                        weir_key *k, weir_error *err)
{
    const weir_plan_table *t = &m->plan->tables[o->table];
    weir_ty types[WEIR_KEY_COLS_MAX];
    weir_val vals[WEIR_KEY_COLS_MAX];
    if (o->nup > WEIR_KEY_COLS_MAX) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "a join has too many columns");
    }
    for (int i = 0; i < o->nup; i++) {
        types[i] = t->cols[o->my_cols[i]].type.ty;
        vals[i] = image->v[o->my_cols[i]];
    }
    return weir_key_make(k, (size_t)o->nup, types, vals, err);
}

/* The recursion is as deep as the plan's chain of edges to the root.
 * NOLINTBEGIN(misc-no-recursion) */
static weir_rc climb(weir_walk *w, const weir_bound *m, int occ, const weir_tuple *image,
                     weir_error *err);

/* The row of occurrence occ with that row key, if it is there, and on from it. */
static weir_rc climb_row(weir_walk *w, const weir_bound *m, int occ, weir_slice rowkey,
                         weir_error *err)
{
    int table = m->plan->occs[occ].table;
    weir_slice row;
    weir_rc rc = weir_state_row_get(w->st, m->tables[table], rowkey, &row, err);
    w->budget--;
    if (rc != WEIR_OK) {
        return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    weir_tuple *t = &m->walk_rows[occ];
    if (!weir_row_pick(row, m->to_plan[table], (size_t)m->nto[table], t->v, t->n)) {
        return weir_fail(err, WEIR_E_SYS, 0, "a stored row is damaged");
    }
    return climb(w, m, occ, t, err);
}

static weir_rc scan_up(weir_walk *w, const weir_bound *m, int occ, weir_slice prefix,
                       weir_slice resume, weir_error *err)
{
    const weir_occ *o = &m->plan->occs[occ];
    weir_scan s;
    char pbuf[WEIR_IDKEY_MAX];
    char rbuf[WEIR_IDKEY_MAX];
    uint32_t id = m->indexes[o->up_index]->id;
    weir_slice whole = weir_idkey(pbuf, id, prefix, (weir_slice){NULL, 0});
    weir_slice from = resume.n ? weir_idkey(rbuf, id, prefix, resume) : (weir_slice){NULL, 0};
    weir_rc rc = weir_scan_start(w->st, &s, WEIR_DB_IDX, whole, from, err);
    while (rc == WEIR_OK) {
        weir_slice rest;
        weir_slice none;
        rc = weir_scan_next(&s, &rest, &none, err);
        if (rc != WEIR_OK) {
            break;
        }
        weir_key rowkey;
        rowkey.n = (uint16_t)(rest.n <= sizeof rowkey.b ? rest.n : sizeof rowkey.b);
        memcpy(rowkey.b, rest.p, rowkey.n);
        if (w->budget <= 0) {
            rc = put_task(w, m, occ, prefix, weir_key_slice(&rowkey), err);
            break;
        }
        rc = climb_row(w, m, o->up, weir_key_slice(&rowkey), err);
    }
    weir_scan_end(w->st, &s);
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

static weir_rc climb(weir_walk *w, const weir_bound *m, int occ, const weir_tuple *image,
                     weir_error *err)
{
    const weir_occ *o = &m->plan->occs[occ];
    if (o->up < 0) {
        weir_buf_reset(&w->key);
        if (weir_walk_dockey(m, image, &w->key)) {
            weir_dirty_add(w->dirty, m, weir_buf_slice(&w->key));
            w->budget--;
        }
        return WEIR_OK;
    }
    weir_key k;
    k.n = 0;
    weir_rc rc = edge_key(m, o, image, &k, err);
    if (rc != WEIR_OK) {
        return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    if (o->up_index == WEIR_BY_ROWKEY) {
        return climb_row(w, m, o->up, weir_key_slice(&k), err);
    }
    if (w->budget <= 0) {
        return put_task(w, m, occ, weir_key_slice(&k), (weir_slice){NULL, 0}, err);
    }
    return scan_up(w, m, occ, weir_key_slice(&k), (weir_slice){NULL, 0}, err);
}

/* NOLINTEND(misc-no-recursion) */

static bool val_eq(const weir_val *a, const weir_val *b)
{
    return a->kind == b->kind && (a->kind != WEIR_VAL_TEXT || weir_slice_eq(a->text, b->text));
}

/* Do both images lead the same way from occ? */
static bool same_way(const weir_bound *m, const weir_occ *o, const weir_tuple *a,
                     const weir_tuple *b)
{
    int n = o->up < 0 ? m->plan->nkey : o->nup;
    const int *cols = o->up < 0 ? m->plan->key_cols : o->my_cols;
    for (int i = 0; i < n; i++) {
        if (!val_eq(&a->v[cols[i]], &b->v[cols[i]])) {
            return false;
        }
    }
    return true;
}

static bool same_cols(const weir_tuple *a, const weir_tuple *b)
{
    for (int i = 0; i < a->n; i++) {
        if (!val_eq(&a->v[i], &b->v[i])) {
            return false;
        }
    }
    return true;
}

/* walk_rows[occ] is not in use while an image of occ itself starts: no table occurrence is above
 * itself. So the new image lives there, and the old one in rows[occ], which belongs to render and
 * is free between documents. */
static weir_rc change_occ(weir_walk *w, const weir_bound *m, int occ, weir_slice old_row,
                          weir_slice new_row, weir_error *err)
{
    int table = m->plan->occs[occ].table;
    weir_tuple *was = &m->rows[occ];
    weir_tuple *is = &m->walk_rows[occ];
    const int *to = m->to_plan[table];
    size_t nto = (size_t)m->nto[table];
    if ((old_row.n && !weir_row_pick(old_row, to, nto, was->v, was->n)) ||
        (new_row.n && !weir_row_pick(new_row, to, nto, is->v, is->n))) {
        return weir_fail(err, WEIR_E_SYS, 0, "a stored row is damaged");
    }
    bool both = old_row.n && new_row.n;
    if (both && same_cols(was, is)) {
        return WEIR_OK;
    }
    weir_rc rc = WEIR_OK;
    if (old_row.n && !broken && !(both && same_way(m, &m->plan->occs[occ], was, is))) {
        rc = climb(w, m, occ, was, err);
    }
    if (rc == WEIR_OK && new_row.n) {
        rc = climb(w, m, occ, is, err);
    }
    return rc;
}

weir_rc weir_walk_change(weir_walk *w, const weir_bound *m, const weir_ltable *t,
                         weir_slice old_row, weir_slice new_row, weir_error *err)
{
    for (int i = 0; i < m->plan->nocc; i++) {
        if (m->tables[m->plan->occs[i].table] == t) {
            weir_rc rc = change_occ(w, m, i, old_row, new_row, err);
            if (rc != WEIR_OK) {
                return rc;
            }
        }
    }
    return WEIR_OK;
}

weir_rc weir_walk_task(weir_walk *w, const weir_bound *const *models, size_t nmodels,
                       weir_slice task, weir_error *err)
{
    weir_rd rd = weir_rd_of(task);
    uint32_t id = weir_rd_u32(&rd);
    uint16_t occ = weir_rd_u16(&rd);
    weir_slice prefix = weir_rd_bytes(&rd, weir_rd_u16(&rd));
    weir_slice resume = weir_rd_bytes(&rd, weir_rd_left(&rd));
    const weir_bound *m = NULL;
    for (size_t i = 0; i < nmodels; i++) {
        m = models[i]->id == id ? models[i] : m;
    }
    if (!weir_rd_ok(&rd)) {
        return weir_fail(err, WEIR_E_SYS, 0, "a stored task is damaged");
    }
    if (!m || occ >= m->plan->nocc || m->plan->occs[occ].up < 0 ||
        m->plan->occs[occ].up_index == WEIR_BY_ROWKEY) {
        return WEIR_E_NOTFOUND;
    }
    return scan_up(w, m, occ, prefix, resume, err);
}
