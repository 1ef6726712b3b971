/* contract.c - does a set of commands still keep what clients were promised? */
#include "migrations/deploy/contract.h"

#include <stdarg.h>
#include <stdio.h>

#include "migrations/deploy/limits.h"

enum { TEXT_BYTES = 400, DEPTH_MAX = 32 };

/* One place in the two contracts. A request's new type must take all that the old one took; a
 * result's old type must cover all that the new one gives. */
typedef struct place {
    weir_arena *a;
    dep_changes *out;
    const char *command, *pointer;
    bool result;
    bool old; /* the promise was saved before contracts told domains' rules */
} place;

static void add(const place *p, bool breaks, const char *fmt, ...) WEIR_PRINTF(3, 4);

static void add(const place *p, bool breaks, const char *fmt, ...)
{
    char text[TEXT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    dep_change *c = weir_arena_zalloc(p->a, sizeof *c);
    const char *kept = weir_arena_strdup(p->a, text);
    p->out->n++;
    p->out->breaking += breaks;
    if (!c || !kept) {
        return; /* counted all the same */
    }
    *c = (dep_change){NULL, p->command, p->pointer, kept, breaks};
    *(p->out->last ? &p->out->last->next : &p->out->first) = c;
    p->out->last = c;
}

static place below(const place *p, const char *token)
{
    place q = *p;
    const char *pointer = weir_arena_printf(p->a, "%s/%s", p->pointer, token);
    q.pointer = pointer ? pointer : p->pointer;
    return q;
}

static const char *text_of(const weir_json *j, const char *key, weir_arena *a)
{
    weir_slice s;
    const char *z = weir_json_str(j, key, &s) ? weir_arena_dupz(a, s) : NULL;
    return z ? z : "";
}

/* --- schemas -------------------------------------------------------------------------------------
 */

static const char *kind(const weir_json *schema, weir_arena *a)
{
    return weir_json_get(schema, "enum") ? "enum" : text_of(schema, "type", a);
}

/* How many numbers a type takes; 0: it is none. Floating point takes what it can hold exactly. */
static int width(const weir_json *schema, weir_arena *a)
{
    const char *type = text_of(schema, "type", a), *format = text_of(schema, "format", a);
    if (strcmp(type, "integer") == 0) {
        return strcmp(format, "int64") == 0 ? 3 : strcmp(format, "int32") == 0 ? 2 : 1;
    }
    if (strcmp(type, "number") == 0) {
        return strcmp(format, "float") == 0 ? 10 : strcmp(format, "double") == 0 ? 11 : 4;
    }
    return 0;
}

static bool number_fits(int wide, int narrow)
{
    static const struct {
        int wide, narrow_max;
    } exact[] = {{1, 1}, {2, 2}, {3, 3}, {4, 4}, {10, 1}, {11, 2}};
    if (wide >= 10 && narrow >= 10) {
        return wide >= narrow;
    }
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        if (exact[i].wide == wide) {
            return narrow <= exact[i].narrow_max;
        }
    }
    return false;
}

static bool has_label(const weir_json *labels, weir_slice label)
{
    weir_slice s;
    for (size_t i = 0; i < weir_json_len(labels); i++) {
        if (weir_json_text(weir_json_at(labels, i), &s) && weir_slice_eq(s, label)) {
            return true;
        }
    }
    return false;
}

static void labels_fit(const place *p, const weir_json *wide, const weir_json *narrow)
{
    const weir_json *outer = weir_json_get(wide, "enum"), *inner = weir_json_get(narrow, "enum");
    weir_slice s;
    for (size_t i = 0; i < weir_json_len(inner); i++) {
        if (weir_json_text(weir_json_at(inner, i), &s) && !has_label(outer, s)) {
            add(p, true, "the value \"%.*s\" %s", WEIR_SLICE_ARG(s),
                p->result ? "is new" : "is no longer taken");
        }
    }
}

static void fits(const place *p, const weir_json *was, const weir_json *is, int depth);

static void fields_fit(const place *p, const weir_json *was, const weir_json *is, int depth)
{
    const weir_json *old = weir_json_get(was, "properties"), *now = weir_json_get(is, "properties");
    const char *key;
    const weir_json *v;
    for (void *it = NULL; weir_json_next(old, &it, &key, &v);) {
        const weir_json *same = weir_json_get(now, key);
        place q = below(p, weir_arena_strdup(p->a, key));
        if (!same) {
            add(&q, true, "the field was removed");
        } else {
            fits(&q, v, same, depth + 1);
        }
    }
    for (void *it = NULL; weir_json_next(now, &it, &key, &v);) {
        if (!weir_json_get(old, key)) {
            place q = below(p, weir_arena_strdup(p->a, key));
            add(&q, false, "a new field");
        }
    }
}

