/* frame_ref.h - one encoded frame with its place in the log, shared by the ring to the log and the
 * tail for readers.
 *
 * Reference counted (atomically): the reader thread makes it, the writer and the loop let go of it.
 * Immutable once shared.
 */
#ifndef WEIR_BRIDGE_FRAME_REF_H
#define WEIR_BRIDGE_FRAME_REF_H

#include <stdatomic.h>

#include "libweir/base/slice.h"
#include "libweir/codec/lsn.h"

typedef struct brg_frame {
    atomic_uint refs;
    weir_cursor at; /* log key, with part */
    uint32_t part;
    bool last;       /* the transaction, message or chunk is complete with this part */
    bool needs_sync; /* copied rows: no slot would send them again, so nobody sees them before they
                        are durable */
    weir_cursor end; /* the cursor after it; valid when last */
    size_t n;
    char *p;
} brg_frame;

/* Takes the malloc'd bytes p. One reference, the caller's. Never NULL. */
brg_frame *brg_frame_new(char *p, size_t n);
brg_frame *brg_frame_ref(brg_frame *f);
void brg_frame_unref(brg_frame *f);         /* NULL is fine */
size_t brg_frame_bytes(const brg_frame *f); /* of memory, with what the allocator adds */

/* Log keys: lsn:u64 sub:u32 part:u32, big endian, so that byte order is delivery order. */
enum { BRG_KEY_BYTES = 16 };
weir_slice brg_key_put(char buf[BRG_KEY_BYTES], weir_cursor at, uint32_t part);
bool brg_key_get(weir_slice key, weir_cursor *at, uint32_t *part);

#endif
