/* crawl_record.h - a crawl as it is kept in the log's database `crawl`, so that it outlives the
 * process (layout in docs/internals.md).
 *
 *   j            the order: id, options, tables asked for
 *   w            what the operator wants: 'r' run, 'p' pause, 'c' cancel
 *   e            how it ended: state, text
 *   t table:u16  one table: state, how far it is
 *   m table:u16 number:u64   key values of a row that must be read once more (window.h)
 * Pure but for load.
 */
#ifndef WEIR_BRIDGE_CRAWL_RECORD_H
#define WEIR_BRIDGE_CRAWL_RECORD_H

#include "bridge/batch.h"
#include "bridge/catalog.h"
#include "bridge/windows.h"
#include "libweir/codec/message.h"

enum { BRG_CRAWL_TABLES_MAX = 10000 };

typedef enum brg_crawl_state {
    BRG_CRAWL_NONE,
    BRG_CRAWL_RUNNING,
    BRG_CRAWL_PAUSED,
    BRG_CRAWL_DONE,
    BRG_CRAWL_FAILED,
    BRG_CRAWL_CANCELLED,
} brg_crawl_state;

typedef enum brg_crawl_step {
    BRG_TABLE_WAITING,
    BRG_TABLE_RUNNING,
    BRG_TABLE_READ, /* only moved keys are left */
    BRG_TABLE_DONE,
    BRG_TABLE_FAILED,
} brg_crawl_step;

typedef struct brg_crawl_order {
    const char *id;
    const char *where; /* NULL: everything */
    uint64_t rate;     /* rows per second, 0: no limit */
    uint32_t parallel, chunk_ms, load_percent;
    int64_t created_us;
    size_t ntables; /* 0: every published table */
    struct {
        const char *schema, *name;
    } * tables;
} brg_crawl_order;

typedef struct brg_crawl_table {
    const char *schema, *name;
    brg_crawl_step step;
    uint8_t window;    /* the worker that has it; valid from RUNNING on */
    uint32_t restarts; /* how often it began again from the start */
    uint32_t oid;      /* what the window watches */
    uint16_t key[BRG_KEYS_MAX];
    uint16_t nkey;
    weir_hash128 shape;
    weir_arena *a; /* of lo; NULL until there is one */
    weir_tuple lo;
    uint64_t rows, seen, estimate; /* estimate: rows the catalog speaks of */
    char error[200];
} brg_crawl_table;

typedef struct brg_crawl_record {
    weir_arena *a; /* order and names */
    brg_crawl_state state;
    brg_crawl_order order;
    int64_t ended_us;
    char error[300];
    bool resolved; /* tables are known */
    size_t n;
    brg_crawl_table *tables;
} brg_crawl_record;

void brg_crawl_record_init(brg_crawl_record *r);
void brg_crawl_record_fini(brg_crawl_record *r);
/* Forgets it all and becomes the order, copied; nothing is resolved. */
void brg_crawl_record_begin(brg_crawl_record *r, const brg_crawl_order *order);
/* Room for n tables, which the caller names with texts in r->a. */
void brg_crawl_record_tables(brg_crawl_record *r, size_t n);
void brg_crawl_table_at(brg_crawl_table *t, const weir_tuple *lo); /* copies */

/* Changes for a batch. */
void brg_crawl_put_begin(weir_buf *batch,
                         const brg_crawl_record *r); /* instead of any other crawl */
void brg_crawl_put_want(weir_buf *batch, brg_crawl_state want);
void brg_crawl_put_end(weir_buf *batch, const brg_crawl_record *r);
void brg_crawl_put_table(weir_buf *batch, const brg_crawl_record *r, size_t table);
void brg_crawl_put_moved(weir_buf *batch, size_t table, uint64_t number, weir_slice key);
void brg_crawl_del_moved(weir_buf *batch, size_t table, uint64_t below);
/* The moved keys that crawl windows have noted since the last call. Reader thread. */
void brg_crawl_moved(brg_windows *ws, weir_buf *batch);

/* What the log holds; windows watch again for the tables that are under way. Before the reader
 * starts. */
WEIR_MUST_CHECK weir_rc brg_crawl_load(brg_crawl_record *r, brg_store *s, brg_windows *ws,
                                       weir_error *err);
const char *brg_crawl_state_name(brg_crawl_state state);
const char *brg_crawl_step_name(brg_crawl_step step);

#endif
