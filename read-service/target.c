/* target.c - what a request path asks for: a model and a key. */
#include "read-service/target.h"

#include "libweir/base/buf.h"
#include "libweir/codec/dockey.h"

static weir_rc malformed_key(weir_error *err)
{
    return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                     "malformed key: parts are separated by \"/\", each percent-encoded and not "
                     "empty (an empty text is spelled %%)");
}

/* Without escapes the text is canonical already: only empty parts can be wrong. */
static weir_rc plain_key(weir_slice raw, rsvc_target *out, weir_error *err)
{
    size_t parts = 1;
    size_t len = 0;
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] != '/') {
            len++;
            continue;
        }
        if (len == 0 || ++parts > RSVC_KEY_PARTS_MAX) {
            return malformed_key(err);
        }
        len = 0;
    }
    if (len == 0) {
        return malformed_key(err);
    }
    out->key = raw;
    out->key_parts = parts;
    return WEIR_OK;
}

/* Clients may escape more than we do ("%C3%A9"), so the text is taken apart and put together again.
 */
static weir_rc escaped_key(weir_slice raw, weir_arena *a, rsvc_target *out, weir_error *err)
{
    weir_slice parts[RSVC_KEY_PARTS_MAX];
    size_t n = RSVC_KEY_PARTS_MAX;
    if (!weir_dockey_parse(raw, a, parts, &n)) {
        return malformed_key(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (parts[i].n > 0 && memchr(parts[i].p, '\0', parts[i].n)) {
            return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                             "malformed key: %%00 is no character of a text");
        }
    }
    weir_buf b;
    weir_buf_init(&b, 3 * raw.n + 1);
    weir_dockey_text(&b, parts, n);
    out->key = weir_arena_dup(a, weir_buf_slice(&b));
    out->key_parts = n;
    bool ok = !b.failed && out->key.p;
    weir_buf_fini(&b);
    return ok ? WEIR_OK : malformed_key(err);
}

static weir_rc take_model(weir_slice raw, weir_arena *a, rsvc_target *out, weir_error *err)
{
    size_t n = 1;
    if (!memchr(raw.p, '%', raw.n)) {
        out->model = raw;
    } else if (!weir_dockey_parse(raw, a, &out->model, &n)) {
        return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                         "malformed percent-encoding in the model's name");
    }
    return WEIR_OK;
}

weir_rc rsvc_target_parse(weir_slice path, weir_arena *a, rsvc_target *out, weir_error *err)
{
    const weir_slice root = WEIR_SLICE_LIT("/queries");
    *out = (rsvc_target){{NULL, 0}, {NULL, 0}, 0};
    if (!weir_slice_starts(path, root) || (path.n > root.n && path.p[root.n] != '/')) {
        return weir_fail(err, WEIR_E_NOTFOUND, WEIR_EF_CLIENT,
                         "this service answers /queries/{model}/{key}");
    }
    weir_slice rest = {path.p + root.n, path.n - root.n};
    if (rest.n <= 1) {
        return WEIR_OK;
    }
    rest.p++;
    rest.n--;
    const char *slash = memchr(rest.p, '/', rest.n);
    weir_slice model = {rest.p, slash ? (size_t)(slash - rest.p) : rest.n};
    if (model.n == 0) {
        return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT, "the model's name is empty");
    }
    weir_rc rc = take_model(model, a, out, err);
    if (rc != WEIR_OK || !slash || rest.n == model.n + 1) {
        return rc;
    }
    weir_slice raw = {slash + 1, rest.n - model.n - 1};
    return memchr(raw.p, '%', raw.n) ? escaped_key(raw, a, out, err) : plain_key(raw, out, err);
}
