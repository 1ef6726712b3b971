/* apply_priv.h - private to apply*.c: the applier's state. */
#ifndef WEIR_MIGRATIONS_SYNC_APPLY_PRIV_H
#define WEIR_MIGRATIONS_SYNC_APPLY_PRIV_H

#include "libweir/base/buf.h"
#include "migrations/sync/apply.h"
#include "migrations/sync/exec.h"
#include "migrations/sync/literal.h"
#include "migrations/sync/map.h"
#include "migrations/sync/reread.h"
#include "migrations/sync/rows.h"
#include "migrations/sync/seen.h"
#include "migrations/sync/tell.h"

typedef struct sync_telling sync_telling; /* apply_tell.c */
typedef struct sync_piece sync_piece;     /* apply_piece.c */
typedef struct sync_joining sync_joining; /* apply_join.c */
typedef struct sync_orphans sync_orphans; /* apply_orphan.c */

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
    uint64_t retried_lsn; /* a row-by-row group that failed, and how often */
    int retried;
    bool in_tx;   /* BEGIN was sent */
    bool open;    /* inside a source transaction */
    bool loose;   /* of the running transaction */
    uint32_t xid; /* of the running transaction */
    uint64_t loose_until;
    uint64_t careful_until;   /* commit LSN up to which each row is looked at */
    int64_t careful_until_ms; /* and until then, where conflicts were met lately */
    bool careful;             /* of the running transaction */
    bool group;               /* a group has begun */
    int64_t known_us;         /* at its begin the source knew of every change here up to then */
    uint64_t newest_commit;   /* of the group */
    int64_t newest_us;
    weir_cursor place, committed; /* after the last whole transaction given; durable */
    bool place_moved;
    sync_reread *reread; /* NULL: there is no source to ask */
    sync_seen seen;      /* two ways: our changes the source knows of */
    sync_telling *tell;
    sync_piece *piece;
    sync_joining *joining;
    sync_orphans *orphans;
    int64_t position_ms, prune_ms; /* when they are due */
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
/* Column col of the rows as an array literal, in buffer number slot; NULL: too large. Valid until
 * the slot is used again. */
const char *sync_apply_array(sync_apply *s, size_t slot, sync_row *const *list, size_t n,
                             uint16_t col);
sync_mask sync_apply_present(const sync_map *m, const weir_val *v);
/* A map's statement by kind letter and mask, cached. */
const char *sync_apply_stmt(sync_apply *s, const sync_map *m, char kind, const sync_mask *mask,
                            char name[64]);
/* One event, one row, looked at first. */
weir_rc sync_apply_row(sync_apply *s, const sync_tx *tx, const sync_map *m, const weir_ev *ev,
                       weir_error *err);
/* A row as a crawl read it: the state at this place, but for changes made here that the source does
 * not know. */
weir_rc sync_apply_read(sync_apply *s, const sync_tx *tx, const sync_map *m, const weir_ev *ev,
                        weir_error *err);
/* The other flow decided: v (gone: no row), unless the row changed here meanwhile. */
weir_rc sync_apply_decided(sync_apply *s, const sync_tx *tx, const sync_map *m, const weir_val *v,
                           bool gone, weir_error *err);
/* A change of the key, or of a table without key. */
weir_rc sync_apply_move(sync_apply *s, const sync_map *m, const weir_val *v, const weir_val *old,
                        weir_error *err);
weir_rc sync_apply_keyless(sync_apply *s, const sync_map *m, const weir_ev *ev, weir_error *err);

/* --- apply_session.c ------------------------------------------------------------------------ */
weir_rc sync_apply_connect(sync_apply *s, bool *known, weir_error *err);

/* --- apply.c -------------------------------------------------------------------------------- */
weir_rc sync_apply_route(sync_apply *s, weir_slice slot, const weir_relation *rel, sync_map **out,
                         weir_error *err);

