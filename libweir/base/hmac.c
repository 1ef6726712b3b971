/* hmac.c - HMAC-SHA256 over OpenSSL. */
#include "libweir/base/hmac.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

bool weir_hmac_sha256_hex(weir_slice key, weir_slice text, char out[WEIR_HMAC_HEX_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    out[0] = '\0';
    if (key.n > INT32_MAX ||
        !HMAC(EVP_sha256(), key.p ? key.p : "", (int)key.n, (const unsigned char *)text.p, text.n,
              mac, &n) ||
        n != 32) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        out[2 * i] = hex[mac[i] >> 4];
        out[2 * i + 1] = hex[mac[i] & 15];
    }
    out[64] = '\0';
    return true;
}
