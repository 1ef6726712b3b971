/* outcome.c - what a client is told: one table from SQLSTATE to status, one from the wrapper's JSON
 * to members. */
#include "write-service/outcome.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/str.h"

/* A result may be as large as PostgreSQL makes it (1 GiB); members are short texts. */
enum { BODY_MAX_BYTES = 1 << 30, BODY_FRAME_BYTES = 256, MEMBERS_MAX_BYTES = 1 << 20 };

/* PostgreSQL repeats a bad value in its message, however long; more than this of a text is cut. */
enum { TEXT_MAX_BYTES = 8192 };

/* The longest prefix wins. A class that PostgreSQL does not define was raised by the application:
 * 422. */
static const struct {
    const char *prefix;
    int status;
} table[] = {
    {"02", 500}, {"03", 500},    {"08", 503},    {"09", 500},    {"0A", 500},    {"0B", 500},
    {"0F", 500}, {"0L", 500},    {"0P", 500},    {"0Z", 500},    {"20", 500},    {"21", 500},
    {"22", 422}, {"23", 422},    {"23505", 409}, {"23P01", 409}, {"24", 500},    {"25", 500},
    {"26", 500}, {"27", 500},    {"28", 403},    {"2B", 500},    {"2D", 500},    {"2F", 500},
    {"34", 500}, {"38", 500},    {"39", 500},    {"3B", 500},    {"3D", 500},    {"3F", 500},
    {"40", 503}, {"42", 500},    {"42501", 403}, {"44", 422},    {"53", 503},    {"54", 500},
    {"55", 500}, {"55P03", 503}, {"57", 503},    {"57014", 504}, {"58", 500},    {"72", 500},
    {"F0", 500}, {"HV", 500},    {"P0", 422},    {"P0000", 500}, {"P0004", 500}, {"WE412", 412},
    {"XX", 500},
};

int wsvc_status_of(const char *sqlstate)
{
    int status = strlen(sqlstate) == 5 ? 422 : 500;
    size_t best = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t n = strlen(table[i].prefix);
        if (n > best && strncmp(sqlstate, table[i].prefix, n) == 0) {
            best = n;
            status = table[i].status;
        }
    }
    return status;
}

bool wsvc_sqlstate_again(const char *sqlstate)
{
    return strncmp(sqlstate, "40", 2) == 0 || strcmp(sqlstate, "55P03") == 0;
}

/* text, or its beginning and "…" in cut. */
static const char *bounded(const char *text, char cut[TEXT_MAX_BYTES + 4])
{
    size_t n = text ? strnlen(text, TEXT_MAX_BYTES + 1) : 0;
    if (n <= TEXT_MAX_BYTES) {
        return text;
    }
    n = TEXT_MAX_BYTES;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) { /* within a character */
        n--;
    }
    (void)snprintf(cut, TEXT_MAX_BYTES + 4, "%.*s…", (int)n, text);
    return cut;
}

static void put_member(weir_buf *b, const char *name, const char *value)
{
    char cut[TEXT_MAX_BYTES + 4];
    if (value && *value) {
        weir_buf_printf(b, "%s\"%s\":", b->n ? "," : "", name);
        weir_json_quote(b, weir_slice_z(bounded(value, cut)));
    }
}

static char *take_z(weir_buf *b, size_t *n)
{
    size_t with_nul = 0;
    weir_buf_u8(b, 0);
    if (b->failed) {
        weir_buf_fini(b);
        return NULL;
    }
    char *p = weir_buf_take(b, &with_nul);
    *n = with_nul - 1;
    return p;
}

void wsvc_outcome_problem(wsvc_outcome *out, const char *id, int status, const char *type,
                          const char *detail, const char *members)
{
    size_t ignored = 0;
    weir_buf b;
    out->status = status;
    out->type = type;
    out->retry_after = status == 503;
    weir_buf_init(&b, MEMBERS_MAX_BYTES);
    weir_buf_putz(&b, detail);
    out->text = take_z(&b, &out->text_bytes);
    weir_buf_init(&b, MEMBERS_MAX_BYTES);
    put_member(&b, "command_id", id);
    if (members && *members) {
        weir_buf_printf(&b, "%s", b.n ? "," : "");
        weir_buf_putz(&b, members);
    }
    out->members = take_z(&b, &ignored);
}

void wsvc_outcome_busy(wsvc_outcome *out, const char *id, const char *detail)
{
    wsvc_outcome_problem(out, id, 503, NULL, detail, NULL);
}

void wsvc_outcome_failure(wsvc_outcome *out, const char *id, const wsvc_failure *f)
{
    const char *state = f->sqlstate ? f->sqlstate : "";
    size_t ignored = 0;
    weir_buf b;
    weir_buf_init(&b, MEMBERS_MAX_BYTES);
    put_member(&b, "sqlstate", state);
    put_member(&b, "pg_detail", f->detail);
    put_member(&b, "hint", f->hint);
    put_member(&b, "constraint", f->constraint);
    put_member(&b, "column", f->column);
    put_member(&b, "table", f->table);
    put_member(&b, "pointer", f->pointer);
    char *members = take_z(&b, &ignored);
    char cut[TEXT_MAX_BYTES + 4];
    const char *message =
        f->message && *f->message ? bounded(f->message, cut) : "the command failed";
    wsvc_outcome_problem(out, id, wsvc_status_of(state), NULL, message, members);
    free(members);
    (void)snprintf(out->sqlstate, sizeof out->sqlstate, "%.5s", state);
}

