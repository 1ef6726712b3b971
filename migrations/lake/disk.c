/* disk.c - writing files so that they are there after a crash. */
#include "migrations/lake/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libweir/base/xalloc.h"

char *lake_join(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *out = weir_xmalloc(n);
    (void)snprintf(out, n, "%s/%s", dir, name);
    return out;
}

weir_rc lake_fail_disk(weir_error *err, const char *fmt, ...)
{
    int saved = errno;
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    errno = saved;
    weir_rc rc = weir_fail_errno(err, "%s", text);
    if (err && (saved == ENOSPC || saved == EDQUOT || saved == EFBIG)) {
        (void)weir_fail(err, WEIR_E_SYS, WEIR_EF_RETRY,
                        "%s: no room; make room on the disk, it goes on by itself", text);
    } else if (err && (saved == EIO || saved == EMFILE || saved == ENFILE)) {
        err->flags |= WEIR_EF_RETRY;
    }
    return rc;
}

weir_rc lake_write_at(int fd, uint64_t offset, weir_slice s, const char *what, weir_error *err)
{
    while (s.n) {
        ssize_t n = pwrite(fd, s.p, s.n, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return lake_fail_disk(err, "cannot write %s", what);
        }
        s.p += n;
        s.n -= (size_t)n;
        offset += (uint64_t)n;
    }
    return WEIR_OK;
}

weir_rc lake_sync_dir(const char *path, weir_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return weir_fail_errno(err, "cannot open the folder %s", path);
    }
    /* Some file systems cannot sync folders; there is nothing more to do about it. */
    weir_rc rc = fsync(fd) == 0 || errno == EINVAL
                     ? WEIR_OK
                     : lake_fail_disk(err, "cannot sync the folder %s", path);
    (void)close(fd);
    return rc;
}

static weir_rc make_one(char *path, weir_error *err)
{
    struct stat st;
    if (mkdir(path, 0755) != 0) {
        int saved = errno;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            return WEIR_OK;
        }
        errno = saved;
        return lake_fail_disk(err, "cannot create the folder %s", path);
    }
    char *slash = strrchr(path, '/');
    if (!slash || slash == path) {
        return lake_sync_dir(slash ? "/" : ".", err);
    }
    *slash = '\0';
    weir_rc rc = lake_sync_dir(path, err);
    *slash = '/';
    return rc;
}

weir_rc lake_mkdirs_synced(const char *path, weir_error *err)
{
    char *part = weir_xstrdup(path);
    weir_rc rc = WEIR_OK;
    for (size_t i = 1; part[i] && rc == WEIR_OK; i++) {
        if (part[i] == '/' && part[i - 1] != '/') {
            part[i] = '\0';
            rc = make_one(part, err);
            part[i] = '/';
        }
    }
    if (rc == WEIR_OK) {
        rc = make_one(part, err);
    }
    free(part);
    return rc;
}

weir_rc lake_mark(const char *dir, const char *name, weir_error *err)
{
    char *path = lake_join(dir, name);
    weir_rc rc = WEIR_OK;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        rc = lake_fail_disk(err, "cannot create %s", path);
    } else {
        (void)close(fd);
        rc = lake_sync_dir(dir, err);
    }
    free(path);
    return rc;
}
