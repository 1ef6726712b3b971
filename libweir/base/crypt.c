/* crypt.c - digests, signatures and comparisons over OpenSSL. */
#include "libweir/base/crypt.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <sys/random.h>

#include "libweir/base/xalloc.h"

bool weir_sha256(weir_slice text, unsigned char out[WEIR_SHA256_BYTES])
{
    unsigned n = 0;
    return EVP_Digest(text.p ? text.p : "", text.n, out, &n, EVP_sha256(), NULL) == 1 &&
           n == WEIR_SHA256_BYTES;
}

bool weir_hmac_sha256(weir_slice key, weir_slice text, unsigned char out[WEIR_SHA256_BYTES])
{
    unsigned n = 0;
    return key.n <= INT32_MAX &&
           HMAC(EVP_sha256(), key.p ? key.p : "", (int)key.n, (const unsigned char *)text.p, text.n,
                out, &n) &&
           n == WEIR_SHA256_BYTES;
}

bool weir_same_bytes(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void weir_wipe(void *p, size_t n)
{
    if (p) {
        OPENSSL_cleanse(p, n);
    }
}

bool weir_random_bytes(void *p, size_t n)
{
    char *at = p;
    while (n > 0) {
        size_t part = n < 256 ? n : 256; /* so much comes whole */
        if (getrandom(at, part, 0) != (ssize_t)part) {
            return false;
        }
        at += part;
        n -= part;
    }
    return true;
}

struct weir_rsa {
    EVP_PKEY *key;
};

static EVP_PKEY *make_key(weir_slice modulus, weir_slice exponent)
{
    EVP_PKEY *key = NULL;
    BIGNUM *n = BN_bin2bn((const unsigned char *)modulus.p, (int)modulus.n, NULL);
    BIGNUM *e = BN_bin2bn((const unsigned char *)exponent.p, (int)exponent.n, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM *params = NULL;
    if (n && e && build && ctx && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e)) {
        params = OSSL_PARAM_BLD_to_param(build);
    }
    if (params && (EVP_PKEY_fromdata_init(ctx) != 1 ||
                   EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)) {
        key = NULL;
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    BN_free(n);
    BN_free(e);
    return key;
}

weir_rc weir_rsa_new(weir_rsa **out, weir_slice modulus, weir_slice exponent, weir_error *err)
{
    *out = NULL;
    size_t bits = modulus.n * 8;
    bool fits = modulus.n > 0 && modulus.p[0] != 0 && bits >= WEIR_RSA_MIN_BITS &&
                bits <= WEIR_RSA_MAX_BITS && exponent.n >= 1 && exponent.n <= 4 &&
                exponent.p[0] != 0 && (exponent.p[exponent.n - 1] & 1) &&
                !(exponent.n == 1 && exponent.p[0] == 1);
    if (!fits) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "an RSA key must have %d to %d bits and an odd public exponent of at "
                         "most 32 bits",
                         WEIR_RSA_MIN_BITS, WEIR_RSA_MAX_BITS);
    }
    EVP_PKEY *key = make_key(modulus, exponent);
    if (!key || EVP_PKEY_get_bits(key) < WEIR_RSA_MIN_BITS) {
        EVP_PKEY_free(key);
        return weir_fail(err, WEIR_E_INPUT, 0, "this is no RSA key of %d bits or more",
                         WEIR_RSA_MIN_BITS);
    }
    *out = weir_xcalloc(1, sizeof **out);
    (*out)->key = key;
    return WEIR_OK;
}

void weir_rsa_free(weir_rsa *k)
{
    if (k) {
        EVP_PKEY_free(k->key);
        free(k);
    }
}

bool weir_rsa_verify(const weir_rsa *k, weir_slice text, weir_slice signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, k->key) == 1 &&
              EVP_DigestVerify(ctx, (const unsigned char *)signature.p, signature.n,
                               (const unsigned char *)text.p, text.n) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}
