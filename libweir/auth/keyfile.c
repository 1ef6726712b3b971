/* keyfile.c - the file of API keys, read, written, and keys made. */
#include "libweir/auth/keyfile.h"

#include <inttypes.h>
#include <stdio.h>

#include "libweir/auth/grant.h"
#include "libweir/base/base64url.h"
#include "libweir/base/crypt.h"
#include "libweir/base/str.h"

static const char id_digits[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* none that look alike */

bool weir_apikey_name_ok(const char *name)
{
    size_t n = strlen(name);
    return n >= 1 && n <= WEIR_KEY_NAME_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:@/-") ==
               n;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_digest(weir_slice hex, unsigned char out[WEIR_SHA256_BYTES])
{
    if (hex.n != 2 * WEIR_SHA256_BYTES) {
        return false;
    }
    for (size_t i = 0; i < WEIR_SHA256_BYTES; i++) {
        int high = hex_digit(hex.p[2 * i]), low = hex_digit(hex.p[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (unsigned char)(high * 16 + low);
    }
    return true;
}

static bool copy(char *dst, size_t size, weir_slice v)
{
    bool ok = v.n > 0 && v.n < size && !memchr(v.p, '\0', v.n);
    memcpy(dst, v.p, ok ? v.n : 0);
    dst[ok ? v.n : 0] = '\0';
    return ok;
}

static bool is_id(weir_slice id)
{
    size_t i = 0;
    while (i < id.n && id.p[i] && strchr(id_digits, id.p[i])) {
        i++;
    }
    return id.n == WEIR_KEY_ID_CHARS && i == id.n;
}

static bool take_member(weir_apikey *k, weir_slice name, weir_slice value)
{
    int64_t *number = weir_slice_eqz(name, "created")   ? &k->created_s
                      : weir_slice_eqz(name, "expires") ? &k->expires_s
                      : weir_slice_eqz(name, "rate")    ? &k->rate_per_s
                                                        : NULL;
    if (number) {
        return weir_slice_i64(value, number) && *number >= 0;
    }
    if (weir_slice_eqz(name, "id")) {
        return is_id(value) && copy(k->id, sizeof k->id, value);
    }
    if (weir_slice_eqz(name, "name")) {
        return copy(k->name, sizeof k->name, value) && weir_apikey_name_ok(k->name);
    }
    if (weir_slice_eqz(name, "role")) {
        return copy(k->role, sizeof k->role, value) && weir_role_ok(k->role);
    }
    return weir_slice_eqz(name, "sha256") && read_digest(value, k->digest);
}

/* NULL: fine; else the member that is wrong or missing. */
static const char *take_line(weir_apikey *k, weir_slice line)
{
    static const char *const names[] = {"id",      "name",    "role", "sha256",
                                        "created", "expires", "rate"};
    unsigned seen = 0;
    memset(k, 0, sizeof *k);
    while (line.n > 0) {
        const char *space = memchr(line.p, ' ', line.n);
        size_t n = space ? (size_t)(space - line.p) : line.n;
        const char *equals = memchr(line.p, '=', n);
        size_t i = 0, left = equals ? (size_t)(equals - line.p) : 0;
        weir_slice name = weir_slice_of(line.p, left);
        while (i < 7 && !weir_slice_eqz(name, names[i])) {
            i++;
        }
        if (i == 7 || (seen & 1U << i) ||
            !take_member(k, name, weir_slice_of(equals + 1, n - left - 1))) {
            return i < 7 ? names[i] : "a member that is not known";
        }
        seen |= 1U << i;
        line = weir_slice_trim(weir_slice_of(line.p + n, line.n - n));
    }
    for (size_t i = 0; i < 4; i++) {
        if (!(seen & 1U << i)) {
            return names[i];
        }
    }
    return NULL;
}

static size_t count_lines(weir_slice text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == '\n';
    }
    return n;
}

static bool known(const weir_apikeys *ks, const char *id)
{
    for (size_t i = 0; i < ks->n; i++) {
        if (strcmp(ks->k[i].id, id) == 0) {
            return true;
        }
    }
    return false;
}

weir_rc weir_apikeys_parse(weir_apikeys *out, weir_slice text, weir_arena *a, weir_error *err)
{
    size_t lines = count_lines(text);
    *out = (weir_apikeys){0, NULL};
    if (lines > 2 * WEIR_KEYS_MAX) {
        return weir_fail(err, WEIR_E_INPUT, 0, "more than %d lines", 2 * WEIR_KEYS_MAX);
    }
    out->k = WEIR_ARENA_ARRAY(a, weir_apikey, lines);
    for (size_t number = 1; text.n > 0 && out->k; number++) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        weir_slice line = weir_slice_trim(weir_slice_of(text.p, n));
        text = weir_slice_of(text.p + n + (nl != NULL), text.n - n - (nl != NULL));
        if (line.n == 0 || line.p[0] == '#') {
            continue;
        }
        const char *wrong = take_line(&out->k[out->n], line);
        if (wrong) {
            return weir_fail(err, WEIR_E_INPUT, 0, "line %zu: %s is wrong, missing or there twice",
                             number, wrong);
        }
        if (known(out, out->k[out->n].id)) {
            return weir_fail(err, WEIR_E_INPUT, 0, "line %zu: id %s is there twice", number,
                             out->k[out->n].id);
        }
        out->n++;
    }
    return out->k ? WEIR_OK : weir_fail(err, WEIR_E_LIMIT, 0, "no room for the keys");
}

weir_rc weir_apikeys_read(weir_apikeys *out, const char *path, weir_arena *a, weir_error *err)
{
    weir_slice text;
    weir_rc rc = weir_file_read(path, WEIR_KEYFILE_MAX_BYTES, a, &text, err);
    if (rc == WEIR_OK) {
        rc = weir_apikeys_parse(out, text, a, err);
        if (rc != WEIR_OK) {
            weir_error_wrap(err, "%s", path);
        }
    }
    return rc;
}

void weir_apikeys_put(weir_buf *out, const weir_apikeys *ks)
{
    weir_buf_putz(out, "# API keys of Weir: made and revoked by `weir keys`. No key can be made "
                       "from what is here.\n");
    for (size_t i = 0; i < ks->n; i++) {
        const weir_apikey *k = &ks->k[i];
        weir_buf_printf(out, "id=%s name=%s role=%s sha256=", k->id, k->name, k->role);
        for (size_t d = 0; d < sizeof k->digest; d++) {
            weir_buf_printf(out, "%02x", k->digest[d]);
        }
        weir_buf_printf(out, " created=%" PRId64, k->created_s);
        if (k->expires_s) {
            weir_buf_printf(out, " expires=%" PRId64, k->expires_s);
        }
        if (k->rate_per_s) {
            weir_buf_printf(out, " rate=%" PRId64, k->rate_per_s);
        }
        weir_buf_putz(out, "\n");
    }
}

bool weir_apikey_id(weir_slice key, weir_slice *id)
{
    if (key.n != WEIR_KEY_CHARS || !weir_slice_starts(key, WEIR_SLICE_LIT("weir_")) ||
        key.p[5 + WEIR_KEY_ID_CHARS] != '_') {
        return false;
    }
    *id = weir_slice_of(key.p + 5, WEIR_KEY_ID_CHARS);
    return is_id(*id);
}

weir_rc weir_apikey_make(weir_apikey *k, char text[WEIR_KEY_CHARS + 1], weir_error *err)
{
    unsigned char random[WEIR_KEY_ID_CHARS + 32];
    weir_buf b;
    if (!weir_random_bytes(random, sizeof random)) {
        return weir_fail_errno(err, "no random bytes");
    }
    for (size_t i = 0; i < WEIR_KEY_ID_CHARS; i++) {
        k->id[i] = id_digits[random[i] % (sizeof id_digits - 1)]; /* 32 of them: no bias */
    }
    k->id[WEIR_KEY_ID_CHARS] = '\0';
    weir_buf_init(&b, 256);
    weir_buf_printf(&b, "weir_%s_", k->id);
    weir_base64url_put(&b, weir_slice_of((const char *)random + WEIR_KEY_ID_CHARS, 32));
    bool ok = !b.failed && b.n == WEIR_KEY_CHARS && weir_sha256(weir_buf_slice(&b), k->digest);
    memcpy(text, b.p, ok ? b.n : 0);
    text[ok ? b.n : 0] = '\0';
    weir_wipe(b.p, b.n);
    weir_wipe(random, sizeof random);
    weir_buf_fini(&b);
    return ok ? WEIR_OK : weir_fail(err, WEIR_E_SYS, 0, "OpenSSL could not make a digest");
}
