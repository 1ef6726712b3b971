/* settings_value.c - one value of one option: numbers with units, names, levels. */
#include <ctype.h>

#include "libweir/base/settings_table.h"

static int64_t *number_at(weir_settings *s, const weir_opt *o)
{
    return (int64_t *)(void *)((char *)s + o->offset);
}

typedef struct unit {
    const char *suffix;
    int64_t factor;
} unit;

static bool parse_number(const weir_opt *o, const char *text, int64_t *out)
{
    static const unit bytes[] = {
        {"k", 1 << 10}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
    static const unit times[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};
    static const unit none[] = {{NULL, 0}};
    const unit *u = o->type == WEIR_OPT_BYTES ? bytes : o->type == WEIR_OPT_MS ? times : none;
    weir_slice digits = {text, strspn(text, "-+0123456789")};
    const char *suffix = text + digits.n;
    int64_t factor = 1;
    if (*suffix) {
        while (u->suffix && strcmp(u->suffix, suffix) != 0) {
            u++;
        }
        factor = u->factor; /* 0 at the end of the list */
    }
    return factor != 0 && weir_slice_i64(digits, out) && !__builtin_mul_overflow(*out, factor, out);
}

weir_rc weir_opt_set_number(const weir_opt *o, const char *text, weir_settings *s, weir_error *err)
{
    static const char *const forms[] = {[WEIR_OPT_INT] = "a whole number",
                                        [WEIR_OPT_BYTES] = "bytes (like 65536, 64k, 16M, 2G)",
                                        [WEIR_OPT_MS] =
                                            "a duration (like 500, 500ms, 10s, 5m, 1h)"};
    int64_t v;
    if (!parse_number(o, text, &v)) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s.%s must be %s, not \"%.60s\"", o->section,
                         o->key, forms[o->type], text);
    }
    if (v < o->min || v > o->max) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s.%s must be between %lld and %lld, not \"%.60s\"",
                         o->section, o->key, (long long)o->min, (long long)o->max, text);
    }
    *number_at(s, o) = v;
    return WEIR_OK;
}

static bool is_name(const char *z)
{
    return z[strspn(z, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static bool is_level(const char *z)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", "off"};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(levels[i], z) == 0) {
            return true;
        }
    }
    return false;
}

weir_rc weir_opt_check_text(const weir_opt *o, const char *text, weir_error *err)
{
    size_t n = strlen(text);
    if (o->type == WEIR_OPT_LEVEL) {
        return is_level(text)
                   ? WEIR_OK
                   : weir_fail(err, WEIR_E_INPUT, 0,
                               "%s.%s must be debug, info, warn, error or off, not \"%.60s\"",
                               o->section, o->key, text);
    }
    if ((int64_t)n < o->min || (int64_t)n > o->max) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s.%s must have %lld to %lld characters, not %zu",
                         o->section, o->key, (long long)o->min, (long long)o->max, n);
    }
    if (o->type == WEIR_OPT_NAME && !is_name(text)) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s.%s may have a-z, 0-9 and _ only, not \"%.60s\"",
                         o->section, o->key, text);
    }
    for (size_t i = 0; i < n; i++) {
        if (iscntrl((unsigned char)text[i])) {
            return weir_fail(err, WEIR_E_INPUT, 0, "%s.%s has a control character in it",
                             o->section, o->key);
        }
    }
    return WEIR_OK;
}
