/* message.c - requests of the feed endpoint; the maps are drawn in message.h. */
#include "libweir/codec/message.h"

#include "libweir/codec/message_mp.h"

static const char *const op_names[] = {
    [WEIR_FEED_SUBSCRIBE] = "subscribe",
    [WEIR_FEED_FETCH] = "fetch",
    [WEIR_FEED_ACK] = "ack",
    [WEIR_FEED_UNSUBSCRIBE] = "unsubscribe",
    [WEIR_FEED_LIST] = "list",
    [WEIR_FEED_STATUS] = "status",
    [WEIR_FEED_COPY] = "copy",
    [WEIR_FEED_CRAWL] = "crawl",
};

static const char *const action_names[] = {
    [WEIR_CRAWL_START] = "start",   [WEIR_CRAWL_STATUS] = "status", [WEIR_CRAWL_PAUSE] = "pause",
    [WEIR_CRAWL_RESUME] = "resume", [WEIR_CRAWL_CANCEL] = "cancel",
};

/* Pairs beside "op". */
static size_t extra_fields(const weir_feed_req *req)
{
    switch (req->op) {
    case WEIR_FEED_CRAWL: return req->action == WEIR_CRAWL_START ? 8 : 1;
    case WEIR_FEED_SUBSCRIBE:
    case WEIR_FEED_ACK:
    case WEIR_FEED_COPY: return 2;
    case WEIR_FEED_FETCH: return 5;
    case WEIR_FEED_UNSUBSCRIBE: return 1;
    default: return 0;
    }
}

static void put_start(msgpack_packer *pk, const weir_feed_req *req)
{
    weir_mp_put_key(pk, "start");
    switch (req->start) {
    case WEIR_START_EARLIEST: weir_mp_put_key(pk, "earliest"); break;
    case WEIR_START_NOW: weir_mp_put_key(pk, "now"); break;
    case WEIR_START_AT: weir_mp_put_cursor(pk, req->after.at); break;
    }
}

static void put_fetch(msgpack_packer *pk, const weir_feed_req *req)
{
    weir_mp_put_key(pk, "after");
    if (req->has_after) {
        weir_mp_put_pos(pk, req->after);
    } else {
        (void)msgpack_pack_nil(pk);
    }
    weir_mp_put_key(pk, "max_bytes");
    (void)msgpack_pack_uint32(pk, req->max_bytes);
    weir_mp_put_key(pk, "wait_ms");
    (void)msgpack_pack_uint32(pk, req->wait_ms);
    weir_mp_put_key(pk, "known");
    (void)msgpack_pack_uint32(pk, req->known);
}

static void put_copy(msgpack_packer *pk, const weir_feed_req *req)
{
    weir_mp_put_key(pk, "copy_id");
    weir_mp_put_str(pk, req->copy_id);
    weir_mp_put_key(pk, "tables");
    (void)msgpack_pack_array(pk, req->ntables);
    for (size_t i = 0; i < req->ntables; i++) {
        (void)msgpack_pack_array(pk, 2);
        weir_mp_put_str(pk, req->tables[i].schema);
        weir_mp_put_str(pk, req->tables[i].name);
    }
}

static void put_crawl(msgpack_packer *pk, const weir_feed_req *req)
{
    weir_mp_put_key(pk, "action");
    weir_mp_put_key(pk, action_names[req->action]);
    if (req->action != WEIR_CRAWL_START) {
        return;
    }
    put_copy(pk, req);
    weir_mp_put_key(pk, "where");
    weir_mp_put_str(pk, req->where);
    weir_mp_put_key(pk, "rate");
    (void)msgpack_pack_uint64(pk, req->rate);
    weir_mp_put_key(pk, "parallel");
    (void)msgpack_pack_uint32(pk, req->parallel);
    weir_mp_put_key(pk, "chunk_ms");
    (void)msgpack_pack_uint32(pk, req->chunk_ms);
    weir_mp_put_key(pk, "load_percent");
    (void)msgpack_pack_uint32(pk, req->load_percent);
}

