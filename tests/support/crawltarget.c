/* crawltarget.c - one table kept from the feed. */
#include "tests/support/crawltarget.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/xalloc.h"

typedef struct row {
    char *col[CRAWLTARGET_COLS]; /* NULL: SQL NULL */
    bool gap[CRAWLTARGET_COLS];  /* never told */
    uint64_t chunk;              /* the chunk that named it last */
} row;

struct crawltarget {
    char table[64];
    int ncols, nkey;
    bool number[2];
    bool deaf;
    row **v; /* in key order */
    size_t n, cap;
    uint64_t chunk;    /* number of the chunk that is being read */
    uint64_t frame_no; /* of the feed, when the last event came */
};

crawltarget *crawltarget_new(const char *table, int ncols, int nkey, const bool *number, bool deaf)
{
    crawltarget *t = weir_xcalloc(1, sizeof *t);
    (void)snprintf(t->table, sizeof t->table, "%s", table);
    t->ncols = ncols;
    t->nkey = nkey;
    t->deaf = deaf;
    t->chunk = 1;
    memcpy(t->number, number, (size_t)nkey * sizeof *number);
    return t;
}

static void row_free(row *x)
{
    for (int i = 0; i < CRAWLTARGET_COLS; i++) {
        free(x->col[i]);
    }
    free(x);
}

static void clear(crawltarget *t)
{
    for (size_t i = 0; i < t->n; i++) {
        row_free(t->v[i]);
    }
    t->n = 0;
}

void crawltarget_free(crawltarget *t)
{
    clear(t);
    free(t->v);
    free(t);
}

static int cmp_col(const crawltarget *t, int k, weir_slice a, weir_slice b)
{
    int64_t x = 0;
    int64_t y = 0;
    if (t->number[k] && weir_slice_i64(a, &x) && weir_slice_i64(b, &y)) {
        return (x > y) - (x < y);
    }
    return weir_slice_cmp(a, b);
}

/* key: values in the order of the key, which are the first columns. */
static int cmp(const crawltarget *t, const row *x, const weir_tuple *key)
{
    for (int k = 0; k < t->nkey; k++) {
        int c = cmp_col(t, k, weir_slice_z(x->col[k]), key->v[k].text);
        if (c) {
            return c;
        }
    }
    return 0;
}

static size_t find(const crawltarget *t, const weir_tuple *key, bool *there)
{
    size_t lo = 0;
    size_t hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (cmp(t, t->v[mid], key) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *there = lo < t->n && cmp(t, t->v[lo], key) == 0;
    return lo;
}

static row *take_out(crawltarget *t, const weir_tuple *key)
{
    bool there;
    size_t at = find(t, key, &there);
    if (!there) {
        return NULL;
    }
    row *x = t->v[at];
    memmove(&t->v[at], &t->v[at + 1], (t->n - at - 1) * sizeof *t->v);
    t->n--;
    return x;
}

static void put_in(crawltarget *t, row *x, const weir_tuple *key)
{
    bool there;
    size_t at = find(t, key, &there);
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->v = weir_xrealloc(t->v, t->cap * sizeof *t->v);
    }
    memmove(&t->v[at + 1], &t->v[at], (t->n - at) * sizeof *t->v);
    t->v[at] = x;
    t->n++;
}

static void fill(crawltarget *t, row *x, const weir_tuple *from)
{
    for (int i = 0; i < t->ncols && i < from->n; i++) {
        if (from->v[i].kind == WEIR_VAL_UNCHANGED) {
            continue;
        }
        free(x->col[i]);
        x->gap[i] = false;
        x->col[i] = NULL;
        if (from->v[i].kind == WEIR_VAL_TEXT) {
            x->col[i] = weir_xcalloc(from->v[i].text.n + 1, 1);
            memcpy(x->col[i], from->v[i].text.p, from->v[i].text.n);
        }
    }
}

/* The row moves from its old key with what it has; whatever stood at the new one is replaced. */
static void upsert(crawltarget *t, const weir_tuple *old_row, const weir_tuple *now)
{
    row *x = old_row ? take_out(t, old_row) : NULL;
    row *there = take_out(t, now);
    if (x && there) {
        row_free(there);
    } else if (!x && there && !old_row) {
        x = there;
    } else if (there) {
        row_free(there); /* another row's values are not this one's */
    }
    if (!x) {
        x = weir_xcalloc(1, sizeof *x);
        for (int i = 0; i < t->ncols; i++) {
            x->gap[i] = true;
        }
    }
    fill(t, x, now);
    put_in(t, x, now);
}

static void on_range(crawltarget *t, const weir_ev *ev)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++) {
        row *x = t->v[i];
        bool above = ev->old_row.n == 0 || cmp(t, x, &ev->old_row) > 0;
        bool below = ev->new_row.n == 0 || cmp(t, x, &ev->new_row) <= 0;
        if (above && below && x->chunk != t->chunk && !t->deaf) {
            row_free(x);
        } else {
            t->v[kept++] = x;
        }
    }
    t->n = kept;
    t->chunk++;
}

