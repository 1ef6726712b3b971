/* layout.c - what the state keeps: tables, columns, indexes; growing, dropping, saving. */
#include "projector/engine/layout.h"

#include <stdlib.h>

#include "libweir/base/rd.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"

enum { LAYOUT_FORMAT = 2, TABLES_MAX = 100000, INDEXES_MAX = 100000 };

void weir_layout_init(weir_layout *l)
{
    *l = (weir_layout){.a = weir_arena_new(0), .next_id = 1};
}

void weir_layout_fini(weir_layout *l)
{
    for (int i = 0; i < l->ntables; i++) {
        free(l->tables[i]->indexes);
    }
    free(l->tables);
    free(l->indexes);
    weir_arena_free(l->a);
    *l = (weir_layout){0};
}

static weir_ltable *add_table(weir_layout *l)
{
    weir_ltable *t = weir_arena_zalloc(l->a, sizeof *t);
    l->tables = weir_xrealloc(l->tables, (size_t)(l->ntables + 1) * sizeof(weir_ltable *));
    l->tables[l->ntables++] = t;
    return t;
}

static weir_lindex *add_index(weir_layout *l, weir_ltable *t, int ncols)
{
    weir_lindex *x = weir_arena_zalloc(l->a, sizeof *x);
    x->table = t;
    x->ncols = ncols;
    x->cols = WEIR_ARENA_ARRAY(l->a, int, (size_t)ncols);
    x->types = WEIR_ARENA_ARRAY(l->a, weir_ty, (size_t)ncols);
    l->indexes = weir_xrealloc(l->indexes, (size_t)(l->nindexes + 1) * sizeof(weir_lindex *));
    l->indexes[l->nindexes++] = x;
    return x;
}

static void attach(weir_lindex *x)
{
    weir_ltable *t = x->table;
    t->indexes = weir_xrealloc(t->indexes, (size_t)(t->nindexes + 1) * sizeof(weir_lindex *));
    t->indexes[t->nindexes++] = x;
}

static void detach(weir_lindex *x)
{
    weir_ltable *t = x->table;
    for (int i = 0; i < t->nindexes; i++) {
        if (t->indexes[i] == x) {
            t->indexes[i] = t->indexes[--t->nindexes];
            return;
        }
    }
}

static int add_col(weir_layout *l, weir_ltable *t, const weir_lcol *c)
{
    if (t->ncols == t->cap) {
        int cap = t->cap ? t->cap * 2 : 8;
        weir_lcol *cols = WEIR_ARENA_ARRAY(l->a, weir_lcol, (size_t)cap);
        if (t->ncols) {
            memcpy(cols, t->cols, (size_t)t->ncols * sizeof *cols);
        }
        t->cols = cols;
        t->cap = cap;
    }
    t->cols[t->ncols] = *c;
    t->cols[t->ncols].name = weir_arena_dup(l->a, c->name);
    return t->ncols++;
}

static int add_plan_col(weir_layout *l, weir_ltable *t, const weir_plan_col *c)
{
    weir_lcol col = {
        .name = c->name, .ty = c->type.ty, .oid = c->type.oid, .typmod = c->type.typmod};
    return add_col(l, t, &col);
}

static int find_col(const weir_ltable *t, const weir_plan_col *c)
{
    for (int i = 0; i < t->ncols; i++) {
        if (!t->cols[i].lost && t->cols[i].oid == c->type.oid && t->cols[i].ty == c->type.ty &&
            t->cols[i].typmod == c->type.typmod && weir_slice_eq(t->cols[i].name, c->name)) {
            return i;
        }
    }
    return -1;
}

static bool same_key(const weir_ltable *t, const weir_plan_table *p)
{
    if (t->nkey != p->nkey) {
        return false;
    }
    for (int i = 0; i < t->nkey; i++) {
        if (find_col(t, &p->cols[p->key[i]]) != t->key[i]) {
            return false;
        }
    }
    return true;
}

