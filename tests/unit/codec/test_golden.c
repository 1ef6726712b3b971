/* test_golden.c - the bytes on disk and on the wire are a promise: tests/golden holds them.
 *
 * WEIR_GOLDEN_UPDATE=1 writes the files anew; say in the commit why they changed.
 */
#include "libweir/base/str.h"
#include "tests/support/codec_check.h"
#include "tests/support/codec_samples.h"

static void decode_again(const codec_sample *s, weir_slice bytes, weir_arena *a, weir_buf *out)
{
    weir_error err;
    if (s->kind == SAMPLE_FRAME) {
        weir_frame_head head;
        weir_frame_dec d;
        weir_ev ev[8];
        size_t n = 0;
        assert_rc(WEIR_OK, weir_frame_open(&d, bytes, &head, &err));
        while (d.left) {
            assert_rc(WEIR_OK, weir_frame_next(&d, a, &ev[n++], &err));
        }
        sample_encode_event(out, &head, ev, n);
    } else if (s->kind == SAMPLE_RELATION) {
        weir_relation rel;
        assert_rc(WEIR_OK, weir_relation_decode(bytes, a, &rel, &err));
        weir_relation_encode(out, &rel);
    } else if (s->kind == SAMPLE_REQUEST) {
        weir_feed_req req;
        assert_rc(WEIR_OK, weir_feed_req_decode(bytes, a, &req, &err));
        weir_feed_req_encode(out, &req);
    } else {
        weir_feed_reply r;
        assert_rc(WEIR_OK, weir_feed_reply_decode(bytes, a, &r, &err));
        weir_feed_reply_encode(out, s->op, &r);
    }
}

static void check_sample(const codec_sample *s)
{
    weir_arena *a = weir_arena_new(1 << 20);
    weir_error err = {0};
    weir_buf made, again;
    weir_slice golden = {NULL, 0};
    char *path = weir_arena_printf(a, "%s/tests/golden/%s.bin", WEIR_SOURCE_DIR, s->name);
    weir_buf_init(&made, 1 << 20);
    weir_buf_init(&again, 1 << 20);
    s->make(&made);
    const char *update = getenv("WEIR_GOLDEN_UPDATE");
    if (update && strcmp(update, "1") == 0) {
        assert_rc(WEIR_OK, weir_file_write(path, weir_buf_slice(&made), 0644, &err));
    }
    if (weir_file_read(path, 1 << 20, a, &golden, &err) != WEIR_OK || golden.n == 0) {
        fail_msg("%s is missing or empty; WEIR_GOLDEN_UPDATE=1 writes it", path);
    }
    if (!weir_slice_eq(golden, weir_buf_slice(&made))) {
        fail_msg("%s differs from what is encoded now", path);
    }
    decode_again(s, golden, a, &again);
    assert_slice(golden, weir_buf_slice(&again));
    weir_buf_fini(&made);
    weir_buf_fini(&again);
    weir_arena_free(a);
}

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < codec_samples_count; i++) {
        check_sample(&codec_samples[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
