/* redis_uri.c - redis:// and unix:// addresses taken apart. */
#include "libweir/io/redis_uri.h"

#include <stdio.h>
#include <string.h>

#include "libweir/base/slice.h"

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | ((c >= 'A' && c <= 'F') ? 0x20 : 0)) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool copy_decoded(weir_slice s, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            if (s.n - i < 3 || hex_value(s.p[i + 1]) < 0 || hex_value(s.p[i + 2]) < 0) {
                return false;
            }
            c = (char)(hex_value(s.p[i + 1]) * 16 + hex_value(s.p[i + 2]));
            i += 2;
        }
        if (c == '\0' || n + 1 >= size) {
            return false;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

static bool copy_plain(weir_slice s, char *out, size_t size)
{
    if (s.n + 1 > size) {
        return false;
    }
    if (s.n > 0) {
        memcpy(out, s.p, s.n);
    }
    out[s.n] = '\0';
    return true;
}

static bool parse_number(weir_slice s, int64_t max, int *out)
{
    int64_t v = 0;
    if (s.n == 0 || s.p[0] == '+' || !weir_slice_i64(s, &v) || v < 0 || v > max) {
        return false;
    }
    *out = (int)v;
    return true;
}

/* Takes "user:password@" off the front of *rest, when there is one. */
static bool take_login(weir_slice *rest, weir_redis_uri *out)
{
    const char *end = memchr(rest->p, '/', rest->n);
    size_t authority = end ? (size_t)(end - rest->p) : rest->n;
    const char *at = memrchr(rest->p, '@', authority);
    if (!at) {
        return true;
    }
    weir_slice login = {rest->p, (size_t)(at - rest->p)};
    rest->n -= login.n + 1;
    rest->p = at + 1;
    const char *colon = memchr(login.p, ':', login.n);
    if (!colon) {
        return false; /* ambiguous: user or password? */
    }
    weir_slice user = {login.p, (size_t)(colon - login.p)};
    weir_slice password = {colon + 1, login.n - user.n - 1};
    return copy_decoded(user, out->user, sizeof out->user) &&
           copy_decoded(password, out->password, sizeof out->password);
}

static bool parse_tcp(weir_slice rest, weir_redis_uri *out)
{
    const char *slash = memchr(rest.p, '/', rest.n);
    weir_slice addr = {rest.p, slash ? (size_t)(slash - rest.p) : rest.n};
    weir_slice db = slash ? (weir_slice){slash + 1, rest.n - addr.n - 1} : (weir_slice){NULL, 0};
    const char *colon = NULL;
    weir_slice host = addr;
    if (addr.n > 0 && addr.p[0] == '[') {
        const char *close = memchr(addr.p, ']', addr.n);
        if (!close) {
            return false;
        }
        host = (weir_slice){addr.p + 1, (size_t)(close - addr.p) - 1};
        size_t behind = addr.n - host.n - 2;
        colon = behind > 0 ? close + 1 : NULL;
        if (colon && *colon != ':') {
            return false;
        }
    } else if (addr.n > 0 && (colon = memchr(addr.p, ':', addr.n)) != NULL) {
        host.n = (size_t)(colon - addr.p);
    }
    out->port = 6379;
    if (colon && !parse_number((weir_slice){colon + 1, (size_t)(addr.p + addr.n - colon) - 1},
                               65535, &out->port)) {
        return false;
    }
    return host.n > 0 && copy_plain(host, out->host, sizeof out->host) &&
           (db.n == 0 || parse_number(db, 1000000, &out->db));
}

static bool parse_unix(weir_slice rest, weir_redis_uri *out)
{
    const char *mark = memchr(rest.p, '?', rest.n);
    weir_slice path = {rest.p, mark ? (size_t)(mark - rest.p) : rest.n};
    weir_slice query = mark ? (weir_slice){mark + 1, rest.n - path.n - 1} : (weir_slice){NULL, 0};
    if (query.n > 0) {
        if (!weir_slice_starts(query, WEIR_SLICE_LIT("db=")) ||
            !parse_number((weir_slice){query.p + 3, query.n - 3}, 1000000, &out->db)) {
            return false;
        }
    }
    return path.n > 0 && path.p[0] == '/' && copy_plain(path, out->path, sizeof out->path);
}

weir_rc weir_redis_uri_parse(const char *uri, weir_redis_uri *out, weir_error *err)
{
    memset(out, 0, sizeof *out);
    weir_slice rest = weir_slice_z(uri);
    bool is_tcp = weir_slice_starts(rest, WEIR_SLICE_LIT("redis://"));
    bool is_unix = weir_slice_starts(rest, WEIR_SLICE_LIT("unix://"));
    if (is_tcp || is_unix) {
        size_t skip = is_tcp ? strlen("redis://") : strlen("unix://");
        rest = (weir_slice){rest.p + skip, rest.n - skip};
        if (rest.n > 0 && take_login(&rest, out) &&
            (is_tcp ? parse_tcp(rest, out) : parse_unix(rest, out))) {
            return WEIR_OK;
        }
    }
    return weir_fail(err, WEIR_E_INPUT, 0,
                     "malformed Redis address; write redis://[:password@]host[:port][/db] or "
                     "unix:///path[?db=n]");
}

const char *weir_redis_uri_where(const weir_redis_uri *uri, char buf[WEIR_REDIS_WHERE_BYTES])
{
    if (uri->path[0]) {
        (void)snprintf(buf, WEIR_REDIS_WHERE_BYTES, "%s", uri->path);
    } else {
        (void)snprintf(buf, WEIR_REDIS_WHERE_BYTES, "%s:%d", uri->host, uri->port);
    }
    return buf;
}

const char *weir_redis_login_hint(weir_slice refusal)
{
    bool login = weir_slice_starts(refusal, WEIR_SLICE_LIT("NOAUTH")) ||
                 weir_slice_starts(refusal, WEIR_SLICE_LIT("WRONGPASS"));
    return login ? " Its address is written redis://[user]:password@host:port/db" : "";
}
