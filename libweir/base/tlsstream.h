/* tlsstream.h - TLS 1.2 and 1.3 over a non-blocking stream socket, either side, by GnuTLS.
 *
 * A stream takes the place of its socket's recv and send: the handshake happens inside of them, and
 * nothing is read ahead of the record that is asked for, so a socket that has nothing to read has
 * nothing left in its stream either (give weir_tls_recv room for a whole record). Any thread, one
 * at a time per stream.
 */
#ifndef WEIR_BASE_TLSSTREAM_H
#define WEIR_BASE_TLSSTREAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "libweir/base/err.h"

struct gnutls_pcert_st;
struct gnutls_privkey_st;

/* What all TLS of Weir agrees to speak, in GnuTLS' words. */
#define WEIR_TLS_PRIORITIES "SECURE128:%SERVER_PRECEDENCE:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

enum { WEIR_TLS_RECORD_MAX_BYTES = 16384 };

typedef struct weir_tls_trust weir_tls_trust; /* whom clients trust; may be shared by threads */
typedef struct weir_tls_stream weir_tls_stream;

/* PEM file of the certificates to trust; NULL: the system's. WEIR_E_INPUT: there are none. */
WEIR_MUST_CHECK weir_rc weir_tls_trust_new(weir_tls_trust **out, const char *ca, weir_error *err);
void weir_tls_trust_free(weir_tls_trust *t); /* after its streams; NULL is fine */

/* Either side; fd stays the caller's. NULL: there is no memory.
 * name: what the server's certificate must name, a host or an IP address. */
weir_tls_stream *weir_tls_stream_client(const weir_tls_trust *t, int fd, const char *name);
/* chain and key are borrowed until the stream is freed. */
weir_tls_stream *weir_tls_stream_server(struct gnutls_pcert_st *chain, unsigned n,
                                        struct gnutls_privkey_st *key, int fd);
/* Says goodbye when that goes without waiting. Before fd is closed; NULL is fine. */
void weir_tls_stream_free(weir_tls_stream *s);

/* Like recv and send without flags: -1 with errno EAGAIN when the socket has nothing, or is full;
 * anything else ends the stream, weir_tls_why says why. After EAGAIN of a send the bytes offered
 * next must begin with the same ones. */
ssize_t weir_tls_recv(weir_tls_stream *s, void *p, size_t n);
ssize_t weir_tls_send(weir_tls_stream *s, const void *p, size_t n);
/* Whether it is worth trying again to send only when the socket takes bytes; otherwise when it has
 * some to read. */
bool weir_tls_wants_out(const weir_tls_stream *s);
/* The handshake is over. */
bool weir_tls_up(const weir_tls_stream *s);
const char *weir_tls_why(const weir_tls_stream *s);

#endif
