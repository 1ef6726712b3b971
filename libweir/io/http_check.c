/* http_check.c - what a request's headers must be so that everybody on the way agrees where it
 * ends (RFC 9112), beyond what the library looks at. */
#include <ctype.h>
#include <strings.h>

#include "libweir/io/http_priv.h"

typedef struct seen {
    unsigned hosts, lengths, codings, expectations;
    const char *length, *coding, *expectation;
    bool sound; /* names are tokens, no value was cut */
} seen;

static bool token(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)p[i]) && !(p[i] && strchr("!#$%&'*+-.^_`|~", p[i]))) {
            return false;
        }
    }
    return n > 0;
}

static void count(const char *name, const char *want, const char *value, unsigned *n,
                  const char **kept)
{
    if (strcasecmp(name, want) == 0) {
        ++*n;
        *kept = value ? value : "";
    }
}

static enum MHD_Result look(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_n,
                            const char *value, size_t value_n)
{
    seen *s = cls;
    const char *host;
    (void)kind;
    s->sound = s->sound && name && strnlen(name, name_n) == name_n && token(name, name_n) &&
               (!value || strnlen(value, value_n) == value_n);
    if (!s->sound) {
        return MHD_NO;
    }
    count(name, "Host", value, &s->hosts, &host);
    count(name, "Content-Length", value, &s->lengths, &s->length);
    count(name, "Transfer-Encoding", value, &s->codings, &s->coding);
    count(name, "Expect", value, &s->expectations, &s->expectation);
    return MHD_YES;
}

static bool is_number(const char *text)
{
    uint64_t ignored;
    return isdigit((unsigned char)text[0]) && weir_slice_u64(weir_slice_z(text), &ignored);
}

int weir_http_check(struct MHD_Connection *conn, const char *version, const char **detail)
{
    seen s = {.sound = true};
    bool old = strcmp(version, "HTTP/1.0") == 0;
    (void)MHD_get_connection_values_n(conn, MHD_HEADER_KIND, look, &s);
    int status = 400;
    if (!old && strcmp(version, "HTTP/1.1") != 0) {
        *detail = "this server speaks HTTP/1.1";
        status = 505;
    } else if (!s.sound) {
        *detail = "a header's name or value has characters that must not be there";
    } else if (s.hosts > 1 || (s.hosts == 0 && !old)) {
        *detail = "a request has one Host header";
    } else if (s.lengths > 1 || (s.length && !is_number(s.length))) {
        *detail = "Content-Length must be there once, as a number";
    } else if (s.codings > 1 || (s.codings && (s.lengths || old))) {
        *detail = "Transfer-Encoding must be there once, without Content-Length, in HTTP/1.1";
    } else if (s.coding && strcasecmp(s.coding, "chunked") != 0) {
        *detail = "of the transfer encodings this server knows chunked";
        status = 501;
    } else if (s.expectation && strcasecmp(s.expectation, "100-continue") != 0) {
        *detail = "of the expectations this server knows 100-continue";
        status = 417;
    } else {
        status = 0;
    }
    return status;
}

const char *weir_http_target_path(const char *target)
{
    if (target[0] == '/' || strncasecmp(target, "http", 4) != 0) {
        return target;
    }
    size_t n = strcspn(target, ":/?#");
    if (strncmp(target + n, "://", 3) != 0) {
        return target;
    }
    const char *path = target + n + 3;
    path += strcspn(path, "/?#");
    return path[0] == '/' ? path : "/";
}
