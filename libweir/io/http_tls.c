/* http_tls.c - certificates for the library's TLS (GnuTLS inside libmicrohttpd: TLS 1.2 and later;
 * a handshake counts as idle time and as waiting for a request, so both limits hold).
 *
 * The library asks for the certificate in each handshake, and a session points to what it was given
 * until it ends. A handshake may come when there is a newer pair than when its connection began, so
 * pairs are kept in order: one goes when no connection is left that began with it or before.
 */
#include <stdlib.h>

#include "libweir/base/tlsstream.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/http_priv.h"
#include "libweir/io/tls_priv.h"

struct http_cert {
    weir_tls_pair *pair;
    unsigned peers;
    struct http_cert *next;
};

/* The library gives the callback nothing of ours; it calls it on this thread, out of MHD_run. */
static _Thread_local weir_http *driven;

weir_http *weir_http_tls_enter(weir_http *h)
{
    weir_http *before = driven;
    driven = h;
    return before;
}

static int on_handshake(gnutls_session_t session, const gnutls_datum_t *authorities,
                        int nauthorities, const gnutls_pk_algorithm_t *algorithms, int nalgorithms,
                        gnutls_pcert_st **chain, unsigned *n, gnutls_privkey_t *key)
{
    (void)session;
    (void)authorities;
    (void)nauthorities;
    (void)algorithms;
    (void)nalgorithms;
    if (!driven || !driven->certs_last) {
        return -1;
    }
    weir_tls_pair *p = driven->certs_last->pair;
    *chain = p->chain;
    *n = p->n;
    *key = p->key;
    return 0;
}

weir_rc weir_http_tls_options(weir_http *h, http_tls *out, weir_error *err)
{
    static const char priorities[] = WEIR_TLS_PRIORITIES;
    union {
        const char *in;
        char *out;
    } p = {.in = priorities}; /* only read */
    union {
        gnutls_certificate_retrieve_function2 *in;
        void *out;
    } f = {.in = on_handshake};
    *out = (http_tls){.options = {{MHD_OPTION_END, 0, NULL}}};
    if (!h->conf.tls) {
        return WEIR_OK;
    }
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
        return weir_fail(err, WEIR_E_SYS, 0, "libmicrohttpd was built without TLS");
    }
    out->flags = MHD_USE_TLS;
    out->options[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0, f.out};
    out->options[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, p.out};
    out->options[2].option = MHD_OPTION_END;
    weir_http_tls_turn(h);
    return WEIR_OK;
}

static void forget_first(weir_http *h)
{
    http_cert *c = h->certs_first;
    h->certs_first = c->next;
    weir_tls_drop(c->pair);
    free(c);
}

void weir_http_tls_turn(weir_http *h)
{
    if (!h->conf.tls) {
        return;
    }
    weir_tls_pair *newest = weir_tls_take(h->conf.tls);
    if (h->certs_last && h->certs_last->pair == newest) {
        weir_tls_drop(newest);
    } else {
        http_cert *c = weir_xcalloc(1, sizeof *c);
        c->pair = newest;
        *(h->certs_last ? &h->certs_last->next : &h->certs_first) = c;
        h->certs_last = c;
    }
    while (h->certs_first != h->certs_last && h->certs_first->peers == 0) {
        forget_first(h);
    }
}

void weir_http_tls_begin(weir_http *h, http_peer *p)
{
    p->cert = h->certs_last;
    if (p->cert) {
        p->cert->peers++;
    }
}

void weir_http_tls_end(http_peer *p)
{
    if (p->cert) {
        p->cert->peers--;
    }
}

void weir_http_tls_fini(weir_http *h)
{
    while (h->certs_first) {
        forget_first(h);
    }
    h->certs_last = NULL;
}
