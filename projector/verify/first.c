/* first.c - the first pass of a comparison: streamed SELECT against MGET, then SCAN for what
 * is left over. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/buf.h"
#include "libweir/base/clock.h"
#include "libweir/base/hash.h"
#include "libweir/codec/dockey.h"
#include "libweir/codec/lsn.h"
#include "projector/verify/verify.h"

enum { BATCH = 500, TELL_MS = 500, POLL_MS = 2 };

struct batch {
    size_t n;
    weir_slice keys[BATCH], docs[BATCH];
};

const char *weir_verify_select(weir_verify *v)
{
    weir_buf q;
    weir_buf_init(&q, 8 << 20);
    weir_buf_putz(&q, "SELECT ");
    for (int i = 0; i < v->plan->nkey; i++) {
        weir_buf_printf(&q, "format('%%s', q.%s), ", weir_pg_ident(v->a, v->plan->key_names[i]));
    }
    weir_buf_printf(&q, "to_jsonb(q.*)::text FROM (" WEIR_SLICE_FMT "\n) q",
                    WEIR_SLICE_ARG(v->plan->oracle_sql));
    const char *text = weir_arena_dupz(v->a, weir_buf_slice(&q));
    weir_buf_fini(&q);
    return text;
}

void weir_verify_key(const weir_verify *v, const weir_pg_rows *r, int row, weir_buf *out)
{
    weir_slice parts[WEIR_VERIFY_KEY_COLUMNS_MAX];
    for (int k = 0; k < v->plan->nkey; k++) {
        parts[k] = weir_pg_value(r, row, k);
    }
    weir_dockey_text(out, parts, (size_t)v->plan->nkey);
}

weir_rc weir_verify_mget(weir_verify *v, size_t n, const weir_slice *keys, weir_arena *a,
                         weir_slice *docs, weir_error *err)
{
    const weir_redis_reply *r = NULL;
    weir_slice *argv = WEIR_ARENA_ARRAY(a, weir_slice, n + 1);
    argv[0] = WEIR_SLICE_LIT("MGET");
    for (size_t i = 0; i < n; i++) {
        argv[i + 1] = weir_dockey_doc(a, v->ns, v->plan->model, v->generation, keys[i]);
    }
    weir_rc rc = weir_redisc_call(v->redis, &r, n + 1, argv, err);
    if (rc == WEIR_OK && weir_redis_reply_len(r) != n) {
        rc = weir_fail(err, WEIR_E_PROTO, 0, "Redis did not answer MGET: " WEIR_SLICE_FMT,
                       WEIR_SLICE_ARG(weir_redis_reply_str(r)));
    }
    for (size_t i = 0; rc == WEIR_OK && i < n; i++) {
        const weir_redis_reply *d = weir_redis_reply_at(r, i);
        docs[i] = (weir_slice){0};
        if (weir_redis_reply_type(d) == WEIR_REDIS_STRING) {
            docs[i] = (weir_slice){weir_arena_dupz(a, weir_redis_reply_str(d)),
                                   weir_redis_reply_str(d).n};
        }
    }
    return rc;
}

weir_rc weir_verify_reach(weir_verify *v, uint64_t lsn, int64_t ms, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_slice argv[] = {WEIR_SLICE_LIT("GET"), weir_dockey_position(a, v->ns)};
    weir_rc rc = WEIR_E_AGAIN;
    uint64_t before = 0;
    for (int64_t until = weir_mono_ms() + ms; rc == WEIR_E_AGAIN;) {
        if (weir_verify_stopped(v, err) != WEIR_OK) {
            rc = WEIR_E_STATE;
            break;
        }
        const weir_redis_reply *r = NULL;
        uint64_t at = 0;
        rc = weir_redisc_call(v->redis, &r, 2, argv, err);
        bool known = rc == WEIR_OK && weir_lsn_parse(weir_redis_reply_str(r), &at);
        until = at > before ? weir_mono_ms() + ms : until;
        before = at > before ? at : before;
        if (rc == WEIR_OK && !(known && at >= lsn)) {
            char x[WEIR_LSN_TEXT_MAX], y[WEIR_LSN_TEXT_MAX];
            rc = weir_mono_ms() < until ? WEIR_E_AGAIN
                                        : weir_fail(err, WEIR_E_TIMEOUT, 0,
                                                    "the projector has to reach %s and has stood "
                                                    "at %s for %lld s; either a large transaction "
                                                    "is on its way, or weir status says why",
                                                    weir_lsn_print(lsn, x), weir_lsn_print(at, y),
                                                    (long long)(ms / 1000));
            (void)poll(NULL, 0, rc == WEIR_E_AGAIN ? POLL_MS : 0);
        }
    }
    weir_arena_free(a);
    return rc;
}

static weir_rc suspect(weir_verify *v, weir_slice key, weir_error *err)
{
    if (weir_map_len(v->suspects) >= WEIR_VERIFY_SUSPECTS_MAX) {
        return weir_fail(err, WEIR_E_LIMIT, 0,
                         "more than %d documents differ; this read model must be built again",
                         WEIR_VERIFY_SUSPECTS_MAX);
    }
    (void)weir_map_slot(v->suspects, key, NULL);
    return WEIR_OK;
}

static weir_rc note_hash(weir_verify *v, weir_slice key, weir_error *err)
{
    if (v->nhashes == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 65536;
        uint64_t *p = realloc(v->hashes, cap * sizeof *p);
        if (!p) {
            return weir_fail(err, WEIR_E_SYS, 0, "out of memory at %zu documents", v->nhashes);
        }
        v->hashes = p;
        v->cap = cap;
    }
    v->hashes[v->nhashes++] = weir_hash64(key);
    return WEIR_OK;
}

static weir_rc compare_batch(weir_verify *v, struct batch *b, weir_arena *a, weir_error *err)
{
    weir_slice have[BATCH];
    weir_rc rc = b->n ? weir_verify_mget(v, b->n, b->keys, a, have, err) : WEIR_OK;
    for (size_t i = 0; rc == WEIR_OK && i < b->n; i++) {
        rc = note_hash(v, b->keys[i], err);
        if (rc == WEIR_OK && (!have[i].p || !weir_slice_eq(have[i], b->docs[i]))) {
            rc = suspect(v, b->keys[i], err);
        }
    }
    v->documents += b->n;
    b->n = 0;
    return rc;
}

static weir_rc tell(const weir_verify *v, int64_t *last, weir_error *err)
{
    if (v->tell && weir_mono_ms() > *last + TELL_MS) {
        *last = weir_mono_ms();
        v->tell(v->arg, v->documents);
    }
    return weir_verify_stopped(v, err);
}

/* The sample is chosen by PostgreSQL, so that it evaluates only the documents it takes. */
static const char *first_select(weir_verify *v)
{
    const char *all = weir_verify_select(v);
    if (v->every <= 1) {
        return all;
    }
    weir_buf q;
    weir_buf_init(&q, 8 << 20);
    weir_buf_printf(&q, "%s WHERE mod(abs(hashtext(concat_ws('/'", all);
    for (int i = 0; i < v->plan->nkey; i++) {
        weir_buf_printf(&q, ", q.%s", weir_pg_ident(v->a, v->plan->key_names[i]));
    }
    weir_buf_printf(&q, "))::bigint), %u) = 0", v->every);
    const char *text = weir_arena_dupz(v->a, weir_buf_slice(&q));
    weir_buf_fini(&q);
    return text;
}

