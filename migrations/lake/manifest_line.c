/* manifest_line.c - a commit as one checked line of JSON, and back. */
#include <inttypes.h>
#include <stdio.h>

#include "libweir/base/hash.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "migrations/lake/manifest_priv.h"
#include "migrations/lake/path.h"

#define CHECK_KEY ",\"check\":\""
enum { CHECK_DIGITS = 16, CHECK_BYTES = sizeof CHECK_KEY - 1 + CHECK_DIGITS + 2 };

void lake_check_put(weir_buf *out, size_t from)
{
    uint64_t h = out->failed ? 0 : weir_hash64(weir_slice_of(out->p + from, out->n - from));
    weir_buf_printf(out, CHECK_KEY "%016" PRIx64 "\"}\n", h);
}

bool lake_check_ok(weir_slice line)
{
    char want[CHECK_BYTES + 1];
    if (line.n < CHECK_BYTES) {
        return false;
    }
    size_t body = line.n - CHECK_BYTES;
    (void)snprintf(want, sizeof want, CHECK_KEY "%016" PRIx64 "\"}",
                   weir_hash64(weir_slice_of(line.p, body)));
    return memcmp(line.p + body, want, CHECK_BYTES) == 0;
}

static void put_file(weir_buf *out, const lake_file *f)
{
    char text[32];
    weir_buf_putz(out, "{\"file\":");
    weir_json_quote(out, weir_slice_z(f->path));
    weir_buf_putz(out, ",\"table\":");
    weir_json_quote(out, weir_slice_z(f->table));
    weir_buf_printf(out, ",\"day\":\"%s\"", lake_day_print(f->day, text));
    weir_buf_printf(out, ",\"rows\":%" PRIu64 ",\"bytes\":%" PRIu64, f->rows, f->bytes);
    weir_buf_printf(out, ",\"first\":\"%s\"", lake_position_print(f->first, text));
    weir_buf_printf(out, ",\"last\":\"%s\"", lake_position_print(f->last, text));
    weir_buf_printf(out, ",\"xxh128\":\"%s\"}", f->hash);
}

void lake_commit_encode(weir_buf *out, const lake_commit *c)
{
    char text[LAKE_TIME_TEXT];
    size_t from = out->n;
    weir_buf_printf(out, "{\"commit\":%" PRIu64 ",\"position\":\"%s\",\"sub\":%" PRIu32, c->no,
                    lake_position_print(c->position.lsn, text), c->position.sub);
    weir_buf_printf(out, ",\"at\":\"%s\"", lake_time_print(c->at_us, text));
    weir_buf_printf(out, ",\"open_day\":\"%s\",\"files\":[", lake_day_print(c->open_day, text));
    for (size_t i = 0; i < c->nfiles; i++) {
        weir_buf_putz(out, i ? "," : "");
        put_file(out, &c->files[i]);
    }
    weir_buf_putz(out, "],\"copied\":[");
    for (size_t i = 0; i < c->ncopied; i++) {
        weir_buf_putz(out, i ? "," : "");
        weir_json_quote(out, weir_slice_z(c->copied[i]));
    }
    weir_buf_u8(out, ']');
    lake_check_put(out, from);
}

static bool get_u64(const weir_json *j, const char *key, uint64_t *out)
{
    int64_t v;
    if (!weir_json_i64(j, key, &v) || v < 0) {
        return false;
    }
    *out = (uint64_t)v;
    return true;
}

static bool get_lsn(const weir_json *j, const char *key, uint64_t *out)
{
    weir_slice s;
    return weir_json_str(j, key, &s) && weir_lsn_parse(s, out);
}

static bool get_day(const weir_json *j, const char *key, int64_t *out)
{
    weir_slice s;
    return weir_json_str(j, key, &s) && lake_day_parse(s, out);
}

static bool get_z(const weir_json *j, const char *key, weir_arena *a, const char **out)
{
    weir_slice s;
    return weir_json_str(j, key, &s) && (*out = weir_arena_dupz(a, s)) != NULL;
}

static bool get_file(const weir_json *j, weir_arena *a, lake_file *f)
{
    weir_slice hash;
    if (!get_z(j, "file", a, &f->path) || !get_z(j, "table", a, &f->table) ||
        !get_day(j, "day", &f->day) || !get_u64(j, "rows", &f->rows) ||
        !get_u64(j, "bytes", &f->bytes) || !get_lsn(j, "first", &f->first) ||
        !get_lsn(j, "last", &f->last) || !weir_json_str(j, "xxh128", &hash) || hash.n != 32) {
        return false;
    }
    memcpy(f->hash, hash.p, 32);
    f->hash[32] = '\0';
    return true;
}

static bool get_lists(const weir_json *j, weir_arena *a, lake_commit *c)
{
    const weir_json *files = weir_json_get(j, "files");
    const weir_json *copied = weir_json_get(j, "copied");
    c->nfiles = files ? weir_json_len(files) : 0;
    c->ncopied = copied ? weir_json_len(copied) : 0;
    c->files = WEIR_ARENA_ARRAY(a, lake_file, c->nfiles + 1);
    c->copied = WEIR_ARENA_ARRAY(a, const char *, c->ncopied + 1);
    if (!files || !copied || !c->files || !c->copied) {
        return false;
    }
    for (size_t i = 0; i < c->nfiles; i++) {
        const weir_json *f = weir_json_at(files, i);
        if (!f || !get_file(f, a, &c->files[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < c->ncopied; i++) {
        weir_slice s;
        const weir_json *f = weir_json_at(copied, i);
        if (!f || !weir_json_text(f, &s) || !(c->copied[i] = weir_arena_dupz(a, s))) {
            return false;
        }
    }
    return true;
}

bool lake_commit_decode(weir_slice line, weir_arena *a, lake_commit *out)
{
    weir_json *j = NULL;
    weir_error err;
    uint64_t sub = 0;
    *out = (lake_commit){0};
    if (!lake_check_ok(line) || weir_json_parse(&j, line, &err) != WEIR_OK) {
        return false;
    }
    bool ok = get_u64(j, "commit", &out->no) && out->no > 0 &&
              get_lsn(j, "position", &out->position.lsn) && get_u64(j, "sub", &sub) &&
              sub <= UINT32_MAX && get_day(j, "open_day", &out->open_day) && get_lists(j, a, out);
    out->position.sub = (uint32_t)sub;
    weir_json_free(j);
    return ok;
}
