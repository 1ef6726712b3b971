/* curl_multi.c - many HTTP POSTs at a time over libcurl's multi interface. */
#include "libweir/io/curl_multi.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/xalloc.h"

enum { CONNECTIONS_MAX = 64, CONNECT_MAX_MS = 3000 };

struct weir_curl_multi {
    CURLM *m;
    size_t answer_max_bytes, running;
    struct transfer *transfers; /* those that run */
};

typedef struct transfer {
    weir_curl_multi *m;
    weir_curl_post *post;
    CURL *c;
    struct curl_slist *headers;
    size_t received_bytes;
    bool refused; /* the address is not public */
    char detail[CURL_ERROR_SIZE];
    struct transfer *prev, *next;
} transfer;

/* Loopback, private, shared, link-local, documentation, multicast and reserved networks. */
static bool public4(uint32_t a)
{
    static const struct {
        uint32_t net;
        int bits;
    } closed[] = {{0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},
                  {0xa9fe0000, 16}, {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24},
                  {0xc0a80000, 16}, {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24},
                  {0xe0000000, 3}};
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        if ((a ^ closed[i].net) >> (32 - closed[i].bits) == 0) {
            return false;
        }
    }
    return true;
}

/* Only 2000::/3 is public, and of it neither documentation nor what embeds an IPv4 address. */
static bool public6(const unsigned char *a)
{
    if ((a[0] & 0xe0) != 0x20) {
        return false;
    }
    bool teredo_or_orchid = a[0] == 0x20 && a[1] == 0x01 && a[2] < 0x02;
    bool documentation = a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8;
    bool six_to_four = a[0] == 0x20 && a[1] == 0x02;
    return !teredo_or_orchid && !documentation && !six_to_four;
}

static bool is_public(const struct sockaddr *sa, size_t n)
{
    if (sa->sa_family == AF_INET && n >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        return public4(ntohl(in.sin_addr.s_addr));
    }
    if (sa->sa_family == AF_INET6 && n >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in;
        memcpy(&in, sa, sizeof in);
        return public6(in.sin6_addr.s6_addr);
    }
    return false;
}

/* After the name was resolved, before anything is sent: what DNS says is judged here, not its name.
 */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    transfer *t = arg;
    (void)purpose;
    if (t->post->public_only && !is_public(&a->addr, a->addrlen)) {
        t->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    transfer *t = arg;
    (void)p;
    t->received_bytes += size * n;
    return t->received_bytes > t->m->answer_max_bytes ? 0 : size * n;
}

static void set_options(transfer *t)
{
    CURL *c = t->c;
    const weir_curl_post *p = t->post;
    (void)curl_easy_setopt(c, CURLOPT_URL, p->url);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)p->timeout_ms);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                           (long)(p->timeout_ms < CONNECT_MAX_MS ? p->timeout_ms : CONNECT_MAX_MS));
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(c, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(c, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, p->body.p ? p->body.p : "");
    (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body.n);
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->detail);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_body);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    (void)curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t);
    (void)curl_easy_setopt(c, CURLOPT_PRIVATE, t);
    if (p->public_only) { /* a kept connection would not be judged again */
        (void)curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
    }
}

weir_rc weir_curl_multi_new(weir_curl_multi **out, size_t answer_max_bytes, weir_error *err)
{
    CURLM *multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
    if (!multi) {
        return weir_fail(err, WEIR_E_SYS, 0, "libcurl could not start");
    }
    (void)curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX);
    weir_curl_multi *m = weir_xcalloc(1, sizeof *m);
    m->m = multi;
    m->answer_max_bytes = answer_max_bytes;
    *out = m;
    return WEIR_OK;
}

static void end(transfer *t)
{
    weir_curl_multi *m = t->m;
    (void)curl_multi_remove_handle(m->m, t->c);
    curl_easy_cleanup(t->c);
    curl_slist_free_all(t->headers);
    *(t->prev ? &t->prev->next : &m->transfers) = t->next;
    if (t->next) {
        t->next->prev = t->prev;
    }
    t->post->transfer = NULL;
    m->running--;
    free(t);
}

void weir_curl_multi_free(weir_curl_multi *m)
{
    if (!m) {
        return;
    }
    while (m->transfers) {
        end(m->transfers);
    }
    (void)curl_multi_cleanup(m->m);
    free(m);
}

