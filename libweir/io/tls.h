/* tls.h - the certificate and key of a server, as its files are: a renewed pair is taken over while
 * connections with the old one go on. */
#ifndef WEIR_IO_TLS_H
#define WEIR_IO_TLS_H

#include "libweir/base/err.h"
#include "libweir/base/metrics.h"
#include "libweir/base/tlsstream.h"

typedef struct weir_tls weir_tls;
/* A chain and its key, counted: freed with the last who has it. */
typedef struct weir_tls_pair weir_tls_pair;

/* Reads the PEM files (certificate first, then what signed it); cert and key are borrowed until
 * close. WEIR_E_INPUT: no certificate, no key, or not of each other. ms may be NULL. */
WEIR_MUST_CHECK weir_rc weir_tls_open(weir_tls **out, const char *cert, const char *key,
                                      weir_metrics *ms, weir_error *err);
void weir_tls_close(weir_tls *t); /* NULL is fine; pairs that were taken stay */

/* Looks whether the files are others now, one thread, now and then. They are read when two looks
 * have seen the same (of two files one is renewed first), with force at once. A pair that cannot be
 * used changes nothing and is told once (TLS-CERT-BAD). t may be NULL. */
void weir_tls_look(weir_tls *t, bool force);

/* The newest pair; any thread. */
weir_tls_pair *weir_tls_take(weir_tls *t);
void weir_tls_drop(weir_tls_pair *p); /* NULL is fine; any thread */
/* A server's stream on a connection, with p until it is freed. NULL: there is no memory. */
weir_tls_stream *weir_tls_accept(weir_tls_pair *p, int fd);

#endif
