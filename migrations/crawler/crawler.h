/* crawler.h - copies tables from one PostgreSQL into another, in parallel, chunk by chunk, at COPY
 * speed, while the source goes on changing.
 *
 * What a job promises. Let P0 be a position in the source's change stream that somebody keeps from
 * before crw_copy began. Every transaction that ended before P0 is visible to every chunk (the
 * barrier sees to it); so whoever applies the stream from P0 on to the end, idempotently until it
 * has passed crw_passed_lsn, makes the target equal. Idempotently means: INSERT is an upsert, an
 * UPDATE of a missing row inserts it when the event is complete and else does nothing, a key that
 * moves onto a present row merges into it, DELETE of a missing row does nothing, TRUNCATE truncates
 * (every row that is there after it was inserted after it, so the stream brings it again). One
 * event cannot be made good from the stream alone: a key that moves while a TOASTed column is not
 * sent. The row may have moved from a range not yet read into one already read, and what stands at
 * the old key may be another row by now: after such an event the row at the new key is read from
 * the source again, in a snapshot that sees the event's transaction, and upserted (nothing is done
 * when it is not there: a later event tells why), and the applier stays idempotent up to the
 * source's position behind that read. Tables without key have one chunk and one snapshot: their
 * events count only when the transaction is not visible in it (weir_sync.chunk.snapshot).
 *
 * A chunk's rows and its record in weir_sync.chunk are committed by the target together: a job that
 * was killed anywhere goes on with what is not recorded when it is opened again with the same name.
 * Rows never pass through our own types: what COPY … TO STDOUT gives is what COPY … FROM STDIN
 * gets.
 *
 * A table of the target that was made for the job is copied in one piece, if it is no larger than
 * whole_max_bytes and neither chunk_rows_max nor rows_per_s is set: in the source's physical order
 * and frozen, which saves a quarter of the work; an interruption begins that table anew. It gives
 * way, and goes on by chunks, when somebody waits for the source's table, when the job is paused,
 * and when a row does not fit.
 *
 * One thread calls open, create, copy, finish, close; progress, pause and stop from any thread.
 */
#ifndef WEIR_MIGRATIONS_CRAWLER_H
#define WEIR_MIGRATIONS_CRAWLER_H

#include "libweir/io/pg.h"

typedef struct crw crw;

typedef struct crw_column {
    const char *name; /* in the target */
    const char *expr; /* SQL over the source's row; NULL: a column of the source */
    const char *from; /* that column; NULL: the one of the same name. May be copied unread */
} crw_column;

typedef struct crw_table {
    const char *source_schema, *source_name;
    const char *target_schema, *target_name; /* NULL: as in the source */
    const crw_column *columns;               /* NULL: every column that is not generated, by name */
    size_t ncolumns;
    const char *filter; /* SQL condition over the source's row, or NULL */
    bool fresh;         /* the caller made the target table for this job, as crw_create would */
} crw_table;

typedef struct crw_conf {
    const char *source_uri, *target_uri;
    const char *job;         /* names the records in weir_sync */
    const crw_table *tables; /* the same (source, target) pair at most once */
    size_t ntables;
    int workers;            /* 0: 3; each has a connection to either side */
    int64_t chunk_ms;       /* what a chunk's SELECT should take; 0: 1000 */
    int64_t chunk_rows;     /* the first chunk of a table; 0: 20000 */
    int64_t chunk_rows_max; /* 0: 2000000 */
    int64_t rows_per_s;     /* of all workers together; 0: no limit */
    int source_keep_pct; /* slow down when the source commits less than this share of what it does
                            while we pause; 0: never */
    int64_t
        lag_max_bytes; /* wait while a replica or slot of the source is further behind; 0: never */
    int64_t rejects_max;       /* rows that may go to weir_sync.reject; 0: 1000, -1: none */
    int64_t keyless_max_bytes; /* larger tables without key are refused by crw_open; 0: 32 GiB,
                                  -1: none is */
    int64_t whole_max_bytes;   /* fresh tables up to this size in one piece; 0: 2 GiB, -1: none */
    int64_t barrier_max_ms;    /* how long to wait for older transactions; 0: as long as it takes */
    bool append;               /* the target tables may hold rows already */
} crw_conf;

/* Strings are borrowed until crw_close. Connects to both sides, creates or updates the schema
 * weir_sync in the target, takes the job's lock (WEIR_E_CONFLICT: it runs elsewhere), reads the
 * catalogs and the job's records. What is wrong with a table is told with its name. */
