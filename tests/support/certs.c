/* certs.c - certificates for tests. */
#include "tests/support/certs.h"

#include <stdio.h>

#include "tests/support/app.h"
#include "tests/support/check.h"

#define SELF_SIGNED                                                                                \
    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",        \
        "-nodes", "-days", "2"

void certs_make(const char *ca, const char *ca_key, const char *cert, const char *key)
{
    const char *const authority[] = {SELF_SIGNED, "-subj", "/CN=test CA", "-keyout", ca_key,
                                     "-out",      ca,      NULL};
    const char *const server[] = {
        SELF_SIGNED, "-subj", "/CN=weir", "-addext", "subjectAltName=IP:127.0.0.1",
        "-CA",       ca,      "-CAkey",   ca_key,    "-keyout",
        key,         "-out",  cert,       NULL};
    assert_int_equal(orc_run(false, authority), 0);
    assert_int_equal(orc_run(false, server), 0);
}

void certs_make_in(certs *k, const char *dir, const char *name)
{
    (void)snprintf(k->ca, sizeof k->ca, "%s/%s-ca.pem", dir, name);
    (void)snprintf(k->ca_key, sizeof k->ca_key, "%s/%s-ca-key.pem", dir, name);
    (void)snprintf(k->cert, sizeof k->cert, "%s/%s-cert.pem", dir, name);
    (void)snprintf(k->key, sizeof k->key, "%s/%s-key.pem", dir, name);
    certs_make(k->ca, k->ca_key, k->cert, k->key);
}
