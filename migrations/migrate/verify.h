/* verify.h - is the target what the mapping makes of the source? Row counts and 128-bit hashes per
 * chunk on both sides, and the keys that differ.
 *
 * A row's hash is the md5 of its columns as the target prints them; the sums of both halves over a
 * chunk are compared. The source's side of a chunk is read first, then the target's once the
 * applier has passed that position. What differs is only suspected: under live writes the two were
 * read at different times. Suspects are read again on both sides until they agree, or stayed
 * different while neither side moved. Which row belongs to which chunk each database decides for
 * itself: where their orders differ that makes suspects, never a wrong answer.
 */
#ifndef WEIR_MIGRATE_VERIFY_H
#define WEIR_MIGRATE_VERIFY_H

#include "libweir/base/map.h"
#include "migrations/migrate/session.h"

enum { MIG_SHOW_MAX = 20, MIG_BUCKETS_MAX = 4096 };

typedef struct mig_sum {
    int64_t rows;
    const char *h1, *h2; /* decimal */
} mig_sum;

typedef struct mig_difference {
    const char *key, *kind; /* missing, left over, different, moving */
    struct mig_difference *next;
} mig_difference;

typedef struct mig_verified {
    const mig_ptable *t;
    int64_t source_rows, target_rows, differ, rejected, suspects;
    const char *source_hash, *target_hash; /* 32 hex digits */
    mig_difference *first;                 /* some of them */
    int shown;
} mig_verified;

typedef struct mig_verify {
    mig_session *s;
    weir_arena *a; /* results */
    bool final;    /* nobody writes: one reading decides, nothing is recorded */
    int64_t chunk_rows;
    mig_verified *tables;
    int ntables;
    const mig_ptable *t; /* being compared */
    weir_map *rejected;  /* target keys of its rejects */
    int64_t t0_ms, rows;
} mig_verify;

/* Compares every table. *tables is filled as far as it came. WEIR_OK also when rows differ. */
WEIR_MUST_CHECK weir_rc mig_verify_all(mig_verify *v, weir_error *err);
int64_t mig_verify_differences(const mig_verify *v);
int64_t mig_verify_rejected(const mig_verify *v);
void mig_verify_print(const mig_verify *v, weir_buf *out); /* a table for people */
void mig_verify_json(const mig_verify *v, weir_buf *out);  /* an array */

/* --- between verify*.c */

typedef struct mig_suspect {
    const char *key;             /* text[] literal of the target's key columns */
    const char *source, *target; /* md5 of the row; NULL: not there */
    const char *kind;
} mig_suspect;

/* Rows of a chunk. lo, hi: text[] literals of the key, NULL: open; else bucket `bucket` of
 * `buckets`. */
typedef struct mig_span {
    const char *lo, *hi;
    int buckets, bucket; /* bucket -1: all of them */
} mig_span;

/* Sums per bucket (one without buckets). */
WEIR_MUST_CHECK weir_rc mig_verify_sums(mig_verify *v, bool source, const mig_span *span,
                                        weir_arena *a, mig_sum *out, weir_error *err);
/* Upper bound of the next chunk of a range table; *hi NULL: to the end. */
WEIR_MUST_CHECK weir_rc mig_verify_bound(mig_verify *v, const char *lo, weir_arena *a,
                                         const char **hi, weir_error *err);
/* Keys whose rows differ, from both sides row by row. */
WEIR_MUST_CHECK weir_rc mig_verify_suspects(mig_verify *v, const mig_span *span, weir_arena *a,
                                            mig_suspect **out, int *n, weir_error *err);
/* Reads the hashes of these keys again. */
WEIR_MUST_CHECK weir_rc mig_verify_reread(mig_verify *v, bool source, mig_suspect *list, int n,
                                          weir_arena *a, weir_error *err);
/* Target keys of the table's rejects into v->rejected. */
WEIR_MUST_CHECK weir_rc mig_verify_rejects(mig_verify *v, weir_arena *a, weir_error *err);
/* Decides each suspect: kind NULL when both sides agree in the end. */
WEIR_MUST_CHECK weir_rc mig_verify_recheck(mig_verify *v, mig_suspect *list, int n, weir_arena *a,
                                           weir_error *err);

#endif
