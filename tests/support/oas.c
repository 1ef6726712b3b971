/* oas.c - the checker of OpenAPI documents, and values of their schemas. */
#include "tests/support/oas.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "libweir/base/str.h"

typedef struct checker {
    const weir_json *doc;
    weir_buf *why, ids; /* ids: " one two " */
    char path[200];
    int faults;
} checker;

static void fault(checker *c, const char *what, const char *name)
{
    weir_buf_printf(c->why, "%s: %s %s\n", c->path, what, name ? name : "");
    c->faults++;
}

static bool among(const char *word, const char *list)
{
    size_t n = strlen(word);
    for (const char *p = list; (p = strstr(p, word)); p += n) {
        if (p[n] == ' ' && p > list && p[-1] == ' ') {
            return true;
        }
    }
    return false;
}

static bool text_of(const weir_json *j, const char *key, char *out, size_t n)
{
    weir_slice s;
    if (!weir_json_str(j, key, &s)) {
        return false;
    }
    (void)snprintf(out, n, WEIR_SLICE_FMT, WEIR_SLICE_ARG(s));
    return true;
}

const weir_json *oas_follow(const weir_json *doc, const weir_json *schema)
{
    char ref[300];
    for (int hops = 0; schema && text_of(schema, "$ref", ref, sizeof ref); hops++) {
        schema = hops < 8 && strncmp(ref, "#/", 2) == 0 ? doc : NULL;
        for (char *save = NULL, *t = strtok_r(ref + 2, "/", &save); t && schema;
             t = strtok_r(NULL, "/", &save)) {
            char *to = t; /* ~1 is /, ~0 is ~ */
            for (const char *p = t; *p; p++) {
                bool escape = p[0] == '~' && (p[1] == '0' || p[1] == '1');
                *to++ = escape ? p[1] == '1' ? '/' : '~' : *p;
                p += escape;
            }
            *to = '\0';
            schema = weir_json_get(schema, t);
        }
    }
    return schema;
}

/* j has only keys of the list, " a b ". */
static void only(checker *c, const weir_json *j, const char *list)
{
    const char *key;
    const weir_json *v;
    for (void *it = NULL; weir_json_next(j, &it, &key, &v);) {
        if (!among(key, list) && strncmp(key, "x-", 2) != 0) {
            fault(c, "has no member", key);
        }
    }
}

/* --- schemas -------------------------------------------------------------------------------------
 */

static void check_schema(checker *c, const weir_json *s, int depth);

static void check_schemas(checker *c, const weir_json *s, const char *key, int depth)
{
    const weir_json *list = weir_json_get(s, key);
    for (size_t i = 0; i < weir_json_len(list); i++) {
        check_schema(c, weir_json_at(list, i), depth + 1);
    }
    if (list && !weir_json_at(list, 0)) {
        fault(c, "must be a list with something in it:", key);
    }
}

static void check_type(checker *c, const weir_json *s)
{
    static const char types[] = " string integer number boolean null array object ";
    char name[40];
    weir_slice t;
    const weir_json *type = weir_json_get(s, "type");
    if (type && !weir_json_at(type, 0) &&
        (!text_of(s, "type", name, sizeof name) || !among(name, types))) {
        fault(c, "no such type", NULL);
    }
    for (size_t i = 0; weir_json_at(type, i); i++) {
        bool ok = weir_json_text(weir_json_at(type, i), &t);
        (void)snprintf(name, sizeof name, WEIR_SLICE_FMT, WEIR_SLICE_ARG(t));
        if (!ok || !among(name, types)) {
            fault(c, "no such type", name);
        }
    }
}

