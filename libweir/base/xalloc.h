/* xalloc.h - malloc that never returns NULL: true out-of-memory aborts the process (see err.h for
 * what is an error). */
#ifndef WEIR_BASE_XALLOC_H
#define WEIR_BASE_XALLOC_H

#include <stddef.h>

/* All return memory for free(); never NULL, also for size 0. Any thread. */
void *weir_xmalloc(size_t n);
void *weir_xcalloc(size_t count, size_t size); /* zeroed; aborts on overflow of count * size */
void *weir_xrealloc(void *p, size_t n);
char *weir_xstrdup(const char *z);

#endif
