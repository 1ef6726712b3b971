/* shared.h - what the bridge's threads tell each other: state, positions, the tail of recent
 * frames, counters.
 *
 * One monitor guards it; nobody holds it across I/O. Threads: reader (decodes), writer (log),
 * copier (chunks), watch (slot figures, heartbeat), unseen (changes without events), loop (feed,
 * health).
 */
#ifndef WEIR_BRIDGE_SHARED_H
#define WEIR_BRIDGE_SHARED_H

#include <stdatomic.h>

#include "bridge/ring.h"
#include "bridge/store.h"
#include "bridge/tail.h"
#include "libweir/base/settings.h"
#include "libweir/base/thread.h"
#include "libweir/io/loop.h"

typedef enum brg_state {
    BRG_CONNECTING, /* PostgreSQL is away, or the stream is about to start */
    BRG_WAITING,    /* something must be deployed or freed first; text says what */
    BRG_COPYING,    /* first copy of the published tables */
    BRG_STREAMING,
    BRG_LOST,    /* the slot is gone or invalidated: an operator must decide */
    BRG_GAP,     /* log and slot do not belong together: an operator must decide */
    BRG_STOPPED, /* on the way out */
} brg_state;

/* Figures of the slot, as the watch thread last saw them. */
typedef struct brg_slot_figures {
    bool known;
    bool active;
    char wal_status[16];
    int64_t retained_bytes;
    int64_t behind_bytes; /* WAL written and not yet in the log, what is only skipped included */
    int64_t safe_bytes;   /* -1: no limit */
    int64_t catalog_xmin_age;
    uint64_t confirmed;
    int64_t full_in_s; /* at the present rate, -1: unknown or never */
} brg_slot_figures;

typedef struct brg_copy_figures {
    uint64_t tables, tables_done, rows;
    char table[140];
} brg_copy_figures;

typedef struct brg_relation_ref {
    uint32_t version;
    size_t n;
    char *p;
} brg_relation_ref;

typedef struct brg_shared {
    const weir_settings *settings;
    char application_name[64];
    weir_monitor *m;
    brg_store store;
    brg_ring *ring;
    weir_loop *loop;
    weir_loop_fn *kick; /* on the loop: frames or the head moved */
    void *kick_arg;
    atomic_bool kicked;
    atomic_uint listeners; /* fetches that wait or are about to; without any nobody needs a kick */
    atomic_bool stop;
    int wake_fd;         /* eventfd: ends the reader's poll */
    atomic_uint running; /* threads that have not ended yet */

    /* under m */
    brg_state state;
    char text[400];
    brg_meta meta;
    brg_tail *tail;
    weir_cursor durable;
    brg_relation_ref *rels;
    size_t nrels, rels_cap;
    brg_slot_figures slot;
    brg_copy_figures copy;
    char log_error[200]; /* "" or why the log cannot be written */
    weir_cursor first;   /* the oldest thing in the log */

    atomic_ullong rows, transactions, frames, bytes, chunks, redone, reconnects;
    atomic_ullong confirmed, head_lsn, log_bytes, log_frames;
    atomic_llong last_tx_ms, last_write_ms, last_read_ms;
    atomic_llong last_asked_ms; /* when somebody last waited for what comes next */
} brg_shared;

void brg_shared_init(brg_shared *s, const weir_settings *settings);
void brg_shared_fini(brg_shared *s);

/* The only door between states; logs the change. text says what is waited for or wrong (NULL:
 * nothing). */
void brg_set_state(brg_shared *s, brg_state state, const char *fmt, ...) WEIR_PRINTF(3, 4);
brg_state brg_get_state(brg_shared *s, char *text, size_t size);
const char *brg_state_name(brg_state state);
bool brg_stopping(const brg_shared *s);
/* Sleeps up to ms, less when stopping. */
void brg_pause(brg_shared *s, int64_t ms);

/* Tells the loop that readers may have something; bounded to one message under way. Any thread. */
void brg_kick(brg_shared *s);
/* A description readers may be told of (already durable). Copies p. */
void brg_relation_add(brg_shared *s, uint32_t version, weir_slice description);
/* The writer made everything below c durable. */
void brg_durable(brg_shared *s, weir_cursor c);
weir_cursor brg_get_durable(brg_shared *s);

#endif
