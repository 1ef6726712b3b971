/* replica.c - one table rebuilt from the feed. */
#include "tests/support/replica.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/xalloc.h"

typedef struct row {
    int64_t key;
    uint16_t n;
    char **col;    /* NULL: SQL NULL */
    bool *gap;     /* never known */
    uint64_t seen; /* number of the range during which it was last confirmed */
} row;

struct replica {
    char table[64];
    bool keyless;
    row **v; /* ordered by key; keyless: in order of arrival */
    size_t n, cap;
    uint64_t copied, ranges;
};

replica *replica_new(const char *table, bool keyless)
{
    replica *r = weir_xcalloc(1, sizeof *r);
    (void)snprintf(r->table, sizeof r->table, "%s", table);
    r->keyless = keyless;
    return r;
}

static void row_free(row *x)
{
    for (uint16_t i = 0; i < x->n; i++) {
        free(x->col[i]);
    }
    free(x->col);
    free(x->gap);
    free(x);
}

void replica_free(replica *r)
{
    for (size_t i = 0; i < r->n; i++) {
        row_free(r->v[i]);
    }
    free(r->v);
    free(r);
}

static int64_t key_of(const weir_tuple *t)
{
    int64_t v = 0;
    return weir_slice_i64(t->v[0].text, &v) ? v : 0;
}

static size_t find(const replica *r, int64_t key)
{
    size_t lo = 0;
    size_t hi = r->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->v[mid]->key < key) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static void insert_at(replica *r, size_t at, row *x)
{
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->v = weir_xrealloc(r->v, r->cap * sizeof *r->v);
    }
    memmove(&r->v[at + 1], &r->v[at], (r->n - at) * sizeof *r->v);
    r->v[at] = x;
    r->n++;
}

static row *take_out(replica *r, size_t at)
{
    row *x = r->v[at];
    memmove(&r->v[at], &r->v[at + 1], (r->n - at - 1) * sizeof *r->v);
    r->n--;
    return x;
}

static row *row_new(uint16_t n)
{
    row *x = weir_xcalloc(1, sizeof *x);
    x->n = n;
    x->col = weir_xcalloc(n, sizeof *x->col);
    x->gap = weir_xcalloc(n, sizeof *x->gap);
    for (uint16_t i = 0; i < n; i++) {
        x->gap[i] = true;
    }
    return x;
}

static void fill(replica *r, row *x, const weir_tuple *t)
{
    for (uint16_t i = 0; i < t->n && i < x->n; i++) {
        if (t->v[i].kind == WEIR_VAL_UNCHANGED) {
            continue;
        }
        free(x->col[i]);
        x->gap[i] = false;
        x->col[i] = NULL;
        if (t->v[i].kind == WEIR_VAL_TEXT) {
            x->col[i] = weir_xcalloc(t->v[i].text.n + 1, 1);
            memcpy(x->col[i], t->v[i].text.p, t->v[i].text.n);
        }
    }
    x->seen = r->ranges;
}

static void upsert(replica *r, const weir_tuple *old_row, const weir_tuple *t)
{
    row *x = NULL;
    if (old_row) {
        size_t at = find(r, key_of(old_row));
        if (at < r->n && r->v[at]->key == key_of(old_row)) {
            x = take_out(r, at);
        }
    }
    int64_t key = key_of(t);
    size_t at = find(r, key);
    if (at < r->n && r->v[at]->key == key) {
        if (x) {
            row_free(take_out(r, at)); /* the row that moved here replaces it */
        } else {
            x = take_out(r, at);
        }
    }
    x = x ? x : row_new(t->n);
    x->key = key;
    fill(r, x, t);
    insert_at(r, find(r, key), x);
}

static void delete_key(replica *r, const weir_tuple *old_row)
{
    size_t at = find(r, key_of(old_row));
    if (at < r->n && r->v[at]->key == key_of(old_row)) {
        row_free(take_out(r, at));
    }
}

static void clear(replica *r)
{
    while (r->n) {
        row_free(take_out(r, r->n - 1));
    }
}

