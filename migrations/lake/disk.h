/* disk.h - writing files so that they are there after a crash. */
#ifndef WEIR_LAKE_DISK_H
#define WEIR_LAKE_DISK_H

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

/* "dir/name", malloc'd. */
char *lake_join(const char *dir, const char *name);
/* Like weir_fail_errno; a full disk or quota is WEIR_EF_RETRY and says what to do. */
weir_rc lake_fail_disk(weir_error *err, const char *fmt, ...) WEIR_PRINTF(2, 3);
/* The whole slice at that offset. what names it in errors. */
WEIR_MUST_CHECK weir_rc lake_write_at(int fd, uint64_t offset, weir_slice s, const char *what,
                                      weir_error *err);
/* Makes entries of the folder durable. */
WEIR_MUST_CHECK weir_rc lake_sync_dir(const char *path, weir_error *err);
/* mkdir -p whose new folders are durable: each parent of one that was made is synced. Mode 0755. */
WEIR_MUST_CHECK weir_rc lake_mkdirs_synced(const char *path, weir_error *err);
/* An empty file, durable; fine when it is there. */
WEIR_MUST_CHECK weir_rc lake_mark(const char *dir, const char *name, weir_error *err);

#endif