void weir_feed_req_encode(weir_buf *out, const weir_feed_req *req)
{
    msgpack_packer pk = weir_mp_packer(out);
    (void)msgpack_pack_map(&pk, 1 + extra_fields(req));
    weir_mp_put_key(&pk, "op");
    weir_mp_put_key(&pk, op_names[req->op]);
    if (req->op == WEIR_FEED_SUBSCRIBE || req->op == WEIR_FEED_FETCH || req->op == WEIR_FEED_ACK ||
        req->op == WEIR_FEED_UNSUBSCRIBE) {
        weir_mp_put_key(&pk, "name");
        weir_mp_put_str(&pk, req->name);
    }
    switch (req->op) {
    case WEIR_FEED_SUBSCRIBE: put_start(&pk, req); break;
    case WEIR_FEED_FETCH: put_fetch(&pk, req); break;
    case WEIR_FEED_ACK:
        weir_mp_put_key(&pk, "position");
        weir_mp_put_cursor(&pk, req->after.at);
        break;
    case WEIR_FEED_COPY: put_copy(&pk, req); break;
    case WEIR_FEED_CRAWL: put_crawl(&pk, req); break;
    default: break;
    }
}

/* What a request said, before it is known which fields its op needs. */
typedef enum req_field {
    F_OP,
    F_NAME,
    F_START,
    F_AFTER,
    F_MAX_BYTES,
    F_WAIT_MS,
    F_KNOWN,
    F_POSITION,
    F_COPY_ID,
    F_TABLES,
    F_ACTION,
    F_WHERE,
    F_RATE,
    F_PARALLEL,
    F_CHUNK_MS,
    F_LOAD,
    F_COUNT
} req_field;

static const char *const field_names[F_COUNT] = {
    [F_OP] = "op",
    [F_NAME] = "name",
    [F_START] = "start",
    [F_AFTER] = "after",
    [F_MAX_BYTES] = "max_bytes",
    [F_WAIT_MS] = "wait_ms",
    [F_KNOWN] = "known",
    [F_POSITION] = "position",
    [F_COPY_ID] = "copy_id",
    [F_TABLES] = "tables",
    [F_ACTION] = "action",
    [F_WHERE] = "where",
    [F_RATE] = "rate",
    [F_PARALLEL] = "parallel",
    [F_CHUNK_MS] = "chunk_ms",
    [F_LOAD] = "load_percent",
};

#define BIT(f) (1U << (f))

static const unsigned required[] = {
    [WEIR_FEED_SUBSCRIBE] = BIT(F_NAME) | BIT(F_START),
    [WEIR_FEED_FETCH] = BIT(F_NAME) | BIT(F_MAX_BYTES) | BIT(F_WAIT_MS),
    [WEIR_FEED_ACK] = BIT(F_NAME) | BIT(F_POSITION),
    [WEIR_FEED_UNSUBSCRIBE] = BIT(F_NAME),
    [WEIR_FEED_LIST] = 0,
    [WEIR_FEED_STATUS] = 0,
    [WEIR_FEED_COPY] = BIT(F_COPY_ID) | BIT(F_TABLES),
    [WEIR_FEED_CRAWL] = BIT(F_ACTION),
};

static weir_rc refuse(weir_error *err, const char *field, const char *why)
{
    return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT, "feed request: %s %s", field, why);
}

static weir_rc get_op(weir_mp *mp, weir_feed_req *out, weir_error *err)
{
    weir_slice s = weir_mp_str(mp);
    for (size_t i = WEIR_FEED_SUBSCRIBE; !mp->bad && i <= WEIR_FEED_CRAWL; i++) {
        if (weir_slice_eqz(s, op_names[i])) {
            out->op = (weir_feed_op)i;
            return WEIR_OK;
        }
    }
    return refuse(err, "op",
                  "must be subscribe, fetch, ack, unsubscribe, list, status, copy or crawl");
}

