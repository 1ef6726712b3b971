/* value_jsonb.c - to_jsonb(value), byte for byte: one function per kind of type. */
#include "libweir/base/str.h"
#include "projector/engine/value_priv.h"

enum { JSON_OID = 114, ARRAY_DIMS_MAX = 6 /* PostgreSQL's MAXDIM */ };

/* Types whose text is a numeral, unless it says NaN or Infinity: those become strings. */
static weir_rc put_number(weir_slice s, bool canonical, weir_arena *a, weir_buf *out,
                          weir_error *err)
{
    if (s.n > 0 && (memchr(s.p, 'N', s.n) || memchr(s.p, 'n', s.n))) {
        weir_json_quote(out, s);
        return WEIR_OK;
    }
    if (canonical) {
        weir_buf_puts(out, s);
        return WEIR_OK;
    }
    /* A float's text may have an exponent or a negative zero; jsonb keeps it as numeric. */
    const weir_num *n;
    weir_rc rc = weir_num_parse(s, a, &n, err);
    if (!rc) {
        rc = weir_num_text(n, a, &s, err);
    }
    if (!rc) {
        weir_buf_puts(out, s);
    }
    return rc;
}

/* `2024-01-01 00:00:00.1+00 BC` becomes `2024-01-01T00:00:00.1+00:00 BC`. Infinities have no clock.
 */
static void put_timestamp(weir_slice s, bool zoned, weir_buf *out)
{
    const char *sp = s.n > 0 ? memchr(s.p, ' ', s.n) : NULL;
    weir_buf_u8(out, '"');
    if (!sp) {
        weir_buf_puts(out, s);
    } else {
        size_t date = (size_t)(sp - s.p);
        weir_slice clock = {sp + 1, s.n - date - 1};
        const char *era = clock.n > 0 ? memchr(clock.p, ' ', clock.n) : NULL;
        size_t n = era ? (size_t)(era - clock.p) : clock.n;
        weir_buf_put(out, s.p, date);
        weir_buf_u8(out, 'T');
        weir_buf_put(out, clock.p, n);
        if (zoned && n > 3 && (clock.p[n - 3] == '+' || clock.p[n - 3] == '-')) {
            weir_buf_putz(out, ":00");
        }
        weir_buf_put(out, clock.p + n, clock.n - n);
    }
    weir_buf_u8(out, '"');
}

static weir_rc put_scalar(weir_slice s, weir_type type, weir_arena *a, weir_buf *out,
                          weir_error *err)
{
    switch (type.ty) {
    case WEIR_TY_BOOL: weir_buf_putz(out, s.n == 1 && s.p[0] == 't' ? "true" : "false"); break;
    case WEIR_TY_INT2:
    case WEIR_TY_INT4:
    case WEIR_TY_INT8: weir_buf_puts(out, s); break;
    case WEIR_TY_NUMERIC: return put_number(s, true, a, out, err);
    case WEIR_TY_FLOAT4:
    case WEIR_TY_FLOAT8: return put_number(s, false, a, out, err);
    case WEIR_TY_TIMESTAMP: put_timestamp(s, false, out); break;
    case WEIR_TY_TIMESTAMPTZ: put_timestamp(s, true, out); break;
    case WEIR_TY_JSONB: weir_buf_puts(out, s); break;
    case WEIR_TY_OTHER:
        if (type.oid == JSON_OID) {
            return weir_value_fail(err, "0A000", "json cannot be put into jsonb here; use jsonb");
        }
        weir_json_quote(out, s);
        break;
    default: weir_json_quote(out, s); break;
    }
    return WEIR_OK;
}

static weir_rc bad_array(weir_error *err)
{
    return weir_value_fail(err, "22P02", "malformed array literal");
}