/* jsonb prints {"ok": value}; true when that is all there is, so that the value can be passed on
 * byte for byte, numbers beyond double included. */
static bool ok_value(weir_slice reply, weir_slice *value)
{
    static const char head[] = "{\"ok\": ";
    size_t head_n = sizeof head - 1;
    if (reply.n < head_n + 2 || memcmp(reply.p, head, head_n) != 0 || reply.p[reply.n - 1] != '}') {
        return false;
    }
    *value = weir_slice_of(reply.p + head_n, reply.n - head_n - 1);
    int depth = 0;
    bool text = false;
    for (size_t i = 0; i < value->n; i++) {
        char c = value->p[i];
        if (text) {
            i += c == '\\';
            text = c != '"';
        } else if (c == '"') {
            text = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        }
        if (depth < 0 || (depth == 0 && !text && c == ',')) {
            return false;
        }
    }
    return depth == 0 && !text;
}

static void accepted(wsvc_outcome *out, const char *id, weir_slice value, const char *position)
{
    weir_buf b;
    weir_buf_init(&b, BODY_MAX_BYTES);
    if (!weir_buf_reserve(&b, value.n + BODY_FRAME_BYTES)) {
        weir_buf_fini(&b);
        wsvc_outcome_problem(out, id, 500, NULL,
                             "the command was executed, its result is too large to send", NULL);
        return;
    }
    weir_buf_putz(&b, "{\"command_id\":\"");
    weir_buf_putz(&b, id);
    weir_buf_putz(&b, "\",\"result\":");
    weir_buf_puts(&b, value);
    weir_buf_putz(&b, ",\"position\":\"");
    weir_buf_putz(&b, position);
    weir_buf_putz(&b, "\"}");
    out->text = take_z(&b, &out->text_bytes);
    out->status = 200;
}

static void put_stored(weir_buf *b, const char *id)
{
    weir_buf_putz(b, "{\"command_id\":");
    weir_json_quote(b, weir_slice_z(id));
    weir_buf_putz(b, ",\"state\":\"accepted\"}");
}

void wsvc_outcome_stored(wsvc_outcome *out, const char *id, weir_slice list)
{
    weir_buf b;
    weir_buf_init(&b, MEMBERS_MAX_BYTES);
    out->status = 202;
    if (list.n == 0) {
        (void)snprintf(out->stored_id, sizeof out->stored_id, "%s", id);
        put_stored(&b, id);
    } else {
        json_t *ids = json_loadb(list.p, list.n, 0, NULL);
        weir_buf_putz(&b, "[");
        for (size_t i = 0; i < json_array_size(ids); i++) {
            const char *one = json_string_value(json_array_get(ids, i));
            weir_buf_putz(&b, i ? "," : "");
            put_stored(&b, one ? one : "");
        }
        weir_buf_putz(&b, "]");
        json_decref(ids);
    }
    out->text = take_z(&b, &out->text_bytes);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* "<head><id> <reply>": takes the front off. id has room for as much of reply. */
static bool take_front(weir_slice *reply, const char *head, char *id, size_t size)
{
    size_t n = strlen(head);
    if (!weir_slice_starts(*reply, weir_slice_of(head, n))) {
        return false;
    }
    const char *from = reply->p + n;
    const char *blank = memchr(from, ' ', reply->n - n);
    if (!blank || (size_t)(blank - from) >= size) {
        return false;
    }
    memcpy(id, from, (size_t)(blank - from));
    id[blank - from] = '\0';
    *reply = weir_slice_of(blank + 1, reply->n - (size_t)(blank + 1 - reply->p));
    return true;
}

void wsvc_outcome_reply(wsvc_outcome *out, const char *id, weir_slice reply, const char *position)
{
    weir_slice value;
    char first_id[80];
    if (take_front(&reply, "stored ", first_id, sizeof first_id)) {
        wsvc_outcome_stored(out, first_id,
                            weir_slice_eqz(reply, "null") ? (weir_slice){NULL, 0} : reply);
        out->replayed = true;
        return;
    }
    out->replayed = take_front(&reply, "replay ", first_id, sizeof first_id);
    if (out->replayed) {
        id = first_id;
    }
    if (ok_value(reply, &value)) {
        accepted(out, id, value, position);
        return;
    }
    json_t *doc = json_loadb(reply.p ? reply.p : "", reply.n, JSON_DECODE_INT_AS_REAL, NULL);
    const json_t *e = json_object_get(doc, "error");
    const char *state = text_of(e, "sqlstate");
    if (state && strlen(state) == 5) {
        wsvc_failure f = {state,
                          text_of(e, "message"),
                          text_of(e, "detail"),
                          text_of(e, "hint"),
                          text_of(e, "constraint"),
                          text_of(e, "column"),
                          text_of(e, "table"),
                          text_of(e, "pointer")};
        wsvc_outcome_failure(out, id, &f);
        const json_t *collision = json_object_get(e, "collision");
        out->collision = collision ? json_dumps(collision, JSON_COMPACT) : NULL;
    } else {
        wsvc_outcome_problem(
            out, id, 500, NULL,
            "the command's wrapper answered neither ok nor error; run `weir deploy`", NULL);
    }
    json_decref(doc);
}

void wsvc_outcome_fini(wsvc_outcome *out)
{
    free(out->text);
    free(out->members);
    free(out->collision);
    memset(out, 0, sizeof *out);
}
