/* source_bridge.h - a private weir-bridge for any PostgreSQL database, also one that Weir did not
 * deploy to: its publication, its settings, its process, and waiting until it streams.
 *
 * Order: publish, init, cli_child_start, wait. The log starts empty (bridge.first_copy = 0):
 * whoever reads the feed copies the tables itself, after it has subscribed.
 */
#ifndef WEIR_CLI_SOURCE_BRIDGE_H
#define WEIR_CLI_SOURCE_BRIDGE_H

#include "cli/child.h"
#include "libweir/base/arena.h"
#include "libweir/codec/message.h"

typedef struct cli_source {
    const char *label; /* "source": how messages call this database */
    const char *uri;   /* secret; PostgreSQL 15 or newer, wal_level logical */
    const char *dir; /* state folder of the bridge, made with mode 0700; log and settings inside */
    const char *slot, *publication; /* a-z 0-9 _ */
    const weir_feed_table *tables;  /* what is published; no patterns */
    size_t ntables;
    const char *log_level; /* NULL: info */
} cli_source;

/* Creates the publication, or makes its list of tables the given one. Changes nothing and returns
 * WEIR_E_INPUT when a table cannot be a source (missing, a view, unlogged, without a usable replica
 * identity): err names it and what helps. WEIR_E_STATE: wal_level is not logical. */
WEIR_MUST_CHECK weir_rc cli_source_publish(const cli_source *s, weir_error *err);
/* Makes the folder, writes bridge.ini, fills *child (not started; name "bridge-LABEL") and *feed.
 * Strings in a. */
WEIR_MUST_CHECK weir_rc cli_source_bridge_init(const cli_source *s, weir_arena *a, cli_child *child,
                                               const char **feed, weir_error *err);

typedef struct cli_source_wait {
    bool (*turn)(void *arg);                   /* about every 100 ms; false gives up */
    void (*tell)(void *arg, const char *text); /* what it waits for, when that changes */
    void *arg;
} cli_source_wait;
/* Until the bridge on feed streams. WEIR_E_STATE with its own words when it says that an operator
 * must act, WEIR_E_TIMEOUT after ms, WEIR_E_EOF when turn gave up. */
WEIR_MUST_CHECK weir_rc cli_source_bridge_wait(const cli_source *s, const char *feed,
                                               const cli_source_wait *w, int64_t ms,
                                               weir_error *err);
/* Drops slot and publication, when nothing uses them any more; both may be absent. */
WEIR_MUST_CHECK weir_rc cli_source_drop(const cli_source *s, weir_error *err);
/* Removes the state folder: its log is of no use without the slot, and would be taken for one whose
 * slot was lost. The bridge must not run. */
WEIR_MUST_CHECK weir_rc cli_source_forget(const cli_source *s, weir_error *err);

#endif
