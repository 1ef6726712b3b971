/* tls.c - the certificate and key of a server, as its files are. */
#include <gnutls/x509.h>
#include <stdlib.h>

#include "libweir/base/arena.h"
#include "libweir/base/crypt.h"
#include "libweir/base/log.h"
#include "libweir/base/stamp.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/tls_priv.h"

enum { PEM_MAX_BYTES = 1 << 20, KEY_ID_BYTES = 64 };

typedef struct stamps {
    weir_stamp cert, key;
} stamps;

struct weir_tls {
    const char *cert, *key;
    weir_monitor *mon; /* guards newest */
    weir_tls_pair *newest;
    stamps served, seen, judged; /* of what is served; at the last look; that was read last */
    weir_metric *m_ends, *m_stale, *m_taken, *m_refused;
};

/* --- a pair --- */

static weir_rc read_pem(const char *path, weir_arena *a, gnutls_datum_t *out, weir_error *err)
{
    weir_slice text;
    weir_rc rc = weir_file_read(path, PEM_MAX_BYTES, a, &text, err);
    if (rc == WEIR_OK && !strstr(text.p, "-----BEGIN ")) {
        rc = weir_fail(err, WEIR_E_INPUT, 0, "%s is no PEM file", path);
    }
    if (rc == WEIR_OK) {
        union {
            const char *in;
            unsigned char *out;
        } p = {.in = text.p}; /* in our own arena */
        *out = (gnutls_datum_t){p.out, (unsigned)text.n};
    }
    return rc;
}

static weir_rc take_chain(weir_tls_pair *p, const char *path, const gnutls_datum_t *pem,
                          weir_error *err)
{
    gnutls_x509_crt_t crt = NULL;
    unsigned n = TLS_CHAIN_MAX;
    int said = gnutls_pcert_list_import_x509_raw(p->chain, &n, pem, GNUTLS_X509_FMT_PEM,
                                                 GNUTLS_X509_CRT_LIST_SORT);
    if (said < 0) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s: %s", path, gnutls_strerror(said));
    }
    p->n = n;
    said = n > 0 ? gnutls_pcert_export_x509(&p->chain[0], &crt) : GNUTLS_E_NO_CERTIFICATE_FOUND;
    if (said < 0) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s: %s", path, gnutls_strerror(said));
    }
    p->ends_s = (int64_t)gnutls_x509_crt_get_expiration_time(crt);
    gnutls_x509_crt_deinit(crt);
    return WEIR_OK;
}

static weir_rc take_key(weir_tls_pair *p, const char *path, const gnutls_datum_t *pem,
                        weir_error *err)
{
    int said = gnutls_privkey_init(&p->key);
    if (said >= 0) {
        said = gnutls_privkey_import_x509_raw(p->key, pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    return said >= 0 ? WEIR_OK
                     : weir_fail(err, WEIR_E_INPUT, 0, "%s: %s", path, gnutls_strerror(said));
}

static bool key_id(gnutls_pubkey_t of, unsigned char id[KEY_ID_BYTES], size_t *n)
{
    *n = KEY_ID_BYTES;
    return gnutls_pubkey_get_key_id(of, GNUTLS_KEYID_USE_SHA256, id, n) >= 0;
}

static bool belong(const weir_tls_pair *p)
{
    unsigned char cert_id[KEY_ID_BYTES], id[KEY_ID_BYTES];
    gnutls_pubkey_t of_key = NULL;
    size_t cert_n = 0, n = 0;
    bool same = gnutls_pubkey_init(&of_key) >= 0 &&
                gnutls_pubkey_import_privkey(of_key, p->key, 0, 0) >= 0 && key_id(of_key, id, &n) &&
                key_id(p->chain[0].pubkey, cert_id, &cert_n) && n == cert_n &&
                memcmp(id, cert_id, n) == 0;
    if (of_key) {
        gnutls_pubkey_deinit(of_key);
    }
    return same;
}

static weir_rc read_pair(weir_tls_pair **out, const char *cert, const char *key, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_tls_pair *p = weir_xcalloc(1, sizeof *p);
    gnutls_datum_t cert_pem = {NULL, 0}, key_pem = {NULL, 0};
    atomic_store(&p->refs, 1);
    weir_rc rc = read_pem(cert, a, &cert_pem, err);
    if (rc == WEIR_OK) {
        rc = read_pem(key, a, &key_pem, err);
    }
    if (rc == WEIR_OK) {
        rc = take_chain(p, cert, &cert_pem, err);
    }
    if (rc == WEIR_OK) {
        rc = take_key(p, key, &key_pem, err);
    }
    if (rc == WEIR_OK && !belong(p)) {
        rc = weir_fail(err, WEIR_E_INPUT, 0, "%s is not the key of the certificate in %s", key,
                       cert);
    }
    if (key_pem.data) {
        weir_wipe(key_pem.data, key_pem.size);
    }
    weir_arena_free(a);
    if (rc != WEIR_OK) {
        weir_tls_drop(p);
        p = NULL;
    }
    *out = p;
    return rc;
}

weir_tls_pair *weir_tls_take(weir_tls *t)
{
    weir_monitor_lock(t->mon);
    weir_tls_pair *p = t->newest;
    atomic_fetch_add(&p->refs, 1);
    weir_monitor_unlock(t->mon);
    return p;
}

void weir_tls_drop(weir_tls_pair *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) > 1) {
        return;
    }
    for (unsigned i = 0; i < p->n; i++) {
        gnutls_pcert_deinit(&p->chain[i]);
    }
    if (p->key) {
        gnutls_privkey_deinit(p->key);
    }
    free(p);
}