/* Rows of the range that nobody confirmed since the last one do not exist. */
static void on_range(replica *r, const weir_ev *ev)
{
    for (size_t i = r->n; i > 0; i--) {
        const row *x = r->v[i - 1];
        bool above = ev->old_row.n == 0 || x->key > key_of(&ev->old_row);
        bool below = ev->new_row.n == 0 || x->key <= key_of(&ev->new_row);
        if (above && below && x->seen < r->ranges) {
            row_free(take_out(r, i - 1));
        }
    }
    r->ranges++;
}

static bool same(const row *x, const weir_tuple *t)
{
    for (uint16_t i = 0; i < x->n; i++) {
        bool null = t->v[i].kind == WEIR_VAL_NULL;
        if (null != (x->col[i] == NULL) || (!null && !weir_slice_eqz(t->v[i].text, x->col[i]))) {
            return false;
        }
    }
    return true;
}

static void keyless_event(replica *r, const weir_ev *ev)
{
    for (size_t i = 0; (ev->kind == WEIR_EV_DELETE || ev->kind == WEIR_EV_UPDATE) && i < r->n;
         i++) {
        if (same(r->v[i], &ev->old_row)) {
            row_free(take_out(r, i));
            break;
        }
    }
    if (ev->kind == WEIR_EV_INSERT || ev->kind == WEIR_EV_UPDATE || ev->kind == WEIR_EV_READ) {
        row *x = row_new(ev->new_row.n);
        fill(r, x, &ev->new_row);
        insert_at(r, r->n, x);
    }
}

static void keyed_event(replica *r, const weir_ev *ev)
{
    switch (ev->kind) {
    case WEIR_EV_INSERT:
    case WEIR_EV_READ: upsert(r, NULL, &ev->new_row); break;
    case WEIR_EV_UPDATE: upsert(r, ev->old_kind ? &ev->old_row : NULL, &ev->new_row); break;
    case WEIR_EV_DELETE: delete_key(r, &ev->old_row); break;
    case WEIR_EV_RANGE: on_range(r, ev); break;
    default: break;
    }
}

void replica_event(void *arg, feedlines *f, const weir_relation *rel, const weir_ev *ev)
{
    replica *r = arg;
    if (ev->kind == WEIR_EV_TRUNCATE) {
        for (uint32_t i = 0; i < ev->nrels; i++) {
            if (ev->rels[i] < 4096 && f->rels[ev->rels[i]] &&
                weir_slice_eqz(f->rels[ev->rels[i]]->name, r->table)) {
                clear(r);
            }
        }
        return;
    }
    if (ev->kind == WEIR_EV_COPIED && weir_slice_eqz(ev->b, r->table)) {
        r->copied++;
    }
    if (!rel || !weir_slice_eqz(rel->name, r->table)) {
        return;
    }
    if (r->keyless) {
        keyless_event(r, ev);
    } else {
        keyed_event(r, ev);
    }
}

static int by_text(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

/* A row that was first seen while a test's column "extra" existed still has it; the table it is
 * compared with no longer does. */
enum { COLUMNS_COMPARED = 3 };

static char *row_text(const row *x)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    for (uint16_t i = 0; i < x->n && i < COLUMNS_COMPARED; i++) {
        weir_buf_printf(&b, "%s%s", i ? "|" : "", x->gap[i] ? "~" : x->col[i] ? x->col[i] : "");
    }
    weir_buf_u8(&b, '\n');
    weir_buf_u8(&b, 0);
    return weir_buf_take(&b, &(size_t){0});
}

char *replica_text(const replica *r)
{
    weir_buf b;
    weir_buf_init(&b, (size_t)1 << 30);
    char **lines = weir_xcalloc(r->n + 1, sizeof *lines);
    for (size_t i = 0; i < r->n; i++) {
        lines[i] = row_text(r->v[i]);
    }
    if (r->keyless) {
        qsort(lines, r->n, sizeof *lines, by_text);
    }
    for (size_t i = 0; i < r->n; i++) {
        weir_buf_putz(&b, lines[i]);
        free(lines[i]);
    }
    free(lines);
    weir_buf_u8(&b, 0);
    return weir_buf_take(&b, &(size_t){0});
}

uint64_t replica_copied(const replica *r)
{
    return r->copied;
}
