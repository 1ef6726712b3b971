/* pgoutput.c - decodes one pgoutput message; the layouts are drawn in pgoutput.h. */
#include "libweir/codec/pgoutput.h"

#include "libweir/base/rd.h"

enum {
    MIN_COLUMN_BYTES = 10, /* flags, empty name with NUL, type, typmod */
    FLAG_KEY = 1,
    TRUNCATE_FLAGS = 3,
    FLAG_TRANSACTIONAL = 1,
};

static weir_rc bad(weir_error *err, const char *what)
{
    return weir_fail(err, WEIR_E_PROTO, 0, "pgoutput: %s", what);
}

static weir_rc too_large(weir_error *err)
{
    return weir_fail(err, WEIR_E_LIMIT, 0,
                     "pgoutput: the message does not fit into its memory limit");
}

static weir_rc decode_value(weir_rd *rd, weir_val *v, weir_error *err)
{
    char kind = (char)weir_rd_u8(rd);
    if (!weir_rd_ok(rd)) {
        return bad(err, "truncated tuple");
    }
    switch (kind) {
    case 'n': v->kind = WEIR_VAL_NULL; break;
    case 'u': v->kind = WEIR_VAL_UNCHANGED; break;
    case 't':
        v->kind = WEIR_VAL_TEXT;
        v->text = weir_rd_bytes(rd, weir_rd_u32(rd));
        break;
    case 'b': return bad(err, "a binary value, which was not asked for");
    default: return bad(err, "unknown kind of column value");
    }
    return weir_rd_ok(rd) ? WEIR_OK : bad(err, "truncated tuple");
}

