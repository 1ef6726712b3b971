/* manifest.c - the files the lake's commits are appended to.
 *
 * The last file is the one written to. Its good length is known all the time: a failed append is
 * cut back to it before anything else is written.
 */
#include "migrations/lake/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/json.h"
#include "migrations/lake/disk.h"
#include "migrations/lake/manifest_priv.h"

enum { NAME_BYTES = 32, READ_MAX_BYTES = 512 << 20 };

struct lake_manifest {
    char *dir; /* DIR/_manifest */
    const char *flow, *source;
    int lock_fd, fd;
    uint64_t number; /* of the file fd; 0: there is none yet */
    size_t good_bytes;
    bool torn; /* there may be bytes behind good_bytes */
};

static const char *file_name(uint64_t number, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%08" PRIu64 ".jsonl", number);
    return out;
}

static weir_rc take_lock(lake_manifest *m, weir_error *err)
{
    char *path = lake_join(m->dir, "lock");
    weir_rc rc = WEIR_OK;
    m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (m->lock_fd < 0) {
        rc = weir_fail_errno(err, "cannot open %s", path);
    } else if (flock(m->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        rc = errno == EWOULDBLOCK
                 ? weir_fail(err, WEIR_E_CONFLICT, 0,
                             "another process writes into this lake (lock %s); stop it first", path)
                 : weir_fail_errno(err, "cannot lock %s", path);
    }
    free(path);
    return rc;
}

static bool number_of(const char *name, uint64_t *out)
{
    size_t n = strlen(name);
    char back[NAME_BYTES];
    return n > 6 && weir_slice_u64(weir_slice_of(name, n - 6), out) &&
           strcmp(file_name(*out, back), name) == 0;
}

static weir_rc newest(lake_manifest *m, weir_error *err)
{
    DIR *d = opendir(m->dir);
    struct dirent *e;
    uint64_t n;
    if (!d) {
        return weir_fail_errno(err, "cannot read %s", m->dir);
    }
    while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): a DIR of our own */
        if (number_of(e->d_name, &n) && n > m->number) {
            m->number = n;
        }
    }
    (void)closedir(d);
    return WEIR_OK;
}

static weir_rc check_header(const lake_manifest *m, weir_slice line, const char *path,
                            weir_error *err)
{
    weir_json *j = NULL;
    weir_error ignored;
    weir_slice flow, source;
    int64_t version;
    weir_rc rc = WEIR_OK;
    if (!lake_check_ok(line) || weir_json_parse(&j, line, &ignored) != WEIR_OK ||
        !weir_json_i64(j, "lake", &version) || !weir_json_str(j, "flow", &flow) ||
        !weir_json_str(j, "source", &source)) {
        rc = weir_fail(err, WEIR_E_STATE, 0, "%s: the first line is damaged; restore it", path);
    } else if (version != 1) {
        rc = weir_fail(err, WEIR_E_STATE, 0, "%s was written by a newer version", path);
    } else if (!weir_slice_eqz(flow, m->flow)) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "this lake belongs to the flow \"%.*s\", not to \"%s\"; give this one a "
                       "folder of its own",
                       WEIR_SLICE_ARG(flow), m->flow);
    } else if (!weir_slice_eqz(source, m->source)) {
        rc = weir_fail(
            err, WEIR_E_STATE, 0,
            "this lake was filled from another database (system %.*s, now %s): its positions "
            "mean nothing there; begin a new folder",
            WEIR_SLICE_ARG(source), m->source);
    }
    weir_json_free(j);
    return rc;
}

/* Where the last line that counts begins and ends (without newline); false: only the header, or
 * less, is there. */
typedef struct tail {
    size_t header_bytes; /* with newline; 0: there is no complete header */
    size_t good_bytes;
    weir_slice last; /* n 0: no commit */
} tail;