static void check_schema(checker *c, const weir_json *s, int depth)
{
    const char *key;
    const weir_json *v;
    if (!s || depth > 30) {
        fault(c, "a schema is missing, or without end", NULL);
        return;
    }
    if (weir_json_get(s, "$ref") && !oas_follow(c->doc, s)) {
        fault(c, "a $ref leads nowhere", NULL);
    }
    only(c, s,
         " $ref type properties required additionalProperties items minItems maxItems enum const "
         "anyOf oneOf allOf format pattern minimum maximum exclusiveMinimum exclusiveMaximum "
         "minLength maxLength title description default examples ");
    check_type(c, s);
    check_schemas(c, s, "anyOf", depth);
    check_schemas(c, s, "oneOf", depth);
    check_schemas(c, s, "allOf", depth);
    if (weir_json_get(s, "items")) {
        check_schema(c, weir_json_get(s, "items"), depth + 1);
    }
    const weir_json *fields = weir_json_get(s, "properties"), *list = weir_json_get(s, "required");
    for (void *it = NULL; weir_json_next(fields, &it, &key, &v);) {
        check_schema(c, v, depth + 1);
    }
    for (size_t i = 0; weir_json_at(list, i); i++) {
        char name[100];
        weir_slice t = {NULL, 0};
        bool ok = weir_json_text(weir_json_at(list, i), &t);
        (void)snprintf(name, sizeof name, WEIR_SLICE_FMT, WEIR_SLICE_ARG(t));
        if (!ok || !weir_json_get(fields, name)) {
            fault(c, "required, and not among the properties:", name);
        }
    }
    if (weir_json_get(s, "enum") && !weir_json_at(weir_json_get(s, "enum"), 0)) {
        fault(c, "an enum of nothing", NULL);
    }
}

/* --- operations ----------------------------------------------------------------------------------
 */

/* A reference into the right part of components, followed; or the thing itself. */
static const weir_json *part(checker *c, const weir_json *j, const char *kind)
{
    char ref[300], want[60];
    (void)snprintf(want, sizeof want, "#/components/%s/", kind);
    if (text_of(j, "$ref", ref, sizeof ref) &&
        (strncmp(ref, want, strlen(want)) != 0 || !oas_follow(c->doc, j))) {
        fault(c, "a reference leads nowhere, or to the wrong place:", ref);
        return NULL;
    }
    return oas_follow(c->doc, j);
}

static void check_content(checker *c, const weir_json *content)
{
    const char *type;
    const weir_json *v;
    for (void *it = NULL; weir_json_next(content, &it, &type, &v);) {
        if (!strchr(type, '/')) {
            fault(c, "no media type:", type);
        }
        check_schema(c, weir_json_get(v, "schema"), 0);
    }
}

static void check_parameter(checker *c, const weir_json *at)
{
    const weir_json *p = part(c, at, "parameters");
    char name[100], in[20], braced[110];
    bool required = false;
    if (!p || !text_of(p, "name", name, sizeof name) || !text_of(p, "in", in, sizeof in) ||
        !among(in, " query header path cookie ")) {
        fault(c, "a parameter without name or place", NULL);
        return;
    }
    only(c, p, " name in description required schema ");
    check_schema(c, weir_json_get(p, "schema"), 0);
    (void)snprintf(braced, sizeof braced, "{%s}", name);
    if (strcmp(in, "path") == 0 &&
        !(weir_json_bool(p, "required", &required) && required && strstr(c->path, braced))) {
        fault(c, "a path parameter that is not required, or not in the path:", name);
    }
}

static void check_response(checker *c, const char *status, const weir_json *at)
{
    const weir_json *r = part(c, at, "responses"), *v;
    const char *name;
    bool number = isdigit((unsigned char)status[0]) && status[0] >= '1' && status[0] <= '5' &&
                  ((isdigit((unsigned char)status[1]) && isdigit((unsigned char)status[2])) ||
                   strcmp(status + 1, "XX") == 0);
    if (!number && strcmp(status, "default") != 0) {
        fault(c, "no status:", status);
    }
    if (!r || !weir_json_get(r, "description")) {
        fault(c, "a response without description:", status);
        return;
    }
    only(c, r, " description headers content links ");
    for (void *it = NULL; weir_json_next(weir_json_get(r, "headers"), &it, &name, &v);) {
        const weir_json *h = part(c, v, "headers");
        check_schema(c, h ? weir_json_get(h, "schema") : NULL, 0);
    }
    check_content(c, weir_json_get(r, "content"));
}