/* --- apply_tell.c, two ways (tell.h) -------------------------------------------------------- */
sync_telling *sync_telling_new(void);
void sync_telling_free(sync_telling *t);
/* Reads which decisions the other flow has not confirmed; forgets what was not committed. */
weir_rc sync_tell_resume(sync_apply *s, weir_error *err);
/* A transaction was taken over with this group. */
void sync_tell_note(sync_apply *s, int64_t commit_us);
/* The row was decided on here: the other flow will be told how it is at the end of the group. */
void sync_tell_decide(sync_apply *s, const sync_map *m, const weir_val *v);
/* Was it, and the other side did not know yet when it made the running transaction? */
bool sync_tell_undecided(sync_apply *s, const sync_map *m, const weir_val *v);
/* Must a commit say something? */
bool sync_tell_due(const sync_apply *s);
/* Puts it into the group's transaction; then, once that is committed. */
weir_rc sync_tell_send(sync_apply *s, weir_error *err);
void sync_tell_sent(sync_apply *s);
/* One message of a transaction that came from here; then the end of that transaction. */
weir_rc sync_tell_hear(sync_apply *s, weir_slice content, weir_error *err);
weir_rc sync_tell_heard(sync_apply *s, const sync_tx *tx, weir_error *err);
/* A JSON array of the key's values as texts, in the group's arena; NULL: too large. */
const char *sync_tell_key(sync_apply *s, const sync_map *m, const weir_val *v);

/* --- apply_piece.c, rows of a crawl --------------------------------------------------------- */
sync_piece *sync_piece_new(void);
void sync_piece_free(sync_piece *p);
void sync_piece_forget(sync_piece *p);
/* Rows came, and their range did not yet: the position must stay before them. */
bool sync_piece_open(const sync_piece *p);
/* A row of a table with a key was named; one of a table without is set aside. */
void sync_piece_name(sync_apply *s, const sync_map *m, const weir_val *v);
weir_rc sync_piece_keyless(sync_apply *s, const sync_map *m, const weir_ev *ev, weir_error *err);
/* The end of the piece: what it did not name goes. */
weir_rc sync_piece_range(sync_apply *s, sync_map *m, const weir_ev *ev, weir_error *err);

/* --- apply_join.c, tables that join a running flow, and tombstones that are not needed -------- */
sync_joining *sync_joining_new(void);
void sync_joining_free(sync_joining *j);
weir_rc sync_join_resume(sync_apply *s, weir_error *err);
bool sync_join_has(sync_apply *s, const weir_relation *rel);
/* Asks the bridge for their rows, now and then, until they are there. */
void sync_join_ask(sync_apply *s);
weir_rc sync_join_copied(sync_apply *s, const weir_ev *ev, weir_error *err);
/* Now and then; between groups. */
weir_rc sync_apply_prune(sync_apply *s, weir_error *err);

/* --- apply_orphan.c, two ways: rows whose parent went ----------------------------------------- */
sync_orphans *sync_orphans_new(void);
void sync_orphans_free(sync_orphans *o);
void sync_orphans_forget(sync_orphans *o);
/* Which foreign keys refer to the table; two ways only. */
weir_rc sync_orphans_learn(sync_apply *s, sync_map *m, weir_error *err);
/* The row of this key goes, or moves away; of a table with foreign keys (norphan_sql). */
void sync_orphans_note(sync_apply *s, const sync_map *m, const weir_val *old);
/* At the group's end, when everything was sent: who refers to them still goes to the history. */
weir_rc sync_orphans_look(sync_apply *s, weir_error *err);

/* May rows of the table be there already, or be missing? */
static inline bool sync_loose(const sync_apply *s, const sync_map *m)
{
    return s->loose || m->joining;
}

enum { SYNC_CAREFUL_MS = 10000, SYNC_PRUNE_EVERY_MS = 60000 };
enum { SYNC_PARAMS_MAX = WEIR_COLUMNS_MAX + 64 };

#endif
