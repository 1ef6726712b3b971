/* mem.c - allocation for the compiler: the caller's arena, and a spare one once its ceiling is
 * reached. */
#include "projector/sql/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void weir_mem_init(weir_mem *m, weir_arena *a)
{
    *m = (weir_mem){.a = a};
}

void weir_mem_fini(weir_mem *m)
{
    weir_arena_free(m->spill);
    m->spill = NULL;
}

void *weir_mem_calloc(weir_mem *m, size_t count, size_t size)
{
    void *p = m->failed ? NULL : weir_arena_calloc(m->a, count, size);
    if (p) {
        return p;
    }
    m->failed = true;
    if (!m->spill) {
        m->spill = weir_arena_new(0);
    }
    p = weir_arena_calloc(m->spill, count, size);
    if (!p) {
        abort(); /* count * size overflows: our bug, the counts are bounded by the file's size */
    }
    return p;
}

weir_slice weir_mem_dup(weir_mem *m, weir_slice s)
{
    char *p = weir_mem_calloc(m, s.n + 1, 1);
    if (s.n) {
        memcpy(p, s.p, s.n);
    }
    return weir_slice_of(p, s.n);
}

weir_slice weir_mem_dupz(weir_mem *m, const char *z)
{
    return weir_mem_dup(m, weir_slice_z(z));
}

const char *weir_mem_printf(weir_mem *m, const char *fmt, ...)
{
    char first[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(first, sizeof(first), fmt, ap);
    va_end(ap);
    if (n < 0) {
        return "";
    }
    if ((size_t)n < sizeof(first)) {
        return weir_mem_dupz(m, first).p;
    }
    char *p = weir_mem_calloc(m, (size_t)n + 1, 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

void weir_ptrs_push(weir_mem *m, weir_ptrs *v, void *p)
{
    if (v->n == v->cap) {
        int cap = v->cap ? v->cap * 2 : 8;
        void **np = WEIR_MEM_ARRAY(m, void *, (size_t)cap);
        if (v->n) {
            memcpy(np, v->p, (size_t)v->n * sizeof(*np));
        }
        v->p = np;
        v->cap = cap;
    }
    v->p[v->n++] = p;
}