/* Without the null beside it: fields and elements may always be null. */
static const weir_json *core(const weir_json *schema)
{
    const weir_json *any = weir_json_get(schema, "anyOf");
    return any ? weir_json_at(any, 0) : schema;
}

/* A domain whose values are listed in one of them only: an older Weir did not list them. */
static bool unlisted(const place *p, const weir_json *was, const weir_json *is)
{
    weir_arena *a = p->a;
    if (!p->old) {
        return false;
    }
    const char *from = text_of(was, "title", a), *to = text_of(is, "title", a);
    bool listed = weir_json_get(was, "enum") != NULL;
    return from[0] && strcmp(from, to) == 0 && listed != (weir_json_get(is, "enum") != NULL);
}

/* Values of the same kind, of which not the same are allowed. */
static void limits_fit(const place *p, const weir_json *was, const weir_json *is)
{
    char text[DEP_LIMIT_TEXT_BYTES];
    bool told = !p->old; /* what is deployed always tells all of it */
    if (!dep_limits_allow(p->result ? was : is, p->result ? is : was, p->result || told, text)) {
        add(p, true, "%s: %s", p->result ? "no longer promised" : "newly required", text);
    } else if (!dep_limits_allow(p->result ? is : was, p->result ? was : is, !p->result || told,
                                 text)) {
        add(p, false, "%s: %s", p->result ? "newly promised" : "no longer required", text);
    }
}

static void kinds_fit(const place *p, const weir_json *was, const weir_json *is, int depth)
{
    const weir_json *wide = p->result ? was : is, *narrow = p->result ? is : was;
    const char *outer = kind(wide, p->a), *inner = kind(narrow, p->a);
    if (outer[0] == '\0' || depth > DEPTH_MAX) {
        return; /* anything */
    }
    int w = width(wide, p->a), n = width(narrow, p->a);
    if (w && n) {
        if (!number_fits(w, n)) {
            add(p, true, "its numbers are other ones now");
        }
    } else if (strcmp(outer, "string") == 0 &&
               (strcmp(inner, "string") == 0 || strcmp(inner, "enum") == 0)) {
        const char *f = text_of(wide, "format", p->a), *g = text_of(narrow, "format", p->a);
        if (f[0] && strcmp(f, g) != 0) {
            add(p, true, "its texts have another form now");
        }
    } else if (strcmp(outer, inner) != 0) {
        add(p, true, "it was %s and is %s now", kind(was, p->a)[0] ? kind(was, p->a) : "anything",
            kind(is, p->a)[0] ? kind(is, p->a) : "anything");
    } else if (strcmp(outer, "enum") == 0) {
        labels_fit(p, wide, narrow);
    } else if (strcmp(outer, "array") == 0) {
        place q = below(p, "-");
        fits(&q, weir_json_get(was, "items"), weir_json_get(is, "items"), depth + 1);
    } else if (strcmp(outer, "object") == 0) {
        fields_fit(p, was, is, depth);
    }
}

static void fits(const place *p, const weir_json *was, const weir_json *is, int depth)
{
    was = core(was);
    is = core(is);
    if (unlisted(p, was, is)) {
        return;
    }
    size_t before = p->out->breaking;
    kinds_fit(p, was, is, depth);
    if (p->out->breaking == before) {
        limits_fit(p, was, is);
    }
}

/* --- commands ------------------------------------------------------------------------------------
 */

static const weir_json *find_arg(const weir_json *args, const char *name)
{
    weir_slice s;
    for (size_t i = 0; i < weir_json_len(args); i++) {
        if (weir_json_str(weir_json_at(args, i), "name", &s) && weir_slice_eqz(s, name)) {
            return weir_json_at(args, i);
        }
    }
    return NULL;
}

static bool required(const weir_json *arg)
{
    bool yes = false;
    return weir_json_bool(arg, "required", &yes) && yes;
}

