/* verify.h - Redis against PostgreSQL for one read model, both ways, also while both are being
 * written.
 *
 * First pass: one streamed SELECT against pipelined MGETs, then a SCAN for documents the SELECT
 * does not have. What differs is only suspected: under live writes the two were read at different
 * times. Suspects are then read again on both sides, PostgreSQL first, Redis once the projector has
 * passed that position, until they agree, or stayed different twice while neither side moved.
 */
#ifndef WEIR_CLI_VERIFY_H
#define WEIR_CLI_VERIFY_H

#include "cli/app.h"
#include "libweir/base/map.h"
#include "libweir/io/pg.h"
#include "libweir/io/redis.h"
#include "projector/sql/plan.h"

enum { CLI_VERIFY_SUSPECTS_MAX = 1000000, CLI_VERIFY_KEY_COLUMNS_MAX = 32, CLI_VERIFY_SHOW = 10 };

typedef enum cli_diff_kind {
    CLI_DIFF_NONE,
    CLI_DIFF_MISSING,
    CLI_DIFF_DIFFERENT,
    CLI_DIFF_LEFT_OVER
} cli_diff_kind;

typedef struct cli_verify {
    const char *ns;
    const char *pg_uri, *redis_uri;
    weir_pg *pg;
    weir_redisc *redis;
    const weir_plan *plan;
    uint32_t generation;
    weir_arena *a;      /* one model */
    weir_map *suspects; /* key text -> NULL */
    uint64_t *hashes;   /* of the keys PostgreSQL has, sorted after the first pass */
    size_t nhashes, cap;
    uint64_t documents;
    uint64_t missing, different, left_over;
    struct {
        cli_diff_kind kind;
        const char *key;
        weir_slice pg, redis;
    } shown[CLI_VERIFY_SHOW];
    int nshown;
    bool progress; /* tell on a terminal how far it is */
} cli_verify;

/* The SELECT list that every reading of PostgreSQL uses: key columns as text, then the document. In
 * v->a. */
const char *cli_verify_select(cli_verify *v);
/* The key text of a row of that SELECT, appended to out. */
void cli_verify_key(const cli_verify *v, const weir_pg_rows *r, int row, weir_buf *out);
/* Redis documents of n keys (texts): docs[i].p NULL where there is none; in a. */
WEIR_MUST_CHECK weir_rc cli_verify_mget(cli_verify *v, size_t n, const weir_slice *keys,
                                        weir_arena *a, weir_slice *docs, weir_error *err);
/* Waits until the projector has passed lsn. */
WEIR_MUST_CHECK weir_rc cli_verify_reach(cli_verify *v, uint64_t lsn, int64_t ms, weir_error *err);

/* First pass: fills suspects. */
WEIR_MUST_CHECK weir_rc cli_verify_first(cli_verify *v, weir_error *err);
/* Decides every suspect; counts and shows what is really different. */
WEIR_MUST_CHECK weir_rc cli_verify_recheck(cli_verify *v, weir_error *err);

#endif
