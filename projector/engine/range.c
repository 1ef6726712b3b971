/* range.c - rows that a chunk's range no longer has.
 *
 * A chunk names every row of its range (docs/internals.md); what it names is kept in the state (db
 * `named`), so that a restart in its middle changes nothing. Where the order of the keys is known
 * here (one integer or uuid) its range is swept at once; else names are kept until the crawl has
 * been through the whole table, and the table is swept then.
 */
#include "libweir/base/hash.h"
#include "projector/engine/apply_priv.h"

enum { CRAWL_UNKNOWN, CRAWL_NONE, CRAWL_OPEN };

/* What is kept of a crawl through an unordered table. */
typedef struct crawl {
    uint64_t copy; /* hash of its id */
    uint64_t hi;   /* hash of where it is */
    uint8_t swept; /* it is through: names are being forgotten */
} crawl;

/* While its first copy runs nothing can be left over. */
static bool is_complete(const weir_ltable *t)
{
    return !t->dropped && t->copy_id[0] == '\0' && t->ncomplete > 0;
}

static bool is_ordered(const weir_ltable *t)
{
    weir_ty ty = t->cols[t->key[0]].ty;
    return t->nkey == 1 &&
           (ty == WEIR_TY_INT2 || ty == WEIR_TY_INT4 || ty == WEIR_TY_INT8 || ty == WEIR_TY_UUID);
}

static const weir_slice nothing = {NULL, 0};

static weir_rc crawl_get(weir_apply *ap, weir_ltable *t, crawl *c, weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    weir_slice v;
    memset(c, 0, sizeof *c);
    if (t->crawl == CRAWL_NONE) {
        return WEIR_E_NOTFOUND;
    }
    weir_rc rc =
        weir_state_get(ap->st, WEIR_DB_NAMED, weir_idkey(buf, t->id, nothing, nothing), &v, err);
    if (rc == WEIR_OK && v.n == sizeof *c) {
        memcpy(c, v.p, sizeof *c);
    }
    t->crawl = rc == WEIR_OK ? CRAWL_OPEN : CRAWL_NONE;
    return rc;
}

static weir_rc crawl_put(weir_apply *ap, weir_ltable *t, const crawl *c, weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    t->crawl = CRAWL_OPEN;
    return weir_state_put(ap->st, WEIR_DB_NAMED, weir_idkey(buf, t->id, nothing, nothing),
                          (weir_slice){(const char *)c, sizeof *c}, err);
}

weir_rc weir_range_name(weir_apply *ap, weir_ltable *t, weir_slice rowkey, weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    crawl c;
    if (!is_complete(t)) {
        return WEIR_OK;
    }
    if (!ap->chunk) { /* a live event: of interest only to a crawl that sweeps at its end */
        weir_rc rc = is_ordered(t) ? WEIR_E_NOTFOUND : crawl_get(ap, t, &c, err);
        if (rc != WEIR_OK) {
            return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
        }
    }
    return weir_state_put(ap->st, WEIR_DB_NAMED, weir_idkey(buf, t->id, rowkey, nothing),
                          WEIR_SLICE_LIT(""), err);
}