/* Types whose JSON is a plain text and which take the same texts. */
static bool same_texts(const char *was, const char *is)
{
    static const char *const texts[] = {"text", "character varying", "citext"};
    bool a = false, b = false;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        a |= strcmp(was, texts[i]) == 0;
        b |= strcmp(is, texts[i]) == 0;
    }
    return strcmp(was, is) == 0 || (a && b) || (!a && strcmp(is, "text") == 0);
}

static bool plain_text(const weir_json *schema, weir_arena *a)
{
    return strcmp(kind(schema, a), "string") == 0 && text_of(schema, "format", a)[0] == '\0';
}

static void arg_fits(const place *p, const weir_json *was, const weir_json *is)
{
    const weir_json *old = weir_json_get(was, "schema"), *now = weir_json_get(is, "schema");
    const char *from = text_of(was, "type", p->a), *to = text_of(is, "type", p->a);
    size_t before = p->out->breaking;
    fits(p, old, now, 0);
    bool texts = plain_text(old, p->a) && plain_text(now, p->a);
    bool domain = strcmp(from, to) != 0 && text_of(now, "title", p->a)[0] != '\0' &&
                  strcmp(kind(now, p->a), "object") != 0;
    if (domain || (texts && !same_texts(from, to))) {
        add(p, true, "the type was %s and is %s now", from, to);
    } else if (strcmp(from, to) != 0) {
        add(p, false, "the type was %s and is %s now%s", from, to,
            p->out->breaking == before ? ", which takes all that was taken" : "");
    }
    if (required(is) && !required(was)) {
        add(p, true, "it could be left out and is required now");
    } else if (!required(is) && required(was)) {
        add(p, false, "it can be left out now");
    }
}

static void command_fits(const place *p, const weir_json *was, const weir_json *is)
{
    const weir_json *old = weir_json_get(was, "args"), *now = weir_json_get(is, "args");
    for (size_t i = 0; i < weir_json_len(old); i++) {
        const char *name = text_of(weir_json_at(old, i), "name", p->a);
        const weir_json *same = find_arg(now, name);
        place q = below(p, name);
        if (same) {
            arg_fits(&q, weir_json_at(old, i), same);
        } else {
            add(&q, true, "the field was removed");
        }
    }
    for (size_t i = 0; i < weir_json_len(now); i++) {
        const char *name = text_of(weir_json_at(now, i), "name", p->a);
        place q = below(p, name);
        if (!find_arg(old, name)) {
            bool must = required(weir_json_at(now, i));
            add(&q, must, must ? "a new field that is required" : "a new field with a default");
        }
    }
    place r = *p;
    r.result = true;
    r.pointer = "result";
    fits(&r, weir_json_get(was, "result"), weir_json_get(is, "result"), 0);
    const char *from = text_of(was, "result_type", p->a), *to = text_of(is, "result_type", p->a);
    if (strcmp(from, to) != 0 && plain_text(weir_json_get(was, "result"), p->a) &&
        plain_text(weir_json_get(is, "result"), p->a) && !same_texts(to, from)) {
        add(&r, true, "the type was %s and is %s now", from, to);
    }
}

static const weir_json *commands_of(const weir_json *doc, int64_t *version)
{
    bool ok = weir_json_i64(doc, "weir_contracts", version) &&
              *version >= DEP_CONTRACT_VERSION_MIN && *version <= DEP_CONTRACT_VERSION;
    return ok ? weir_json_get(doc, "commands") : NULL;
}

weir_rc dep_contract_compare(const weir_json *was, const weir_json *is, weir_arena *a,
                             dep_changes *out, weir_error *err)
{
    int64_t version = 0, now_version = 0;
    const weir_json *old = commands_of(was, &version), *now = commands_of(is, &now_version);
    if (!old || !now) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "this is no contract file of version %d; write one with `weir contracts "
                         "save`",
                         DEP_CONTRACT_VERSION);
    }
    const char *name;
    const weir_json *v;
    for (void *it = NULL; weir_json_next(old, &it, &name, &v);) {
        const weir_json *same = weir_json_get(now, name);
        place p = {a, out, weir_arena_strdup(a, name), "", false, version < DEP_CONTRACT_VERSION};
        if (same) {
            command_fits(&p, v, same);
        } else {
            add(&p, true, "the command was removed");
        }
    }
    for (void *it = NULL; weir_json_next(now, &it, &name, &v);) {
        if (!weir_json_get(old, name)) {
            place p = {a, out, weir_arena_strdup(a, name), "", false, false};
            add(&p, false, "a new command");
        }
    }
    return WEIR_OK;
}