WEIR_MUST_CHECK weir_rc crw_open(crw **out, const crw_conf *conf, weir_error *err);
void crw_close(crw *c); /* NULL is fine; what runs must have returned */

/* Creates the target tables that are not there: columns, defaults, identity, generated columns, NOT
 * NULL, CHECK, partitions; the enums, domains, composite and range types, collations and sequences
 * they need. Indexes and other constraints are noted and built later: the key when a table is
 * copied, the rest by crw_finish. Tables that are there are left as they are. WEIR_E_NOTFOUND for
 * what must be made by hand: tables with columns of their own in the conf, plain inheritance,
 * partitions on another server; also when the target lacks a function or an extension. */
WEIR_MUST_CHECK weir_rc crw_create(crw *c, weir_error *err);

/* Barrier, then chunks, until every table is copied and has its key. WEIR_E_EOF after crw_stop;
 * call it again (or open the job again) to go on. WEIR_E_CONN (the session that holds the job's
 * lock is gone) and WEIR_E_AGAIN (a target that crashed lost chunks): close the job and open it
 * again. WEIR_E_STATE: somebody must act first. */
WEIR_MUST_CHECK weir_rc crw_copy(crw *c, weir_error *err);

/* Builds what crw_create noted, several at a time: unique indexes, indexes, constraints, then
 * foreign keys, statistics objects, VACUUM (ANALYZE). What is done stays done. */
WEIR_MUST_CHECK weir_rc crw_finish(crw *c, weir_error *err);

/* At cut-over: sets the target's sequences of the copied columns, and those of the same name, to
 * what the source's say now plus margin steps. *n (may be NULL): how many. */
WEIR_MUST_CHECK weir_rc crw_sequences(crw *c, int64_t margin, int *n, weir_error *err);

/* The source's WAL position behind every chunk recorded so far: an applier is idempotent up to it.
 * 0: none. */
uint64_t crw_passed_lsn(crw *c);

typedef enum crw_phase {
    CRW_IDLE,
    CRW_BARRIER, /* waits for transactions older than the job */
    CRW_COPYING,
    CRW_INDEXING,
    CRW_DONE
} crw_phase;

typedef struct crw_state {
    crw_phase phase;
    bool paused;
    char waits[200]; /* what it waits for: the barrier's transactions, a lagging replica; "" */
    int64_t tables, tables_done;
    int64_t rows, rows_total; /* total: the source's estimate, never less than rows */
    int64_t bytes, chunks, rejects, redone;
    int64_t rows_per_s;        /* over the last seconds */
    int64_t eta_s;             /* -1: not known */
    int64_t steps, steps_done; /* indexes, constraints and the like */
} crw_state;

typedef struct crw_table_state {
    const char *source, *target; /* quoted; borrowed until crw_close */
    int64_t rows, rows_total, rejects;
    bool copied, created;
} crw_table_state;

void crw_progress(crw *c, crw_state *out);
void crw_table_progress(crw *c, size_t table, crw_table_state *out); /* table: index into conf */
void crw_pause(crw *c, bool pause); /* workers end their chunk and wait */
void crw_stop(crw *c);              /* chunks that run are rolled back; crw_copy returns */

/* Removes the job's records (not the rows it copied). The job must not run. */
WEIR_MUST_CHECK weir_rc crw_forget(const char *target_uri, const char *job, weir_error *err);

/* Creates or updates our part of schema weir_sync. Idempotent, safe against others doing the same.
 */
WEIR_MUST_CHECK weir_rc crw_schema(weir_pg *target, weir_error *err);
/* The same with another program's part: a script of CREATE … IF NOT EXISTS without a transaction of
 * its own. The connection must be idle. */
WEIR_MUST_CHECK weir_rc crw_schema_part(weir_pg *target, const char *sql, weir_error *err);

/* Waits until every transaction that could have written before now without being visible has ended.
 * waits (waits_size bytes, may be NULL) tells whom it waits for; stop(arg) is asked in between.
 * WEIR_E_TIMEOUT after max_ms (0: never), WEIR_E_EOF when stop said so. */
WEIR_MUST_CHECK weir_rc crw_barrier(weir_pg *source, int64_t max_ms,
                                    bool (*stop)(void *arg, const char *waits), void *arg,
                                    weir_error *err);

#endif
