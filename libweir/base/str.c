/* str.c - small text helpers that need no owner of their own. */
#include "libweir/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096, NEAREST_MAX = 64 };

static weir_rc read_all(int fd, const char *path, size_t max_bytes, weir_buf *b, weir_error *err)
{
    for (;;) {
        char *room = weir_buf_reserve(b, 65536);
        if (!room) {
            return weir_fail(err, WEIR_E_LIMIT, 0, "%s is larger than %zu bytes", path, max_bytes);
        }
        ssize_t n = read(fd, room, 65536);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return weir_fail_errno(err, "cannot read %s", path);
        }
        if (n == 0) {
            break;
        }
        b->n += (size_t)n;
    }
    if (b->n > max_bytes) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "%s is larger than %zu bytes", path, max_bytes);
    }
    return WEIR_OK;
}

weir_rc weir_file_read(const char *path, size_t max_bytes, weir_arena *a, weir_slice *out,
                       weir_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int saved = errno;
        weir_rc rc = weir_fail_errno(err, "cannot open %s", path);
        if (saved != ENOENT && saved != ENOTDIR) {
            return rc;
        }
        if (err) {
            err->code = WEIR_E_NOTFOUND;
        }
        return WEIR_E_NOTFOUND;
    }
    weir_buf b;
    weir_buf_init(&b, max_bytes < SIZE_MAX / 4 - 65536 ? max_bytes + 65536 : SIZE_MAX / 4);
    weir_rc rc = read_all(fd, path, max_bytes, &b, err);
    if (rc == WEIR_OK) {
        char *z = weir_arena_dupz(a, weir_buf_slice(&b));
        *out = (weir_slice){z, z ? b.n : 0};
        if (!z) {
            rc = weir_fail(err, WEIR_E_LIMIT, 0, "%s does not fit into the memory set aside for it",
                           path);
        }
    }
    weir_buf_fini(&b);
    (void)close(fd);
    return rc;
}

static weir_rc write_synced(int fd, const char *path, weir_slice content, weir_error *err)
{
    while (content.n) {
        ssize_t n = write(fd, content.p, content.n);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return weir_fail_errno(err, "cannot write %s", path);
        }
        content.p += n;
        content.n -= (size_t)n;
    }
    if (fsync(fd) != 0) {
        return weir_fail_errno(err, "cannot sync %s", path);
    }
    return WEIR_OK;
}

/* The rename itself is durable only once the folder is synced. Best effort: some file systems
 * refuse it. */
static void sync_folder_of(const char *path)
{
    char dir[PATH_MAX_BYTES];
    const char *slash = strrchr(path, '/');
    (void)snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1,
                   slash ? path : ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

weir_rc weir_file_write(const char *path, weir_slice content, unsigned mode, weir_error *err)
{
    char tmp[PATH_MAX_BYTES];
    int len = snprintf(tmp, sizeof tmp, "%s.tmp", path);
    if (len < 0 || (size_t)len >= sizeof tmp) {
        return weir_fail(err, WEIR_E_INPUT, 0, "the path %.80s... is too long", path);
    }
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
    if (fd < 0) {
        return weir_fail_errno(err, "cannot create %s", tmp);
    }
    /* A left-over tmp keeps its old mode on open. */
    weir_rc rc = fchmod(fd, (mode_t)mode) == 0
                     ? WEIR_OK
                     : weir_fail_errno(err, "cannot set the mode of %s", tmp);
    if (rc == WEIR_OK) {
        rc = write_synced(fd, tmp, content, err);
    }
    if (close(fd) != 0 && rc == WEIR_OK) {
        rc = weir_fail_errno(err, "cannot close %s", tmp);
    }
    if (rc == WEIR_OK && rename(tmp, path) != 0) {
        rc = weir_fail_errno(err, "cannot rename %s", tmp);
    }
    if (rc == WEIR_OK) {
        sync_folder_of(path);
    } else {
        (void)unlink(tmp);
    }
    return rc;
}

static weir_rc make_one(const char *path, unsigned mode, weir_error *err)
{
    struct stat st;
    if (mkdir(path, (mode_t)mode) == 0) {
        return WEIR_OK;
    }
    int saved = errno;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return WEIR_OK;
    }
    errno = saved;
    return weir_fail_errno(err, "cannot create the folder %s", path);
}

