/* test_message.c - feed requests and replies: what is refused, by which name; truncation; unknown
 * keys. */
#include "libweir/codec/message.h"

#include <msgpack.h>

#include "tests/support/codec_check.h"
#include "tests/support/codec_samples.h"

static weir_rc decode(const codec_sample *s, weir_slice bytes)
{
    weir_arena *a = weir_arena_new(1 << 20);
    weir_feed_req req;
    weir_feed_reply reply;
    weir_error err;
    weir_rc rc = s->kind == SAMPLE_REQUEST ? weir_feed_req_decode(bytes, a, &req, &err)
                                           : weir_feed_reply_decode(bytes, a, &reply, &err);
    weir_arena_free(a);
    return rc;
}

static void each_message(void (*fn)(const codec_sample *s, weir_buf *b))
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < codec_samples_count; i++) {
        if (codec_samples[i].kind == SAMPLE_REQUEST || codec_samples[i].kind == SAMPLE_REPLY) {
            weir_buf_reset(&b);
            codec_samples[i].make(&b);
            fn(&codec_samples[i], &b);
        }
    }
    weir_buf_fini(&b);
}

static void cut_everywhere(const codec_sample *s, weir_buf *b)
{
    weir_rc bad = s->kind == SAMPLE_REQUEST ? WEIR_E_INPUT : WEIR_E_PROTO;
    for (size_t n = 0; n < b->n; n++) {
        weir_slice cut = exact_copy(weir_slice_of(b->p, n));
        assert_rc(bad, decode(s, cut));
        free((void *)(uintptr_t)cut.p);
    }
    assert_rc(WEIR_OK, decode(s, weir_buf_slice(b)));
    weir_buf_u8(b, 0);
    assert_rc(bad, decode(s, weir_buf_slice(b)));
}

static void mutate_everywhere(const codec_sample *s, weir_buf *b)
{
    weir_rc bad = s->kind == SAMPLE_REQUEST ? WEIR_E_INPUT : WEIR_E_PROTO;
    for (size_t at = 0; at < b->n; at++) {
        char keep = b->p[at];
        for (int v = 0; v < 256; v += 3) {
            b->p[at] = (char)(unsigned char)v;
            weir_rc rc = decode(s, weir_buf_slice(b));
            assert_true(rc == WEIR_OK || rc == bad);
        }
        b->p[at] = keep;
    }
}

static void test_truncation(void **state)
{
    (void)state;
    each_message(cut_everywhere);
}

static void test_mutation(void **state)
{
    (void)state;
    each_message(mutate_everywhere);
}

static int write_buf(void *buf, const char *p, size_t n)
{
    weir_buf_put(buf, p, n);
    return 0;
}

typedef struct pair {
    const char *key;
    char type; /* s text, u number, n nil, d deeply nested unknown value */
    const char *text;
    unsigned number;
} pair;

static weir_rc request(const pair *pairs, size_t n, weir_feed_req *out, weir_error *err)
{
    static weir_arena *a;
    static weir_buf b;
    msgpack_packer pk = {.data = &b, .callback = write_buf};
    weir_arena_free(a);
    weir_buf_fini(&b);
    a = weir_arena_new(1 << 20);
    weir_buf_init(&b, 1 << 20);
    msgpack_pack_map(&pk, n);
    for (size_t i = 0; i < n; i++) {
        msgpack_pack_str_with_body(&pk, pairs[i].key, strlen(pairs[i].key));
        switch (pairs[i].type) {
        case 's': msgpack_pack_str_with_body(&pk, pairs[i].text, strlen(pairs[i].text)); break;
        case 'u': msgpack_pack_unsigned_int(&pk, pairs[i].number); break;
        case 'n': msgpack_pack_nil(&pk); break;
        default:
            for (unsigned k = 0; k < pairs[i].number; k++) {
                msgpack_pack_array(&pk, 1);
            }
            msgpack_pack_double(&pk, 1.5);
            break;
        }
    }
    weir_rc rc = weir_feed_req_decode(weir_buf_slice(&b), a, out, err);
    if (rc != WEIR_OK) {
        weir_arena_free(a);
        weir_buf_fini(&b);
        a = NULL;
    }
    return rc;
}

static void refused(const pair *pairs, size_t n, const char *field)
{
    weir_feed_req req;
    weir_error err = {0};
    assert_rc(WEIR_E_INPUT, request(pairs, n, &req, &err));
    if (!strstr(err.msg, field)) {
        fail_msg("\"%s\" does not name %s", err.msg, field);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    char longest[WEIR_FEED_NAME_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    refused((pair[]){{"name", 's', "p", 0}}, 1, "op is missing");
    refused((pair[]){{"op", 's', "drop", 0}}, 1, "op must be");
    refused((pair[]){{"op", 's', "subscribe", 0}, {"start", 's', "now", 0}}, 2, "name is missing");
    refused((pair[]){{"op", 's', "subscribe", 0}, {"name", 's', "p", 0}}, 2, "start is missing");
    refused((pair[]){{"op", 's', "subscribe", 0}, {"name", 's', "p", 0}, {"start", 's', "soon", 0}},
            3, "start is");
    refused((pair[]){{"op", 's', "unsubscribe", 0}, {"name", 's', longest, 0}}, 2, "name must");
    refused((pair[]){{"op", 's', "unsubscribe", 0}, {"name", 's', "", 0}}, 2, "name must");
    refused((pair[]){{"op", 's', "unsubscribe", 0}, {"name", 'u', NULL, 4}}, 2, "name is");
    refused((pair[]){{"op", 's', "ack", 0}, {"name", 's', "p", 0}, {"position", 'u', NULL, 4}}, 3,
            "position is");
    refused((pair[]){{"op", 's', "fetch", 0}, {"name", 's', "p", 0}, {"wait_ms", 'u', NULL, 4}}, 3,
            "max_bytes is missing");
    refused((pair[]){{"op", 's', "list", 0}, {"op", 's', "list", 0}}, 2, "op is given twice");
    refused((pair[]){{"op", 's', "copy", 0}, {"copy_id", 's', "c", 0}, {"tables", 's', "t", 0}}, 3,
            "tables must");
}

static void test_unknown_keys_are_ignored(void **state)
{
    (void)state;
    weir_feed_req req;
    weir_error err;
    const pair pairs[] = {
        {"trace", 'd', NULL, 100000}, {"op", 's', "fetch", 0},         {"name", 's', "", 0},
        {"after", 'n', NULL, 0},      {"max_bytes", 'u', NULL, 65536}, {"wait_ms", 'u', NULL, 9}};
    assert_rc(WEIR_OK, request(pairs, 6, &req, &err));
    assert_int_equal(req.op, WEIR_FEED_FETCH);
    assert_false(req.has_after);
    assert_int_equal(req.max_bytes, 65536);
    assert_int_equal(req.known, 0);
}

static void test_reply_without_ok(void **state)
{
    (void)state;
    weir_arena *a = weir_arena_new(1 << 16);
    weir_feed_reply r;
    weir_error err;
    assert_rc(WEIR_E_PROTO, weir_feed_reply_decode(WEIR_SLICE_LIT("\x80"), a, &r, &err));
    weir_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncation),       cmocka_unit_test(test_mutation),
        cmocka_unit_test(test_refusals),         cmocka_unit_test(test_unknown_keys_are_ignored),
        cmocka_unit_test(test_reply_without_ok),
    };
    return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