static weir_rc read_postgres(weir_verify *v, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    struct batch *b = weir_arena_zalloc(v->a, sizeof *b);
    weir_buf key;
    int64_t told = weir_mono_ms();
    weir_buf_init(&key, 1 << 20);
    weir_rc rc = weir_pg_stream_start(v->pg, first_select(v), 0, NULL, err);
    while (rc == WEIR_OK) {
        const weir_pg_rows *r = NULL;
        rc = weir_pg_stream_next(v->pg, &r, err);
        if (rc != WEIR_OK) {
            break;
        }
        weir_buf_reset(&key);
        weir_verify_key(v, r, 0, &key);
        b->keys[b->n] = weir_arena_dup(a, weir_buf_slice(&key));
        b->docs[b->n++] = weir_arena_dup(a, weir_pg_value(r, 0, v->plan->nkey));
        if (b->n == BATCH) {
            rc = compare_batch(v, b, a, err);
            weir_arena_reset(a);
            rc = rc == WEIR_OK ? tell(v, &told, err) : rc;
        }
    }
    rc = rc == WEIR_E_EOF ? compare_batch(v, b, a, err) : rc;
    weir_buf_fini(&key);
    weir_arena_free(a);
    return rc;
}

static int by_value(const void *x, const void *y)
{
    const uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

/* Documents that Redis has and the SELECT had not. The pattern's prefix is escaped: a namespace may
 * hold glob characters. */
static weir_rc scan_redis(weir_verify *v, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_slice prefix =
        weir_dockey_doc(v->a, v->ns, v->plan->model, v->generation, (weir_slice){"", 0});
    weir_buf pattern;
    weir_buf_init(&pattern, 1 << 16);
    for (size_t i = 0; i < prefix.n; i++) {
        if (strchr("*?[]\\", prefix.p[i])) {
            weir_buf_u8(&pattern, '\\');
        }
        weir_buf_u8(&pattern, (uint8_t)prefix.p[i]);
    }
    weir_buf_putz(&pattern, "*");
    char cursor[32] = "0";
    weir_rc rc = WEIR_OK;
    do {
        const weir_redis_reply *r = NULL;
        weir_slice argv[] = {WEIR_SLICE_LIT("SCAN"),  weir_slice_z(cursor),
                             WEIR_SLICE_LIT("MATCH"), weir_buf_slice(&pattern),
                             WEIR_SLICE_LIT("COUNT"), WEIR_SLICE_LIT("1000")};
        rc = weir_redisc_call(v->redis, &r, 6, argv, err);
        if (rc == WEIR_OK && weir_redis_reply_len(r) != 2) {
            rc = weir_fail(err, WEIR_E_PROTO, 0, "Redis did not answer SCAN");
        }
        rc = rc == WEIR_OK ? weir_verify_stopped(v, err) : rc;
        if (rc != WEIR_OK) {
            break;
        }
        (void)snprintf(cursor, sizeof cursor, WEIR_SLICE_FMT,
                       WEIR_SLICE_ARG(weir_redis_reply_str(weir_redis_reply_at(r, 0))));
        const weir_redis_reply *list = weir_redis_reply_at(r, 1);
        for (size_t i = 0; rc == WEIR_OK && i < weir_redis_reply_len(list); i++) {
            weir_slice full = weir_redis_reply_str(weir_redis_reply_at(list, i));
            weir_slice key = weir_slice_of(full.p + prefix.n, full.n - prefix.n);
            uint64_t h = weir_hash64(key);
            if (v->nhashes == 0 || !bsearch(&h, v->hashes, v->nhashes, sizeof h, by_value)) {
                rc = suspect(v, key, err);
            }
        }
    } while (rc == WEIR_OK && strcmp(cursor, "0") != 0);
    weir_buf_fini(&pattern);
    weir_arena_free(a);
    return rc;
}

weir_rc weir_verify_first(weir_verify *v, weir_error *err)
{
    weir_rc rc = read_postgres(v, err);
    if (rc == WEIR_OK && v->nhashes > 0) {
        qsort(v->hashes, v->nhashes, sizeof *v->hashes, by_value);
    }
    return rc == WEIR_OK && v->every <= 1 ? scan_redis(v, err) : rc;
}
