/* authkeys.c - API keys and tokens for tests of callers. */
#include "tests/support/authkeys.h"

#include <stdio.h>

#include "libweir/base/base64url.h"
#include "libweir/base/crypt.h"
#include "libweir/base/str.h"
#include "tests/support/check.h"

enum { KEYS_MAX = 16, TEXT_MAX_BYTES = 1 << 20 };

void authkeys_write(const authkeys_one *list, size_t n, const char *path)
{
    weir_buf b;
    weir_error err = {0};
    weir_apikey keys[KEYS_MAX];
    assert_true(n <= KEYS_MAX);
    for (size_t i = 0; i < n; i++) {
        keys[i] = list[i].key;
    }
    weir_buf_init(&b, TEXT_MAX_BYTES);
    weir_apikeys_put(&b, &(weir_apikeys){n, keys});
    assert_rc(WEIR_OK, weir_file_write(path, weir_buf_slice(&b), 0600, &err), &err);
    weir_buf_fini(&b);
}

void authkeys_make(authkeys_one *list, size_t n, const char *path)
{
    weir_error err = {0};
    for (size_t i = 0; i < n; i++) {
        char text[WEIR_KEY_CHARS + 1];
        assert_rc(WEIR_OK, weir_apikey_make(&list[i].key, text, &err), &err);
        (void)snprintf(list[i].header, sizeof list[i].header, "Authorization: Bearer %s", text);
    }
    authkeys_write(list, n, path);
}

static const char *encoded(const char *bytes, size_t n, weir_arena *a)
{
    weir_buf b;
    weir_buf_init(&b, TEXT_MAX_BYTES);
    weir_base64url_put(&b, weir_slice_of(bytes, n));
    const char *out = weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return out;
}

void authkeys_jwks(const char *path, const char *kid, weir_arena *a)
{
    weir_error err = {0};
    const char *text = weir_arena_printf(
        a, "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"%s\",\"k\":\"%s\"}]}", kid,
        encoded(AUTHKEYS_SECRET, sizeof AUTHKEYS_SECRET - 1, a));
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z(text), 0600, &err), &err);
}

const char *authkeys_token(const char *alg, const char *kid, const char *claims, weir_arena *a)
{
    unsigned char mac[WEIR_SHA256_BYTES];
    const char *head = weir_arena_printf(a, "{\"alg\":\"%s\",\"kid\":\"%s\"}", alg, kid);
    const char *text = weir_arena_printf(a, "%s.%s", encoded(head, strlen(head), a),
                                         encoded(claims, strlen(claims), a));
    assert_true(weir_hmac_sha256(WEIR_SLICE_LIT(AUTHKEYS_SECRET), weir_slice_z(text), mac));
    return weir_arena_printf(a, "%s.%s", text, encoded((const char *)mac, sizeof mac, a));
}