static void check_item(checker *c, const weir_json *item);

static void check_operation(checker *c, const weir_json *op)
{
    char id[100];
    const char *key;
    const weir_json *v, *body = weir_json_get(op, "requestBody");
    only(
        c, op,
        " operationId description summary tags parameters requestBody responses callbacks security "
        "deprecated ");
    if (text_of(op, "operationId", id, sizeof id)) {
        weir_buf_u8(&c->ids, 0);
        c->ids.n--;
        if (among(id, c->ids.p)) {
            fault(c, "an operationId is there twice:", id);
        }
        weir_buf_printf(&c->ids, "%s ", id);
    }
    for (size_t i = 0; weir_json_at(weir_json_get(op, "parameters"), i); i++) {
        check_parameter(c, weir_json_at(weir_json_get(op, "parameters"), i));
    }
    if (body) {
        const weir_json *b = part(c, body, "requestBodies");
        check_content(c, b ? weir_json_get(b, "content") : NULL);
        if (!b || !weir_json_get(b, "content")) {
            fault(c, "a request body without content", NULL);
        }
    }
    int n = 0;
    for (void *it = NULL; weir_json_next(weir_json_get(op, "responses"), &it, &key, &v); n++) {
        check_response(c, key, v);
    }
    if (n == 0) {
        fault(c, "no responses", NULL);
    }
    for (void *it = NULL; weir_json_next(weir_json_get(op, "callbacks"), &it, &key, &v);) {
        const weir_json *cb = part(c, v, "callbacks");
        const char *url;
        for (void *k = NULL; weir_json_next(cb, &k, &url, &v);) {
            check_item(c, v);
        }
    }
}

static void check_item(checker *c, const weir_json *item)
{
    const char *method;
    const weir_json *v;
    for (void *it = NULL; weir_json_next(item, &it, &method, &v);) {
        if (among(method, " get put post delete options head patch trace ")) {
            check_operation(c, v);
        } else {
            fault(c, "no method:", method);
        }
    }
}

int oas_check(const weir_json *doc, weir_buf *why)
{
    checker c = {.doc = doc, .why = why, .path = "(document)"};
    const char *key;
    const weir_json *v;
    char version[20] = "", text[200];
    weir_buf_init(&c.ids, 1 << 20);
    weir_buf_putz(&c.ids, " ");
    only(&c, doc, " openapi info paths components security servers tags ");
    if (!text_of(doc, "openapi", version, sizeof version) || strncmp(version, "3.1.", 4) != 0) {
        fault(&c, "not OpenAPI 3.1", version);
    }
    if (!text_of(weir_json_get(doc, "info"), "title", text, sizeof text) ||
        !text_of(weir_json_get(doc, "info"), "version", text, sizeof text)) {
        fault(&c, "info has no title or version", NULL);
    }
    for (void *it = NULL; weir_json_next(weir_json_get(doc, "paths"), &it, &key, &v);) {
        (void)snprintf(c.path, sizeof c.path, "%s", key);
        if (key[0] != '/') {
            fault(&c, "a path begins with /", NULL);
        }
        check_item(&c, v);
    }
    const weir_json *schemas = weir_json_get(weir_json_get(doc, "components"), "schemas");
    for (void *it = NULL; weir_json_next(schemas, &it, &key, &v);) {
        (void)snprintf(c.path, sizeof c.path, "schema %s", key);
        check_schema(&c, v, 0);
    }
    weir_buf_fini(&c.ids);
    return c.faults;
}

/* --- values --------------------------------------------------------------------------------------
 */

/* Without a null beside it. */
static const weir_json *core(const weir_json *doc, const weir_json *s)
{
    s = oas_follow(doc, s);
    const weir_json *any = weir_json_get(s, "anyOf");
    return any ? core(doc, weir_json_at(any, 0)) : s;
}

bool oas_nullable(const weir_json *doc, const weir_json *schema)
{
    char type[20];
    const weir_json *any = weir_json_get(oas_follow(doc, schema), "anyOf");
    return text_of(weir_json_at(any, 1), "type", type, sizeof type) && strcmp(type, "null") == 0;
}

