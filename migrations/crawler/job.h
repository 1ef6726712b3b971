/* job.h - a job's inside: its tables, what of them is still to be copied, and who may touch what.
 *
 * The monitor guards everything below "under the monitor"; nobody waits for a server while holding
 * it. The rest is written by the thread that called crw_open and crw_copy, while no worker runs.
 */
#ifndef WEIR_MIGRATIONS_CRAWLER_JOB_H
#define WEIR_MIGRATIONS_CRAWLER_JOB_H

#include <stdatomic.h>

#include "libweir/base/thread.h"
#include "migrations/crawler/crawler.h"

enum { CRW_KEYS_MAX = 32, CRW_ID_MAX = 300 };

/* Keys are text[] literals the source made; nobody here compares them. NULL: open end. malloc'd. */
typedef struct crw_range {
    struct crw_range *next;
    int64_t no;
    char *lo, *hi;
    int tries;
    bool whole; /* the table in one piece, frozen */
} crw_range;

typedef struct crw_tab {
    const crw_table *conf;
    const char *id;              /* in the records: source name > target name */
    const char *source, *target; /* quoted, with schema */
    const char *from;            /* what stands behind FROM */
    const char *list, *into;     /* the SELECT list, and the target's columns for it */
    int nkey;                    /* 0: no key */
    const char *keys;            /* "a, b" */
    const char *key_array;       /* ARRAY[a::text, …] */
    const char *key_types[CRW_KEYS_MAX];
    const char *plan, *shape; /* hashes, see crawl_schema.sql */
    bool partitioned, binary, there, created;
    bool target_whole;        /* the target is partitioned; else its children are not ours */
    bool inherits;            /* plain inheritance, from another or by another */
    const char *foreign_part; /* a partition that is a foreign table; NULL: none */
    int64_t est_rows, est_bytes;
    atomic_bool gives_way; /* somebody waits for the source's table: no piece may be long */
    /* under the monitor */
    char *storage;      /* of the run being copied; replaced only while no chunk runs */
    char *storage_now;  /* with redo: what a chunk found instead */
    crw_range *gaps;    /* ranges to be copied before the cursor goes on */
    char *next_lo;      /* the cursor: NULL at the start */
    int64_t next_no;    /* of the next chunk */
    int64_t chunk_rows; /* size of the next chunk */
    int open;           /* chunks that run */
    bool cutting;       /* somebody looks for the next bound */
    bool cut_all;       /* the last chunk has been handed out */
    bool whole;         /* to be copied in one piece */
    bool redo;          /* to be copied anew once no chunk runs */
    bool ending;        /* somebody builds its key */
    bool copied;
    int64_t rows, bytes, chunks, rejects;
    int redone;
    size_t index; /* in the conf */
} crw_tab;

struct crw {
    const crw_conf *conf;
    crw_conf own; /* conf with its defaults filled in */
    weir_arena *a;
    weir_pg *source, *target; /* of the calling thread; target holds the job's lock */
    crw_tab *tabs;
    size_t ntabs;
    weir_monitor *m;
    atomic_bool stop, paused, failed;
    atomic_bool hold;       /* the governor's: workers stand still where they are */
    atomic_llong live_rows; /* on their way in chunks not yet committed */
    /* under the monitor */
    weir_error err; /* of the first worker that failed */
    crw_phase phase;
    char waits[200];
    uint64_t passed_lsn;
    int64_t steps, steps_done;
    struct {
        int64_t at_ms, rows;
    } seen[8]; /* samples for the rate */
    int nseen;
    double tokens; /* of the rate limit */
    int64_t tokens_at_ms;
};

/* plan.c: the source's side of every table; the target's side, once the tables are there. */
WEIR_MUST_CHECK weir_rc crw_plan_source(crw *c, crw_tab *t, weir_error *err);
WEIR_MUST_CHECK weir_rc crw_plan_target(crw *c, crw_tab *t, weir_error *err);

/* record.c: what the target knows about the job. */
WEIR_MUST_CHECK weir_rc crw_record_lock(crw *c, weir_error *err); /* and waits for what is left of a
                                                                     killed one */
