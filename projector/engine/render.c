/* render.c - one document from the state. */
#include "projector/engine/render.h"

#include <stdlib.h>

#include "libweir/base/xalloc.h"
#include "libweir/codec/dockey.h"
#include "projector/engine/block.h"
#include "projector/engine/walk.h"

enum { ARENA_FACTOR = 6, ARENA_MIN = 1 << 20 };

void weir_render_init(weir_render *r, weir_state *st, size_t document_max_bytes)
{
    *r = (weir_render){.st = st, .document_max_bytes = document_max_bytes};
    /* Sorting and numbers need room beside the text; the ceiling only has to keep a runaway
     * document away. */
    size_t ceiling = document_max_bytes * ARENA_FACTOR;
    r->a = weir_arena_new(ceiling < ARENA_MIN ? ARENA_MIN : ceiling);
}

void weir_render_fini(weir_render *r)
{
    weir_arena_free(r->a);
    free(r->rows);
    *r = (weir_render){0};
}

static weir_rc put_document(weir_render *r, weir_error *err)
{
    const weir_plan *p = r->m->plan;
    weir_buf *out = r->out;
    size_t start = out->n;
    weir_buf_u8(out, '{');
    for (int i = 0; i < p->noutputs; i++) {
        weir_value v;
        weir_rc rc = weir_expr_eval(&r->ev, p->outputs[i].expr, &v, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        if (i) {
            weir_buf_put(out, ", ", 2);
        }
        weir_buf_puts(out, r->m->labels[i]);
        rc = weir_value_jsonb(&v, p->outputs[i].expr->type, r->a, out, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        if (out->failed || out->n - start > r->document_max_bytes) {
            return weir_fail(err, WEIR_E_LIMIT, 0,
                             "the document is larger than projector.document_max_bytes (%zu)",
                             r->document_max_bytes);
        }
    }
    weir_buf_u8(out, '}');
    return WEIR_OK;
}

typedef struct plain_run {
    size_t n;
} plain_run;

static weir_rc plain_row(weir_render *r, const weir_block *b, void *arg, weir_error *err)
{
    plain_run *run = arg;
    if (run->n++ > 0) {
        return weir_fail(err, WEIR_E_INPUT, 0, "the SELECT has more than one row for this key");
    }
    if (b->having) {
        bool pass = true;
        weir_rc rc = weir_expr_true(&r->ev, b->having, &pass, err);
        if (rc != WEIR_OK || !pass) {
            return rc == WEIR_OK ? WEIR_E_EOF : rc;
        }
    }
    weir_rc rc = put_document(r, err);
    if (rc == WEIR_OK && b->grouped) {
        return WEIR_E_EOF; /* GROUP BY the root's key without aggregates: one row, whatever follows
                            */
    }
    return rc;
}

/* The outputs of a grouped block also name columns that the group determines; they are read from
 * its first tuple. */
static weir_rc keep_first(weir_render *r, const weir_block *b, void *arg, weir_error *err)
{
    const weir_tuple **kept = arg;
    for (int i = 0; i < b->nocc; i++) {
        const weir_tuple *t = r->rows[b->occs[i]];
        if (!t) {
            continue;
        }
        weir_tuple *copy = weir_arena_alloc(r->a, sizeof *copy);
        weir_val *v = WEIR_ARENA_ARRAY(r->a, weir_val, t->n);
        if (!copy || !v) {
            return weir_fail(err, WEIR_E_LIMIT, 0, "the document needs too much memory");
        }
        memcpy(v, t->v, t->n * sizeof *v);
        *copy = (weir_tuple){t->n, v};
        kept[i] = copy;
    }
    return WEIR_OK;
}

static weir_rc grouped_document(weir_render *r, const weir_block *b, weir_error *err)
{
    const weir_tuple **kept = WEIR_ARENA_ARRAY(r->a, const weir_tuple *, (size_t)b->nocc);
    if (!kept) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "the document needs too much memory");
    }
    weir_block_group g = {.b = b, .first = 1, .on_first = keep_first, .arg = kept};
    weir_rc rc = weir_block_aggregate(r, &g, err);
    if (rc != WEIR_OK || g.tuples == 0) {
        return rc;
    }
    for (int i = 0; i < b->nocc; i++) {
        r->rows[b->occs[i]] = kept[i];
    }
    bool pass = true;
    r->ev.aggs = g.aggs;
    if (b->having) {
        rc = weir_expr_true(&r->ev, b->having, &pass, err);
    }
    if (rc == WEIR_OK && pass) {
        rc = put_document(r, err);
    }
    r->ev.aggs = NULL;
    return rc;
}

/* Is the row bound to the root the one of exactly this key text? 1.5 and 1.50 are one number but
 * two documents' names. */