static weir_rc find_tail(weir_slice text, const char *path, tail *t, weir_error *err)
{
    const char *nl = text.n ? memchr(text.p, '\n', text.n) : NULL;
    *t = (tail){0};
    if (!nl) {
        return WEIR_OK;
    }
    t->header_bytes = (size_t)(nl - text.p) + 1;
    size_t end = text.n; /* the line ends here; text behind it was judged */
    bool cut = false;
    while (end > t->header_bytes) {
        const char *before = memrchr(text.p, '\n', end - 1);
        size_t from = (size_t)(before - text.p) + 1;
        weir_slice line = weir_slice_of(text.p + from, end - from);
        bool whole = line.n && line.p[line.n - 1] == '\n';
        if (whole && lake_check_ok(weir_slice_of(line.p, line.n - 1))) {
            t->last = weir_slice_of(line.p, line.n - 1);
            t->good_bytes = end;
            return WEIR_OK;
        }
        if (cut) {
            return weir_fail(err, WEIR_E_STATE, 0,
                             "%s is damaged near byte %zu; restore it, or begin a new folder", path,
                             from);
        }
        cut = true;
        end = from;
    }
    t->good_bytes = t->header_bytes;
    return WEIR_OK;
}

/* Reads the file `number`; *has: it has a complete header. */
static weir_rc read_one(lake_manifest *m, uint64_t number, weir_arena *a, lake_commit *last,
                        bool *has, weir_error *err)
{
    char name[NAME_BYTES];
    char *path = lake_join(m->dir, file_name(number, name));
    weir_slice text;
    tail t = {0};
    weir_rc rc = weir_file_read(path, READ_MAX_BYTES, a, &text, err);
    if (rc == WEIR_OK) {
        rc = find_tail(text, path, &t, err);
    }
    *has = rc == WEIR_OK && t.header_bytes > 0;
    if (*has) {
        rc = check_header(m, weir_slice_of(text.p, t.header_bytes - 1), path, err);
    }
    if (rc == WEIR_OK && t.last.n && !lake_commit_decode(t.last, a, last)) {
        rc = weir_fail(err, WEIR_E_STATE, 0, "%s: the last line is not a commit", path);
    }
    if (rc == WEIR_OK && number == m->number) {
        m->good_bytes = t.good_bytes;
        m->torn = text.n > t.good_bytes;
    }
    free(path);
    return rc;
}

static weir_rc cut(lake_manifest *m, weir_error *err)
{
    if (ftruncate(m->fd, (off_t)m->good_bytes) != 0 || fsync(m->fd) != 0) {
        return weir_fail_errno(err, "cannot cut a torn line off the manifest in %s", m->dir);
    }
    m->torn = false;
    return WEIR_OK;
}

static weir_rc open_file(lake_manifest *m, int flags, weir_error *err)
{
    char name[NAME_BYTES];
    char *path = lake_join(m->dir, file_name(m->number, name));
    weir_rc rc = WEIR_OK;
    m->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0644);
    if (m->fd < 0) {
        rc = weir_fail_errno(err, "cannot open %s", path);
    }
    free(path);
    return rc;
}

