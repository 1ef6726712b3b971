/* batch.h - small changes to the log's database `crawl`, collected in one buffer: the writer puts
 * them into its transaction in the order they came in among the frames. */
#ifndef WEIR_BRIDGE_BATCH_H
#define WEIR_BRIDGE_BATCH_H

#include "bridge/store.h"

enum { BRG_BATCH_MAX_BYTES = 64 * 1024 * 1024 };

/* Appends one change; keys have 1 to 64 bytes. Failure shows in b->failed. */
void brg_batch_put(weir_buf *b, weir_slice key, weir_slice value);
/* Every key from `from` on, below `to`. */
void brg_batch_del(weir_buf *b, weir_slice from, weir_slice to);

/* Writer thread. WEIR_E_SYS: batch is malformed. */
WEIR_MUST_CHECK weir_rc brg_batch_apply(brg_store *s, weir_lmdb_txn *t, weir_slice batch,
                                        weir_error *err);

#endif
