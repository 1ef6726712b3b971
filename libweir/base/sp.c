/* sp.c - how NNG's scalability protocols look on a byte stream. */
#include "libweir/base/sp.h"

#include <string.h>

#include "libweir/base/slice.h"

static weir_rc bad_url(weir_error *err, const char *text)
{
    return weir_fail(
        err, WEIR_E_INPUT, 0,
        "\"%.200s\" is no address; write tcp://host:port, tls+tcp://host:port or ipc:///path",
        text);
}

static bool take_host(weir_sp_url *out, weir_slice host)
{
    bool brackets = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (brackets) {
        host = weir_slice_of(host.p + 1, host.n - 2);
    }
    if (host.n == 0 || host.n >= sizeof out->host || (!brackets && memchr(host.p, ':', host.n))) {
        return false;
    }
    memcpy(out->host, host.p, host.n);
    return true;
}

weir_rc weir_sp_url_read(weir_sp_url *out, const char *text, weir_error *err)
{
    weir_slice s = weir_slice_z(text);
    const weir_slice tls = WEIR_SLICE_LIT("tls+"), tcp = WEIR_SLICE_LIT("tcp://"),
                     ipc = WEIR_SLICE_LIT("ipc://");
    int64_t port = -1;
    memset(out, 0, sizeof *out);
    if (weir_slice_starts(s, ipc)) {
        out->ipc = true;
        out->path = text + ipc.n;
        return out->path[0] ? WEIR_OK : bad_url(err, text);
    }
    if (weir_slice_starts(s, tls)) {
        out->tls = true;
        s = weir_slice_of(s.p + tls.n, s.n - tls.n);
    }
    if (!weir_slice_starts(s, tcp)) {
        return bad_url(err, text);
    }
    s = weir_slice_of(s.p + tcp.n, s.n - tcp.n);
    const char *colon = s.n ? memrchr(s.p, ':', s.n) : NULL;
    if (!colon || !take_host(out, weir_slice_of(s.p, (size_t)(colon - s.p))) ||
        !weir_slice_i64(weir_slice_z(colon + 1), &port) || port < 0 || port > 65535) {
        return bad_url(err, text);
    }
    out->port = (int)port;
    return WEIR_OK;
}

bool weir_sp_url_local(const weir_sp_url *url)
{
    return url->ipc || strcmp(url->host, "localhost") == 0 || strcmp(url->host, "::1") == 0 ||
           (strncmp(url->host, "127.", 4) == 0 &&
            strspn(url->host, "0123456789.") == strlen(url->host));
}

void weir_sp_greeting(unsigned char out[WEIR_SP_GREETING_BYTES], unsigned protocol)
{
    const unsigned char bytes[WEIR_SP_GREETING_BYTES] = {
        0, 'S', 'P', 0, (unsigned char)(protocol >> 8), (unsigned char)protocol, 0, 0};
    memcpy(out, bytes, sizeof bytes);
}

bool weir_sp_greeting_ok(const unsigned char in[WEIR_SP_GREETING_BYTES], unsigned protocol)
{
    unsigned char want[WEIR_SP_GREETING_BYTES];
    weir_sp_greeting(want, protocol);
    return memcmp(in, want, sizeof want) == 0;
}

size_t weir_sp_head(unsigned char out[WEIR_SP_HEAD_MAX], bool ipc, uint64_t n)
{
    size_t at = 0;
    if (ipc) {
        out[at++] = 1;
    }
    for (int shift = 56; shift >= 0; shift -= 8) {
        out[at++] = (unsigned char)(n >> shift);
    }
    return at;
}

weir_sp_seen weir_sp_look(const char *p, size_t n, bool ipc, size_t max, size_t *body_at,
                          size_t *body_n)
{
    size_t at = ipc ? 1 : 0;
    uint64_t length = 0;
    if (ipc && n > 0 && p[0] != 1) {
        return WEIR_SP_BAD;
    }
    if (n < at + 8) {
        return WEIR_SP_MORE;
    }
    for (size_t i = 0; i < 8; i++) {
        length = length << 8 | (unsigned char)p[at + i];
    }
    if (length > max) {
        return WEIR_SP_BAD;
    }
    *body_at = at + 8;
    *body_n = (size_t)length;
    return n - *body_at < length ? WEIR_SP_MORE : WEIR_SP_WHOLE;
}

size_t weir_sp_ids(const char *p, size_t n)
{
    for (size_t at = 0; at + 4 <= n && at < 4 * WEIR_SP_IDS_MAX; at += 4) {
        if ((unsigned char)p[at] & 0x80) {
            return at + 4;
        }
    }
    return 0;
}
