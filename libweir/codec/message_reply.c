/* message_reply.c - replies of the feed endpoint; the maps are drawn in message.h. */
#include "libweir/codec/message_mp.h"

/* Pairs beside "ok". */
static size_t reply_fields(weir_feed_op op)
{
    switch (op) {
    case WEIR_FEED_SUBSCRIBE:
    case WEIR_FEED_FETCH: return 4;
    case WEIR_FEED_COPY: return 3;
    case WEIR_FEED_LIST:
    case WEIR_FEED_CRAWL:
    case WEIR_FEED_STATUS: return 1;
    default: return 0;
    }
}

static void put_subscribed(msgpack_packer *pk, const weir_feed_reply *r)
{
    weir_mp_put_key(pk, "position");
    weir_mp_put_cursor(pk, r->position);
    weir_mp_put_key(pk, "head");
    weir_mp_put_cursor(pk, r->head);
    weir_mp_put_key(pk, "complete");
    weir_mp_put_bool(pk, r->complete);
    weir_mp_put_key(pk, "system_id");
    weir_mp_put_str(pk, r->system_id);
}

static void put_bins(msgpack_packer *pk, const char *key, const weir_slice *v, size_t n)
{
    weir_mp_put_key(pk, key);
    (void)msgpack_pack_array(pk, n);
    for (size_t i = 0; i < n; i++) {
        weir_mp_put_bin(pk, v[i]);
    }
}

static void put_fetched(msgpack_packer *pk, const weir_feed_reply *r)
{
    put_bins(pk, "frames", r->frames, r->nframes);
    put_bins(pk, "relations", r->relations, r->nrelations);
    weir_mp_put_key(pk, "next");
    weir_mp_put_pos(pk, r->next);
    weir_mp_put_key(pk, "head");
    weir_mp_put_cursor(pk, r->head);
}

static void put_list(msgpack_packer *pk, const weir_feed_reply *r)
{
    weir_mp_put_key(pk, "subscribers");
    (void)msgpack_pack_array(pk, r->nsubs);
    for (size_t i = 0; i < r->nsubs; i++) {
        (void)msgpack_pack_map(pk, 4);
        weir_mp_put_key(pk, "name");
        weir_mp_put_str(pk, r->subs[i].name);
        weir_mp_put_key(pk, "position");
        weir_mp_put_cursor(pk, r->subs[i].position);
        weir_mp_put_key(pk, "state");
        weir_mp_put_str(pk, r->subs[i].state);
        weir_mp_put_key(pk, "lag_bytes");
        (void)msgpack_pack_uint64(pk, r->subs[i].lag_bytes);
    }
}

static void put_copy(msgpack_packer *pk, const weir_feed_reply *r)
{
    weir_mp_put_key(pk, "state");
    weir_mp_put_str(pk, r->state);
    weir_mp_put_key(pk, "rows");
    (void)msgpack_pack_uint64(pk, r->rows);
    weir_mp_put_key(pk, "tables_done");
    (void)msgpack_pack_uint64(pk, r->tables_done);
}

void weir_feed_reply_encode(weir_buf *out, weir_feed_op op, const weir_feed_reply *r)
{
    msgpack_packer pk = weir_mp_packer(out);
    (void)msgpack_pack_map(&pk, 1 + (r->ok ? reply_fields(op) : 2));
    weir_mp_put_key(&pk, "ok");
    weir_mp_put_bool(&pk, r->ok);
    if (!r->ok) {
        weir_mp_put_key(&pk, "code");
        weir_mp_put_str(&pk, r->code);
        weir_mp_put_key(&pk, "error");
        weir_mp_put_str(&pk, r->error);
        return;
    }
    switch (op) {
    case WEIR_FEED_SUBSCRIBE: put_subscribed(&pk, r); break;
    case WEIR_FEED_FETCH: put_fetched(&pk, r); break;
    case WEIR_FEED_LIST: put_list(&pk, r); break;
    case WEIR_FEED_COPY: put_copy(&pk, r); break;
    case WEIR_FEED_CRAWL:
    case WEIR_FEED_STATUS:
        weir_mp_put_key(&pk, "status");
        weir_mp_put_str(&pk, r->status);
        break;
    default: break;
    }
}

static weir_rc over_limit(weir_error *err)
{
    return weir_fail(err, WEIR_E_LIMIT, 0, "feed reply: over the memory limit");
}