static void sample_number(const weir_json *s, bool whole, weir_buf *out)
{
    int64_t low = 1, v;
    low = weir_json_i64(s, "minimum", &v) && v > low ? v : low;
    low = weir_json_i64(s, "exclusiveMinimum", &v) && v >= low ? v + 1 : low;
    if (weir_json_i64(s, "maximum", &v) && v < low) {
        low = v;
    }
    weir_buf_printf(out, "%" PRId64 "%s", low, whole ? "" : ".0");
}

static void sample_text(const weir_json *s, weir_buf *out)
{
    char format[40] = "";
    int64_t n = 1;
    (void)text_of(s, "format", format, sizeof format);
    if (strcmp(format, "uuid") == 0) {
        weir_buf_putz(out, "\"00000000-0000-4000-8000-000000000001\"");
    } else if (strcmp(format, "date") == 0) {
        weir_buf_putz(out, "\"2026-02-28\"");
    } else if (strcmp(format, "date-time") == 0) {
        weir_buf_putz(out, "\"2026-02-28T12:00:00+01:00\"");
    } else {
        (void)weir_json_i64(s, "minLength", &n);
        weir_buf_printf(out, "\"%.*s\"", (int)(n > 20 ? 20 : n), "xxxxxxxxxxxxxxxxxxxx");
    }
}

void oas_sample(const weir_json *doc, const weir_json *schema, weir_buf *out)
{
    const weir_json *s = core(doc, schema), *v;
    const weir_json *label = weir_json_at(weir_json_get(s, "enum"), 0);
    char type[20] = "";
    const char *key, *comma = "";
    weir_slice text;
    (void)text_of(s, "type", type, sizeof type);
    if (label && weir_json_text(label, &text)) {
        weir_json_quote(out, text);
    } else if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0) {
        sample_number(s, type[0] == 'i', out);
    } else if (strcmp(type, "boolean") == 0) {
        weir_buf_putz(out, "true");
    } else if (strcmp(type, "string") == 0) {
        sample_text(s, out);
    } else if (strcmp(type, "array") == 0) {
        weir_buf_putz(out, "[");
        oas_sample(doc, weir_json_get(s, "items"), out);
        weir_buf_putz(out, "]");
    } else if (strcmp(type, "object") == 0) {
        weir_buf_putz(out, "{");
        for (void *it = NULL; weir_json_next(weir_json_get(s, "properties"), &it, &key, &v);) {
            weir_buf_putz(out, comma);
            weir_json_quote(out, weir_slice_z(key));
            weir_buf_putz(out, ":");
            oas_sample(doc, v, out);
            comma = ",";
        }
        weir_buf_putz(out, "}");
    } else {
        weir_buf_putz(out, "{\"any\":[1,null,\"x\"]}");
    }
}

bool oas_wrong(const weir_json *doc, const weir_json *schema, weir_buf *out)
{
    const weir_json *s = core(doc, schema);
    char type[20] = "", format[40] = "";
    int64_t v;
    (void)text_of(s, "type", type, sizeof type);
    (void)text_of(s, "format", format, sizeof format);
    if (weir_json_get(s, "enum")) {
        weir_buf_putz(out, "\"no such label\"");
    } else if (weir_json_i64(s, "minimum", &v) || weir_json_i64(s, "exclusiveMinimum", &v)) {
        weir_buf_printf(out, "%" PRId64, v - 1);
    } else if (weir_json_i64(s, "maxLength", &v)) {
        weir_buf_printf(out, "\"%0*d\"", (int)v + 1, 0);
    } else if (strcmp(type, "string") == 0 && format[0]) {
        weir_buf_putz(out, "\"31.31.2026\"");
    } else if (strcmp(type, "string") == 0) {
        weir_buf_putz(out, "7");
    } else if (type[0]) {
        weir_buf_putz(out, "\"wrong\"");
    }
    return type[0] != '\0';
}
