/* body.c - is this text a JSON object a command may be given? And the headers beside it. */
#include "write-service/body.h"

#include <ctype.h>
#include <jansson.h>
#include <strings.h>

#include "write-service/jsonscan.h"

/* Before the parser, which recurses. Brackets inside strings do not count. */
static bool too_deep(weir_slice s)
{
    int depth = 0;
    bool text = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (text) {
            i += c == '\\';
            text = c != '"';
        } else if (c == '"') {
            text = true;
        } else if ((c == '{' || c == '[') && ++depth > WSVC_DEPTH_MAX) {
            return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

weir_rc wsvc_body_check(weir_slice body, weir_error *err)
{
    if (body.n == 0) {
        return weir_fail(
            err, WEIR_E_INPUT, WEIR_EF_CLIENT,
            "the body is empty; send a JSON object, {} when the command has no arguments");
    }
    if (wsvc_json_surely_object(body, WSVC_DEPTH_MAX)) {
        return WEIR_OK;
    }
    if (too_deep(body)) {
        return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                         "the body is nested deeper than %d levels", WSVC_DEPTH_MAX);
    }
    /* Integers as real: PostgreSQL's numeric takes more digits than 64 bits, and the text is passed
     * on as it is. */
    json_error_t je;
    json_t *doc = json_loadb(
        body.p, body.n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &je);
    enum json_error_code code = doc ? json_error_unknown : json_error_code(&je);
    if (code == json_error_null_character || code == json_error_null_byte_in_key) {
        return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                         "a text has the character \\u0000, which PostgreSQL cannot keep (line %d, "
                         "column %d)",
                         je.line, je.column);
    }
    if (!doc) {
        return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                         "the body is not acceptable JSON: %s (line %d, column %d)", je.text,
                         je.line, je.column);
    }
    bool object = json_is_object(doc);
    json_decref(doc);
    return object ? WEIR_OK
                  : weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                              "the body must be a JSON object of arguments");
}

static bool charset_ok(const char *parameters)
{
    const char *p = strcasestr(parameters, "charset=");
    if (!p) {
        return true;
    }
    p += strlen("charset=");
    p += *p == '"';
    return strncasecmp(p, "utf-8", 5) == 0 && !isalnum((unsigned char)p[5]) && p[5] != '-';
}

bool wsvc_coding_ok(const char *content_encoding)
{
    return !content_encoding || strcasecmp(content_encoding, "identity") == 0;
}

bool wsvc_media_type_ok(const char *content_type)
{
    if (!content_type) {
        return false;
    }
    weir_slice type = weir_slice_trim(weir_slice_of(content_type, strcspn(content_type, ";")));
    static const char head[] = "application/";
    size_t head_n = sizeof head - 1;
    if (type.n <= head_n || strncasecmp(type.p, head, head_n) != 0) {
        return false;
    }
    weir_slice sub = weir_slice_of(type.p + head_n, type.n - head_n);
    bool json = (sub.n == 4 && strncasecmp(sub.p, "json", 4) == 0) ||
                (sub.n > 5 && strncasecmp(sub.p + sub.n - 5, "+json", 5) == 0);
    return json && charset_ok(content_type + strcspn(content_type, ";"));
}

bool wsvc_correlation_ok(const char *id)
{
    size_t n = strnlen(id, WSVC_CORRELATION_MAX + 1);
    if (n == 0 || n > WSVC_CORRELATION_MAX) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (id[i] < 0x20 || id[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

static bool hex_field(const char *p, size_t n, bool zero_ok)
{
    size_t zeros = 0;
    for (size_t i = 0; i < n; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f'))) {
            return false;
        }
        zeros += p[i] == '0';
    }
    return zero_ok || zeros < n;
}

bool wsvc_traceparent_ok(const char *tp)
{
    enum { LEN = 55 }; /* 00-<32>-<16>-<2> */
    size_t n = strnlen(tp, LEN + 1);
    if (n != LEN || tp[2] != '-' || tp[35] != '-' || tp[52] != '-') {
        return false;
    }
    return hex_field(tp, 2, true) && strncmp(tp, "ff", 2) != 0 && hex_field(tp + 3, 32, false) &&
           hex_field(tp + 36, 16, false) && hex_field(tp + 53, 2, true);
}