static weir_rc get_action(weir_mp *mp, weir_feed_req *out, weir_error *err)
{
    weir_slice s = weir_mp_str(mp);
    for (size_t i = 0; !mp->bad && i < sizeof action_names / sizeof action_names[0]; i++) {
        if (weir_slice_eqz(s, action_names[i])) {
            out->action = (weir_feed_action)i;
            return WEIR_OK;
        }
    }
    return refuse(err, "action", "must be start, status, pause, resume or cancel");
}

static void get_start(weir_mp *mp, weir_feed_req *out)
{
    unsigned lead = weir_mp_peek(mp);
    if ((lead >= 0x90 && lead <= 0x9f) || lead == 0xdc || lead == WEIR_MP_ARRAY32) {
        out->after = (weir_feed_pos){.at = weir_mp_cursor(mp)};
        out->start = WEIR_START_AT;
        return;
    }
    weir_slice s = weir_mp_str(mp);
    out->start = weir_slice_eqz(s, "now") ? WEIR_START_NOW : WEIR_START_EARLIEST;
    if (out->start == WEIR_START_EARLIEST && !weir_slice_eqz(s, "earliest")) {
        mp->bad = true;
    }
}

static weir_rc get_tables(weir_mp *mp, weir_arena *a, weir_feed_req *out, weir_error *err)
{
    uint32_t n = weir_mp_array(mp);
    if (mp->bad || n > WEIR_FEED_TABLES_MAX) {
        return refuse(err, "tables", "must be an array of at most 10000 [schema, name] pairs");
    }
    out->tables = WEIR_ARENA_ARRAY(a, weir_feed_table, n);
    if (!out->tables) {
        return weir_fail(err, WEIR_E_LIMIT, WEIR_EF_CLIENT, "feed request: over the memory limit");
    }
    for (uint32_t i = 0; i < n; i++) {
        if (weir_mp_array(mp) != 2) {
            mp->bad = true;
        }
        out->tables[i].schema = weir_mp_str(mp);
        out->tables[i].name = weir_mp_str(mp);
        if (mp->bad || out->tables[i].name.n == 0) {
            return refuse(err, "tables", "must be an array of [schema, name] pairs");
        }
    }
    out->ntables = n;
    return WEIR_OK;
}

static weir_rc get_field(weir_mp *mp, req_field f, weir_arena *a, weir_feed_req *out,
                         weir_error *err)
{
    switch (f) {
    case F_OP: return get_op(mp, out, err);
    case F_NAME: out->name = weir_mp_str(mp); break;
    case F_START: get_start(mp, out); break;
    case F_AFTER:
        out->has_after = !weir_mp_nil(mp);
        if (out->has_after) {
            out->after = weir_mp_pos(mp);
        }
        break;
    case F_MAX_BYTES: out->max_bytes = weir_mp_u32(mp); break;
    case F_WAIT_MS: out->wait_ms = weir_mp_u32(mp); break;
    case F_KNOWN: out->known = weir_mp_u32(mp); break;
    case F_POSITION: out->after = (weir_feed_pos){.at = weir_mp_cursor(mp)}; break;
    case F_COPY_ID: out->copy_id = weir_mp_str(mp); break;
    case F_ACTION: return get_action(mp, out, err);
    case F_WHERE: out->where = weir_mp_str(mp); break;
    case F_RATE: out->rate = weir_mp_uint(mp); break;
    case F_PARALLEL: out->parallel = weir_mp_u32(mp); break;
    case F_CHUNK_MS: out->chunk_ms = weir_mp_u32(mp); break;
    case F_LOAD: out->load_percent = weir_mp_u32(mp); break;
    default: return get_tables(mp, a, out, err);
    }
    return mp->bad ? refuse(err, field_names[f], "is malformed or of the wrong type") : WEIR_OK;
}

