/* arena.c - memory that lives as long as one request, message or transaction. */
#include "libweir/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/xalloc.h"

enum { ALIGN = 16, FIRST_BLOCK = 4096, MAX_BLOCK = 1 << 20 };

typedef struct block {
    struct block *older;
    size_t cap;
    size_t used;
    alignas(ALIGN) char data[];
} block;

struct weir_arena {
    block *newest;
    size_t next_cap; /* capacity of the next ordinary block */
    size_t used;     /* rounded bytes handed out since the last reset */
    size_t ceiling;
};

weir_arena *weir_arena_new(size_t ceiling_bytes)
{
    weir_arena *a = weir_xcalloc(1, sizeof *a);
    a->ceiling = ceiling_bytes ? ceiling_bytes : SIZE_MAX;
    a->next_cap = FIRST_BLOCK;
    return a;
}

void weir_arena_free(weir_arena *a)
{
    if (!a) {
        return;
    }
    while (a->newest) {
        block *b = a->newest;
        a->newest = b->older;
        free(b);
    }
    free(a);
}

void weir_arena_reset(weir_arena *a)
{
    while (a->newest && a->newest->older) {
        block *b = a->newest;
        a->newest = b->older;
        free(b);
    }
    a->next_cap = FIRST_BLOCK;
    a->used = 0;
    if (!a->newest) {
        return;
    }
    if (a->newest->cap > MAX_BLOCK) {
        /* One oversized first request must not pin its memory for ever. */
        free(a->newest);
        a->newest = NULL;
        return;
    }
    a->newest->used = 0;
    a->next_cap = a->newest->cap < MAX_BLOCK / 2 ? a->newest->cap * 2 : MAX_BLOCK;
}

static block *add_block(weir_arena *a, size_t need)
{
    size_t cap = need > a->next_cap ? need : a->next_cap;
    block *b = weir_xmalloc(sizeof *b + cap);
    b->cap = cap;
    b->used = 0;
    if (need > a->next_cap && a->newest) {
        /* A block made for one large piece goes behind the current one, whose rest stays usable. */
        b->older = a->newest->older;
        a->newest->older = b;
        return b;
    }
    b->older = a->newest;
    a->newest = b;
    if (a->next_cap < MAX_BLOCK) {
        a->next_cap *= 2;
    }
    return b;
}

void *weir_arena_alloc(weir_arena *a, size_t n)
{
    if (n > SIZE_MAX - ALIGN - sizeof(block)) {
        return NULL;
    }
    size_t need = n ? (n + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    if (need > a->ceiling - a->used) {
        return NULL;
    }
    block *b = a->newest;
    if (!b || need > b->cap - b->used) {
        b = add_block(a, need);
    }
    void *p = b->data + b->used;
    b->used += need;
    a->used += need;
    return p;
}

void *weir_arena_zalloc(weir_arena *a, size_t n)
{
    void *p = weir_arena_alloc(a, n);
    if (p) {
        memset(p, 0, n);
    }
    return p;
}

void *weir_arena_calloc(weir_arena *a, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n)) {
        return NULL;
    }
    return weir_arena_zalloc(a, n);
}

weir_slice weir_arena_dup(weir_arena *a, weir_slice s)
{
    char *p = weir_arena_alloc(a, s.n);
    if (!p) {
        return (weir_slice){NULL, 0};
    }
    if (s.n) {
        memcpy(p, s.p, s.n);
    }
    return (weir_slice){p, s.n};
}

char *weir_arena_dupz(weir_arena *a, weir_slice s)
{
    char *p = s.n < SIZE_MAX ? weir_arena_alloc(a, s.n + 1) : NULL;
    if (p) {
        if (s.n) {
            memcpy(p, s.p, s.n);
        }
        p[s.n] = '\0';
    }
    return p;
}

char *weir_arena_strdup(weir_arena *a, const char *z)
{
    return weir_arena_dupz(a, weir_slice_z(z));
}

char *weir_arena_printf(weir_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : weir_arena_alloc(a, (size_t)n + 1);
    if (p) {
        va_start(ap, fmt);
        (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    return p;
}

size_t weir_arena_used(const weir_arena *a)
{
    return a->used;
}
