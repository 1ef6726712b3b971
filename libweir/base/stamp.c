/* stamp.c - what is known of a file without reading it. */
#include "libweir/base/stamp.h"

#include <sys/stat.h>

weir_stamp weir_stamp_of(const char *path)
{
    struct stat st;
    if (!path[0] || stat(path, &st) != 0) {
        return (weir_stamp){0};
    }
    return (weir_stamp){st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_size, st.st_ino};
}

bool weir_stamp_same(const weir_stamp *x, const weir_stamp *y)
{
    return x->mtime_s == y->mtime_s && x->mtime_ns == y->mtime_ns && x->size == y->size &&
           x->inode == y->inode;
}
