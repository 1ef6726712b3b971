/* curl.c - a small blocking HTTP client over libcurl. */
#include "libweir/io/curl.h"

#include <curl/curl.h>
#include <pthread.h>
#include <strings.h>

#include "libweir/base/buf.h"

enum { BODY_MAX_BYTES = 256 * 1024 * 1024, HEADERS_MAX_BYTES = 256 * 1024 };

static const char *trusted_ca;

void weir_curl_trust(const char *ca_file)
{
    trusted_ca = ca_file;
}

static void curl_start(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t on_bytes(char *p, size_t size, size_t n, void *arg)
{
    weir_buf *b = arg;
    weir_buf_put(b, p, size * n);
    return b->failed ? 0 : size * n; /* less than given ends the transfer */
}

static weir_rc curl_failed(CURLcode code, const char *detail, const char *url, weir_error *err)
{
    weir_rc rc = WEIR_E_SYS;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT: rc = WEIR_E_TIMEOUT; break;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR: rc = WEIR_E_CONN; break;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: rc = WEIR_E_INPUT; break;
    case CURLE_WRITE_ERROR: rc = WEIR_E_LIMIT; break;
    default: break;
    }
    unsigned flags = rc == WEIR_E_TIMEOUT || rc == WEIR_E_CONN ? WEIR_EF_RETRY : 0;
    return weir_fail(err, rc, flags, "%s: %s", url, detail[0] ? detail : curl_easy_strerror(code));
}

static struct curl_slist *header_list(const char *const *lines)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"); /* never wait for 100-continue */
    for (; lines && *lines; lines++) {
        list = curl_slist_append(list, *lines);
    }
    return list;
}

static void set_options(CURL *c, const char *method, const char *url, weir_slice body,
                        int64_t timeout_ms)
{
    (void)curl_easy_setopt(c, CURLOPT_URL, url);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    if (trusted_ca) {
        (void)curl_easy_setopt(c, CURLOPT_CAINFO, trusted_ca);
    }
    if (strcmp(method, "HEAD") == 0) {
        (void)curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else if (body.p || strcmp(method, "GET") != 0) {
        (void)curl_easy_setopt(c, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.p ? body.p : "");
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
        (void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    }
}

weir_rc weir_curl(const char *method, const char *url, const char *const *header_lines,
                  weir_slice body, int64_t timeout_ms, weir_arena *a, weir_curl_response *out,
                  weir_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, curl_start);
    weir_rc rc = WEIR_OK;
    char detail[CURL_ERROR_SIZE] = "";
    long status = 0;
    weir_buf content;
    weir_buf headers;
    weir_buf_init(&content, BODY_MAX_BYTES);
    weir_buf_init(&headers, HEADERS_MAX_BYTES);
    struct curl_slist *list = header_list(header_lines);
    CURL *c = curl_easy_init();
    if (!c) {
        rc = weir_fail(err, WEIR_E_SYS, 0, "libcurl could not start");
        goto out;
    }
    set_options(c, method, url, body, timeout_ms);
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, detail);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, &content);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_bytes);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, &headers);
    CURLcode code = curl_easy_perform(c);
    if (code != CURLE_OK) {
        rc = curl_failed(code, detail, url, err);
        goto out;
    }
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    out->status = (int)status;
    out->body = (weir_slice){weir_arena_dupz(a, weir_buf_slice(&content)), content.n};
    out->headers = (weir_slice){weir_arena_dupz(a, weir_buf_slice(&headers)), headers.n};
    if (!out->body.p || !out->headers.p) {
        rc = weir_fail(err, WEIR_E_LIMIT, 0, "%s: the answer is too large", url);
    }
out:
    curl_easy_cleanup(c);
    curl_slist_free_all(list);
    weir_buf_fini(&content);
    weir_buf_fini(&headers);
    return rc;
}

weir_slice weir_curl_header(const weir_curl_response *r, const char *name)
{
    size_t n = strlen(name);
    weir_slice rest = r->headers;
    while (rest.n > 0) {
        const char *nl = memchr(rest.p, '\n', rest.n);
        weir_slice line = {rest.p, nl ? (size_t)(nl - rest.p) : rest.n};
        if (line.n > n && line.p[n] == ':' && strncasecmp(line.p, name, n) == 0) {
            return weir_slice_trim((weir_slice){line.p + n + 1, line.n - n - 1});
        }
        rest.n -= line.n + (nl ? 1 : 0);
        rest.p += line.n + (nl ? 1 : 0);
    }
    return (weir_slice){NULL, 0};
}
