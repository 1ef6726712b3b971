/* line.c - one change as one JSON object on one line. */
#include "migrations/lake/line.h"

#include <inttypes.h>

#include "libweir/base/str.h"
#include "migrations/lake/path.h"

/* Oids of pg_type that never change. */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_JSONB = 3802
};

static size_t digits(const char *p, const char *end)
{
    const char *from = p;
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return (size_t)(p - from);
}

/* The grammar of RFC 8259; NaN and Infinity are not in it. */
static bool is_number(weir_slice s)
{
    const char *p = s.p, *end = s.p + s.n;
    if (p < end && *p == '-') {
        p++;
    }
    size_t n = digits(p, end);
    if (n == 0 || (n > 1 && *p == '0')) {
        return false;
    }
    p += n;
    if (p < end && *p == '.') {
        n = digits(++p, end);
        if (n == 0) {
            return false;
        }
        p += n;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) {
            p++;
        }
        n = digits(p, end);
        if (n == 0) {
            return false;
        }
        p += n;
    }
    return p == end;
}

/* Type json keeps the text as it was written: line breaks between its tokens become spaces. Inside
 * of strings JSON has none. */
static void put_json(weir_buf *out, weir_slice s)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n' || s.p[i] == '\r') {
            weir_buf_put(out, s.p + from, i - from);
            weir_buf_u8(out, ' ');
            from = i + 1;
        }
    }
    weir_buf_put(out, s.p + from, s.n - from);
}

void lake_value(weir_buf *out, uint32_t type_oid, weir_slice text)
{
    switch (type_oid) {
    case OID_BOOL:
        if (weir_slice_eqz(text, "t") || weir_slice_eqz(text, "f")) {
            weir_buf_putz(out, text.p[0] == 't' ? "true" : "false");
            return;
        }
        break;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID:
    case OID_FLOAT4:
    case OID_FLOAT8:
        if (text.n && is_number(text)) {
            weir_buf_puts(out, text);
            return;
        }
        break;
    case OID_JSON:
    case OID_JSONB:
        if (text.n) {
            put_json(out, text);
            return;
        }
        break;
    default: break;
    }
    weir_json_quote(out, text);
}

static void put_val(weir_buf *out, const weir_column *col, const weir_val *v)
{
    if (v->kind == WEIR_VAL_NULL) {
        weir_buf_putz(out, "null");
    } else {
        lake_value(out, col->type_oid, v->text);
    }
}

static void member(weir_buf *out, const char *name)
{
    weir_buf_printf(out, ",\"%s\":", name);
}

static void text_member(weir_buf *out, const char *name, weir_slice text)
{
    if (text.n) {
        member(out, name);
        weir_json_quote(out, text);
    }
}

/* The columns of a row as an object; unchanged TOAST values are not in it. */
static void put_row(weir_buf *out, const char *name, const weir_relation *rel,
                    const weir_tuple *row, bool key_only)
{
    bool first = true;
    member(out, name);
    weir_buf_u8(out, '{');
    for (uint16_t i = 0; i < row->n && i < rel->n; i++) {
        if (row->v[i].kind == WEIR_VAL_UNCHANGED || (key_only && !rel->cols[i].key)) {
            continue;
        }
        if (!first) {
            weir_buf_u8(out, ',');
        }
        first = false;
        weir_json_quote(out, rel->cols[i].name);
        weir_buf_u8(out, ':');
        put_val(out, &rel->cols[i], &row->v[i]);
    }
    weir_buf_u8(out, '}');
}

static void put_unchanged(weir_buf *out, const weir_relation *rel, const weir_tuple *row)
{
    bool any = false;
    for (uint16_t i = 0; i < row->n && i < rel->n; i++) {
        if (row->v[i].kind != WEIR_VAL_UNCHANGED) {
            continue;
        }
        if (any) {
            weir_buf_u8(out, ',');
        } else {
            member(out, "unchanged");
            weir_buf_u8(out, '[');
        }
        any = true;
        weir_json_quote(out, rel->cols[i].name);
    }
    if (any) {
        weir_buf_u8(out, ']');
    }
}