/* Copies are asked for, and told of, by name: a renamed table goes by the one it has now. */
static void call(weir_layout *l, weir_ltable *t, const weir_plan_table *p)
{
    if (!weir_slice_eq(t->schema, p->schema) || !weir_slice_eq(t->name, p->name)) {
        t->schema = weir_arena_dup(l->a, p->schema);
        t->name = weir_arena_dup(l->a, p->name);
        t->copy_id[0] = '\0'; /* one that runs under the old name may not be found */
    }
}

static weir_ltable *table_of(weir_layout *l, const weir_plan_table *p)
{
    for (int i = 0; i < l->ntables; i++) {
        weir_ltable *t = l->tables[i];
        if (!t->dropped && t->oid == p->oid && same_key(t, p)) {
            call(l, t, p);
            return t;
        }
    }
    weir_ltable *t = add_table(l);
    t->id = l->next_id++;
    t->fresh = true;
    t->oid = p->oid;
    t->schema = weir_arena_dup(l->a, p->schema);
    t->name = weir_arena_dup(l->a, p->name);
    t->nkey = p->nkey;
    t->key = WEIR_ARENA_ARRAY(l->a, int, (size_t)p->nkey);
    for (int i = 0; i < p->nkey; i++) {
        const weir_plan_col *c = &p->cols[p->key[i]];
        t->key[i] = add_plan_col(l, t, c);
    }
    return t;
}

static weir_rc bind_table(weir_layout *l, weir_bound *b, int n, weir_arena *a, weir_error *err)
{
    const weir_plan_table *p = &b->plan->tables[n];
    if (p->nkey < 1 || p->nkey > WEIR_KEY_COLS_MAX) {
        return weir_fail(err, WEIR_E_LIMIT, 0,
                         "the key of table %.*s has %d columns, from 1 to %d work",
                         WEIR_SLICE_ARG(p->name), p->nkey, WEIR_KEY_COLS_MAX);
    }
    weir_ltable *t = table_of(l, p);
    b->tables[n] = t;
    b->to_layout[n] = WEIR_ARENA_ARRAY(a, int, (size_t)p->ncols);
    for (int i = 0; i < p->ncols; i++) {
        int at = find_col(t, &p->cols[i]);
        if (at < 0) {
            at = add_plan_col(l, t, &p->cols[i]);
            t->copy_id[0] = '\0'; /* a copy that runs does not cover it */
        }
        b->to_layout[n][i] = at;
    }
    b->nto[n] = t->ncols;
    b->to_plan[n] = WEIR_ARENA_ARRAY(a, int, (size_t)t->ncols);
    for (int i = 0; i < t->ncols; i++) {
        b->to_plan[n][i] = -1;
    }
    for (int i = 0; i < p->ncols; i++) {
        b->to_plan[n][b->to_layout[n][i]] = i;
    }
    return WEIR_OK;
}

static bool same_index(const weir_lindex *x, const weir_ltable *t, const weir_plan_index *p,
                       const int *to_layout)
{
    if (x->dropped || x->table != t || x->ncols != p->ncols) {
        return false;
    }
    for (int i = 0; i < p->ncols; i++) {
        if (x->cols[i] != to_layout[p->cols[i]]) {
            return false;
        }
    }
    return true;
}

static weir_rc bind_index(weir_layout *l, weir_bound *b, int n, weir_error *err)
{
    const weir_plan_index *p = &b->plan->indexes[n];
    weir_ltable *t = b->tables[p->table];
    if (p->ncols < 1 || p->ncols > WEIR_KEY_COLS_MAX) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "a join over %d columns, from 1 to %d work",
                         p->ncols, WEIR_KEY_COLS_MAX);
    }
    for (int i = 0; i < l->nindexes; i++) {
        if (same_index(l->indexes[i], t, p, b->to_layout[p->table])) {
            b->indexes[n] = l->indexes[i];
            return WEIR_OK;
        }
    }
    weir_lindex *x = add_index(l, t, p->ncols);
    x->id = l->next_id++;
    x->built = t->fresh; /* maintained from its first row on */
    for (int i = 0; i < p->ncols; i++) {
        x->cols[i] = b->to_layout[p->table][p->cols[i]];
        x->types[i] = t->cols[x->cols[i]].ty;
    }
    attach(x);
    b->indexes[n] = x;
    return WEIR_OK;
}

