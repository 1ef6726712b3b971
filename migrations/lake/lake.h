/* lake.h - changes as JSON Lines files by table and day: a destination that takes transactions in
 * order and gives whole files.
 *
 * Layout of a lake (docs/lake.md describes lines and names for readers):
 *   DIR/<table>/<YYYY-MM-DD>/part-<position>-<commit>-<nth>.jsonl   complete files, never changed
 * again DIR/<table>/<YYYY-MM-DD>/_SUCCESS                      nothing will be added to that day
 *   DIR/<table>/_COPIED                                    every row the table had has been written
 *   DIR/_manifest/<number>.jsonl                           one line per commit: position, files,
 * hashes DIR/_tmp/                                              what is being written
 *
 * A commit: files are written and synced in _tmp; one line in the manifest names them all and the
 * position behind them; that line, synced, is the commit. Then they are renamed to their places. A
 * process that dies before the line leaves only files in _tmp, which the next one removes; one that
 * dies after it leaves renames that the next one finishes. So no line is there twice, and a reader
 * never sees a file that is not committed.
 *
 * One thread. Memory is bounded whatever a transaction's size: it goes through to the files in
 * _tmp.
 */
#ifndef WEIR_LAKE_LAKE_H
#define WEIR_LAKE_LAKE_H

#include "libweir/codec/frame.h"
#include "libweir/codec/lsn.h"

typedef struct lake_sink lake_sink;

typedef struct lake_sink_conf {
    const char *dir;      /* made when absent */
    const char *flow;     /* whose lake it is; another flow is refused */
    const char *source;   /* where positions come from (system id); another one is refused */
    int64_t roll_ms;      /* commit what is older; 0: 60000 */
    int64_t roll_bytes;   /* commit when so much is not committed; 0: 256 MiB */
    int64_t part_bytes;   /* one file is not longer by more than a line; 0: 128 MiB */
    int64_t day_grace_ms; /* a day is finished so long after its midnight (UTC); 0: 300000 */
    /* For tests: called with the name of each step of a commit. */
    void (*step)(void *arg, const char *name);
    void *step_arg;
} lake_sink_conf;

/* Strings are borrowed until close. Finishes or discards what a dead predecessor left.
 * WEIR_E_CONFLICT: another process writes into this folder; WEIR_E_STATE: it belongs to another
 * flow or source, or its manifest is damaged. */
WEIR_MUST_CHECK weir_rc lake_sink_open(lake_sink **out, const lake_sink_conf *conf,
                                       weir_error *err);
/* What is not committed is discarded. NULL is fine. */
void lake_sink_close(lake_sink *s);

/* Where to go on: everything below is committed. false: nothing is. Only this may be acknowledged
 * to the feed. */
WEIR_MUST_CHECK bool lake_sink_position(const lake_sink *s, weir_cursor *out);
/* The rows the table had are committed (event COPIED). */
WEIR_MUST_CHECK bool lake_sink_copied(const lake_sink *s, weir_slice schema, weir_slice name);

/* The next event of the frame's transaction or chunk. rel: of ev->rel, or NULL for events without;
 * for TRUNCATE call it once per table. After any failure of event, end or commit nothing of what is
 * not committed is kept: go on with the feed at lake_sink_position. A full disk is WEIR_E_SYS with
 * WEIR_EF_RETRY. */
WEIR_MUST_CHECK weir_rc lake_sink_event(lake_sink *s, const weir_frame_head *head,
                                        const weir_relation *rel, const weir_ev *ev,
                                        weir_error *err);
/* Forgets what is not committed: the feed begins again at lake_sink_position. */
void lake_sink_rewind(lake_sink *s);
/* The transaction or chunk is complete; or nothing happened up to there. after: the feed's cursor
 * behind it. */
void lake_sink_end(lake_sink *s, weir_cursor after);

/* Whether a commit is due: by size or age, or because a day ended. Only between transactions.
 * now_us: since 2000-01-01; caught_up: the feed has nothing more. */
WEIR_MUST_CHECK bool lake_sink_due(const lake_sink *s, int64_t now_us, bool caught_up);
/* Between transactions. */
WEIR_MUST_CHECK weir_rc lake_sink_commit(lake_sink *s, int64_t now_us, bool caught_up,
                                         weir_error *err);

/* At the end of a process: commits what is whole; of a transaction that is not, nothing. */
WEIR_MUST_CHECK weir_rc lake_sink_finish(lake_sink *s, int64_t now_us, weir_error *err);

typedef struct lake_sink_state {
    uint64_t rows, files, bytes, commits; /* committed since open */
    uint64_t waiting_rows, waiting_bytes; /* not committed */
} lake_sink_state;
void lake_sink_progress(const lake_sink *s, lake_sink_state *out);

#endif
