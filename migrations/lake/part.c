/* part.c - one file of a lake while it is written. */
#include "migrations/lake/part.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/xalloc.h"
#include "migrations/lake/disk.h"

static weir_rc open_fd(lake_part *p, int flags, weir_error *err)
{
    p->fd = open(p->tmp, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0644);
    return p->fd < 0 ? lake_fail_disk(err, "cannot open %s", p->tmp) : WEIR_OK;
}

weir_rc lake_part_open(lake_part **out, const char *tmp, const char *folder, const char *table,
                       weir_error *err)
{
    lake_part *p = weir_xcalloc(1, sizeof *p);
    p->tmp = weir_xstrdup(tmp);
    p->folder = weir_xstrdup(folder);
    p->table = weir_xstrdup(table);
    p->hasher = weir_hasher_new();
    weir_buf_init(&p->buf, LAKE_PART_BUFFER_BYTES);
    weir_rc rc = open_fd(p, O_CREAT | O_EXCL, err);
    if (rc != WEIR_OK) {
        lake_part_free(p, false);
        return rc;
    }
    *out = p;
    return WEIR_OK;
}

static weir_rc flush(lake_part *p, weir_slice s, weir_error *err)
{
    weir_rc rc = p->fd < 0 ? open_fd(p, 0, err) : WEIR_OK;
    if (rc == WEIR_OK) {
        rc = lake_write_at(p->fd, p->bytes, s, p->tmp, err);
    }
    if (rc == WEIR_OK) {
        weir_hasher_add(p->hasher, s);
        p->bytes += s.n;
    }
    return rc;
}

static weir_rc flush_buffer(lake_part *p, weir_error *err)
{
    weir_rc rc = p->buf.n ? flush(p, weir_buf_slice(&p->buf), err) : WEIR_OK;
    weir_buf_reset(&p->buf);
    return rc;
}

weir_rc lake_part_put(lake_part *p, weir_slice line, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    p->rows++;
    if (p->buf.n + line.n > LAKE_PART_BUFFER_BYTES) {
        rc = flush_buffer(p, err);
    }
    if (rc == WEIR_OK && line.n > LAKE_PART_BUFFER_BYTES) {
        return flush(p, line, err);
    }
    if (rc == WEIR_OK) {
        weir_buf_puts(&p->buf, line);
    }
    return rc;
}

weir_rc lake_part_rest(lake_part *p, weir_error *err)
{
    weir_rc rc = flush_buffer(p, err);
    weir_buf_fini(&p->buf);
    weir_buf_init(&p->buf, LAKE_PART_BUFFER_BYTES);
    if (p->fd >= 0) {
        (void)close(p->fd);
        p->fd = -1;
    }
    return rc;
}

weir_rc lake_part_wake(lake_part *p, weir_error *err)
{
    return p->fd < 0 ? open_fd(p, 0, err) : WEIR_OK;
}

weir_rc lake_part_seal(lake_part *p, weir_error *err)
{
    weir_rc rc = p->sealed ? WEIR_OK : flush_buffer(p, err);
    if (p->sealed || rc != WEIR_OK) {
        return rc;
    }
    rc = p->fd < 0 ? open_fd(p, 0, err) : WEIR_OK;
    if (rc == WEIR_OK && fsync(p->fd) != 0) {
        rc = lake_fail_disk(err, "cannot sync %s", p->tmp);
    }
    if (p->fd >= 0) {
        if (close(p->fd) != 0 && rc == WEIR_OK) {
            rc = lake_fail_disk(err, "cannot close %s", p->tmp);
        }
        p->fd = -1;
    }
    weir_buf_fini(&p->buf);
    p->sealed = rc == WEIR_OK;
    return rc;
}

void lake_part_free(lake_part *p, bool unlink_tmp)
{
    if (!p) {
        return;
    }
    if (p->fd >= 0) {
        (void)close(p->fd);
    }
    if (unlink_tmp) {
        (void)unlink(p->tmp);
    }
    weir_hasher_free(p->hasher);
    weir_buf_fini(&p->buf);
    free(p->tmp);
    free(p->folder);
    free(p->table);
    free(p);
}
