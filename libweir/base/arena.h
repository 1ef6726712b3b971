/* arena.h - memory that lives as long as one request, message or transaction.
 *
 * Blocks grow by doubling up to 1 MiB; reset keeps the first block. Allocation beyond the ceiling
 * returns NULL (the caller answers WEIR_E_LIMIT); true out-of-memory aborts. One owner thread.
 */
#ifndef WEIR_BASE_ARENA_H
#define WEIR_BASE_ARENA_H

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

typedef struct weir_arena weir_arena;

/* ceiling_bytes 0 means no ceiling (only for process-lifetime arenas). Never NULL. */
weir_arena *weir_arena_new(size_t ceiling_bytes);
void weir_arena_free(weir_arena *a);  /* NULL is fine */
void weir_arena_reset(weir_arena *a); /* everything allocated becomes invalid */

/* 16-byte aligned, not zeroed; NULL only when the ceiling is reached. n may be 0. */
void *weir_arena_alloc(weir_arena *a, size_t n);
void *weir_arena_zalloc(weir_arena *a, size_t n); /* zeroed */
/* count * size with overflow check, zeroed. */
void *weir_arena_calloc(weir_arena *a, size_t count, size_t size);
#define WEIR_ARENA_ARRAY(a, type, count) ((type *)weir_arena_calloc((a), (count), sizeof(type)))

/* Copies; {NULL,0} or NULL when the ceiling is reached. dupz adds a terminating NUL (and stops
 * nothing at inner NULs). */
weir_slice weir_arena_dup(weir_arena *a, weir_slice s);
char *weir_arena_dupz(weir_arena *a, weir_slice s);
char *weir_arena_strdup(weir_arena *a, const char *z);
char *weir_arena_printf(weir_arena *a, const char *fmt, ...) WEIR_PRINTF(2, 3);

size_t weir_arena_used(const weir_arena *a);

#endif
