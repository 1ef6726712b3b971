/* test_tls.c - the certificate of an HTTP server is renewed while it runs: weir-read, several loops
 * on one port, against a TLS client of our own that sees what it is shown. */
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/str.h"
#include "libweir/io/curl.h"
#include "tests/support/certs.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"
#include "tests/support/rawhttp.h"

enum { LOOPS = 3, SERIAL_BYTES = 64, TRIES = 12 };

typedef struct serial {
    unsigned char p[SERIAL_BYTES];
    size_t n;
} serial;

static fixture fx;
static fixture_proc *service;
static int port;
static const char *ca, *ca_key, *cert, *key;
static serial first;

static const char *path_of(const char *name)
{
    return weir_arena_printf(fx.a, "%s/%s", fx.dir, name);
}

/* --- a client --- */

typedef struct client {
    int fd;
    gnutls_session_t tls;
} client;

static gnutls_certificate_credentials_t anybody;

static client dial(void)
{
    client c = {rawhttp_dial(port), NULL};
    assert_int_equal(gnutls_init(&c.tls, GNUTLS_CLIENT), 0);
    assert_int_equal(gnutls_set_default_priority(c.tls), 0);
    assert_int_equal(gnutls_credentials_set(c.tls, GNUTLS_CRD_CERTIFICATE, anybody), 0);
    gnutls_transport_set_int(c.tls, c.fd);
    assert_int_equal(gnutls_handshake(c.tls), 0);
    return c;
}

static serial shown(const client *c)
{
    unsigned n = 0;
    gnutls_x509_crt_t crt;
    serial s = {.n = SERIAL_BYTES};
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(c->tls, &n);
    assert_true(chain && n > 0);
    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    assert_int_equal(gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER), 0);
    assert_int_equal(gnutls_x509_crt_get_serial(crt, s.p, &s.n), 0);
    gnutls_x509_crt_deinit(crt);
    return s;
}

static void ask(client *c)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    char got[4096] = "";
    assert_int_equal(gnutls_record_send(c->tls, request, sizeof request - 1), sizeof request - 1);
    for (size_t n = 0; !strstr(got, "\r\n\r\nok");) {
        ssize_t more = gnutls_record_recv(c->tls, got + n, sizeof got - 1 - n);
        assert_true(more > 0);
        n += (size_t)more;
    }
    assert_has(got, "HTTP/1.1 200");
}

static void hang_up(client *c)
{
    gnutls_deinit(c->tls);
    (void)close(c->fd);
}

static bool same(const serial *x, const serial *y)
{
    return x->n == y->n && memcmp(x->p, y->p, x->n) == 0;
}

static serial shown_now(void)
{
    client c = dial();
    serial s = shown(&c);
    ask(&c);
    hang_up(&c);
    return s;
}

/* Each loop has its own connections: so many in a row have reached all of them, or nearly so. */
static bool another(void *was)
{
    for (int i = 0; i < TRIES; i++) {
        serial s = shown_now();
        if (same(&s, was)) {
            return false;
        }
    }
    return true;
}

/* --- what the service says --- */

static int64_t metric(const char *series)
{
    char url[64];
    weir_error err = {0};
    weir_curl_response r = {0};
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%d/metrics", port);
    assert_rc(WEIR_OK, weir_curl("GET", url, NULL, (weir_slice){NULL, 0}, 5000, fx.a, &r, &err),
              &err);
    const char *line = weir_arena_printf(fx.a, "\n%s ", series); /* not its HELP */
    const char *at = strstr(weir_arena_dupz(fx.a, r.body), line);
    return at ? strtoll(at + strlen(line), NULL, 10) : -1;
}

static bool stale(void *want)
{
    return metric("weir_tls_certificate_stale") == *(int *)want;
}

static bool refused(void *want)
{
    return metric("weir_tls_renewals_total{result=\"refused\"}") == *(int *)want;
}

