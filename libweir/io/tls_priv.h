/* tls_priv.h - a pair as GnuTLS has it, for tls.c and http_tls.c only. */
#ifndef WEIR_IO_TLS_PRIV_H
#define WEIR_IO_TLS_PRIV_H

#include <gnutls/abstract.h>
#include <stdatomic.h>

#include "libweir/io/tls.h"

enum { TLS_CHAIN_MAX = 16 };

struct weir_tls_pair {
    atomic_int refs;
    gnutls_pcert_st chain[TLS_CHAIN_MAX];
    unsigned n;
    gnutls_privkey_t key;
    int64_t ends_s; /* the first certificate's notAfter */
};

#endif