static void named(crawltarget *t, const weir_tuple *key)
{
    bool there;
    size_t at = find(t, key, &there);
    if (there) {
        t->v[at]->chunk = t->chunk;
    }
}

static void trace_tuple(FILE *to, const crawltarget *t, const char *what, const weir_tuple *v)
{
    (void)fprintf(to, " %s", what);
    for (int i = 0; i < v->n && i < t->ncols; i++) {
        if (v->v[i].kind == WEIR_VAL_TEXT) {
            (void)fprintf(to, "|%.*s", (int)(v->v[i].text.n < 12 ? v->v[i].text.n : 12),
                          v->v[i].text.p);
        } else {
            (void)fprintf(to, "|%s", v->v[i].kind == WEIR_VAL_NULL ? "" : "~");
        }
    }
}

/* For the search for a difference: every event as the subscriber got it. */
static void trace(const crawltarget *t, const feedlines *f, const weir_ev *ev)
{
    static const char *const names[] = {"?",        "INSERT",  "UPDATE", "DELETE",
                                        "TRUNCATE", "MESSAGE", "ORIGIN", "TYPE",
                                        "READ",     "RANGE",   "COPIED"};
    FILE *to = fopen(getenv("WEIR_CRAWL_TRACE"), "ae");
    if (!to) {
        return;
    }
    (void)fprintf(to, "%s %llu %s %X/%X xid %u %s", t->table, (unsigned long long)f->frames,
                  f->frame_kind == WEIR_FRAME_CHUNK ? "chunk" : "tx",
                  (unsigned)(f->frame_lsn >> 32), (unsigned)f->frame_lsn, f->frame_xid,
                  names[ev->kind]);
    trace_tuple(to, t, "old", &ev->old_row);
    trace_tuple(to, t, "new", &ev->new_row);
    (void)fprintf(to, "\n");
    (void)fclose(to);
}

static void on_row(crawltarget *t, const weir_ev *ev, bool chunk)
{
    switch (ev->kind) {
    case WEIR_EV_INSERT:
    case WEIR_EV_READ: upsert(t, NULL, &ev->new_row); break;
    case WEIR_EV_UPDATE: upsert(t, ev->old_kind ? &ev->old_row : NULL, &ev->new_row); break;
    case WEIR_EV_DELETE: {
        row *x = take_out(t, &ev->old_row);
        if (x) {
            row_free(x);
        }
        return;
    }
    case WEIR_EV_RANGE: on_range(t, ev); return;
    default: return;
    }
    if (chunk) {
        named(t, &ev->new_row);
    }
}

void crawltarget_event(void *arg, feedlines *f, const weir_relation *rel, const weir_ev *ev)
{
    crawltarget **targets = arg;
    for (int i = 0; i < 2 && targets[i]; i++) {
        crawltarget *t = targets[i];
        bool chunk = f->frame_kind == WEIR_FRAME_CHUNK;
        if (!chunk && t->frame_no != f->frames) {
            t->chunk++; /* a chunk is in one piece: what was named before a transaction is not of it
                         */
        }
        t->frame_no = f->frames;
        for (uint32_t k = 0; ev->kind == WEIR_EV_TRUNCATE && k < ev->nrels; k++) {
            const weir_relation *r = ev->rels[k] < 4096 ? f->rels[ev->rels[k]] : NULL;
            if (r && weir_slice_eqz(r->name, t->table)) {
                clear(t);
            }
        }
        if (rel && ev->kind != WEIR_EV_TRUNCATE && weir_slice_eqz(rel->name, t->table)) {
            if (getenv("WEIR_CRAWL_TRACE")) {
                trace(t, f, ev);
            }
            on_row(t, ev, chunk);
        }
    }
}

void crawltarget_put(crawltarget *t, const char *const *cols)
{
    weir_val v[CRAWLTARGET_COLS];
    for (int i = 0; i < t->ncols; i++) {
        v[i] = (weir_val){cols[i] ? WEIR_VAL_TEXT : WEIR_VAL_NULL, {NULL, 0}};
        if (cols[i]) {
            v[i].text = weir_slice_z(cols[i]);
        }
    }
    upsert(t, NULL, &(weir_tuple){(uint16_t)t->ncols, v});
}

char *crawltarget_text(const crawltarget *t)
{
    weir_buf b;
    weir_buf_init(&b, (size_t)1 << 30);
    for (size_t i = 0; i < t->n; i++) {
        const row *x = t->v[i];
        for (int c = 0; c < t->ncols; c++) {
            weir_buf_printf(&b, "%s%s", c ? "|" : "", x->gap[c] ? "~" : x->col[c] ? x->col[c] : "");
        }
        weir_buf_u8(&b, '\n');
    }
    weir_buf_u8(&b, 0);
    return weir_buf_take(&b, &(size_t){0});
}
