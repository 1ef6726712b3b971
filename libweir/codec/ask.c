/* ask.c - requests of the NNG endpoints; one table says which op has which field. */
#include "libweir/codec/ask.h"

#include <stddef.h>

#include "libweir/codec/mp.h"

enum { COMMAND = 1, COMMANDS = 2, STATUS = 4, QUERY = 8, ANY = 15 };

typedef enum kind { TEXT, LONG_TEXT, NUMBER, FLAG, KEY } kind;

typedef struct field {
    const char *name;
    kind kind;
    unsigned ops;
    size_t at;
} field;

#define AT(f) offsetof(weir_ask, f)

static const field fields[] = {
    {"name", TEXT, COMMAND, AT(name)},
    {"args", LONG_TEXT, COMMAND | COMMANDS, AT(args)},
    {"id", TEXT, STATUS, AT(id)},
    {"model", TEXT, QUERY, AT(model)},
    {"key", KEY, QUERY, AT(key)},
    {"idempotency_key", TEXT, COMMAND, AT(idempotency_key)},
    {"if_match", TEXT, COMMAND, AT(if_match)},
    {"correlation_id", TEXT, COMMAND | COMMANDS, AT(correlation_id)},
    {"traceparent", TEXT, COMMAND | COMMANDS, AT(traceparent)},
    {"deadline_ms", NUMBER, COMMAND, AT(deadline_ms)},
    {"async", FLAG, COMMAND, AT(async)},
    {"priority", NUMBER, COMMAND, AT(priority)},
    {"not_before_ms", NUMBER, COMMAND, AT(not_before_ms)},
    {"ordering_key", TEXT, COMMAND, AT(ordering_key)},
    {"callback", TEXT, COMMAND, AT(callback)},
    {"atomic", FLAG, COMMANDS, AT(atomic)},
    {"min_position", TEXT, QUERY, AT(min_position)},
    {"wait_ms", NUMBER, STATUS | QUERY, AT(wait_ms)},
    {"etag", TEXT, QUERY, AT(etag)},
    {"credentials", TEXT, ANY, AT(credentials)},
};

enum { FIELDS = sizeof fields / sizeof fields[0] };

/* In the order of weir_ask_op. */
static const char *const op_names[] = {"command", "commands", "status", "query"};

static void *member(weir_ask *ask, const field *f)
{
    return (char *)ask + f->at;
}

static const void *member_of(const weir_ask *ask, const field *f)
{
    return (const char *)ask + f->at;
}

weir_ask weir_ask_of(weir_ask_op op)
{
    return (weir_ask){
        .op = op, .deadline_ms = -1, .priority = -1, .not_before_ms = -1, .wait_ms = -1};
}

/* --- encode --- */

static bool present(const weir_ask *ask, const field *f)
{
    if (!(f->ops & 1U << (ask->op - 1))) {
        return false;
    }
    switch (f->kind) {
    case TEXT:
    case LONG_TEXT: return ((const weir_slice *)member_of(ask, f))->p != NULL;
    case NUMBER: return *(const int64_t *)member_of(ask, f) >= 0;
    case FLAG: return *(const bool *)member_of(ask, f);
    case KEY: return ask->nkey > 0;
    }
    return false;
}

static void put_value(msgpack_packer *pk, const weir_ask *ask, const field *f)
{
    switch (f->kind) {
    case TEXT:
    case LONG_TEXT: weir_mp_put_str(pk, *(const weir_slice *)member_of(ask, f)); break;
    case NUMBER: (void)msgpack_pack_int64(pk, *(const int64_t *)member_of(ask, f)); break;
    case FLAG: weir_mp_put_bool(pk, true); break;
    case KEY:
        (void)msgpack_pack_array(pk, ask->nkey);
        for (size_t i = 0; i < ask->nkey; i++) {
            weir_mp_put_str(pk, ask->key[i]);
        }
        break;
    }
}

void weir_ask_encode(weir_buf *out, const weir_ask *ask)
{
    msgpack_packer pk = weir_mp_packer(out);
    size_t n = 1;
    for (size_t i = 0; i < FIELDS; i++) {
        n += present(ask, &fields[i]);
    }
    (void)msgpack_pack_map(&pk, n);
    weir_mp_put_key(&pk, "op");
    weir_mp_put_key(&pk, op_names[ask->op - 1]);
    for (size_t i = 0; i < FIELDS; i++) {
        if (present(ask, &fields[i])) {
            weir_mp_put_key(&pk, fields[i].name);
            put_value(&pk, ask, &fields[i]);
        }
    }
}

/* --- decode --- */

static weir_rc wrong(weir_error *err, const char *name, const char *how)
{
    return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT, "\"%s\" must be %s", name, how);
}

static bool is_number(const weir_mp *mp)
{
    unsigned lead = weir_mp_peek(mp);
    return lead <= 0x7f || lead >= 0xe0 || (lead >= 0xcc && lead <= 0xd3);
}

static weir_rc get_part(weir_mp *mp, weir_arena *a, weir_ask *out, weir_error *err)
{
    weir_slice part;
    if (is_number(mp)) {
        const char *text = weir_arena_printf(a, "%lld", (long long)weir_mp_int(mp));
        part = weir_slice_z(text);
    } else {
        part = weir_mp_str(mp);
    }
    if (mp->bad || !part.p || part.n > WEIR_ASK_FIELD_MAX_BYTES ||
        (part.n && memchr(part.p, 0, part.n))) {
        return wrong(err, "key", "a text or a number, or an array of these");
    }
    out->key[out->nkey++] = part;
    return WEIR_OK;
}

