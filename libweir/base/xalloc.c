/* xalloc.c - malloc that never returns NULL. */
#include "libweir/base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_abort(void *p)
{
    if (!p) {
        (void)fputs("weir: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *weir_xmalloc(size_t n)
{
    return or_abort(malloc(n ? n : 1));
}

void *weir_xcalloc(size_t count, size_t size)
{
    return or_abort(calloc(count ? count : 1, size ? size : 1));
}

void *weir_xrealloc(void *p, size_t n)
{
    return or_abort(realloc(p, n ? n : 1));
}

char *weir_xstrdup(const char *z)
{
    return or_abort(strdup(z));
}
