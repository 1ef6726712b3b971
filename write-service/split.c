/* split.c - the body of a batch cut into its commands.
 *
 * The whole is first judged by the strict parser; the walk below then only has to find where things
 * begin and end in what is known to be JSON.
 */
#include "write-service/split.h"

#include <stdbool.h>

#include "libweir/base/buf.h"
#include "write-service/body.h"

enum { WHOLE_MAX_BYTES = 1 << 30 };

static size_t blank(weir_slice s, size_t i)
{
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\n' || s.p[i] == '\r')) {
        i++;
    }
    return i;
}

/* Behind the string that begins at i. */
static size_t past_string(weir_slice s, size_t i)
{
    for (i++; i < s.n && s.p[i] != '"'; i++) {
        i += s.p[i] == '\\';
    }
    return i + 1;
}

/* Behind the value that begins at i. */
static size_t past_value(weir_slice s, size_t i)
{
    int depth = 0;
    while (i < s.n) {
        char c = s.p[i];
        if (c == '"') {
            i = past_string(s, i);
            if (depth == 0) {
                return i;
            }
            continue;
        }
        if (depth == 0 &&
            (c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
            return i;
        }
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        i++;
        if (depth == 0 && (c == '}' || c == ']')) {
            return i;
        }
    }
    return s.n;
}

static weir_rc wrong(weir_error *err, size_t at, const char *what)
{
    return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                     "command %zu of the batch (from 0): %s; each is an object with \"name\" and "
                     "\"arguments\"",
                     at, what);
}

/* The object at *i, which is left behind it. */
static weir_rc read_part(weir_slice s, size_t *i, size_t at, wsvc_part *part, weir_error *err)
{
    *part = (wsvc_part){{NULL, 0}, WEIR_SLICE_LIT("{}")};
    size_t k = blank(s, *i + 1);
    while (s.p[k] != '}') {
        size_t key_end = past_string(s, k);
        weir_slice key = weir_slice_of(s.p + k + 1, key_end - k - 2);
        size_t v = blank(s, blank(s, key_end) + 1); /* behind the colon */
        size_t v_end = past_value(s, v);
        weir_slice value = weir_slice_of(s.p + v, v_end - v);
        if (weir_slice_eqz(key, "name") && value.p[0] == '"' && value.n > 2) {
            part->name = weir_slice_of(value.p + 1, value.n - 2);
        } else if (weir_slice_eqz(key, "arguments") && value.p[0] == '{') {
            part->arguments = value;
        } else {
            return wrong(err, at, "it has another member, or one of the wrong type");
        }
        k = blank(s, v_end);
        k = s.p[k] == ',' ? blank(s, k + 1) : k;
    }
    *i = k + 1;
    return part->name.n > 0 ? WEIR_OK : wrong(err, at, "it has no name");
}

static weir_rc judge(weir_slice body, weir_error *err)
{
    weir_buf b;
    weir_buf_init(&b, WHOLE_MAX_BYTES);
    weir_buf_putz(&b, "{\"\":");
    weir_buf_puts(&b, body);
    weir_buf_putz(&b, "}");
    weir_slice whole = weir_buf_slice(&b);
    weir_rc rc = b.failed ? weir_fail(err, WEIR_E_LIMIT, 0, "the batch is too large")
                          : wsvc_body_check(whole, err);
    weir_buf_fini(&b);
    return rc;
}

weir_rc wsvc_batch_split(weir_slice body, wsvc_part parts[WSVC_BATCH_MAX], size_t *n,
                         weir_error *err)
{
    *n = 0;
    size_t i = blank(body, 0);
    if (i >= body.n || body.p[i] != '[') {
        return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                         "a batch is a JSON array of objects with \"name\" and \"arguments\"");
    }
    weir_rc rc = judge(body, err);
    for (i = blank(body, i + 1); rc == WEIR_OK && body.p[i] != ']';) {
        if (*n == WSVC_BATCH_MAX) {
            return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT, "a batch has at most %d commands",
                             WSVC_BATCH_MAX);
        }
        if (body.p[i] != '{') {
            return wrong(err, *n, "it is no object");
        }
        rc = read_part(body, &i, *n, &parts[*n], err);
        (*n)++;
        i = blank(body, i);
        i = rc == WEIR_OK && body.p[i] == ',' ? blank(body, i + 1) : i;
    }
    if (rc == WEIR_OK && blank(body, i + 1) != body.n) { /* it was only good with our braces */
        rc = weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT, "there is something behind the array");
    }
    if (rc == WEIR_OK && *n == 0) {
        rc = weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT, "the batch is empty");
    }
    return rc;
}