static req_field field_of(weir_slice key)
{
    for (size_t f = 0; f < F_COUNT; f++) {
        if (weir_slice_eqz(key, field_names[f])) {
            return (req_field)f;
        }
    }
    return F_COUNT;
}

/* What a start needs beside its action, and its bounds. */
static weir_rc check_start(const weir_feed_req *out, unsigned seen, weir_error *err)
{
    static const unsigned needs = BIT(F_COPY_ID) | BIT(F_TABLES) | BIT(F_WHERE) | BIT(F_RATE) |
                                  BIT(F_PARALLEL) | BIT(F_CHUNK_MS) | BIT(F_LOAD);
    for (size_t f = 0; f < F_COUNT; f++) {
        if (needs & ~seen & BIT(f)) {
            return refuse(err, field_names[f], "is missing");
        }
    }
    if (out->where.n > WEIR_CRAWL_WHERE_MAX) {
        return refuse(err, "where", "has more than 10000 bytes");
    }
    if (out->parallel < 1 || out->parallel > WEIR_CRAWL_PARALLEL_MAX) {
        return refuse(err, "parallel", "must be 1 to 8");
    }
    if (out->chunk_ms < 1 || out->chunk_ms > WEIR_CRAWL_CHUNK_MS_MAX) {
        return refuse(err, "chunk_ms", "must be 1 to 60000");
    }
    if (out->load_percent < 1 || out->load_percent > 100) {
        return refuse(err, "load_percent", "must be 1 to 100");
    }
    return WEIR_OK;
}

static weir_rc check_fields(weir_feed_req *out, unsigned seen, weir_error *err)
{
    if (!(seen & BIT(F_OP))) {
        return refuse(err, "op", "is missing");
    }
    unsigned missing = required[out->op] & ~seen;
    for (size_t f = 0; f < F_COUNT; f++) {
        if (missing & BIT(f)) {
            return refuse(err, field_names[f], "is missing");
        }
    }
    bool anonymous = out->op == WEIR_FEED_FETCH;
    if (out->name.n > WEIR_FEED_NAME_MAX ||
        ((required[out->op] & BIT(F_NAME)) && out->name.n == 0 && !anonymous)) {
        return refuse(err, "name", "must have 1 to 100 bytes");
    }
    bool start = out->op == WEIR_FEED_CRAWL && out->action == WEIR_CRAWL_START;
    weir_rc rc = start ? check_start(out, seen, err) : WEIR_OK;
    if (rc != WEIR_OK) {
        return rc;
    }
    if ((out->op == WEIR_FEED_COPY || start) &&
        (out->copy_id.n == 0 || out->copy_id.n > WEIR_FEED_NAME_MAX)) {
        return refuse(err, "copy_id", "must have 1 to 100 bytes");
    }
    if (out->op == WEIR_FEED_ACK ||
        (out->op == WEIR_FEED_SUBSCRIBE && out->start == WEIR_START_AT)) {
        out->has_after = true;
    }
    return WEIR_OK;
}

weir_rc weir_feed_req_decode(weir_slice s, weir_arena *a, weir_feed_req *out, weir_error *err)
{
    weir_mp mp = weir_mp_of(s);
    unsigned seen = 0;
    memset(out, 0, sizeof *out);
    uint32_t pairs = weir_mp_map(&mp);
    for (uint32_t i = 0; i < pairs && !mp.bad; i++) {
        req_field f = field_of(weir_mp_str(&mp));
        if (mp.bad || f == F_COUNT) {
            weir_mp_skip(&mp);
            continue;
        }
        if (seen & BIT(f)) {
            return refuse(err, field_names[f], "is given twice");
        }
        seen |= BIT(f);
        weir_rc rc = get_field(&mp, f, a, out, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    if (mp.bad || weir_mp_left(&mp)) {
        return refuse(err, "body", "is not one msgpack map with text keys");
    }
    return check_fields(out, seen, err);
}
