/* tlsstream.c - TLS over a non-blocking stream socket: handshake and records. */
#include "libweir/base/tlsstream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/xalloc.h"

struct weir_tls_trust {
    gnutls_certificate_credentials_t cred;
};

struct weir_tls_stream {
    gnutls_session_t session;
    bool up, wants_out;
    char *name; /* a client's; GnuTLS borrows it until the handshake is over */
    char why[160];
    /* a server's */
    gnutls_certificate_credentials_t cred;
    gnutls_pcert_st *chain;
    unsigned n;
    gnutls_privkey_t key;
};

weir_rc weir_tls_trust_new(weir_tls_trust **out, const char *ca, weir_error *err)
{
    weir_tls_trust *t = weir_xcalloc(1, sizeof *t);
    int n = gnutls_certificate_allocate_credentials(&t->cred);
    if (n == 0) {
        n = ca ? gnutls_certificate_set_x509_trust_file(t->cred, ca, GNUTLS_X509_FMT_PEM)
               : gnutls_certificate_set_x509_system_trust(t->cred);
    }
    if (n <= 0) {
        weir_tls_trust_free(t);
        *out = NULL;
        return weir_fail(err, WEIR_E_INPUT, 0, "no certificates to trust in %s%s%s",
                         ca ? ca : "the system's store", n < 0 ? ": " : "",
                         n < 0 ? gnutls_strerror(n) : "");
    }
    *out = t;
    return WEIR_OK;
}

void weir_tls_trust_free(weir_tls_trust *t)
{
    if (t) {
        if (t->cred) {
            gnutls_certificate_free_credentials(t->cred);
        }
        free(t);
    }
}

static bool is_address(const char *name)
{
    unsigned char out[16];
    return inet_pton(AF_INET, name, out) == 1 || inet_pton(AF_INET6, name, out) == 1;
}

/* NULL: there is no memory. */
static weir_tls_stream *stream_new(unsigned side, int fd)
{
    const unsigned flags = GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS;
    weir_tls_stream *s = weir_xcalloc(1, sizeof *s);
    if (gnutls_init(&s->session, flags | side) != 0) {
        free(s);
        return NULL;
    }
    gnutls_session_set_ptr(s->session, s);
    gnutls_transport_set_int(s->session, fd);
    if (gnutls_priority_set_direct(s->session, WEIR_TLS_PRIORITIES, NULL) != 0) {
        weir_tls_stream_free(s);
        return NULL;
    }
    return s;
}

weir_tls_stream *weir_tls_stream_client(const weir_tls_trust *t, int fd, const char *name)
{
    weir_tls_stream *s = stream_new(GNUTLS_CLIENT, fd);
    if (!s) {
        return NULL;
    }
    s->name = weir_xstrdup(name);
    gnutls_session_set_verify_cert(s->session, s->name, 0);
    int e = gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, t->cred);
    if (e == 0 && !is_address(name)) {
        e = gnutls_server_name_set(s->session, GNUTLS_NAME_DNS, name, strlen(name));
    }
    if (e != 0) {
        weir_tls_stream_free(s);
        return NULL;
    }
    return s;
}

static int on_handshake(gnutls_session_t session, const gnutls_datum_t *authorities,
                        int nauthorities, const gnutls_pk_algorithm_t *algorithms, int nalgorithms,
                        gnutls_pcert_st **chain, unsigned *n, gnutls_privkey_t *key)
{
    const weir_tls_stream *s = gnutls_session_get_ptr(session);
    (void)authorities;
    (void)nauthorities;
    (void)algorithms;
    (void)nalgorithms;
    *chain = s->chain;
    *n = s->n;
    *key = s->key;
    return 0;
}

weir_tls_stream *weir_tls_stream_server(struct gnutls_pcert_st *chain, unsigned n,
                                        struct gnutls_privkey_st *key, int fd)
{
    weir_tls_stream *s = stream_new(GNUTLS_SERVER, fd);
    if (!s) {
        return NULL;
    }
    s->chain = chain;
    s->n = n;
    s->key = key;
    int e = gnutls_certificate_allocate_credentials(&s->cred);
    if (e == 0) {
        gnutls_certificate_set_retrieve_function2(s->cred, on_handshake);
        e = gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, s->cred);
    }
    if (e != 0) {
        weir_tls_stream_free(s);
        return NULL;
    }
    return s;
}

void weir_tls_stream_free(weir_tls_stream *s)
{
    if (s) {
        if (s->up) {
            (void)gnutls_bye(s->session, GNUTLS_SHUT_WR);
        }
        gnutls_deinit(s->session);
        if (s->cred) {
            gnutls_certificate_free_credentials(s->cred);
        }
        free(s->name);
        free(s);
    }
}

static void say_unverified(weir_tls_stream *s)
{
    gnutls_datum_t text = {NULL, 0};
    (void)gnutls_certificate_verification_status_print(
        gnutls_session_get_verify_cert_status(s->session), GNUTLS_CRT_X509, &text, 0);
    (void)snprintf(s->why, sizeof s->why, "TLS: %s", text.data ? (const char *)text.data : "");
    gnutls_free(text.data);
}

/* What a call of GnuTLS said, as recv and send say it. */
static ssize_t said(weir_tls_stream *s, ssize_t n)
{
    if (n >= 0) {
        return n;
    }
    if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
        errno = EAGAIN;
        return -1;
    }
    if (n == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
        say_unverified(s);
    } else {
        (void)snprintf(s->why, sizeof s->why, "TLS: %s", gnutls_strerror((int)n));
    }
    s->up = false; /* no goodbye */
    errno = EPROTO;
    return -1;
}

/* 0: it is over. */
static ssize_t shake_hands(weir_tls_stream *s)
{
    int e = gnutls_handshake(s->session);
    if (e == GNUTLS_E_WARNING_ALERT_RECEIVED) {
        e = GNUTLS_E_AGAIN;
    }
    s->up = e == 0;
    s->wants_out = e == GNUTLS_E_AGAIN && gnutls_record_get_direction(s->session) == 1;
    return e;
}

ssize_t weir_tls_recv(weir_tls_stream *s, void *p, size_t n)
{
    ssize_t e = s->up ? 0 : shake_hands(s);
    return said(s, e != 0 ? e : gnutls_record_recv(s->session, p, n));
}

ssize_t weir_tls_send(weir_tls_stream *s, const void *p, size_t n)
{
    ssize_t e = s->up ? 0 : shake_hands(s);
    if (e == 0) {
        e = gnutls_record_send(s->session, p, n);
        s->wants_out = e == GNUTLS_E_AGAIN;
    }
    return said(s, e);
}

bool weir_tls_wants_out(const weir_tls_stream *s)
{
    return s->wants_out;
}

bool weir_tls_up(const weir_tls_stream *s)
{
    return s->up;
}

const char *weir_tls_why(const weir_tls_stream *s)
{
    return s->why;
}
