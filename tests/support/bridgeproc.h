/* bridgeproc.h - a weir-bridge process under test, and its feed read as lines of text.
 *
 * One line per event: "I public.t id=1 v=x", "U public.t [K id=1] id=2 v=~" (~ unchanged, NULL), "D
 * public.t [K id=1]", "T 0 public.a public.b", "M t prefix content", "O name", "Y schema.name", "R
 * public.t id=1", "RANGE public.t lo hi", "COPIED public.t copy_id", and "C" at the end of each
 * transaction.
 */
#ifndef WEIR_TESTS_BRIDGEPROC_H
#define WEIR_TESTS_BRIDGEPROC_H

#include "libweir/base/arena.h"
#include "libweir/codec/frame.h"
#include "libweir/codec/message.h"

typedef struct bridgeproc {
    char dir[128];
    char feed[200];
    const char *bin_dir;
    int pid;
} bridgeproc;

/* A new folder with an empty log. bin_dir: where weir-bridge is. extra: further lines of the
 * [bridge] section, or NULL. */
bool bridgeproc_init(bridgeproc *b, const char *bin_dir, const char *pg_uri, const char *extra);
bool bridgeproc_start(bridgeproc *b); /* does not wait */
bool bridgeproc_wait_state(bridgeproc *b, const char *state,
                           int64_t ms);                 /* of slot.state in status */
bool bridgeproc_wait_answer(bridgeproc *b, int64_t ms); /* from then on it handles signals, too */
int bridgeproc_stop(
    bridgeproc *b); /* SIGTERM; its exit code, -1 when it had to be killed after 12 s */
void bridgeproc_kill(bridgeproc *b); /* kill -9 */
void bridgeproc_remove(bridgeproc *b);
int64_t bridgeproc_rss_max_kib(const bridgeproc *b); /* VmHWM */
/* The number that follows "key": in the status object, or -1. */
int64_t bridgeproc_status(bridgeproc *b, const char *key);
/* The status object's text, in a. */
const char *bridgeproc_status_text(bridgeproc *b, weir_arena *a);
/* One request; the reply lives in a. false: no answer. */
bool bridgeproc_call(bridgeproc *b, const weir_feed_req *req, weir_arena *a, weir_feed_reply *out);

typedef struct feedlines {
    bridgeproc *b;
    char **line;
    size_t n, cap;
    weir_feed_pos at;
    uint32_t known;
    weir_arena *rels_arena;
    weir_relation *rels[4096];
    uint64_t last_commit; /* of the last frame: order is checked as it is read */
    weir_cursor head;
    uint64_t frames, events, commits;
    uint64_t frame_lsn;
    uint32_t frame_xid;
    weir_frame_kind frame_kind; /* of the frame being read; frames is its number */
    bool count_only;            /* keep no lines */
    /* Each event, in order; rel is NULL where there is none. */
    void (*on_event)(void *arg, struct feedlines *f, const weir_relation *rel, const weir_ev *ev);
    void *arg;
    uint32_t max_bytes;
} feedlines;

void feedlines_init(feedlines *f, bridgeproc *b); /* from (0,0) */
void feedlines_fini(feedlines *f);
/* Fetches until the feed has passed lsn. false: it did not within ms, or refused (see last line).
 */
bool feedlines_until(feedlines *f, uint64_t lsn, int64_t ms);
/* All lines joined by newlines, without TYPE, RANGE and COPIED lines unless all. malloc'd. */
char *feedlines_text(const feedlines *f, bool all);
void feedlines_clear(feedlines *f); /* forgets lines, keeps the place */

#endif
