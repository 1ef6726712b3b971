/* tell.c - messages between the flows of one sync. */
#include "migrations/sync/tell.h"

#include <inttypes.h>

#include "libweir/base/str.h"
#include "libweir/codec/json.h"

static weir_rc malformed(weir_error *err)
{
    return weir_fail(err, WEIR_E_PROTO, 0, "a message weir.sync in the stream cannot be read");
}

void sync_tell_seen(weir_buf *out, const int64_t *us, size_t n)
{
    weir_buf_putz(out, "S");
    for (size_t i = 0; i < n; i++) {
        weir_buf_printf(out, " %" PRId64, i ? us[i] - us[i - 1] : us[0]);
    }
}

static weir_rc read_seen(weir_slice s, weir_arena *a, sync_told *out, weir_error *err)
{
    size_t cap = s.n / 2; /* each is a blank and a digit at least */
    int64_t at = 0;
    out->seen_us = WEIR_ARENA_ARRAY(a, int64_t, cap);
    while (s.n > 0) {
        size_t n = 1;
        int64_t v = 0;
        while (n < s.n && s.p[n] != ' ') {
            n++;
        }
        if (s.p[0] != ' ' || !weir_slice_i64(weir_slice_of(s.p + 1, n - 1), &v) ||
            __builtin_add_overflow(at, v, &at) || out->nseen == cap) {
            return malformed(err);
        }
        out->seen_us[out->nseen++] = at;
        s = weir_slice_of(s.p + n, s.n - n);
    }
    return WEIR_OK;
}

static bool read_id(weir_slice s, uint64_t *out)
{
    int64_t v = 0;
    bool ok = weir_slice_i64(s, &v) && v >= 0;
    *out = (uint64_t)v;
    return ok;
}

/* Texts and nulls. */
static bool read_values(const weir_json *j, size_t n, weir_val *v, weir_arena *a)
{
    for (size_t i = 0; i < n; i++) {
        weir_slice text;
        bool is = weir_json_text(weir_json_at(j, i), &text);
        v[i] = (weir_val){is ? WEIR_VAL_TEXT : WEIR_VAL_NULL,
                          is ? weir_arena_dup(a, text) : weir_slice_of(NULL, 0)};
    }
    return weir_json_len(j) == n;
}

static weir_column *find_column(weir_relation *rel, weir_slice name)
{
    for (uint16_t i = 0; i < rel->n; i++) {
        if (weir_slice_eq(rel->cols[i].name, name)) {
            return &rel->cols[i];
        }
    }
    return NULL;
}

static bool read_columns(const weir_json *j, weir_arena *a, sync_decision *d)
{
    const weir_json *cols = weir_json_get(j, "cols");
    size_t n = weir_json_len(cols);
    if (n == 0 || n > WEIR_COLUMNS_MAX) {
        return false;
    }
    d->rel.n = (uint16_t)n;
    d->rel.cols = WEIR_ARENA_ARRAY(a, weir_column, n);
    d->v = WEIR_ARENA_ARRAY(a, weir_val, n);
    for (size_t i = 0; i < n; i++) {
        weir_slice name;
        if (!weir_json_text(weir_json_at(cols, i), &name)) {
            return false;
        }
        d->rel.cols[i] = (weir_column){.name = weir_arena_dup(a, name)};
        d->v[i] = (weir_val){.kind = WEIR_VAL_NULL};
    }
    return true;
}

static bool read_key(const weir_json *j, weir_arena *a, sync_decision *d)
{
    const weir_json *names = weir_json_get(j, "key");
    const weir_json *values = weir_json_get(j, "k");
    size_t n = weir_json_len(names);
    for (size_t i = 0; i < n; i++) {
        weir_slice name;
        weir_slice text;
        weir_column *c =
            weir_json_text(weir_json_at(names, i), &name) ? find_column(&d->rel, name) : NULL;
        if (!c || !weir_json_text(weir_json_at(values, i), &text)) {
            return false;
        }
        c->key = true;
        d->v[c - d->rel.cols] = (weir_val){WEIR_VAL_TEXT, weir_arena_dup(a, text)};
    }
    return n > 0 && weir_json_len(values) == n;
}

static bool read_decision(const weir_json *j, weir_arena *a, sync_decision *d)
{
    weir_slice id;
    weir_slice schema;
    weir_slice name;
    if (!weir_json_str(j, "id", &id) || !read_id(id, &d->id) ||
        !weir_json_str(j, "schema", &schema) || !weir_json_str(j, "name", &name) ||
        !read_columns(j, a, d) || !read_key(j, a, d)) {
        return false;
    }
    d->rel.schema = weir_arena_dup(a, schema);
    d->rel.name = weir_arena_dup(a, name);
    d->rel.identity = 'i';
    const weir_json *row = weir_json_get(j, "row");
    d->gone = weir_json_len(row) == 0;
    return d->gone || read_values(row, d->rel.n, d->v, a);
}

weir_rc sync_told_read(weir_slice content, weir_arena *a, sync_told *out, weir_error *err)
{
    *out = (sync_told){.nseen = 0};
    if (content.n > 1 && content.p[0] == 'S') {
        return read_seen(weir_slice_of(content.p + 1, content.n - 1), a, out, err);
    }
    if (content.n > 2 && content.p[0] == 'A' && content.p[1] == ' ') {
        out->ack = read_id(weir_slice_of(content.p + 2, content.n - 2), &out->ack_id);
        return out->ack ? WEIR_OK : malformed(err);
    }
    weir_json *j = NULL;
    weir_rc rc = weir_json_parse(&j, content, err);
    if (rc != WEIR_OK) {
        return malformed(err);
    }
    out->decision = weir_arena_zalloc(a, sizeof *out->decision);
    rc = out->decision && read_decision(j, a, out->decision) ? WEIR_OK : malformed(err);
    weir_json_free(j);
    return rc;
}
