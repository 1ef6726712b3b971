/* answer.c - answers of the NNG endpoints; the map is drawn in ask.h. */
#include "libweir/codec/ask.h"
#include "libweir/codec/mp.h"

typedef struct text_field {
    const char *name;
    size_t at;
} text_field;

static const text_field texts[] = {
    {"position", offsetof(weir_answer, position)},
    {"correlation_id", offsetof(weir_answer, correlation_id)},
    {"location", offsetof(weir_answer, location)},
    {"etag", offsetof(weir_answer, etag)},
    {"model_state", offsetof(weir_answer, model_state)},
};

enum { TEXTS = sizeof texts / sizeof texts[0] };

void weir_answer_encode(weir_buf *out, const weir_answer *r)
{
    msgpack_packer pk = weir_mp_packer(out);
    bool ok = weir_answer_ok(r);
    size_t n = 3 + (size_t)(r->retry_after_s >= 0) + (size_t)r->replayed;
    for (size_t i = 0; i < TEXTS; i++) {
        n += ((const weir_slice *)(const void *)((const char *)r + texts[i].at))->n > 0;
    }
    (void)msgpack_pack_map(&pk, n);
    weir_mp_put_key(&pk, "ok");
    weir_mp_put_bool(&pk, ok);
    weir_mp_put_key(&pk, "status");
    (void)msgpack_pack_int(&pk, r->status);
    weir_mp_put_key(&pk, ok ? "body" : "problem");
    weir_mp_put_str(&pk, r->body);
    for (size_t i = 0; i < TEXTS; i++) {
        weir_slice text = *(const weir_slice *)(const void *)((const char *)r + texts[i].at);
        if (text.n > 0) {
            weir_mp_put_key(&pk, texts[i].name);
            weir_mp_put_str(&pk, text);
        }
    }
    if (r->retry_after_s >= 0) {
        weir_mp_put_key(&pk, "retry_after_s");
        (void)msgpack_pack_int64(&pk, r->retry_after_s);
    }
    if (r->replayed) {
        weir_mp_put_key(&pk, "replayed");
        weir_mp_put_bool(&pk, true);
    }
}

static void get_field(weir_mp *mp, weir_slice name, weir_answer *out)
{
    for (size_t i = 0; i < TEXTS; i++) {
        if (weir_slice_eqz(name, texts[i].name)) {
            *(weir_slice *)(void *)((char *)out + texts[i].at) = weir_mp_str(mp);
            return;
        }
    }
    if (weir_slice_eqz(name, "status")) {
        out->status = (int)(weir_mp_u32(mp) & 0xffff);
    } else if (weir_slice_eqz(name, "body") || weir_slice_eqz(name, "problem")) {
        out->body = weir_mp_str(mp);
    } else if (weir_slice_eqz(name, "retry_after_s")) {
        out->retry_after_s = weir_mp_u32(mp);
    } else if (weir_slice_eqz(name, "replayed")) {
        out->replayed = weir_mp_bool(mp);
    } else {
        weir_mp_skip(mp);
    }
}

weir_rc weir_answer_decode(weir_slice s, weir_answer *out, weir_error *err)
{
    weir_mp mp = weir_mp_of(s);
    memset(out, 0, sizeof *out);
    out->retry_after_s = -1;
    uint32_t pairs = weir_mp_map(&mp);
    for (uint32_t i = 0; i < pairs && !mp.bad; i++) {
        get_field(&mp, weir_mp_str(&mp), out);
    }
    if (mp.bad || weir_mp_left(&mp) || out->status < 100) {
        return weir_fail(err, WEIR_E_PROTO, 0, "the answer is truncated or malformed");
    }
    return WEIR_OK;
}