WEIR_MUST_CHECK weir_rc crw_record_load(crw *c, crw_tab *t, weir_error *err);
WEIR_MUST_CHECK weir_rc crw_record_copied(crw *c, weir_pg *target, crw_tab *t, weir_error *err);
/* Whether nobody else puts rows into the target table. */
bool crw_record_alone(const crw *c, const crw_tab *t);
/* Empties the target table and the records: the table is copied anew. */
WEIR_MUST_CHECK weir_rc crw_record_redo(crw *c, weir_pg *target, crw_tab *t, weir_error *err);

/* pair.c: a target session for building indexes; *pg is opened, or opened anew when it is gone. */
WEIR_MUST_CHECK weir_rc crw_step_session(crw *c, weir_pg **pg, weir_error *err);

/* One worker's connections. */
typedef struct crw_pair {
    crw *c;
    weir_pg *source, *target;
    weir_buf buf;
} crw_pair;
WEIR_MUST_CHECK weir_rc crw_pair_open(crw_pair *p, weir_error *err); /* what is not open */
void crw_pair_init(crw_pair *p);
void crw_pair_close(crw_pair *p);

typedef struct crw_chunk {
    crw_tab *t;
    crw_range *r;
    char snapshot[2048], lsn[32]; /* a longer snapshot is cut: only tables without key need it */
    int64_t rows, bytes, rejects, read_ms;
    int64_t live;    /* its part of the job's live_rows */
    bool changed;    /* the table's storage changed: copy it anew; nothing was committed */
    char *storage;   /* what it is now; malloc'd */
    bool there;      /* it had been committed before */
    bool in_chunks;  /* not in one piece after all: nothing was committed */
    bool data_error; /* err is about a row, not about the connection */
} crw_chunk;

/* cut.c: the upper end of the next chunk; *hi NULL: none, the chunk has an open end. */
WEIR_MUST_CHECK weir_rc crw_cut(crw_pair *p, const crw_tab *t, const char *lo, int64_t rows,
                                char **hi, weir_error *err);
/* " WHERE …" for rows of the range (and the filter, when filter), in the arena. */
const char *crw_where(weir_arena *a, const crw_tab *t, const char *lo, const char *hi, bool filter);

/* chunk.c: one range, from source to target, recorded. */
WEIR_MUST_CHECK weir_rc crw_chunk_copy(crw_pair *p, crw_chunk *ch, weir_error *err);
/* Only looks whether the table is still the one that was copied: changed, storage. */
WEIR_MUST_CHECK weir_rc crw_chunk_look(crw_pair *p, crw_chunk *ch, weir_error *err);

/* pump.c: COPY … TO STDOUT into COPY … FROM STDIN, within transactions that are open. */
WEIR_MUST_CHECK weir_rc crw_pump(crw_pair *p, crw_chunk *ch, const char *where, weir_error *err);

/* bisect.c: the chunk within its open transactions, row by row where it must be; rows that do not
 * fit go to weir_sync.reject. */
WEIR_MUST_CHECK weir_rc crw_bisect(crw_pair *p, crw_chunk *ch, weir_error *err);

/* step.c: builds the table's key, if that was left for later. */
WEIR_MUST_CHECK weir_rc crw_steps_key(crw *c, const crw_tab *t, weir_error *err);

/* govern.c */
void crw_govern(crw *c); /* ends with the work */

/* crawler.c */
WEIR_MUST_CHECK weir_rc crw_source_open(crw *c, weir_error *err); /* c->source, if it is not open */
void crw_set_phase(crw *c, crw_phase phase, const char *waits);
void crw_range_free(crw_range *r);
void crw_tab_rewind(crw_tab *t); /* to before its first chunk */

/* worker.c */
void crw_fail(crw *c, const weir_error *err); /* ends the copy with err, if it is the first */
void crw_worker(void *arg); /* crw *; ends when nothing is left, on stop, and on failure */

/* pace.c: takes n rows from the rate limit, waiting as needed, and while the governor says hold.
 * false: stop. */
bool crw_pace_rows(crw *c, int64_t n);

/* Waits on the monitor (not held by the caller) without a condition; false when stopping. */
bool crw_wait(crw *c, int64_t ms);

static inline bool crw_ended(crw *c)
{
    return atomic_load(&c->stop) || atomic_load(&c->failed);
}

#endif
