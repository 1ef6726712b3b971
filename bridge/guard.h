/* guard.h - the slot guardian: everything that must be true before the stream may start, checked in
 * order.
 *
 * Publication before slot; same system, same timeline; the slot has not moved past what the log
 * holds. Nothing is skipped or recreated silently: what an operator must decide is a state with a
 * text that names the remedy.
 */
#ifndef WEIR_BRIDGE_GUARD_H
#define WEIR_BRIDGE_GUARD_H

#include "bridge/shared.h"
#include "libweir/io/pg.h"
#include "libweir/io/pgrepl.h"

/* What an operator does when slot, log and server do not fit together. */
#define BRG_REMEDY                                                                                 \
    "stop the bridge, empty bridge.data_dir, drop the slot and start again: everything is copied " \
    "anew"

typedef enum brg_verdict {
    BRG_GO_STREAM, /* start at the log's end */
    BRG_GO_COPY,   /* first start: create the slot, copy the tables */
    BRG_GO_NOT,    /* state is set; look again later */
} brg_verdict;

/* What was found about the slot; part of the pure decision below. */
typedef struct brg_slot_facts {
    bool exists;
    bool ours_plugin; /* pgoutput, and of this database */
    bool lost;        /* wal_status lost, or a conflict invalidated it */
    bool active;
    int64_t active_pid;
    char holder[128]; /* application name of who holds it */
    uint64_t confirmed;
} brg_slot_facts;

typedef struct brg_decision {
    brg_verdict verdict;
    brg_state state; /* with GO_NOT */
    bool drop_slot;  /* GO_COPY: a slot left by an unfinished first copy */
    bool terminate;  /* our own stale walsender holds the slot: end it by pid */
    char text[400];
} brg_decision;

/* Pure: what to do, from what the log's meta says, the system, and the slot. */
void brg_guard_decide(const brg_meta *meta, const weir_pgrepl_system *sys,
                      const brg_slot_facts *slot, const char *slot_name, const char *own_name,
                      brg_decision *out);

/* Asks the server. WEIR_E_CONN and such pass through; GO_NOT has set the state. Terminates a stale
 * walsender of ours. */
WEIR_MUST_CHECK weir_rc brg_guard_check(brg_shared *s, brg_verdict *verdict, weir_error *err);
/* Drops the slot if it exists (ending our own walsender on it). */
WEIR_MUST_CHECK weir_rc brg_guard_drop_slot(brg_shared *s, weir_pg *pg, weir_error *err);

#endif