static bool same_key(weir_render *r, weir_slice key)
{
    weir_buf text;
    weir_buf_init(&text, (size_t)1 << 30);
    bool same = weir_walk_dockey(r->m, &r->m->rows[r->m->plan->root], &text) &&
                weir_slice_eq(weir_buf_slice(&text), key);
    weir_buf_fini(&text);
    return same;
}

/* Row key of the root row with that document key. WEIR_E_NOTFOUND: there is none. */
static weir_rc find_root(weir_render *r, weir_slice key, weir_key *rowkey, weir_error *err)
{
    const weir_plan *p = r->m->plan;
    const weir_plan_table *t = &p->tables[p->occs[p->root].table];
    weir_slice parts[WEIR_KEY_COLS_MAX];
    weir_ty types[WEIR_KEY_COLS_MAX];
    weir_val vals[WEIR_KEY_COLS_MAX];
    size_t n = WEIR_KEY_COLS_MAX;
    if (!weir_dockey_parse(key, r->a, parts, &n) || n != (size_t)p->nkey) {
        return WEIR_E_NOTFOUND;
    }
    for (size_t i = 0; i < n; i++) {
        types[i] = t->cols[p->key_cols[i]].type.ty;
        vals[i] = (weir_val){WEIR_VAL_TEXT, parts[i]};
    }
    weir_rc rc;
    if (p->key_index == WEIR_BY_ROWKEY) {
        /* The row key's columns are the key's, in its own order. */
        return weir_key_make(rowkey, n, types, vals, err);
    }
    weir_key k;
    weir_scan s;
    char buf[WEIR_IDKEY_MAX];
    weir_slice rest;
    weir_slice none;
    rc = weir_key_make(&k, n, types, vals, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_slice prefix =
        weir_idkey(buf, r->m->indexes[p->key_index]->id, weir_key_slice(&k), (weir_slice){NULL, 0});
    rc = weir_scan_start(r->st, &s, WEIR_DB_IDX, prefix, (weir_slice){NULL, 0}, err);
    if (rc == WEIR_OK) {
        rc = weir_scan_next(&s, &rest, &none, err);
    }
    if (rc == WEIR_OK) {
        rowkey->n = (uint16_t)(rest.n <= sizeof rowkey->b ? rest.n : sizeof rowkey->b);
        memcpy(rowkey->b, rest.p, rowkey->n);
    }
    weir_scan_end(r->st, &s);
    return rc == WEIR_E_EOF ? WEIR_E_NOTFOUND : rc;
}

static weir_rc make(weir_render *r, weir_slice key, weir_error *err)
{
    const weir_plan *p = r->m->plan;
    const weir_block *b = &p->blocks[0];
    weir_key rowkey;
    weir_slice row;
    weir_rc rc = find_root(r, key, &rowkey, err);
    if (rc == WEIR_OK) {
        rc = weir_state_row_get(r->st, r->m->tables[p->occs[p->root].table],
                                weir_key_slice(&rowkey), &row, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_block_bind(r, p->root, row, err);
    }
    if (rc != WEIR_OK) {
        return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    if (!same_key(r, key)) {
        return WEIR_OK;
    }
    if (b->naggs > 0) {
        return grouped_document(r, b, err);
    }
    plain_run run = {0};
    return weir_block_run(r, b, 1, plain_row, &run, err);
}

/* Two errors, the document's and the state's, must not be mixed up.
 * NOLINTNEXTLINE(readability-function-size) */
weir_rc weir_render_doc(weir_render *r, const weir_bound *m, weir_slice key, weir_buf *out,
                        weir_doc *made, weir_error *why, weir_error *err)
{
    size_t nocc = (size_t)m->plan->nocc;
    if (nocc > r->cap_rows) {
        r->rows = weir_xrealloc(r->rows, nocc * sizeof(const weir_tuple *));
        r->cap_rows = nocc;
    }
    memset(r->rows, 0, nocc * sizeof(const weir_tuple *));
    weir_arena_reset(r->a);
    r->m = m;
    r->out = out;
    r->ev = (weir_eval){.a = r->a, .rows = r->rows, .sub = weir_block_sub, .env = r};
    size_t start = out->n;
    *why = (weir_error){0};
    weir_rc rc = make(r, key, why);
    if (rc == WEIR_OK) {
        *made = out->n > start ? WEIR_DOC_MADE : WEIR_DOC_NONE;
        return WEIR_OK;
    }
    out->n = start;
    out->failed = false;
    if (weir_block_is_document_error(rc)) {
        *made = WEIR_DOC_PARKED;
        return WEIR_OK;
    }
    *err = *why;
    return rc;
}
