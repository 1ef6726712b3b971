/* stamp.h - what is known of a file without reading it, to see that it is another one now. */
#ifndef WEIR_BASE_STAMP_H
#define WEIR_BASE_STAMP_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: it is not there. */
typedef struct weir_stamp {
    int64_t mtime_s, mtime_ns, size;
    uint64_t inode;
} weir_stamp;

/* path "" is never there. Any thread. */
weir_stamp weir_stamp_of(const char *path);
bool weir_stamp_same(const weir_stamp *x, const weir_stamp *y);

#endif
