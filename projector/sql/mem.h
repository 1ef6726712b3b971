/* mem.h - allocation for the compiler: the caller's arena, and a spare one once its ceiling is
 * reached.
 *
 * The passes need not look at NULL after every node: past the ceiling memory comes from `spill`,
 * `failed` is set, and the entry point answers WEIR_E_LIMIT. What a hostile file can ask for is
 * bounded by its size (scan.h).
 */
#ifndef WEIR_PROJECTOR_SQL_MEM_H
#define WEIR_PROJECTOR_SQL_MEM_H

#include "libweir/base/arena.h"

typedef struct weir_mem {
    weir_arena *a;
    weir_arena *spill; /* NULL until needed */
    bool failed;
} weir_mem;

void weir_mem_init(weir_mem *m, weir_arena *a);
void weir_mem_fini(weir_mem *m); /* frees the spare arena; the caller's stays */

/* Zeroed, never NULL. */
void *weir_mem_calloc(weir_mem *m, size_t count, size_t size);
#define WEIR_MEM_ARRAY(m, type, count) ((type *)weir_mem_calloc((m), (count), sizeof(type)))
#define WEIR_MEM_NEW(m, type)          ((type *)weir_mem_calloc((m), 1, sizeof(type)))
/* NUL-terminated copies, never NULL. */
weir_slice weir_mem_dup(weir_mem *m, weir_slice s);
weir_slice weir_mem_dupz(weir_mem *m, const char *z);
const char *weir_mem_printf(weir_mem *m, const char *fmt, ...) WEIR_PRINTF(2, 3);

/* A growing list of pointers. */
typedef struct weir_ptrs {
    void **p;
    int n;
    int cap;
} weir_ptrs;
void weir_ptrs_push(weir_mem *m, weir_ptrs *v, void *p);

#endif
