/* keyfile.h - the file of API keys: who they are and what their keys hash to; the keys themselves
 * are nowhere.
 *
 *   # comment
 *   id=k3x8… name=frontend role=shop_app sha256=<64 hex> created=<s> [expires=<s>] [rate=<per s>]
 *
 * A key is weir_<id>_<secret>: 16 characters that name it, 43 that are 256 random bits. With so
 * much chance in it a plain digest is enough: there is nothing to guess.
 */
#ifndef WEIR_AUTH_KEYFILE_H
#define WEIR_AUTH_KEYFILE_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"

enum {
    WEIR_KEY_ID_CHARS = 16,
    WEIR_KEY_SECRET_CHARS = 43,
    WEIR_KEY_CHARS = 5 + WEIR_KEY_ID_CHARS + 1 + WEIR_KEY_SECRET_CHARS,
    WEIR_KEYS_MAX = 10000,
    WEIR_KEYFILE_MAX_BYTES = 8 << 20,
    WEIR_KEY_NAME_MAX = 64
};

typedef struct weir_apikey {
    char id[WEIR_KEY_ID_CHARS + 1];
    char name[WEIR_KEY_NAME_MAX + 1];
    char role[64];
    unsigned char digest[32];     /* SHA-256 of the whole key */
    int64_t created_s, expires_s; /* since 1970; expires 0: never */
    int64_t rate_per_s;           /* 0: auth.rate_per_s */
} weir_apikey;

typedef struct weir_apikeys {
    size_t n;
    weir_apikey *k;
} weir_apikeys;

/* WEIR_E_INPUT names the line. The list is in a. */
WEIR_MUST_CHECK weir_rc weir_apikeys_parse(weir_apikeys *out, weir_slice text, weir_arena *a,
                                           weir_error *err);
/* path; NOTFOUND when there is none. */
WEIR_MUST_CHECK weir_rc weir_apikeys_read(weir_apikeys *out, const char *path, weir_arena *a,
                                          weir_error *err);
void weir_apikeys_put(weir_buf *out, const weir_apikeys *ks); /* the text of the file */
/* 1 to 64 of A-Z a-z 0-9 _ . : @ / - */
bool weir_apikey_name_ok(const char *name);
/* Splits off the id. false: not of the shape of a key. */
bool weir_apikey_id(weir_slice key, weir_slice *id);
/* A new key in text, its id and digest in k. */
WEIR_MUST_CHECK weir_rc weir_apikey_make(weir_apikey *k, char text[WEIR_KEY_CHARS + 1],
                                         weir_error *err);

#endif