static weir_tuple *row_storage(const weir_plan *plan, weir_arena *a)
{
    weir_tuple *rows = WEIR_ARENA_ARRAY(a, weir_tuple, (size_t)plan->nocc);
    for (int i = 0; i < plan->nocc; i++) {
        int n = plan->tables[plan->occs[i].table].ncols;
        rows[i].n = (uint16_t)n;
        rows[i].v = WEIR_ARENA_ARRAY(a, weir_val, (size_t)n);
    }
    return rows;
}

static void make_labels(weir_bound *b, weir_arena *a)
{
    weir_buf buf;
    weir_buf_init(&buf, 1 << 20);
    b->labels = WEIR_ARENA_ARRAY(a, weir_slice, (size_t)b->plan->noutputs);
    for (int i = 0; i < b->plan->noutputs; i++) {
        weir_buf_reset(&buf);
        weir_json_quote(&buf, b->plan->outputs[i].name);
        weir_buf_putz(&buf, ": ");
        b->labels[i] = weir_arena_dup(a, weir_buf_slice(&buf));
    }
    weir_buf_fini(&buf);
}

weir_rc weir_layout_bind(weir_layout *l, const weir_plan *plan, uint32_t id, weir_arena *a,
                         weir_bound *out, weir_error *err)
{
    size_t nt = (size_t)plan->ntables;
    *out = (weir_bound){.id = id, .plan = plan};
    out->tables = WEIR_ARENA_ARRAY(a, weir_ltable *, nt);
    out->indexes = WEIR_ARENA_ARRAY(a, weir_lindex *, (size_t)plan->nindexes);
    out->to_plan = WEIR_ARENA_ARRAY(a, int *, nt);
    out->to_layout = WEIR_ARENA_ARRAY(a, int *, nt);
    out->nto = WEIR_ARENA_ARRAY(a, int, nt);
    for (int i = 0; i < plan->ntables; i++) {
        weir_rc rc = bind_table(l, out, i, a, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    for (int i = 0; i < plan->nindexes; i++) {
        weir_rc rc = bind_index(l, out, i, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    for (int i = 0; i < plan->ntables; i++) {
        out->tables[i]->fresh = false;
    }
    out->rows = row_storage(plan, a);
    out->walk_rows = row_storage(plan, a);
    make_labels(out, a);
    return WEIR_OK;
}

void weir_layout_lose(weir_ltable *t, int col)
{
    t->cols[col].lost = true;
}

bool weir_bound_uses(const weir_bound *b, const weir_ltable *t, int col)
{
    for (int k = 0; k < b->plan->ntables; k++) {
        bool any = b->tables[k] == t && col < 0;
        for (int i = 0; b->tables[k] == t && i < b->plan->tables[k].ncols && !any; i++) {
            any = b->to_layout[k][i] == col;
        }
        if (any) {
            return true;
        }
    }
    return false;
}

bool weir_bound_copied(const weir_bound *b)
{
    for (int i = 0; i < b->plan->ntables; i++) {
        for (int c = 0; c < b->plan->tables[i].ncols; c++) {
            if (b->to_layout[i][c] >= b->tables[i]->ncomplete) {
                return false;
            }
        }
    }
    return true;
}

bool weir_bound_ready(const weir_bound *b)
{
    if (!weir_bound_copied(b)) {
        return false;
    }
    for (int i = 0; i < b->plan->nindexes; i++) {
        if (!b->indexes[i]->built) {
            return false;
        }
    }
    return true;
}

void weir_layout_unmark(weir_layout *l)
{
    for (int i = 0; i < l->ntables; i++) {
        l->tables[i]->used = false;
    }
    for (int i = 0; i < l->nindexes; i++) {
        l->indexes[i]->used = false;
    }
}

void weir_layout_mark(const weir_bound *b)
{
    for (int i = 0; i < b->plan->ntables; i++) {
        b->tables[i]->used = true;
    }
    for (int i = 0; i < b->plan->nindexes; i++) {
        b->indexes[i]->used = true;
    }
}

int weir_layout_drop_unmarked(weir_layout *l)
{
    int n = 0;
    for (int i = 0; i < l->nindexes; i++) {
        weir_lindex *x = l->indexes[i];
        if (!x->used && !x->dropped) {
            x->dropped = true;
            detach(x);
            n++;
        }
    }
    for (int i = 0; i < l->ntables; i++) {
        weir_ltable *t = l->tables[i];
        if (!t->used && !t->dropped) {
            t->dropped = true;
            n++;
        }
    }
    return n;
}

void weir_layout_forget_table(weir_layout *l, weir_ltable *t)
{
    for (int i = 0; i < l->ntables; i++) {
        if (l->tables[i] == t) {
            free(t->indexes);
            t->indexes = NULL;
            l->tables[i] = l->tables[--l->ntables];
            return;
        }
    }
}

void weir_layout_forget_index(weir_layout *l, weir_lindex *x)
{
    for (int i = 0; i < l->nindexes; i++) {
        if (l->indexes[i] == x) {
            l->indexes[i] = l->indexes[--l->nindexes];
            return;
        }
    }
}

/* --- the persisted form
 * --------------------------------------------------------------------------- */

static void put_text(weir_buf *out, weir_slice s)
{
    weir_buf_u32(out, (uint32_t)s.n);
    weir_buf_puts(out, s);
}

static void save_table(const weir_ltable *t, weir_buf *out)
{
    weir_buf_u32(out, t->id);
    weir_buf_u32(out, t->oid);
    put_text(out, t->schema);
    put_text(out, t->name);
    weir_buf_u32(out, (uint32_t)t->ncols);
    for (int i = 0; i < t->ncols; i++) {
        put_text(out, t->cols[i].name);
        weir_buf_u32(out, (uint32_t)t->cols[i].ty);
        weir_buf_u32(out, t->cols[i].oid);
        weir_buf_u32(out, (uint32_t)t->cols[i].typmod);
        weir_buf_u32(out, t->cols[i].wire_oid);
        weir_buf_u32(out, (uint32_t)t->cols[i].wire_typmod);
        weir_buf_u8(out, t->cols[i].lost);
    }
    weir_buf_u32(out, (uint32_t)t->nkey);
    for (int i = 0; i < t->nkey; i++) {
        weir_buf_u32(out, (uint32_t)t->key[i]);
    }
    weir_buf_u32(out, (uint32_t)t->ncomplete);
    put_text(out, weir_slice_z(t->copy_id));
    weir_buf_u32(out, (uint32_t)t->copy_cols);
    weir_buf_u8(out, t->dropped);
}

void weir_layout_save(const weir_layout *l, weir_buf *out)
{
    weir_buf_u8(out, LAYOUT_FORMAT);
    weir_buf_u32(out, l->next_id);
    weir_buf_u32(out, (uint32_t)l->ntables);
    for (int i = 0; i < l->ntables; i++) {
        save_table(l->tables[i], out);
    }
    weir_buf_u32(out, (uint32_t)l->nindexes);
    for (int i = 0; i < l->nindexes; i++) {
        const weir_lindex *x = l->indexes[i];
        weir_buf_u32(out, x->id);
        weir_buf_u32(out, x->table->id);
        weir_buf_u32(out, (uint32_t)x->ncols);
        for (int c = 0; c < x->ncols; c++) {
            weir_buf_u32(out, (uint32_t)x->cols[c]);
        }
        weir_buf_u8(out, (uint8_t)(x->built | x->dropped << 1));
    }
}

static weir_slice get_text(weir_rd *rd)
{
    return weir_rd_bytes(rd, weir_rd_u32(rd));
}

/* A number that must be below limit; marks the reader bad otherwise. */
static int get_num(weir_rd *rd, uint32_t limit)
{
    uint32_t v = weir_rd_u32(rd);
    if (v >= limit) {
        rd->bad = true;
        return 0;
    }
    return (int)v;
}

static void load_table(weir_layout *l, weir_rd *rd)
{
    weir_ltable *t = add_table(l);
    t->id = weir_rd_u32(rd);
    t->oid = weir_rd_u32(rd);
    t->schema = weir_arena_dup(l->a, get_text(rd));
    t->name = weir_arena_dup(l->a, get_text(rd));
    int ncols = get_num(rd, 1u << 16);
    for (int i = 0; i < ncols && weir_rd_ok(rd); i++) {
        weir_lcol c = {.name = get_text(rd)};
        c.ty = (weir_ty)get_num(rd, WEIR_TY_OTHER + 1);
        c.oid = weir_rd_u32(rd);
        c.typmod = (int32_t)weir_rd_u32(rd);
        c.wire_oid = weir_rd_u32(rd);
        c.wire_typmod = (int32_t)weir_rd_u32(rd);
        c.lost = weir_rd_u8(rd) != 0;
        (void)add_col(l, t, &c);
    }
    t->nkey = get_num(rd, WEIR_KEY_COLS_MAX + 1);
    t->key = WEIR_ARENA_ARRAY(l->a, int, (size_t)t->nkey);
    for (int i = 0; i < t->nkey; i++) {
        t->key[i] = get_num(rd, (uint32_t)t->ncols);
    }
    t->ncomplete = get_num(rd, (uint32_t)t->ncols + 1);
    weir_slice id = get_text(rd);
    if (id.n < sizeof t->copy_id) {
        memcpy(t->copy_id, id.n ? id.p : "", id.n);
    } else {
        rd->bad = true;
    }
    t->copy_cols = get_num(rd, (uint32_t)t->ncols + 1);
    t->dropped = weir_rd_u8(rd) != 0;
}

static void load_index(weir_layout *l, weir_rd *rd)
{
    uint32_t id = weir_rd_u32(rd);
    uint32_t table = weir_rd_u32(rd);
    weir_ltable *t = NULL;
    for (int i = 0; i < l->ntables; i++) {
        t = l->tables[i]->id == table ? l->tables[i] : t;
    }
    int ncols = get_num(rd, WEIR_KEY_COLS_MAX + 1);
    if (!t || !weir_rd_ok(rd)) {
        rd->bad = true;
        return;
    }
    weir_lindex *x = add_index(l, t, ncols);
    x->id = id;
    for (int i = 0; i < ncols && weir_rd_ok(rd); i++) {
        x->cols[i] = get_num(rd, (uint32_t)t->ncols);
        x->types[i] = weir_rd_ok(rd) ? t->cols[x->cols[i]].ty : WEIR_TY_OTHER;
    }
    unsigned flags = weir_rd_u8(rd);
    x->built = flags & 1;
    x->dropped = (flags & 2) != 0;
    if (!x->dropped) {
        attach(x);
    }
}

weir_rc weir_layout_load(weir_layout *l, weir_slice s, weir_error *err)
{
    weir_rd rd = weir_rd_of(s);
    if (weir_rd_u8(&rd) != LAYOUT_FORMAT) {
        return weir_fail(err, WEIR_E_PROTO, 0, "the state's layout has another format");
    }
    l->next_id = weir_rd_u32(&rd);
    int nt = get_num(&rd, TABLES_MAX);
    for (int i = 0; i < nt && weir_rd_ok(&rd); i++) {
        load_table(l, &rd);
    }
    int nx = get_num(&rd, INDEXES_MAX);
    for (int i = 0; i < nx && weir_rd_ok(&rd); i++) {
        load_index(l, &rd);
    }
    if (!weir_rd_finish(&rd)) {
        return weir_fail(err, WEIR_E_PROTO, 0, "the state's layout is damaged");
    }
    return WEIR_OK;
}