static weir_rc decode_tuple(weir_rd *rd, weir_arena *a, weir_tuple *out, weir_error *err)
{
    uint16_t n = weir_rd_u16(rd);
    if (!weir_rd_ok(rd) || n > WEIR_COLUMNS_MAX || n > weir_rd_left(rd)) {
        return bad(err, "tuple with a column count that cannot be");
    }
    out->v = WEIR_ARENA_ARRAY(a, weir_val, n);
    if (!out->v) {
        return too_large(err);
    }
    out->n = n;
    for (uint16_t i = 0; i < n; i++) {
        weir_rc rc = decode_value(rd, &out->v[i], err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    return WEIR_OK;
}

static weir_rc decode_begin(weir_rd *rd, weir_pgo *out, weir_error *err)
{
    out->u.begin.final_lsn = weir_rd_u64(rd);
    out->u.begin.commit_us = (int64_t)weir_rd_u64(rd);
    out->u.begin.xid = weir_rd_u32(rd);
    if (weir_rd_ok(rd) && out->u.begin.final_lsn == 0) {
        return bad(err, "BEGIN without its commit position");
    }
    return WEIR_OK;
}

static weir_rc decode_commit(weir_rd *rd, weir_pgo *out, weir_error *err)
{
    if (weir_rd_u8(rd) != 0) {
        return bad(err, "COMMIT with unknown flags");
    }
    out->u.commit.commit_lsn = weir_rd_u64(rd);
    out->u.commit.end_lsn = weir_rd_u64(rd);
    out->u.commit.commit_us = (int64_t)weir_rd_u64(rd);
    if (weir_rd_ok(rd) && out->u.commit.end_lsn < out->u.commit.commit_lsn) {
        return bad(err, "COMMIT that ends before it begins");
    }
    return WEIR_OK;
}

static weir_rc decode_column(weir_rd *rd, weir_column *c, weir_error *err)
{
    uint8_t flags = weir_rd_u8(rd);
    c->name = weir_rd_cstr(rd);
    c->type_oid = weir_rd_u32(rd);
    c->typmod = (int32_t)weir_rd_u32(rd);
    c->key = (flags & FLAG_KEY) != 0;
    if (!weir_rd_ok(rd)) {
        return bad(err, "truncated relation");
    }
    return flags & ~FLAG_KEY ? bad(err, "relation column with unknown flags") : WEIR_OK;
}

static weir_rc decode_relation(weir_rd *rd, weir_arena *a, weir_relation *rel, weir_error *err)
{
    rel->oid = weir_rd_u32(rd);
    rel->schema = weir_rd_cstr(rd);
    rel->name = weir_rd_cstr(rd);
    rel->identity = (char)weir_rd_u8(rd);
    uint16_t n = weir_rd_u16(rd);
    if (!weir_rd_ok(rd)) {
        return bad(err, "truncated relation");
    }
    if (rel->identity == '\0' || !strchr("dnfi", rel->identity)) {
        return bad(err, "relation with an unknown replica identity");
    }
    if (n > WEIR_COLUMNS_MAX || n > weir_rd_left(rd) / MIN_COLUMN_BYTES) {
        return bad(err, "relation with a column count that cannot be");
    }
    rel->cols = WEIR_ARENA_ARRAY(a, weir_column, n);
    if (!rel->cols) {
        return too_large(err);
    }
    rel->n = n;
    for (uint16_t i = 0; i < n; i++) {
        weir_rc rc = decode_column(rd, &rel->cols[i], err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    return WEIR_OK;
}

/* 'N' tuple; kind is the byte already read. */
static weir_rc decode_new(weir_rd *rd, char kind, weir_arena *a, weir_pgo *out, weir_error *err)
{
    if (kind != 'N') {
        return bad(err, "no new row where one belongs");
    }
    return decode_tuple(rd, a, &out->u.row.new_row, err);
}

static weir_rc decode_row(weir_rd *rd, weir_arena *a, weir_pgo *out, weir_error *err)
{
    out->u.row.oid = weir_rd_u32(rd);
    char kind = (char)weir_rd_u8(rd);
    if (!weir_rd_ok(rd)) {
        return bad(err, "truncated row message");
    }
    if (out->kind == WEIR_PGO_INSERT) {
        return decode_new(rd, kind, a, out, err);
    }
    if (kind == 'K' || kind == 'O') {
        out->u.row.old_kind = kind;
        weir_rc rc = decode_tuple(rd, a, &out->u.row.old_row, err);
        if (rc != WEIR_OK || out->kind == WEIR_PGO_DELETE) {
            return rc;
        }
        kind = (char)weir_rd_u8(rd);
    } else if (out->kind == WEIR_PGO_DELETE) {
        return bad(err, "DELETE without an old row");
    }
    return decode_new(rd, kind, a, out, err);
}

static weir_rc decode_truncate(weir_rd *rd, weir_arena *a, weir_pgo *out, weir_error *err)
{
    uint32_t n = weir_rd_u32(rd);
    out->u.truncate.flags = weir_rd_u8(rd);
    if (!weir_rd_ok(rd) || n > weir_rd_left(rd) / sizeof(uint32_t)) {
        return bad(err, "TRUNCATE with a relation count that cannot be");
    }
    if (out->u.truncate.flags & ~TRUNCATE_FLAGS) {
        return bad(err, "TRUNCATE with unknown flags");
    }
    uint32_t *oids = WEIR_ARENA_ARRAY(a, uint32_t, n);
    if (!oids) {
        return too_large(err);
    }
    for (uint32_t i = 0; i < n; i++) {
        oids[i] = weir_rd_u32(rd);
    }
    out->u.truncate.n = n;
    out->u.truncate.oids = oids;
    return WEIR_OK;
}

static weir_rc decode_message(weir_rd *rd, weir_pgo *out, weir_error *err)
{
    uint8_t flags = weir_rd_u8(rd);
    if (flags & ~FLAG_TRANSACTIONAL) {
        return bad(err, "logical message with unknown flags");
    }
    out->u.message.transactional = flags == FLAG_TRANSACTIONAL;
    out->u.message.lsn = weir_rd_u64(rd);
    out->u.message.prefix = weir_rd_cstr(rd);
    out->u.message.content = weir_rd_bytes(rd, weir_rd_u32(rd));
    return WEIR_OK;
}

static weir_rc decode_body(weir_rd *rd, weir_arena *a, weir_pgo *out, weir_error *err)
{
    switch (out->kind) {
    case WEIR_PGO_BEGIN: return decode_begin(rd, out, err);
    case WEIR_PGO_COMMIT: return decode_commit(rd, out, err);
    case WEIR_PGO_ORIGIN:
        out->u.origin.lsn = weir_rd_u64(rd);
        out->u.origin.name = weir_rd_cstr(rd);
        return WEIR_OK;
    case WEIR_PGO_TYPE:
        out->u.type.oid = weir_rd_u32(rd);
        out->u.type.schema = weir_rd_cstr(rd);
        out->u.type.name = weir_rd_cstr(rd);
        return WEIR_OK;
    case WEIR_PGO_RELATION: return decode_relation(rd, a, &out->u.relation, err);
    case WEIR_PGO_INSERT:
    case WEIR_PGO_UPDATE:
    case WEIR_PGO_DELETE: return decode_row(rd, a, out, err);
    case WEIR_PGO_TRUNCATE: return decode_truncate(rd, a, out, err);
    case WEIR_PGO_MESSAGE: return decode_message(rd, out, err);
    default: return bad(err, "unknown message type");
    }
}

weir_rc weir_pgo_decode(weir_slice msg, weir_arena *a, weir_pgo *out, weir_error *err)
{
    weir_rd rd = weir_rd_of(msg);
    memset(out, 0, sizeof *out);
    char kind = (char)weir_rd_u8(&rd);
    if (!weir_rd_ok(&rd)) {
        return bad(err, "empty message");
    }
    if (kind == '\0' || !strchr("BCOYRIUDTM", kind)) {
        return bad(err, "unknown message type");
    }
    out->kind = (weir_pgo_kind)kind;
    weir_rc rc = decode_body(&rd, a, out, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (!weir_rd_ok(&rd)) {
        return bad(err, "truncated message");
    }
    return weir_rd_finish(&rd) ? WEIR_OK : bad(err, "bytes left over after the message");
}
