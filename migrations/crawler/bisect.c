/* bisect.c - a chunk with rows that do not fit: halved until each such row stands alone, which goes
 * to weir_sync.reject with the reason.
 *
 * All within the chunk's two transactions, by savepoints: the snapshot stays one. With a key the
 * source finds the middle; without one, ranges of ctid are halved as block and line numbers.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "migrations/crawler/job.h"

enum { DEPTH_MAX = 96, LINES_PER_BLOCK = 2048 };

/* Rows lo < key <= hi, or those with first <= place < end, where place = block * 2048 + line. */
typedef struct span {
    char *lo, *hi;
    int64_t first, end;
} span;

static const char *where_of(weir_arena *a, const crw_tab *t, const span *s, bool filter)
{
    if (t->nkey) {
        return crw_where(a, t, s->lo, s->hi, filter);
    }
    return weir_arena_printf(
        a,
        " WHERE ctid >= '(%" PRId64 ",%" PRId64 ")' AND ctid < '(%" PRId64 ",%" PRId64 ")'%s%s%s",
        s->first / LINES_PER_BLOCK, s->first % LINES_PER_BLOCK, s->end / LINES_PER_BLOCK,
        s->end % LINES_PER_BLOCK, filter && t->conf->filter ? " AND (" : "",
        filter && t->conf->filter ? t->conf->filter : "", filter && t->conf->filter ? ")" : "");
}

static weir_rc both(crw_pair *p, const char *sql, weir_error *err)
{
    weir_rc rc = weir_pg_script(p->source, sql, err);
    return rc == WEIR_OK ? weir_pg_script(p->target, sql, err) : rc;
}

static weir_rc count_rows(crw_pair *p, const crw_tab *t, const span *s, int64_t *n, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(
        p->source,
        weir_arena_printf(a, "SELECT count(*) FROM %s%s", t->from, where_of(a, t, s, false)), 0,
        NULL, &r, err);
    if (rc == WEIR_OK) {
        *n = weir_pg_i64(r, 0, 0);
    }
    weir_pg_rows_free(r);
    weir_arena_free(a);
    return rc;
}

/* The one row of the span, as the source has it. */
static weir_rc reject(crw_pair *p, crw_chunk *ch, const span *s, const weir_error *why,
                      weir_error *err)
{
    const crw_tab *t = ch->t;
    weir_monitor_lock(p->c->m);
    int64_t before = t->rejects;
    weir_monitor_unlock(p->c->m);
    if (p->c->own.rejects_max < 0 || before + ch->rejects >= p->c->own.rejects_max) {
        *err = *why;
        weir_error_wrap(err, "%s: more rows than rejects_max do not fit; the last", t->source);
        return err->code;
    }
    weir_arena *a = weir_arena_new(0);
    weir_pg_rows *r = NULL;
    weir_rc rc =
        weir_pg_query(p->source,
                      weir_arena_printf(a, "SELECT %s, to_jsonb(%s.*) FROM %s%s",
                                        t->key_array ? t->key_array : "NULL",
                                        weir_pg_ident(a, weir_slice_z(t->conf->source_name)),
                                        t->from, where_of(a, t, s, false)),
                      0, NULL, &r, err);
    if (rc == WEIR_OK) {
        const char *params[] = {
            p->c->own.job, t->id,    weir_pg_isnull(r, 0, 0) ? NULL : weir_pg_valuez(r, 0, 0),
            why->sqlstate, why->msg, weir_pg_isnull(r, 0, 1) ? NULL : weir_pg_valuez(r, 0, 1)};
        WEIR_WARN("CRW-REJECT", "table=\"%s\" sqlstate=%s see=weir_sync.reject", t->id,
                  why->sqlstate);
        rc = weir_pg_query(p->target,
                           "INSERT INTO weir_sync.reject (job, tab, key, sqlstate, reason, "
                           "source_row) VALUES ($1, $2, $3, $4, $5, $6)",
                           6, params, NULL, err);
    }
    weir_pg_rows_free(r);
    weir_arena_free(a);
    ch->rejects += rc == WEIR_OK;
    return rc;
}