static weir_rc get_key(weir_mp *mp, weir_arena *a, weir_ask *out, weir_error *err)
{
    unsigned lead = weir_mp_peek(mp);
    bool array = (lead >= 0x90 && lead <= 0x9f) || lead == 0xdc || lead == WEIR_MP_ARRAY32;
    uint32_t n = array ? weir_mp_array(mp) : 1;
    if (mp->bad || n < 1 || n > WEIR_ASK_KEY_PARTS_MAX) {
        return wrong(err, "key", "of 1 to 16 parts");
    }
    weir_rc rc = WEIR_OK;
    for (uint32_t i = 0; i < n && rc == WEIR_OK; i++) {
        rc = get_part(mp, a, out, err);
    }
    return rc;
}

static weir_rc get_text(weir_mp *mp, const field *f, weir_slice *out, weir_error *err)
{
    unsigned lead = weir_mp_peek(mp);
    bool bin = f->kind == LONG_TEXT && lead >= 0xc4 && lead <= 0xc6;
    *out = bin ? weir_mp_bin(mp) : weir_mp_str(mp);
    if (mp->bad) {
        return wrong(err, f->name, f->kind == TEXT ? "a text" : "JSON as a text");
    }
    if (f->kind == TEXT && (out->n > WEIR_ASK_FIELD_MAX_BYTES || memchr(out->p, 0, out->n))) {
        return wrong(err, f->name, "a text of at most 8192 bytes without NUL");
    }
    return WEIR_OK;
}

static weir_rc get_value(weir_mp *mp, const field *f, weir_arena *a, weir_ask *out, weir_error *err)
{
    switch (f->kind) {
    case TEXT:
    case LONG_TEXT: return get_text(mp, f, member(out, f), err);
    case NUMBER: {
        uint64_t v = weir_mp_uint(mp);
        *(int64_t *)member(out, f) = (int64_t)v;
        return mp->bad || v > INT64_MAX ? wrong(err, f->name, "a number, 0 or more") : WEIR_OK;
    }
    case FLAG:
        *(bool *)member(out, f) = weir_mp_bool(mp);
        return mp->bad ? wrong(err, f->name, "true or false") : WEIR_OK;
    case KEY: return get_key(mp, a, out, err);
    }
    return WEIR_OK;
}

static const field *find(weir_slice name, size_t *which)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (weir_slice_eqz(name, fields[i].name)) {
            *which = i;
            return &fields[i];
        }
    }
    return NULL;
}

static weir_rc get_op(weir_mp *mp, weir_ask *out, weir_error *err)
{
    weir_slice name = weir_mp_str(mp);
    for (size_t i = 0; i < sizeof op_names / sizeof op_names[0]; i++) {
        if (!mp->bad && weir_slice_eqz(name, op_names[i])) {
            out->op = (weir_ask_op)(i + 1);
        }
    }
    return out->op ? WEIR_OK : wrong(err, "op", "command, commands, status or query");
}

/* A name is told back only when it is a word. */
static weir_rc unknown(weir_error *err, weir_slice name)
{
    bool word = name.n > 0 && name.n <= 40;
    for (size_t i = 0; i < name.n && word; i++) {
        char c = name.p[i];
        word = c == '_' || c == '-' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    }
    return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT, "there is no field \"%.*s\"",
                     word ? (int)name.n : 3, word ? name.p : "???");
}

/* What was given fits the op, and what names the thing is there. */
static weir_rc judge(const weir_ask *ask, uint32_t given, weir_error *err)
{
    static const char *const needs[] = {"name", "args", "id", "model"};
    if (!ask->op) {
        return wrong(err, "op", "given: command, commands, status or query");
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if ((given & 1U << i) && !(fields[i].ops & 1U << (ask->op - 1))) {
            return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT, "op \"%s\" has no field \"%s\"",
                             op_names[ask->op - 1], fields[i].name);
        }
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if (!(given & 1U << i) && strcmp(fields[i].name, needs[ask->op - 1]) == 0) {
            return wrong(err, fields[i].name, "given");
        }
    }
    return WEIR_OK;
}

weir_rc weir_ask_decode(weir_slice s, weir_arena *a, weir_ask *out, weir_error *err)
{
    _Static_assert(FIELDS <= 32, "given is a set of bits");
    weir_mp mp = weir_mp_of(s);
    uint32_t given = 0;
    weir_rc rc = WEIR_OK;
    *out = weir_ask_of(0);
    uint32_t pairs = weir_mp_map(&mp);
    for (uint32_t i = 0; i < pairs && !mp.bad && rc == WEIR_OK; i++) {
        size_t which = 0;
        weir_slice name = weir_mp_str(&mp);
        const field *f = mp.bad ? NULL : find(name, &which);
        if (f && given & 1U << which) {
            rc = wrong(err, f->name, "given once");
        } else if (f) {
            given |= 1U << which;
            rc = get_value(&mp, f, a, out, err);
        } else if (!mp.bad && weir_slice_eqz(name, "op") && !out->op) {
            rc = get_op(&mp, out, err);
        } else if (!mp.bad) {
            rc = unknown(err, name);
        }
    }
    if (rc == WEIR_OK && (mp.bad || weir_mp_left(&mp))) {
        rc = weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                       "the message is not one msgpack map with texts as keys");
    }
    return rc == WEIR_OK ? judge(out, given, err) : rc;
}