static weir_rc get_bins(weir_mp *mp, weir_arena *a, weir_slice **v, size_t *n, weir_error *err)
{
    uint32_t count = weir_mp_array(mp);
    *v = WEIR_ARENA_ARRAY(a, weir_slice, count);
    if (!*v) {
        return over_limit(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        (*v)[i] = weir_mp_bin(mp);
    }
    *n = count;
    return WEIR_OK;
}

static void get_sub(weir_mp *mp, weir_feed_sub *sub)
{
    uint32_t pairs = weir_mp_map(mp);
    for (uint32_t i = 0; i < pairs && !mp->bad; i++) {
        weir_slice key = weir_mp_str(mp);
        if (weir_slice_eqz(key, "name")) {
            sub->name = weir_mp_str(mp);
        } else if (weir_slice_eqz(key, "position")) {
            sub->position = weir_mp_cursor(mp);
        } else if (weir_slice_eqz(key, "state")) {
            sub->state = weir_mp_str(mp);
        } else if (weir_slice_eqz(key, "lag_bytes")) {
            sub->lag_bytes = weir_mp_uint(mp);
        } else {
            weir_mp_skip(mp);
        }
    }
}

static weir_rc get_list(weir_mp *mp, weir_arena *a, weir_feed_reply *out, weir_error *err)
{
    uint32_t n = weir_mp_array(mp);
    out->subs = WEIR_ARENA_ARRAY(a, weir_feed_sub, n);
    if (!out->subs) {
        return over_limit(err);
    }
    for (uint32_t i = 0; i < n && !mp->bad; i++) {
        get_sub(mp, &out->subs[i]);
    }
    out->nsubs = n;
    return WEIR_OK;
}

/* The fields of one value each. false: key is none of them. */
static bool get_scalar(weir_mp *mp, weir_slice key, weir_feed_reply *out)
{
    if (weir_slice_eqz(key, "ok")) {
        out->ok = weir_mp_bool(mp);
    } else if (weir_slice_eqz(key, "code")) {
        out->code = weir_mp_str(mp);
    } else if (weir_slice_eqz(key, "error")) {
        out->error = weir_mp_str(mp);
    } else if (weir_slice_eqz(key, "next")) {
        out->next = weir_mp_pos(mp);
    } else if (weir_slice_eqz(key, "position")) {
        out->position = weir_mp_cursor(mp);
    } else if (weir_slice_eqz(key, "head")) {
        out->head = weir_mp_cursor(mp);
    } else if (weir_slice_eqz(key, "complete")) {
        out->complete = weir_mp_bool(mp);
    } else if (weir_slice_eqz(key, "system_id")) {
        out->system_id = weir_mp_str(mp);
    } else if (weir_slice_eqz(key, "state")) {
        out->state = weir_mp_str(mp);
    } else if (weir_slice_eqz(key, "rows")) {
        out->rows = weir_mp_uint(mp);
    } else if (weir_slice_eqz(key, "tables_done")) {
        out->tables_done = weir_mp_uint(mp);
    } else if (weir_slice_eqz(key, "status")) {
        out->status = weir_mp_str(mp);
    } else {
        return false;
    }
    return true;
}

static weir_rc get_field(weir_mp *mp, weir_slice key, weir_arena *a, weir_feed_reply *out,
                         weir_error *err)
{
    if (get_scalar(mp, key, out)) {
        return WEIR_OK;
    }
    if (weir_slice_eqz(key, "frames")) {
        return get_bins(mp, a, &out->frames, &out->nframes, err);
    }
    if (weir_slice_eqz(key, "relations")) {
        return get_bins(mp, a, &out->relations, &out->nrelations, err);
    }
    if (weir_slice_eqz(key, "subscribers")) {
        return get_list(mp, a, out, err);
    }
    weir_mp_skip(mp);
    return WEIR_OK;
}

weir_rc weir_feed_reply_decode(weir_slice s, weir_arena *a, weir_feed_reply *out, weir_error *err)
{
    weir_mp mp = weir_mp_of(s);
    bool has_ok = false;
    memset(out, 0, sizeof *out);
    uint32_t pairs = weir_mp_map(&mp);
    for (uint32_t i = 0; i < pairs && !mp.bad; i++) {
        weir_slice key = weir_mp_str(&mp);
        has_ok = has_ok || weir_slice_eqz(key, "ok");
        weir_rc rc = get_field(&mp, key, a, out, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    if (mp.bad || weir_mp_left(&mp)) {
        return weir_fail(err, WEIR_E_PROTO, 0, "feed reply: truncated or malformed");
    }
    return has_ok ? WEIR_OK : weir_fail(err, WEIR_E_PROTO, 0, "feed reply: no \"ok\" in it");
}
