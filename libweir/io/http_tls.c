/* http_tls.c - certificate and key for the library's TLS (GnuTLS inside libmicrohttpd: TLS 1.2 and
 * later; a handshake counts as idle time and as waiting for a request, so both limits hold). */
#include <stdlib.h>

#include "libweir/base/str.h"
#include "libweir/io/http_priv.h"

enum { PEM_MAX_BYTES = 1 << 20 };

static weir_rc read_pem(http_tls *t, const char *path, weir_slice *out, weir_error *err)
{
    weir_rc rc = weir_file_read(path, PEM_MAX_BYTES, t->a, out, err);
    if (rc == WEIR_OK && !strstr(out->p, "-----BEGIN ")) {
        rc = weir_fail(err, WEIR_E_INPUT, 0, "%s is no PEM file", path);
    }
    return rc;
}

weir_rc weir_http_tls_read(http_tls *t, const weir_http_conf *conf, weir_error *err)
{
    static const char priorities[] =
        "SECURE128:%SERVER_PRECEDENCE:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
    weir_slice cert = {NULL, 0}, key = {NULL, 0};
    memset(t, 0, sizeof *t);
    t->options[0].option = MHD_OPTION_END;
    if (!conf->tls_cert) {
        return WEIR_OK;
    }
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
        return weir_fail(err, WEIR_E_SYS, 0, "libmicrohttpd was built without TLS");
    }
    t->a = weir_arena_new(0);
    weir_rc rc = read_pem(t, conf->tls_cert, &cert, err);
    if (rc == WEIR_OK) {
        rc = read_pem(t, conf->tls_key, &key, err);
    }
    union {
        const char *in;
        char *out;
    } c = {.in = cert.p}, k = {.in = key.p}; /* both in our own arena */
    t->key = k.out;
    t->key_bytes = key.n;
    if (rc == WEIR_OK) {
        union {
            const char *in;
            char *out;
        } p = {.in = priorities}; /* only read */
        t->flags = MHD_USE_TLS;
        t->options[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, c.out};
        t->options[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, k.out};
        t->options[2] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, p.out};
        t->options[3].option = MHD_OPTION_END;
    }
    return rc;
}

void weir_http_tls_fini(http_tls *t)
{
    if (t->key) {
        explicit_bzero(t->key, t->key_bytes);
    }
    weir_arena_free(t->a);
}