/* One element at *i: unescaped into el (cleared first); *quoted tells "NULL" from NULL. */
static bool array_element(weir_slice s, size_t *i, weir_buf *el, bool *quoted)
{
    weir_buf_reset(el);
    *quoted = *i < s.n && s.p[*i] == '"';
    if (*quoted) {
        (*i)++;
    }
    for (; *i < s.n; (*i)++) {
        char c = s.p[*i];
        if (*quoted && c == '"') {
            (*i)++;
            return true;
        }
        if (!*quoted && (c == ',' || c == '}')) {
            return el->n > 0;
        }
        if (c == '\\' && ++*i >= s.n) {
            return false;
        }
        weir_buf_put(el, s.p + *i, 1);
    }
    return false;
}

static weir_rc put_element(const weir_buf *el, bool quoted, weir_type elem, weir_arena *a,
                           weir_buf *out, weir_error *err)
{
    weir_slice s = el->n ? weir_buf_slice(el) : WEIR_SLICE_LIT("");
    if (!quoted && weir_slice_eqz(s, "NULL")) {
        weir_buf_putz(out, "null");
        return WEIR_OK;
    }
    return put_scalar(s, elem, a, out, err);
}

/* Walks `{{1,2},{NULL,"a\"b"}}`: braces become brackets, so any number of dimensions comes out
 * nested. */
static weir_rc put_array_body(weir_slice s, weir_type elem, weir_arena *a, weir_buf *out,
                              weir_error *err)
{
    weir_buf el;
    weir_rc rc = WEIR_OK;
    int depth = 0;
    bool quoted, done = false; /* done: an element or a closing brace was last */
    weir_buf_init(&el, WEIR_TEXT_MAX);
    for (size_t i = 0; i < s.n && !rc;) {
        char c = s.p[i];
        if (c == '{' && !done && depth < ARRAY_DIMS_MAX) {
            depth++;
            i++;
            weir_buf_u8(out, '[');
        } else if (c == '}' && depth > 0 && (done || s.p[i - 1] == '{')) {
            depth--;
            i++;
            done = true;
            weir_buf_u8(out, ']');
        } else if (c == ',' && depth > 0 && done) {
            i++;
            done = false;
            weir_buf_putz(out, ", ");
        } else if (depth > 0 && !done && array_element(s, &i, &el, &quoted)) {
            rc = put_element(&el, quoted, elem, a, out, err);
            done = true;
        } else {
            rc = bad_array(err);
        }
    }
    if (!rc && depth != 0) {
        rc = bad_array(err);
    }
    if (el.failed && !rc) {
        rc = weir_value_full(err);
    }
    weir_buf_fini(&el);
    return rc;
}

static weir_rc put_array(weir_slice s, weir_type type, weir_arena *a, weir_buf *out,
                         weir_error *err)
{
    weir_type elem = {.ty = type.elem, .typmod = -1};
    const char *eq = s.n > 0 && s.p[0] == '[' ? memchr(s.p, '=', s.n) : NULL;
    if (eq) { /* lower bounds other than 1: `[0:1]={…}` */
        s.n -= (size_t)(eq + 1 - s.p);
        s.p = eq + 1;
    }
    if (s.n == 0 || s.p[0] != '{') {
        return bad_array(err);
    }
    return put_array_body(s, elem, a, out, err);
}

weir_rc weir_value_jsonb(const weir_value *v, weir_type type, weir_arena *a, weir_buf *out,
                         weir_error *err)
{
    if (v->form == WEIR_FORM_NULL) {
        weir_buf_putz(out, "null");
        return WEIR_OK;
    }
    if (v->form == WEIR_FORM_INT && (weir_value_ty_int(type.ty) || type.ty == WEIR_TY_NUMERIC)) {
        weir_buf_printf(out, "%lld", (long long)v->i);
        return WEIR_OK;
    }
    if (v->form == WEIR_FORM_BOOL) {
        weir_buf_putz(out, v->i ? "true" : "false");
        return WEIR_OK;
    }
    weir_slice s;
    weir_rc rc = weir_value_text(v, type, a, &s, err);
    if (rc) {
        return rc;
    }
    rc = type.ty == WEIR_TY_ARRAY ? put_array(s, type, a, out, err)
                                  : put_scalar(s, type, a, out, err);
    if (!rc && out->failed) {
        rc = weir_value_full(err);
    }
    return rc;
}
