/* apply_priv.h - private to apply*.c: the applier's state. */
#ifndef WEIR_MIGRATIONS_SYNC_APPLY_PRIV_H
#define WEIR_MIGRATIONS_SYNC_APPLY_PRIV_H

#include "libweir/base/buf.h"
#include "migrations/sync/apply.h"
#include "migrations/sync/exec.h"
#include "migrations/sync/map.h"
#include "migrations/sync/reread.h"
#include "migrations/sync/rows.h"
#include "migrations/sync/seen.h"

/* The changes of one target table in this group, and how they lie. */
typedef struct sync_table {
    const sync_map *m;
    sync_rows rows;
    bool used; /* in the list of the group's tables */
} sync_table;

struct sync_apply {
    sync_apply_conf conf;
    sync_exec x;
    weir_arena *maps_arena; /* lives with the connection */
    weir_map *maps;         /* relation version -> sync_map */
    weir_map *tables;       /* target table -> sync_table */
    weir_map *sql;          /* statement name -> text, in maps_arena */
    sync_table **order;     /* tables touched by this group, by first touch */
    size_t norder, order_cap;
    int next_id;
    weir_arena *a; /* of the group */
    weir_buf key;
    weir_buf *wide; /* array literals, one per column */
    size_t nwide;
    bool tracked, have_origin;
    int64_t origin_id;
    uint64_t retried_lsn; /* a row-by-row transaction that failed, and how often */
    int retried;
    bool in_tx;   /* BEGIN was sent */
    bool open;    /* inside a source transaction */
    bool acted;   /* it has changed a row here */
    bool loose;   /* of the running transaction */
    uint32_t xid; /* of the running transaction */
    uint64_t loose_until;
    uint64_t careful_until; /* commit LSN up to which each row is looked at */
    uint64_t newest_commit; /* of the group */
    int64_t newest_us;
    weir_cursor place, committed; /* after the last whole transaction given; durable */
    bool place_moved, unsynced;   /* unsynced: committed, perhaps not yet on disk */
    sync_reread *reread;          /* NULL: there is no source to ask */
    sync_seen seen;               /* two ways: our changes the source knows of */
};

/* --- shared by apply.c, apply_exec.c, apply_row.c ------------------------------------------- */
weir_rc sync_apply_begin_tx(sync_apply *s, weir_error *err);
/* Sends what the tables hold; strict counts are checked at the next drain. */
weir_rc sync_apply_tables(sync_apply *s, weir_error *err);
weir_rc sync_apply_table(sync_apply *s, sync_table *t, weir_error *err);
/* v: values in the map's order; from the event's tuple, unchanged columns from whole when given. */
const weir_val *sync_apply_values(sync_apply *s, const sync_map *m, const weir_tuple *row,
                                  const weir_tuple *whole);
weir_slice sync_apply_key(sync_apply *s, const sync_map *m, const weir_val *v);
bool sync_apply_complete(const sync_map *m, const weir_val *v);
/* NUL-terminated copy in the group's arena, NULL for NULL. */
const char *sync_apply_param(sync_apply *s, const weir_val *v);
/* Parameters of the present columns, then the key's of `key` when not NULL. Returns how many. */
int sync_apply_params(sync_apply *s, const sync_map *m, const weir_val *v, const sync_mask *present,
                      const weir_val *key, const char **params);
sync_mask sync_apply_present(const sync_map *m, const weir_val *v);
/* A map's statement by kind letter and mask, cached. */
const char *sync_apply_stmt(sync_apply *s, const sync_map *m, char kind, const sync_mask *mask,
                            char name[64]);
/* One event, one row, looked at first. */
weir_rc sync_apply_row(sync_apply *s, const sync_tx *tx, const sync_map *m, const weir_ev *ev,
                       weir_error *err);
/* A change of the key, or of a table without key. */
weir_rc sync_apply_move(sync_apply *s, const sync_map *m, const weir_val *v, const weir_val *old,
                        weir_error *err);
weir_rc sync_apply_keyless(sync_apply *s, const sync_map *m, const weir_ev *ev, weir_error *err);

enum { SYNC_PARAMS_MAX = WEIR_COLUMNS_MAX + 64 };

#endif
