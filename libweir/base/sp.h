/* sp.h - how NNG's scalability protocols look on a byte stream: addresses, greeting, message heads.
 *
 *   greeting, both ways:  00 'S' 'P' 00  protocol:u16  00 00
 *   message, tcp:         length:u64  length bytes
 *   message, ipc:         01 length:u64  length bytes
 *   tls+tcp:              the bytes of tcp, in TLS
 *   the bytes of REQ/REP: id…:u32 (the last one has its top bit set)  body
 *
 * All numbers are big endian. A reply begins with the ids of its request. Pure.
 */
#ifndef WEIR_BASE_SP_H
#define WEIR_BASE_SP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libweir/base/err.h"

enum {
    WEIR_SP_GREETING_BYTES = 8,
    WEIR_SP_HEAD_MAX = 9,
    WEIR_SP_REQ = 0x30,
    WEIR_SP_REP = 0x31,
    WEIR_SP_IDS_MAX = 16, /* devices a request may have passed, and its own */
    WEIR_SP_HOST_BYTES = 256
};

typedef struct weir_sp_url {
    bool ipc, tls;
    char host[WEIR_SP_HOST_BYTES]; /* tcp; without brackets */
    int port;
    const char *path; /* ipc; borrowed from the text */
} weir_sp_url;

/* tcp://host:port, tcp://[::1]:port, tls+tcp://…, or ipc:///path. WEIR_E_INPUT: none of these. */
WEIR_MUST_CHECK weir_rc weir_sp_url_read(weir_sp_url *out, const char *text, weir_error *err);
/* Can only processes of this machine reach it? */
bool weir_sp_url_local(const weir_sp_url *url);

void weir_sp_greeting(unsigned char out[WEIR_SP_GREETING_BYTES], unsigned protocol);
bool weir_sp_greeting_ok(const unsigned char in[WEIR_SP_GREETING_BYTES], unsigned protocol);

/* The head of a message of n bytes; returns its length. */
size_t weir_sp_head(unsigned char out[WEIR_SP_HEAD_MAX], bool ipc, uint64_t n);

typedef enum weir_sp_seen { WEIR_SP_MORE, WEIR_SP_WHOLE, WEIR_SP_BAD } weir_sp_seen;
/* Looks for a whole message at p. WHOLE: it is *body_n bytes from *body_at on. BAD: larger than
 * max, or no message. */
weir_sp_seen weir_sp_look(const char *p, size_t n, bool ipc, size_t max, size_t *body_at,
                          size_t *body_n);
/* How many bytes of ids a request begins with; 0: it is none. */
size_t weir_sp_ids(const char *p, size_t n);

#endif