static int times_logged(const char *what)
{
    int n = 0;
    weir_slice log;
    weir_error err = {0};
    assert_rc(WEIR_OK, weir_file_read(service->log, 1 << 20, fx.a, &log, &err), &err);
    for (const char *at = log.p; (at = strstr(at, what)); at++) {
        n++;
    }
    return n;
}

/* --- */

static void renewed(void **state)
{
    (void)state;
    client old = dial(), busy = dial();
    first = shown(&old);
    ask(&busy);
    certs_make(ca, ca_key, cert, key);
    fixture_wait(&fx, another, &first, 15000, "every loop to show the renewed certificate");
    ask(&old); /* its first request comes now */
    ask(&busy);
    hang_up(&old);
    hang_up(&busy);
    assert_int_equal(times_logged("TLS-CERT-BAD"), 0); /* also not of halves */
}

static void put(const char *path, const char *text)
{
    weir_error err = {0};
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z(text), 0600, &err), &err);
}

static void broken(void **state)
{
    (void)state;
    int yes = 1, no = 0;
    serial before = shown_now();
    weir_slice pem;
    weir_error err = {0};
    weir_curl_trust(ca);
    assert_rc(WEIR_OK, weir_file_read(cert, 1 << 20, fx.a, &pem, &err), &err);
    put(cert, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    fixture_wait(&fx, stale, &yes, 10000, "the broken file to be told");
    serial now = shown_now();
    assert_true(same(&before, &now));
    put(cert, pem.p);
    fixture_wait(&fx, stale, &no, 10000, "the file that was put back");
    assert_int_equal(times_logged("TLS-CERT-BAD"), 1);
    /* A key that is not the certificate's. */
    const char *other = path_of("other.pem");
    certs_make(path_of("other-ca.pem"), ca_key, other, key);
    fixture_wait(&fx, stale, &yes, 10000, "the wrong key to be told");
    now = shown_now();
    assert_true(same(&before, &now));
    assert_int_equal(unlink(key), 0);
    assert_int_equal(kill(service->pid, SIGHUP), 0); /* looks at once */
    int three = 3;
    fixture_wait(&fx, refused, &three, 5000, "the missing key to be told");
    now = shown_now();
    assert_true(same(&before, &now));
    assert_int_equal(times_logged("TLS-CERT-BAD"), 3);
}

static void ends_well(void **state)
{
    (void)state;
    weir_curl_trust(NULL);
    assert_int_equal(fixture_stop(service, 10000), 0);
}

static bool listens(void *unused)
{
    char url[64];
    weir_curl_response r = {0};
    (void)unused;
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%d/healthz", port);
    return weir_curl("GET", url, NULL, (weir_slice){NULL, 0}, 5000, fx.a, &r, NULL) == WEIR_OK &&
           r.status == 200;
}

static int up(void **state)
{
    (void)state;
    if (fixture_open(&fx, 0) != 0 || gnutls_certificate_allocate_credentials(&anybody) != 0) {
        return -1;
    }
    ca = path_of("ca.pem");
    ca_key = path_of("ca.key");
    cert = path_of("cert.pem");
    key = path_of("cert.key");
    certs_make(ca, ca_key, cert, key);
    port = fixture_free_port();
    const char *ini = path_of("read.ini");
    put(ini, weir_arena_printf(fx.a,
                               "[app]\nname=shop\n[redis]\nuri=redis://127.0.0.1:1\n[read]\n"
                               "port=%d\nthreads=%d\n[tls]\ncert=%s\nkey=%s\n",
                               port, LOOPS, cert, key));
    const char *const argv[] = {WEIR_BIN_DIR "/weir-read", "--config", ini, NULL};
    service = fixture_spawn(&fx, "read", argv, NULL);
    weir_curl_trust(ca);
    fixture_wait(&fx, listens, NULL, 5000, "weir-read to listen");
    return 0;
}

static int down(void **state)
{
    (void)state;
    gnutls_certificate_free_credentials(anybody);
    fixture_close(&fx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renewed),
        cmocka_unit_test(broken),
        cmocka_unit_test(ends_well),
    };
    return cmocka_run_group_tests_name("tls", tests, up, down);
}
