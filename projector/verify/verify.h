/* verify.h - Redis against PostgreSQL for one generation of one read model, both ways, also while
 * both are being written.
 *
 * First pass: one streamed SELECT against pipelined MGETs, then a SCAN for documents the SELECT
 * does not have. What differs is only suspected: under live writes the two were read at different
 * times. Suspects are then read again on both sides, PostgreSQL first, Redis once the projector has
 * passed that position, until they agree, or stayed different twice while neither side moved.
 *
 * Used by `weir verify` and by the projector before it switches to a new generation. One thread.
 */
#ifndef WEIR_PROJECTOR_VERIFY_VERIFY_H
#define WEIR_PROJECTOR_VERIFY_VERIFY_H

#include "libweir/base/buf.h"
#include "libweir/base/map.h"
#include "libweir/io/pg.h"
#include "libweir/io/redis.h"
#include "projector/sql/plan.h"

enum {
    WEIR_VERIFY_SUSPECTS_MAX = 1000000,
    WEIR_VERIFY_KEY_COLUMNS_MAX = 32,
    WEIR_VERIFY_SHOW = 10
};

typedef enum weir_diff_kind {
    WEIR_DIFF_NONE,
    WEIR_DIFF_MISSING,
    WEIR_DIFF_DIFFERENT,
    WEIR_DIFF_LEFT_OVER
} weir_diff_kind;

typedef struct weir_verify {
    /* the caller's, before begin */
    const char *ns;
    weir_pg *pg;
    weir_redisc *redis;
    uint32_t generation; /* may be set after begin, before run */
    unsigned every;      /* 0, 1: all documents; n: one of n by a hash of the key, and no search for
                            what is left over in Redis */
    void (*tell)(void *arg, uint64_t documents); /* now and then in the first pass; or NULL */
    bool (*stop)(void *arg); /* asked now and then: true ends it with WEIR_E_STATE; or NULL */
    void *arg;
    /* found, valid until end */
    uint64_t documents; /* that PostgreSQL has, of those looked at */
    uint64_t missing, different, left_over;
    struct {
        weir_diff_kind kind;
        const char *key;
        weir_slice pg, redis;
    } shown[WEIR_VERIFY_SHOW];
    int nshown;
    /* private */
    const weir_plan *plan;
    weir_arena *a;
    weir_map *suspects; /* key text -> NULL */
    uint64_t *hashes;   /* of the keys PostgreSQL has, sorted after the first pass */
    size_t nhashes, cap;
} weir_verify;

/* Compiles the model against what is in PostgreSQL now. WEIR_E_INPUT with the reason when it does
 * not compile any more. weir_verify_end is due either way. */
WEIR_MUST_CHECK weir_rc weir_verify_begin(weir_verify *v, const char *model, weir_slice source,
                                          weir_error *err);
/* Waits until Redis has everything committed up to now, then compares. The counts say what differs;
 * an error (with SQLSTATE when PostgreSQL refused the SELECT) says that it could not be compared.
 */
WEIR_MUST_CHECK weir_rc weir_verify_run(weir_verify *v, weir_error *err);
void weir_verify_end(weir_verify *v);

/* --- inside the library --------------------------------------------------------------------- */

/* The SELECT list that every reading of PostgreSQL uses: key columns as text, then the document. In
 * v->a. */
const char *weir_verify_select(weir_verify *v);
/* The key text of a row of that SELECT, appended to out. */
void weir_verify_key(const weir_verify *v, const weir_pg_rows *r, int row, weir_buf *out);
/* Redis documents of n keys (texts): docs[i].p NULL where there is none; in a. */
WEIR_MUST_CHECK weir_rc weir_verify_mget(weir_verify *v, size_t n, const weir_slice *keys,
                                         weir_arena *a, weir_slice *docs, weir_error *err);
/* Waits until the projector has passed lsn; ms: how long it may stand still on its way there. */
WEIR_MUST_CHECK weir_rc weir_verify_reach(weir_verify *v, uint64_t lsn, int64_t ms,
                                          weir_error *err);
WEIR_MUST_CHECK weir_rc weir_verify_stopped(const weir_verify *v, weir_error *err);
/* First pass: fills suspects. */
WEIR_MUST_CHECK weir_rc weir_verify_first(weir_verify *v, weir_error *err);
/* Decides every suspect; counts and shows what is really different. */
WEIR_MUST_CHECK weir_rc weir_verify_recheck(weir_verify *v, weir_error *err);

#endif