/* upper takes the second half of s, s keeps the first. */
static weir_rc halve(crw_pair *p, const crw_tab *t, int64_t n, span *s, span *upper,
                     weir_error *err)
{
    if (t->nkey == 0) {
        int64_t middle = s->first + (s->end - s->first) / 2;
        if (middle / LINES_PER_BLOCK > s->first / LINES_PER_BLOCK) {
            middle -= middle % LINES_PER_BLOCK;
        }
        *upper = (span){.first = middle, .end = s->end};
        s->end = middle;
        return WEIR_OK;
    }
    weir_arena *a = weir_arena_new(0);
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(
        p->source,
        weir_arena_printf(a, "SELECT %s FROM %s%s ORDER BY %s OFFSET %" PRId64 " LIMIT 1",
                          t->key_array, t->from, where_of(a, t, s, false), t->keys, n / 2 - 1),
        0, NULL, &r, err);
    if (rc == WEIR_OK && weir_pg_nrows(r) == 0) {
        rc = weir_fail(err, WEIR_E_PROTO, 0, "%s: the source does not find its own rows again",
                       t->source);
    }
    if (rc == WEIR_OK) {
        *upper = (span){.lo = weir_xstrdup(weir_pg_valuez(r, 0, 0)), .hi = s->hi};
        s->hi = weir_xstrdup(upper->lo);
    }
    weir_pg_rows_free(r);
    weir_arena_free(a);
    return rc;
}

/* One span whole; *failed: a row in it does not fit, and nothing of it was kept. */
static weir_rc try_span(crw_pair *p, crw_chunk *ch, const span *s, weir_error *why, bool *failed,
                        weir_error *err)
{
    int64_t rows = ch->rows;
    int64_t bytes = ch->bytes;
    weir_arena *a = weir_arena_new(0);
    *failed = false;
    weir_rc rc = both(p, "SAVEPOINT half", err);
    if (rc == WEIR_OK) {
        rc = crw_pump(p, ch, where_of(a, ch->t, s, true), err);
        if (rc != WEIR_OK && ch->data_error) {
            *why = *err;
            *failed = true;
            ch->rows = rows;
            ch->bytes = bytes;
            rc = both(p, "ROLLBACK TO SAVEPOINT half", err);
        }
    }
    weir_arena_free(a);
    return rc == WEIR_OK ? both(p, "RELEASE SAVEPOINT half", err) : rc;
}

static weir_rc whole(crw_pair *p, const crw_chunk *ch, span *s, weir_error *err)
{
    const crw_tab *t = ch->t;
    if (t->nkey) {
        s->lo = ch->r->lo ? weir_xstrdup(ch->r->lo) : NULL;
        s->hi = ch->r->hi ? weir_xstrdup(ch->r->hi) : NULL;
        return WEIR_OK;
    }
    if (t->partitioned) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "%s: a row does not fit, and a partitioned table without key cannot be "
                         "searched for it: give it a primary key",
                         t->source);
    }
    const char *params[] = {t->source};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(p->source,
                               "SELECT pg_relation_size($1::regclass) / "
                               "current_setting('block_size')::int",
                               1, params, &r, err);
    if (rc == WEIR_OK) {
        s->end = weir_pg_i64(r, 0, 0) * LINES_PER_BLOCK;
        weir_pg_rows_free(r);
    }
    return rc;
}

weir_rc crw_bisect(crw_pair *p, crw_chunk *ch, weir_error *err)
{
    span stack[DEPTH_MAX];
    int n = 1;
    stack[0] = (span){.lo = NULL};
    weir_error why = {.code = WEIR_OK};
    weir_rc rc = whole(p, ch, &stack[0], err);
    while (rc == WEIR_OK && n > 0) {
        span *s = &stack[n - 1];
        bool failed = false;
        int64_t left = 0;
        rc = try_span(p, ch, s, &why, &failed, err);
        if (rc == WEIR_OK && failed) {
            rc = count_rows(p, ch->t, s, &left, err);
        }
        if (rc == WEIR_OK && left > 1 && n < DEPTH_MAX) {
            /* the first half on top: in order */
            span upper;
            rc = halve(p, ch->t, left, s, &upper, err);
            if (rc == WEIR_OK) {
                stack[n] = *s;
                *s = upper;
                n++;
            }
            continue;
        }
        if (rc == WEIR_OK && failed) {
            if (left == 1) {
                rc = reject(p, ch, s, &why, err);
            } else {
                *err = why; /* not about one row after all */
                rc = why.code;
            }
        }
        free(s->lo);
        free(s->hi);
        n--;
    }
    for (; n > 0; n--) {
        free(stack[n - 1].lo);
        free(stack[n - 1].hi);
    }
    ch->data_error = false;
    return rc;
}
