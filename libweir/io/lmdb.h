/* lmdb.h - an LMDB environment: one writer thread, short readers, never opened twice in one
 * process, never on a remote file system. A long reader keeps freed pages from being used again:
 * copy out and end.
 */
#ifndef WEIR_IO_LMDB_H
#define WEIR_IO_LMDB_H

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

typedef struct weir_lmdb weir_lmdb;
typedef struct weir_lmdb_txn weir_lmdb_txn;
typedef struct weir_lmdb_cursor weir_lmdb_cursor;
typedef unsigned weir_lmdb_db;

enum { WEIR_LMDB_MAX_KEY = 511 };

/* Creates the folder (0700). sync false: MDB_NOSYNC, durable only after weir_lmdb_sync. max_dbs
 * named databases. A lock on the folder keeps a second process out: WEIR_E_CONFLICT. */
WEIR_MUST_CHECK weir_rc weir_lmdb_open(weir_lmdb **out, const char *dir, size_t map_bytes,
                                       unsigned max_dbs, bool sync, weir_error *err);
void weir_lmdb_close(weir_lmdb *e);
WEIR_MUST_CHECK weir_rc weir_lmdb_db_open(weir_lmdb *e, const char *name, weir_lmdb_db *out,
                                          weir_error *err); /* creates */
WEIR_MUST_CHECK weir_rc
weir_lmdb_sync(weir_lmdb *e, weir_error *err); /* everything committed so far is durable */
size_t weir_lmdb_used_bytes(weir_lmdb *e);

/* Write transactions: the one writer thread. Read transactions: any thread, one per thread at a
 * time. */
WEIR_MUST_CHECK weir_rc weir_lmdb_begin(weir_lmdb *e, bool write, weir_lmdb_txn **out,
                                        weir_error *err);
WEIR_MUST_CHECK weir_rc weir_lmdb_commit(weir_lmdb_txn *t,
                                         weir_error *err); /* t is gone either way */
void weir_lmdb_abort(weir_lmdb_txn *t);                    /* NULL is fine */

/* *value is valid until the next write in t or its end. WEIR_E_NOTFOUND is no error text. */
WEIR_MUST_CHECK weir_rc weir_lmdb_get(weir_lmdb_txn *t, weir_lmdb_db db, weir_slice key,
                                      weir_slice *value, weir_error *err);
/* A large value got in a READ transaction is of no more use: its pages leave this process's
 * resident size (not the page cache). Never for values from a write transaction. The value may
 * still be read; it is mapped again then. */
void weir_lmdb_forget(weir_slice value);
/* Key 1…511 bytes, else WEIR_E_INPUT. A full map is WEIR_E_LIMIT. append: key is greater than all
 * in db (faster). */
WEIR_MUST_CHECK weir_rc weir_lmdb_put(weir_lmdb_txn *t, weir_lmdb_db db, weir_slice key,
                                      weir_slice value, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_lmdb_append(weir_lmdb_txn *t, weir_lmdb_db db, weir_slice key,
                                         weir_slice value, weir_error *err);
/* WEIR_E_NOTFOUND when it was not there. */
WEIR_MUST_CHECK weir_rc weir_lmdb_del(weir_lmdb_txn *t, weir_lmdb_db db, weir_slice key,
                                      weir_error *err);
WEIR_MUST_CHECK weir_rc weir_lmdb_drop(weir_lmdb_txn *t, weir_lmdb_db db,
                                       weir_error *err); /* empties db */
size_t weir_lmdb_count(weir_lmdb_txn *t, weir_lmdb_db db);

WEIR_MUST_CHECK weir_rc weir_lmdb_cursor_open(weir_lmdb_txn *t, weir_lmdb_db db,
                                              weir_lmdb_cursor **out, weir_error *err);
void weir_lmdb_cursor_close(weir_lmdb_cursor *c); /* before its transaction ends; NULL is fine */
/* First key >= key. WEIR_E_NOTFOUND at the end. Slices as for get. */
WEIR_MUST_CHECK weir_rc weir_lmdb_seek(weir_lmdb_cursor *c, weir_slice at, weir_slice *key,
                                       weir_slice *value);
WEIR_MUST_CHECK weir_rc weir_lmdb_next(weir_lmdb_cursor *c, weir_slice *key, weir_slice *value);
WEIR_MUST_CHECK weir_rc weir_lmdb_last(weir_lmdb_cursor *c, weir_slice *key, weir_slice *value);
WEIR_MUST_CHECK weir_rc
weir_lmdb_cursor_del(weir_lmdb_cursor *c, weir_error *err); /* the current entry; then use next */

#endif