/* Under FULL identity every column belongs to the key: the row says it already. */
static bool has_key(const weir_relation *rel)
{
    if (rel->identity == 'f') {
        return false;
    }
    for (uint16_t i = 0; i < rel->n; i++) {
        if (rel->cols[i].key) {
            return true;
        }
    }
    return false;
}

static void put_new(weir_buf *out, const weir_relation *rel, const weir_ev *ev)
{
    if (has_key(rel)) {
        put_row(out, "key", rel, &ev->new_row, true);
    }
    put_row(out, "row", rel, &ev->new_row, false);
    put_unchanged(out, rel, &ev->new_row);
}

static void put_old(weir_buf *out, const weir_relation *rel, const weir_ev *ev)
{
    if (ev->old_kind == WEIR_OLD_KEY || (ev->old_kind == WEIR_OLD_ROW && has_key(rel))) {
        put_row(out, ev->kind == WEIR_EV_DELETE ? "key" : "old_key", rel, &ev->old_row, true);
    }
    if (ev->old_kind == WEIR_OLD_ROW) {
        put_row(out, "old", rel, &ev->old_row, false);
    }
}

static void put_bound(weir_buf *out, const char *name, const weir_tuple *bound)
{
    member(out, name);
    if (bound->n == 0) {
        weir_buf_putz(out, "null");
        return;
    }
    for (uint16_t i = 0; i < bound->n; i++) {
        weir_buf_u8(out, i ? ',' : '[');
        if (bound->v[i].kind == WEIR_VAL_TEXT) {
            weir_json_quote(out, bound->v[i].text);
        } else {
            weir_buf_putz(out, "null");
        }
    }
    weir_buf_u8(out, ']');
}

static void put_stamp(weir_buf *out, const lake_stamp *st, const weir_relation *rel)
{
    char text[LAKE_TIME_TEXT];
    member(out, "table");
    weir_buf full;
    weir_buf_init(&full, 1024);
    weir_buf_puts(&full, rel->schema);
    weir_buf_u8(&full, '.');
    weir_buf_puts(&full, rel->name);
    weir_json_quote(out, weir_buf_slice(&full));
    weir_buf_fini(&full);
    weir_buf_printf(out, ",\"position\":\"%s\"", lake_position_print(st->lsn, text));
    weir_buf_printf(out, ",\"sub\":%" PRIu32 ",\"seq\":%" PRIu64, st->sub, st->seq);
    weir_buf_printf(out, ",\"at\":\"%s\"", lake_time_print(st->at_us, text));
    if (!st->copied) {
        weir_buf_printf(out, ",\"xid\":%" PRIu32, st->xid);
    }
    text_member(out, "command", st->command);
    text_member(out, "command_id", st->command_id);
    text_member(out, "correlation_id", st->correlation_id);
    text_member(out, "origin", st->origin);
}

void lake_line(weir_buf *out, const lake_stamp *st, const weir_relation *rel, const weir_ev *ev)
{
    weir_buf_printf(out, "{\"op\":\"%s\"", weir_ev_op(ev->kind));
    put_stamp(out, st, rel);
    switch (ev->kind) {
    case WEIR_EV_INSERT:
    case WEIR_EV_READ: put_new(out, rel, ev); break;
    case WEIR_EV_UPDATE:
        put_new(out, rel, ev);
        put_old(out, rel, ev);
        break;
    case WEIR_EV_DELETE: put_old(out, rel, ev); break;
    case WEIR_EV_TRUNCATE:
        weir_buf_printf(out, ",\"cascade\":%s,\"restart_identity\":%s",
                        ev->flags & 1 ? "true" : "false", ev->flags & 2 ? "true" : "false");
        break;
    case WEIR_EV_RANGE:
        text_member(out, "copy", ev->copy_id);
        put_bound(out, "after", &ev->old_row);
        put_bound(out, "to", &ev->new_row);
        break;
    case WEIR_EV_COPIED: text_member(out, "copy", ev->copy_id); break;
    default: break;
    }
    weir_buf_putz(out, "}\n");
}