weir_rc weir_curl_multi_add(weir_curl_multi *m, weir_curl_post *post, weir_error *err)
{
    transfer *t = weir_xcalloc(1, sizeof *t);
    t->m = m;
    t->post = post;
    t->c = curl_easy_init();
    t->headers = curl_slist_append(NULL, "Expect:");
    for (const char *const *h = post->header_lines; h && *h; h++) {
        t->headers = curl_slist_append(t->headers, *h);
    }
    post->status = 0;
    post->err = (weir_error){0};
    if (t->c) {
        set_options(t);
    }
    if (!t->c || curl_multi_add_handle(m->m, t->c) != CURLM_OK) {
        curl_easy_cleanup(t->c);
        curl_slist_free_all(t->headers);
        free(t);
        return weir_fail(err, WEIR_E_SYS, WEIR_EF_RETRY, "libcurl could not begin a request");
    }
    t->next = m->transfers;
    if (t->next) {
        t->next->prev = t;
    }
    m->transfers = t;
    m->running++;
    post->transfer = t;
    return WEIR_OK;
}

void weir_curl_multi_step(weir_curl_multi *m, int64_t wait_ms)
{
    int running = 0;
    (void)curl_multi_perform(m->m, &running);
    if (wait_ms > 0 && (size_t)running == m->running) { /* else somebody is done already */
        (void)curl_multi_poll(m->m, NULL, 0, (int)wait_ms, NULL);
        (void)curl_multi_perform(m->m, &running);
    }
}

static void tell(transfer *t, CURLcode code)
{
    weir_curl_post *p = t->post;
    long status = 0;
    if (t->refused) {
        (void)weir_fail(&p->err, WEIR_E_DENIED, 0, "the address is not public");
    } else if (code == CURLE_WRITE_ERROR) {
        (void)weir_fail(&p->err, WEIR_E_LIMIT, 0, "the answer has more than %zu bytes",
                        t->m->answer_max_bytes);
    } else if (code != CURLE_OK) {
        (void)weir_fail(&p->err, code == CURLE_OPERATION_TIMEDOUT ? WEIR_E_TIMEOUT : WEIR_E_CONN,
                        WEIR_EF_RETRY, "%s", t->detail[0] ? t->detail : curl_easy_strerror(code));
    } else {
        (void)curl_easy_getinfo(t->c, CURLINFO_RESPONSE_CODE, &status);
        p->status = (int)status;
    }
}

weir_curl_post *weir_curl_multi_done(weir_curl_multi *m)
{
    int left = 0;
    CURLMsg *msg;
    while ((msg = curl_multi_info_read(m->m, &left))) {
        if (msg->msg != CURLMSG_DONE) {
            continue;
        }
        transfer *t = NULL;
        CURLcode code = msg->data.result;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        weir_curl_post *post = t->post;
        tell(t, code);
        end(t);
        return post;
    }
    return NULL;
}

weir_curl_post *weir_curl_multi_drop(weir_curl_multi *m)
{
    if (!m->transfers) {
        return NULL;
    }
    weir_curl_post *post = m->transfers->post;
    end(m->transfers);
    return post;
}

size_t weir_curl_multi_running(const weir_curl_multi *m)
{
    return m->running;
}

void weir_curl_multi_wake(weir_curl_multi *m)
{
    (void)curl_multi_wakeup(m->m);
}

static bool part(CURLU *u, CURLUPart what, unsigned flags, char *out, size_t size)
{
    char *text = NULL;
    bool ok = curl_url_get(u, what, &text, flags) == CURLUE_OK && strlen(text) < size;
    (void)snprintf(out, size, "%s", ok ? text : "");
    curl_free(text);
    return ok;
}

static bool absent(CURLU *u, CURLUPart what)
{
    char *text = NULL;
    bool none = curl_url_get(u, what, &text, 0) != CURLUE_OK;
    curl_free(text);
    return none;
}

weir_rc weir_curl_url_parse(weir_curl_url *out, const char *url, weir_error *err)
{
    CURLU *u = curl_url();
    memset(out, 0, sizeof *out);
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              part(u, CURLUPART_SCHEME, 0, out->scheme, sizeof out->scheme) &&
              part(u, CURLUPART_HOST, 0, out->host, sizeof out->host) &&
              part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, out->port, sizeof out->port) &&
              part(u, CURLUPART_PATH, 0, out->path, sizeof out->path) &&
              absent(u, CURLUPART_USER) && absent(u, CURLUPART_PASSWORD) &&
              absent(u, CURLUPART_FRAGMENT);
    char query[sizeof out->path] = "";
    if (ok && !absent(u, CURLUPART_QUERY)) {
        size_t n = strlen(out->path);
        ok = part(u, CURLUPART_QUERY, 0, query, sizeof query) &&
             n + 1 + strlen(query) < sizeof out->path;
        if (ok) {
            (void)snprintf(out->path + n, sizeof out->path - n, "?%s", query);
        }
    }
    curl_url_cleanup(u);
    ok = ok && (strcmp(out->scheme, "http") == 0 || strcmp(out->scheme, "https") == 0);
    return ok ? WEIR_OK
              : weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                          "it must be an http or https URL without user, password and fragment");
}