/* Forgets names of the table, at most *left; *through: none is left. */
static weir_rc forget(weir_apply *ap, const weir_ltable *t, size_t *left, bool *through,
                      weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    char key[WEIR_IDKEY_MAX];
    weir_slice prefix = weir_idkey(buf, t->id, nothing, nothing);
    weir_rc rc = WEIR_OK;
    while (rc == WEIR_OK && *left > 0) {
        weir_scan s;
        weir_slice rest = nothing;
        weir_slice value;
        rc = weir_scan_start(ap->st, &s, WEIR_DB_NAMED, prefix, nothing, err);
        for (int i = 0; rc == WEIR_OK && (i == 0 || rest.n == 0) && i < 2; i++) {
            rc = weir_scan_next(&s, &rest, &value, err); /* the crawl's own record comes first */
        }
        weir_slice whole = rc == WEIR_OK ? weir_idkey(key, t->id, rest, nothing) : nothing;
        weir_scan_end(ap->st, &s);
        if (rc == WEIR_OK) {
            rc = weir_state_del(ap->st, WEIR_DB_NAMED, whole, err);
            (*left)--;
        }
    }
    *through = rc == WEIR_E_EOF;
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

/* --- sweeping
 * ----------------------------------------------------------------------------------------------------
 */

typedef struct bounds {
    bool has_lo, has_hi;
    weir_key lo, hi;
} bounds;

static weir_rc bound_of(const weir_ltable *t, const weir_tuple *values, bool *has, weir_key *key,
                        weir_error *err)
{
    weir_ty ty = t->cols[t->key[0]].ty;
    *has = values->n > 0;
    return *has ? weir_key_make(key, 1, &ty, values->v, err) : WEIR_OK;
}

/* The next row at or behind ap->range_at that nobody named. WEIR_E_EOF: none within the bounds.
 * WEIR_E_AGAIN: enough was looked at. */
static weir_rc next_unnamed(weir_apply *ap, const weir_ltable *t, const bounds *b, size_t *left,
                            weir_key *found, weir_error *err)
{
    char prefix[WEIR_IDKEY_MAX];
    char from[WEIR_IDKEY_MAX];
    char name[WEIR_IDKEY_MAX];
    weir_scan s;
    weir_slice rest;
    weir_slice value;
    weir_slice at = weir_key_slice(&ap->range_at);
    weir_rc rc =
        weir_scan_start(ap->st, &s, WEIR_DB_ROW, weir_idkey(prefix, t->id, nothing, nothing),
                        at.n ? weir_idkey(from, t->id, at, nothing) : nothing, err);
    while (rc == WEIR_OK) {
        rc = weir_scan_next(&s, &rest, &value, err);
        if (rc != WEIR_OK || rest.n > sizeof found->b) {
            break;
        }
        found->n = (uint16_t)rest.n;
        memcpy(found->b, rest.p, rest.n);
        if (b->has_lo && weir_slice_cmp(rest, weir_key_slice(&b->lo)) <= 0) {
            continue;
        }
        if (b->has_hi && weir_slice_cmp(rest, weir_key_slice(&b->hi)) > 0) {
            rc = WEIR_E_EOF;
        } else if (*left == 0) {
            ap->range_at = *found;
            rc = WEIR_E_AGAIN;
        } else {
            (*left)--;
            rc = weir_state_get(ap->st, WEIR_DB_NAMED,
                                weir_idkey(name, t->id, weir_key_slice(found), nothing), &value,
                                err);
            if (rc == WEIR_E_NOTFOUND) {
                rc = WEIR_OK;
                break;
            }
        }
    }
    weir_scan_end(ap->st, &s);
    return rc;
}

/* *through: nothing is left within the bounds. */
static weir_rc sweep(weir_apply *ap, const weir_ltable *t, const bounds *b, size_t *left,
                     bool *through, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    if (ap->range_at.n == 0 && b->has_lo) {
        ap->range_at = b->lo;
    }
    while (rc == WEIR_OK) {
        weir_key found;
        rc = next_unnamed(ap, t, b, left, &found, err);
        if (rc == WEIR_OK) {
            ap->range_at = found;
            ap->swept++;
            rc = weir_apply_remove(ap, t, weir_key_slice(&found), err);
        }
    }
    *through = rc == WEIR_E_EOF;
    return rc == WEIR_E_EOF || rc == WEIR_E_AGAIN ? WEIR_OK : rc;
}

static uint64_t hash_of(const weir_tuple *values)
{
    uint64_t h = 0x9E3779B97F4A7C15;
    for (uint16_t i = 0; i < values->n; i++) {
        h = (h ^ weir_hash64(values->v[i].text)) * 0xFF51AFD7ED558CCD + values->v[i].text.n;
    }
    return h;
}

/* A range of a table whose key order is not known here: the crawl must have come through all of it
 * without a gap. */
static weir_rc unordered(weir_apply *ap, weir_ltable *t, const weir_ev *ev, size_t *left,
                         bool *through, weir_error *err)
{
    crawl c;
    uint64_t copy = weir_hash64(ev->copy_id);
    uint64_t hi = hash_of(&ev->new_row);
    weir_rc rc = crawl_get(ap, t, &c, err);
    if (rc != WEIR_OK && rc != WEIR_E_NOTFOUND) {
        return rc;
    }
    *through = true;
    bool known = rc == WEIR_OK && c.copy == copy;
    bool again = known && c.hi == hi; /* after a restart, or the next piece of the work */
    if (ev->old_row.n > 0 && !again && !(known && c.hi == hash_of(&ev->old_row))) {
        ap->range_forget = true; /* its beginning was never seen: it says nothing here */
        return WEIR_OK;
    }
    if (!again) {
        c = (crawl){.copy = copy, .hi = hi};
        rc = crawl_put(ap, t, &c, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    if (ev->new_row.n > 0) {
        return WEIR_OK;
    }
    if (!c.swept) {
        rc = sweep(ap, t, &(bounds){.has_lo = false}, left, through, err);
        c.swept = *through;
        rc = rc == WEIR_OK && c.swept ? crawl_put(ap, t, &c, err) : rc;
        *left = *left > 0 ? *left : 1;
    }
    return rc == WEIR_OK && c.swept ? forget(ap, t, left, through, err) : rc;
}

weir_rc weir_apply_range(weir_apply *ap, const weir_ev *ev, size_t max, bool *done, weir_error *err)
{
    weir_relmap *m = weir_apply_map(ap, ev->rel);
    size_t left = max;
    *done = true;
    if (!m) {
        return weir_fail(err, WEIR_E_PROTO, 0, "relation version %u was never described", ev->rel);
    }
    for (; ap->range_table < m->n; ap->range_table++) {
        weir_ltable *t = m->tables[ap->range_table].t;
        bounds b;
        bool through = true;
        weir_rc rc = WEIR_OK;
        if (is_complete(t) && is_ordered(t)) {
            rc = bound_of(t, &ev->old_row, &b.has_lo, &b.lo, err);
            rc = rc == WEIR_OK ? bound_of(t, &ev->new_row, &b.has_hi, &b.hi, err) : rc;
            rc = rc == WEIR_OK ? sweep(ap, t, &b, &left, &through, err) : rc;
        } else if (is_complete(t)) {
            rc = unordered(ap, t, ev, &left, &through, err);
        }
        if (rc != WEIR_OK || !through) {
            *done = false;
            return rc;
        }
        ap->range_at.n = 0;
    }
    ap->range_rel = ev->rel;
    ap->range_end = ev->new_row.n == 0;
    return WEIR_OK;
}

weir_rc weir_apply_chunk_end(weir_apply *ap, weir_error *err)
{
    weir_relmap *m = ap->range_rel ? weir_apply_map(ap, ap->range_rel) : NULL;
    weir_rc rc = WEIR_OK;
    for (int i = 0; m && i < m->n && rc == WEIR_OK; i++) {
        weir_ltable *t = m->tables[i].t;
        size_t all = SIZE_MAX;
        bool through = false;
        if (!is_complete(t)) {
            continue;
        }
        if (is_ordered(t) || ap->range_forget) {
            rc = forget(ap, t, &all, &through, err);
        }
        if (rc == WEIR_OK && !is_ordered(t) && (ap->range_end || ap->range_forget)) {
            char buf[WEIR_IDKEY_MAX];
            t->crawl = CRAWL_NONE;
            rc = weir_state_del(ap->st, WEIR_DB_NAMED, weir_idkey(buf, t->id, nothing, nothing),
                                err);
        }
    }
    weir_apply_range_reset(ap);
    return rc;
}

void weir_apply_range_reset(weir_apply *ap)
{
    ap->range_rel = 0;
    ap->range_table = 0;
    ap->range_at.n = 0;
    ap->range_forget = ap->range_end = false;
}

const weir_ltable *weir_apply_table(weir_apply *ap, uint32_t rel, int i)
{
    const weir_relmap *m = weir_apply_map(ap, rel);
    return m && i < m->n ? m->tables[i].t : NULL;
}
