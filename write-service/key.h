/* key.h - what a command is expected to lock: a table, and a row of it or all of them. Pure.
 *
 * Keys are only a guess that keeps commands which would wait for each other out of each other's
 * way; PostgreSQL's locks decide. A wrong guess costs time, never exactness.
 */
#ifndef WEIR_WRITE_KEY_H
#define WEIR_WRITE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one command; one that has more is taken to touch the whole domain. */
enum { WSVC_KEYS_MAX = 16 };

typedef struct wsvc_key {
    uint64_t domain; /* a table, a command, or an argument's name */
    uint64_t value;  /* WSVC_KEY_WHOLE: everything in the domain */
} wsvc_key;

enum { WSVC_KEY_WHOLE = 0 };

typedef struct wsvc_keys {
    size_t n;
    wsvc_key k[WSVC_KEYS_MAX];
} wsvc_keys;

static inline bool wsvc_key_same(wsvc_key a, wsvc_key b)
{
    return a.domain == b.domain && a.value == b.value;
}

/* Adds k unless it is there. A whole domain takes the place of its rows. */
void wsvc_keys_add(wsvc_keys *ks, wsvc_key k);
/* k, or the whole domain it lies in. */
bool wsvc_keys_cover(const wsvc_keys *ks, wsvc_key k);

/* How often each key is held. */
typedef struct wsvc_keybag wsvc_keybag;

wsvc_keybag *wsvc_keybag_new(void);
void wsvc_keybag_free(wsvc_keybag *b); /* NULL is fine */
void wsvc_keybag_clear(wsvc_keybag *b);
void wsvc_keybag_add(wsvc_keybag *b, wsvc_key k);
void wsvc_keybag_drop(wsvc_keybag *b, wsvc_key k); /* one of them, which must be there */
/* Somebody holds what k wants: the same row, its whole domain, or - for a whole domain - any row.
 */
bool wsvc_keybag_meets(const wsvc_keybag *b, wsvc_key k);
bool wsvc_keybag_meets_any(const wsvc_keybag *b, const wsvc_keys *ks);

#endif