weir_tls_stream *weir_tls_accept(weir_tls_pair *p, int fd)
{
    return weir_tls_stream_server(p->chain, p->n, p->key, fd);
}

/* --- the files --- */

static stamps look(const weir_tls *t)
{
    return (stamps){weir_stamp_of(t->cert), weir_stamp_of(t->key)};
}

static bool same(const stamps *x, const stamps *y)
{
    return weir_stamp_same(&x->cert, &y->cert) && weir_stamp_same(&x->key, &y->key);
}

static void count(weir_metric *m)
{
    if (m) {
        weir_metric_add(m, 1);
    }
}

static void show(weir_metric *m, int64_t value)
{
    if (m) {
        weir_metric_set(m, value);
    }
}

/* at: looked at before, so that what changes meanwhile is seen the next time. */
static weir_rc load(weir_tls *t, const stamps *at, weir_error *err)
{
    weir_tls_pair *fresh = NULL;
    weir_rc rc = read_pair(&fresh, t->cert, t->key, err);
    t->judged = *at;
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_monitor_lock(t->mon);
    weir_tls_pair *old = t->newest;
    t->newest = fresh;
    weir_monitor_unlock(t->mon);
    weir_tls_drop(old);
    t->served = *at;
    show(t->m_ends, fresh->ends_s);
    show(t->m_stale, 0);
    WEIR_INFO("TLS-CERT", "file=%s certificates=%u ends_s=%lld", t->cert, fresh->n,
              (long long)fresh->ends_s);
    return WEIR_OK;
}

void weir_tls_look(weir_tls *t, bool force)
{
    weir_error err = {0};
    if (!t) {
        return;
    }
    stamps now = look(t);
    bool settled = same(&now, &t->seen);
    t->seen = now;
    if (same(&now, &t->served)) {
        show(t->m_stale, 0);
        t->judged = now;
        return;
    }
    if (!force && (!settled || same(&now, &t->judged))) {
        return;
    }
    if (load(t, &now, &err) == WEIR_OK) {
        count(t->m_taken);
        return;
    }
    count(t->m_refused);
    show(t->m_stale, 1);
    WEIR_ERROR("TLS-CERT-BAD", "the certificate of before stays in use: %s", err.msg);
}

static void add_metrics(weir_tls *t, weir_metrics *ms)
{
    static const char renewals[] = "weir_tls_renewals_total";
    static const char help[] = "Changed certificate files, by what became of them.";
    t->m_ends = weir_gauge(ms, "weir_tls_certificate_ends_seconds",
                           "When the served certificate expires, in seconds since 1970.", NULL);
    t->m_stale = weir_gauge(ms, "weir_tls_certificate_stale",
                            "1: the files hold something that cannot be used.", NULL);
    t->m_taken = weir_counter(ms, renewals, help, "result=\"taken\"");
    t->m_refused = weir_counter(ms, renewals, help, "result=\"refused\"");
}

weir_rc weir_tls_open(weir_tls **out, const char *cert, const char *key, weir_metrics *ms,
                      weir_error *err)
{
    weir_tls *t = weir_xcalloc(1, sizeof *t);
    t->cert = cert;
    t->key = key;
    t->mon = weir_monitor_new();
    if (ms) {
        add_metrics(t, ms);
    }
    t->seen = look(t);
    weir_rc rc = load(t, &t->seen, err);
    if (rc != WEIR_OK) {
        weir_tls_close(t);
        t = NULL;
    }
    *out = t;
    return rc;
}

void weir_tls_close(weir_tls *t)
{
    if (t) {
        weir_tls_drop(t->newest);
        weir_monitor_free(t->mon);
        free(t);
    }
}
