/* options.c - what a client may ask of one command beside its body. */
#include "write-service/options.h"

#include <strings.h>

#include "libweir/base/buf.h"
#include "libweir/base/str.h"
#include "write-service/rules.h"

/* Without one pair of quotes around it. */
static weir_slice unquoted(weir_slice s)
{
    bool quoted = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';
    return quoted ? weir_slice_of(s.p + 1, s.n - 2) : s;
}

static bool printable(weir_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return s.n >= 1 && s.n <= WSVC_OPTION_MAX;
}

/* One strong or weak entity tag. */
static bool entity_tag(weir_slice s, weir_slice *tag)
{
    if (weir_slice_starts(s, WEIR_SLICE_LIT("W/"))) {
        s = weir_slice_of(s.p + 2, s.n - 2);
    }
    *tag = unquoted(s);
    return tag->n != s.n && printable(*tag) && !memchr(tag->p, '"', tag->n);
}

/* Seconds of the preference "wait", 0 when there is none; -1: it is no number. */
static int64_t wait_seconds(weir_slice prefer)
{
    while (prefer.n > 0) {
        const char *comma = memchr(prefer.p, ',', prefer.n);
        size_t n = comma ? (size_t)(comma - prefer.p) : prefer.n;
        weir_slice one = weir_slice_trim(weir_slice_of(prefer.p, n));
        prefer = weir_slice_of(prefer.p + n + (comma != NULL), prefer.n - n - (comma != NULL));
        const char *semicolon = one.n ? memchr(one.p, ';', one.n) : NULL;
        one.n = semicolon ? (size_t)(semicolon - one.p) : one.n;
        const char *equals = one.n ? memchr(one.p, '=', one.n) : NULL;
        if (!equals) {
            continue;
        }
        weir_slice name = weir_slice_trim(weir_slice_of(one.p, (size_t)(equals - one.p)));
        weir_slice value =
            weir_slice_trim(weir_slice_of(equals + 1, one.n - (size_t)(equals + 1 - one.p)));
        if (name.n == 4 && strncasecmp(name.p, "wait", 4) == 0) {
            int64_t s = -1;
            bool ok = weir_slice_i64(unquoted(value), &s) && s >= 1 && s <= WSVC_WAIT_MAX_S;
            return ok ? s : -1;
        }
    }
    return 0;
}

static void put_member(weir_buf *b, const char *name, const char *value)
{
    if (value && *value) {
        weir_buf_printf(b, "%s\"%s\":", b->n > 1 ? "," : "", name);
        weir_json_quote(b, weir_slice_z(value));
    }
}

/* What it is made of is in out. */
static weir_rc put_json(wsvc_options *out, weir_arena *a, weir_error *err)
{
    weir_buf b;
    out->has_key = out->key_text != NULL;
    if (!out->key_text && !out->version) {
        return WEIR_OK;
    }
    if (out->has_key) {
        out->key = wsvc_key_of_idempotency(weir_slice_z(out->key_text));
    }
    weir_buf_init(&b, 64 << 10); /* claims may be long */
    weir_buf_putz(&b, "{");
    put_member(&b, "key", out->key_text);
    put_member(&b, "expected_version", out->version);
    put_member(&b, "role", out->role);
    put_member(&b, "claims", out->claims);
    weir_buf_putz(&b, "}");
    out->json = b.failed ? NULL : weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return out->json ? WEIR_OK
                     : weir_fail(err, WEIR_E_LIMIT, 0, "the headers need too much memory");
}

weir_rc wsvc_options_read(wsvc_options *out, const wsvc_options_text *in, weir_arena *a,
                          weir_error *err)
{
    weir_slice key = {NULL, 0}, version = {NULL, 0};
    memset(out, 0, sizeof *out);
    out->role = in->role;
    out->claims = in->claims;
    if (in->idempotency_key) {
        key = unquoted(weir_slice_trim(weir_slice_z(in->idempotency_key)));
        if (!printable(key)) {
            return weir_fail(err, WEIR_E_INPUT, 0,
                             "Idempotency-Key must have 1 to 255 printable ASCII characters");
        }
        out->key_text =
            in->scope /* no caller meets the keys of another; a scope has no blank */
                ? weir_arena_printf(a, "%s " WEIR_SLICE_FMT, in->scope, WEIR_SLICE_ARG(key))
                : weir_arena_dupz(a, key);
    }
    weir_slice match = weir_slice_trim(weir_slice_z(in->if_match));
    if (match.n && !weir_slice_eqz(match, "*") && !entity_tag(match, &version)) {
        return weir_fail(err, WEIR_E_INPUT, 0, "If-Match must be one entity tag, like \"7\"");
    }
    int64_t s = wait_seconds(weir_slice_z(in->prefer));
    if (s < 0) {
        return weir_fail(err, WEIR_E_INPUT, 0, "Prefer: wait must be 1 to 3600 seconds");
    }
    out->wait_ms = s * 1000;
    if (in->begin_within && (!weir_slice_i64(weir_slice_z(in->begin_within), &out->wait_ms) ||
                             out->wait_ms < 1 || out->wait_ms > WSVC_WAIT_MAX_S * 1000)) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "Weir-Begin-Within must be 1 to 3600000 milliseconds");
    }
    out->version = version.n ? weir_arena_dupz(a, version) : NULL;
    if ((key.n && !out->key_text) || (version.n && !out->version)) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "the headers need too much memory");
    }
    return put_json(out, a, err);
}

weir_rc wsvc_options_of_part(wsvc_options *out, const wsvc_options *whole, size_t part,
                             weir_arena *a, weir_error *err)
{
    *out = *whole;
    if (whole->key_text) {
        out->key_text = weir_arena_printf(a, "%s\x01%zu", whole->key_text, part);
        if (!out->key_text) {
            return weir_fail(err, WEIR_E_LIMIT, 0, "the headers need too much memory");
        }
    }
    return put_json(out, a, err);
}