weir_rc weir_mkdirs(const char *path, unsigned mode, weir_error *err)
{
    char part[PATH_MAX_BYTES];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part) {
        return weir_fail(err, WEIR_E_INPUT, 0, "a folder's path must have 1 to %d bytes",
                         PATH_MAX_BYTES - 1);
    }
    memcpy(part, path, n + 1);
    for (size_t i = 1; i < n; i++) {
        if (part[i] != '/' || part[i - 1] == '/') {
            continue;
        }
        part[i] = '\0';
        weir_rc rc = make_one(part, mode, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        part[i] = '/';
    }
    return make_one(part, mode, err);
}

static void quote_one(weir_buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char esc[6] = {'\\', 0, '0', '0', 0, 0};
    switch (c) {
    case '"': esc[1] = '"'; break;
    case '\\': esc[1] = '\\'; break;
    case '\b': esc[1] = 'b'; break;
    case '\f': esc[1] = 'f'; break;
    case '\n': esc[1] = 'n'; break;
    case '\r': esc[1] = 'r'; break;
    case '\t': esc[1] = 't'; break;
    default:
        esc[1] = 'u';
        esc[4] = hex[c >> 4];
        esc[5] = hex[c & 15];
        weir_buf_put(out, esc, 6);
        return;
    }
    weir_buf_put(out, esc, 2);
}

void weir_json_quote(weir_buf *out, weir_slice s)
{
    size_t from = 0;
    weir_buf_put(out, "\"", 1);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= ' ' && c != '"' && c != '\\') {
            continue;
        }
        weir_buf_put(out, s.p + from, i - from);
        quote_one(out, c);
        from = i + 1;
    }
    if (s.n > from) {
        weir_buf_put(out, s.p + from, s.n - from);
    }
    weir_buf_put(out, "\"", 1);
}

/* Length of the well-formed sequence at p (RFC 3629 table 3-7: no overlong forms, no surrogates),
 * or 0. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    unsigned char c = p[0];
    unsigned char lo = 0x80, hi = 0xbf;
    size_t n;
    if (c < 0x80) {
        return c ? 1 : 0;
    }
    if (c >= 0xc2 && c <= 0xdf) {
        n = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        n = 3;
        lo = c == 0xe0 ? 0xa0 : 0x80;
        hi = c == 0xed ? 0x9f : 0xbf;
    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 4;
        lo = c == 0xf0 ? 0x90 : 0x80;
        hi = c == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (left < n || p[1] < lo || p[1] > hi) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

bool weir_utf8_ok(weir_slice s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n;) {
        size_t n = utf8_len(p + i, s.n - i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

void weir_random_id(char out[33])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char raw[16];
    /* 16 bytes are never interrupted or cut short once the kernel's pool is ready. */
    while (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw) {
        if (errno != EINTR) {
            abort();
        }
    }
    for (size_t i = 0; i < sizeof raw; i++) {
        out[2 * i] = hex[raw[i] >> 4];
        out[2 * i + 1] = hex[raw[i] & 15];
    }
    out[32] = '\0';
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Edit distance with neighbours swapped as one edit; three rows of the matrix are enough. */
static size_t distance(const char *a, size_t an, const char *b, size_t bn)
{
    size_t rows[3][NEAREST_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= bn; j++) {
        last[j] = j;
    }
    for (size_t i = 1; i <= an; i++) {
        now[0] = i;
        for (size_t j = 1; j <= bn; j++) {
            size_t same = a[i - 1] == b[j - 1] ? 0 : 1;
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + same);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < now[j]) {
                now[j] = before[j - 2] + 1;
            }
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[bn];
}

const char *weir_nearest(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    size_t best_d = SIZE_MAX;
    size_t wn = strlen(word);
    if (wn == 0 || wn > NEAREST_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        size_t cn = strlen(words[i]);
        if (cn == 0 || cn > NEAREST_MAX) {
            continue;
        }
        size_t longer = wn > cn ? wn : cn;
        size_t d = distance(word, wn, words[i], cn);
        if (d <= (longer + 2) / 3 && d < longer && d < best_d) {
            best = words[i];
            best_d = d;
        }
    }
    return best;
}