/* The newest file may have been begun and not more: then its predecessor tells the last commit. */
static weir_rc recover(lake_manifest *m, weir_arena *a, lake_commit *last, weir_error *err)
{
    bool has = false;
    weir_rc rc = newest(m, err);
    if (rc != WEIR_OK || m->number == 0) {
        return rc;
    }
    rc = read_one(m, m->number, a, last, &has, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (last->no == 0 && m->number > 1) {
        bool before = false;
        rc = read_one(m, m->number - 1, a, last, &before, err);
        if (rc == WEIR_OK && last->no == 0) {
            rc = weir_fail(err, WEIR_E_STATE, 0,
                           "%s: a manifest file without a commit before the last one; restore it",
                           m->dir);
        }
    }
    if (rc == WEIR_OK) {
        rc = open_file(m, 0, err);
    }
    if (rc == WEIR_OK && m->torn) {
        WEIR_WARN("LAKE-TORN", "manifest=%" PRIu64 " a line that was not committed is cut off",
                  m->number);
        rc = cut(m, err);
    }
    return rc;
}

weir_rc lake_manifest_open(lake_manifest **out, const char *dir, const char *flow,
                           const char *source, weir_arena *a, lake_commit *last, weir_error *err)
{
    lake_manifest *m = weir_xcalloc(1, sizeof *m);
    m->dir = lake_join(dir, "_manifest");
    m->flow = flow;
    m->source = source;
    m->fd = m->lock_fd = -1;
    *last = (lake_commit){0};
    weir_rc rc = lake_mkdirs_synced(m->dir, err);
    if (rc == WEIR_OK) {
        rc = take_lock(m, err);
    }
    if (rc == WEIR_OK) {
        rc = recover(m, a, last, err);
    }
    if (rc != WEIR_OK) {
        lake_manifest_close(m);
        return rc;
    }
    *out = m;
    return WEIR_OK;
}

void lake_manifest_close(lake_manifest *m)
{
    if (!m) {
        return;
    }
    if (m->fd >= 0) {
        (void)close(m->fd);
    }
    if (m->lock_fd >= 0) {
        (void)close(m->lock_fd); /* with it the lock */
    }
    free(m->dir);
    free(m);
}

static weir_rc append(lake_manifest *m, weir_slice line, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    if (m->torn) {
        rc = cut(m, err);
    }
    if (rc == WEIR_OK) {
        m->torn = true;
        rc = lake_write_at(m->fd, m->good_bytes, line, "the manifest", err);
    }
    if (rc == WEIR_OK && fsync(m->fd) != 0) {
        rc = lake_fail_disk(err, "cannot sync the manifest in %s", m->dir);
    }
    if (rc == WEIR_OK) {
        m->good_bytes += line.n;
        m->torn = false;
        return WEIR_OK;
    }
    weir_error ignored;
    weir_rc back = cut(m, &ignored);
    (void)back; /* torn stays true: the next append, or the next open, cuts it */
    return rc;
}

/* A complete header, synced with the folder, before the first line of a new file. */
static weir_rc begin_file(lake_manifest *m, weir_error *err)
{
    weir_buf b;
    if (m->fd >= 0) {
        (void)close(m->fd);
    }
    m->number++;
    m->good_bytes = 0;
    m->torn = false;
    weir_rc rc = open_file(m, O_CREAT | O_TRUNC, err);
    if (rc != WEIR_OK) {
        m->number--;
        return rc;
    }
    weir_buf_init(&b, 1 << 16);
    weir_buf_putz(&b, "{\"lake\":1,\"flow\":");
    weir_json_quote(&b, weir_slice_z(m->flow));
    weir_buf_putz(&b, ",\"source\":");
    weir_json_quote(&b, weir_slice_z(m->source));
    lake_check_put(&b, 0);
    rc = append(m, weir_buf_slice(&b), err);
    if (rc == WEIR_OK) {
        rc = lake_sync_dir(m->dir, err);
    }
    weir_buf_fini(&b);
    return rc;
}

weir_rc lake_manifest_append(lake_manifest *m, const lake_commit *c, size_t file_max_bytes,
                             weir_error *err)
{
    weir_buf b;
    weir_rc rc = WEIR_OK;
    weir_buf_init(&b, LAKE_MANIFEST_LINE_MAX);
    lake_commit_encode(&b, c);
    if (b.failed) {
        rc = weir_fail(err, WEIR_E_LIMIT, 0, "one commit of %zu files is too long for the manifest",
                       c->nfiles);
    }
    if (rc == WEIR_OK && (m->fd < 0 || m->good_bytes == 0 || m->good_bytes > file_max_bytes)) {
        rc = m->fd >= 0 && m->good_bytes == 0 ? (m->number--, begin_file(m, err))
                                              : begin_file(m, err);
    }
    if (rc == WEIR_OK) {
        rc = append(m, weir_buf_slice(&b), err);
    }
    weir_buf_fini(&b);
    return rc;
}
