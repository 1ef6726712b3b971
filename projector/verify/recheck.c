/* recheck.c - reads suspected documents again on both sides until they agree, or stayed
 * different while neither moved. */
#include <poll.h>
#include <stdio.h>

#include "libweir/base/buf.h"
#include "libweir/base/clock.h"
#include "libweir/codec/dockey.h"
#include "libweir/codec/lsn.h"
#include "projector/verify/verify.h"

enum { BATCH = 200, ROUNDS_MAX = 200, REACH_MS = 60000, ROUND_MS = 20 };

struct pair {
    weir_slice key;       /* in v->a */
    weir_slice pg, redis; /* .p NULL: there is none */
    int same; /* consecutive rounds in which both sides stayed as they were and differed */
    bool done;
};

static bool alike(weir_slice a, weir_slice b)
{
    return (a.p == NULL) == (b.p == NULL) && weir_slice_eq(a, b);
}

/* "(q.a, q.b) IN (('1','x'), …)": untyped literals take the columns' types. */
static const char *keyed_select(weir_verify *v, const struct pair *p, size_t n, weir_arena *a)
{
    weir_buf q;
    weir_buf_init(&q, 64 << 20);
    weir_buf_printf(&q, "%s WHERE (", weir_verify_select(v));
    for (int k = 0; k < v->plan->nkey; k++) {
        weir_buf_printf(&q, "%sq.%s", k ? ", " : "", weir_pg_ident(a, v->plan->key_names[k]));
    }
    weir_buf_putz(&q, ") IN (");
    for (size_t i = 0, used = 0; i < n; i++) {
        weir_slice parts[WEIR_VERIFY_KEY_COLUMNS_MAX];
        size_t nparts = WEIR_VERIFY_KEY_COLUMNS_MAX;
        if (p[i].done || !weir_dockey_parse(p[i].key, a, parts, &nparts) ||
            nparts != (size_t)v->plan->nkey) {
            continue;
        }
        weir_buf_putz(&q, used++ ? ", (" : "(");
        for (size_t k = 0; k < nparts; k++) {
            weir_buf_printf(&q, "%s%s", k ? ", " : "", weir_pg_literal(a, parts[k]));
        }
        weir_buf_putz(&q, ")");
    }
    weir_buf_putz(&q, ")");
    const char *text = weir_arena_dupz(a, weir_buf_slice(&q));
    weir_buf_fini(&q);
    return text;
}

static weir_rc read_pg(weir_verify *v, struct pair *p, size_t n, weir_arena *a, weir_slice *docs,
                       uint64_t *lsn, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_buf key;
    weir_buf_init(&key, 1 << 20);
    weir_rc rc = weir_pg_query(v->pg, keyed_select(v, p, n, a), 0, NULL, &r, err);
    for (int row = 0; rc == WEIR_OK && row < weir_pg_nrows(r); row++) {
        weir_buf_reset(&key);
        weir_verify_key(v, r, row, &key);
        for (size_t i = 0; i < n; i++) {
            if (weir_slice_eq(p[i].key, weir_buf_slice(&key))) {
                weir_slice d = weir_pg_value(r, row, v->plan->nkey);
                docs[i] = (weir_slice){weir_arena_dupz(v->a, d), d.n};
            }
        }
    }
    weir_pg_rows_free(r);
    weir_buf_fini(&key);
    r = NULL;
    if (rc == WEIR_OK) {
        rc = weir_pg_query(v->pg, "SELECT pg_current_wal_insert_lsn()", 0, NULL, &r, err);
    }
    if (rc == WEIR_OK && !weir_lsn_parse(weir_pg_value(r, 0, 0), lsn)) {
        rc = weir_fail(err, WEIR_E_PROTO, 0, "PostgreSQL gave no position");
    }
    weir_pg_rows_free(r);
    return rc;
}

static void count(weir_verify *v, const struct pair *p)
{
    weir_diff_kind kind = !p->redis.p ? WEIR_DIFF_MISSING
                          : !p->pg.p  ? WEIR_DIFF_LEFT_OVER
                                      : WEIR_DIFF_DIFFERENT;
    v->missing += kind == WEIR_DIFF_MISSING;
    v->left_over += kind == WEIR_DIFF_LEFT_OVER;
    v->different += kind == WEIR_DIFF_DIFFERENT;
    if (v->nshown < WEIR_VERIFY_SHOW) {
        v->shown[v->nshown].kind = kind;
        v->shown[v->nshown].key = weir_arena_dupz(v->a, p->key);
        v->shown[v->nshown].pg = p->pg;
        v->shown[v->nshown++].redis = p->redis;
    }
}

/* One more look at every undecided pair; *open is how many stay undecided. */
static weir_rc look(weir_verify *v, struct pair *p, size_t n, size_t *open, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_slice pg[BATCH] = {0}, redis[BATCH], keys[BATCH];
    uint64_t lsn = 0;
    *open = 0;
    for (size_t i = 0; i < n; i++) {
        keys[i] = p[i].key;
    }
    weir_rc rc = read_pg(v, p, n, a, pg, &lsn, err);
    rc = rc == WEIR_OK ? weir_verify_reach(v, lsn, REACH_MS, err) : rc;
    rc = rc == WEIR_OK ? weir_verify_mget(v, n, keys, a, redis, err) : rc;
    for (size_t i = 0; rc == WEIR_OK && i < n; i++) {
        if (p[i].done) {
            continue;
        }
        if (alike(pg[i], redis[i])) {
            p[i].done = true;
            continue;
        }
        p[i].same = alike(pg[i], p[i].pg) && alike(redis[i], p[i].redis) ? p[i].same + 1 : 0;
        p[i].pg = pg[i];
        p[i].redis =
            redis[i].p ? (weir_slice){weir_arena_dupz(v->a, redis[i]), redis[i].n} : redis[i];
        if (p[i].same >= 2) {
            p[i].done = true;
            count(v, &p[i]);
        } else {
            (*open)++;
        }
    }
    weir_arena_free(a);
    return rc;
}

static weir_rc decide(weir_verify *v, struct pair *p, size_t n, weir_error *err)
{
    size_t open = n;
    for (int round = 0; open > 0; round++) {
        if (round == ROUNDS_MAX) {
            return weir_fail(
                err, WEIR_E_TIMEOUT, 0,
                "%zu documents change too fast to be compared; try again with fewer writes", open);
        }
        weir_rc rc = weir_verify_stopped(v, err);
        rc = rc == WEIR_OK ? look(v, p, n, &open, err) : rc;
        if (rc != WEIR_OK) {
            return rc;
        }
        (void)poll(NULL, 0, open ? ROUND_MS : 0);
    }
    return WEIR_OK;
}

weir_rc weir_verify_recheck(weir_verify *v, weir_error *err)
{
    struct pair *p = WEIR_ARENA_ARRAY(v->a, struct pair, BATCH);
    size_t n = 0;
    weir_rc rc = WEIR_OK;
    for (weir_map_iter it = {0}; rc == WEIR_OK && weir_map_next(v->suspects, &it);) {
        p[n++] = (struct pair){.key = it.key};
        if (n == BATCH) {
            rc = decide(v, p, n, err);
            n = 0;
        }
    }
    return rc == WEIR_OK && n > 0 ? decide(v, p, n, err) : rc;
}
