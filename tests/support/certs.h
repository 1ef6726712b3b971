/* certs.h - certificates for tests, made by the openssl on the path. */
#ifndef WEIR_SUPPORT_CERTS_H
#define WEIR_SUPPORT_CERTS_H

/* A certificate authority of its own in the file ca (its key in ca_key), and what it signed for
 * 127.0.0.1 in cert and key: PEM, P-256, two days. Files that are there are written over in place.
 * Fails the test when it cannot. */
void certs_make(const char *ca, const char *ca_key, const char *cert, const char *key);

typedef struct certs {
    char ca[200], ca_key[200], cert[200], key[200];
} certs;

/* The same in files of dir whose names begin with name. */
void certs_make_in(certs *k, const char *dir, const char *name);

#endif
