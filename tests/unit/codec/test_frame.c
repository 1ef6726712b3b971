/* test_frame.c - frames and relation descriptions: random round trips, truncation, hostile counts.
 */
#include "libweir/codec/frame.h"

#include "libweir/base/buf.h"
#include "tests/support/codec_check.h"
#include "tests/support/codec_samples.h"

static weir_tuple rnd_row(uint64_t *s, weir_arena *a, uint16_t min)
{
    weir_tuple t = {.n = (uint16_t)(min + rnd(s) % 20)};
    t.v = WEIR_ARENA_ARRAY(a, weir_val, t.n);
    for (uint16_t i = 0; i < t.n; i++) {
        t.v[i].kind = (weir_val_kind)(rnd(s) % 3);
        if (t.v[i].kind == WEIR_VAL_TEXT) {
            t.v[i].text = rnd_bytes(s, a, rnd(s) % 10 ? 40 : 70000);
        }
    }
    return t;
}

static void rnd_change(uint64_t *s, weir_arena *a, weir_ev *ev)
{
    ev->rel = (uint32_t)rnd(s) >> rnd(s) % 32;
    if (ev->kind == WEIR_EV_UPDATE || ev->kind == WEIR_EV_DELETE) {
        ev->old_kind = (weir_old_kind)(ev->kind == WEIR_EV_DELETE ? 1 + rnd(s) % 2 : rnd(s) % 3);
        if (ev->old_kind) {
            ev->old_row = rnd_row(s, a, 0);
        }
    }
    if (ev->kind != WEIR_EV_DELETE) {
        ev->new_row = rnd_row(s, a, 0);
    }
}

static void rnd_other(uint64_t *s, weir_arena *a, weir_ev *ev)
{
    switch (ev->kind) {
    case WEIR_EV_TRUNCATE: {
        uint32_t *rels;
        ev->flags = (uint8_t)(rnd(s) % 4);
        ev->nrels = (uint32_t)(rnd(s) % 50);
        rels = WEIR_ARENA_ARRAY(a, uint32_t, ev->nrels);
        for (uint32_t i = 0; i < ev->nrels; i++) {
            rels[i] = (uint32_t)rnd(s);
        }
        ev->rels = rels;
        break;
    }
    case WEIR_EV_RANGE:
        ev->rel = (uint32_t)rnd(s);
        ev->copy_id = rnd_bytes(s, a, 40);
        ev->old_row = rnd(s) % 2 ? rnd_row(s, a, 1) : (weir_tuple){0, NULL};
        ev->new_row = rnd(s) % 2 ? rnd_row(s, a, 1) : (weir_tuple){0, NULL};
        break;
    case WEIR_EV_MESSAGE:
        ev->transactional = rnd(s) % 2;
        ev->lsn = rnd(s) >> rnd(s) % 64;
        break;
    case WEIR_EV_ORIGIN:
        ev->lsn = rnd(s);
        ev->a = rnd_bytes(s, a, 40);
        return;
    case WEIR_EV_TYPE: ev->oid = (uint32_t)rnd(s); break;
    default:
        ev->rel = (uint32_t)rnd(s);
        ev->copy_id = rnd_bytes(s, a, 40);
        break;
    }
    if (ev->kind != WEIR_EV_TRUNCATE && ev->kind != WEIR_EV_RANGE) {
        ev->a = rnd_bytes(s, a, 40);
        ev->b = rnd_bytes(s, a, 300);
    }
}

static weir_ev rnd_event(uint64_t *s, weir_arena *a)
{
    weir_ev ev = {.kind = (weir_ev_kind)(1 + rnd(s) % WEIR_EV_COPIED)};
    if (ev.kind <= WEIR_EV_DELETE || ev.kind == WEIR_EV_READ) {
        rnd_change(s, a, &ev);
    } else {
        rnd_other(s, a, &ev);
    }
    return ev;
}

static void same_row(const weir_tuple *x, const weir_tuple *y)
{
    assert_int_equal(x->n, y->n);
    for (uint16_t i = 0; i < x->n; i++) {
        assert_int_equal(x->v[i].kind, y->v[i].kind);
        assert_slice(x->v[i].text, y->v[i].text);
    }
}

static void same_event(const weir_ev *x, const weir_ev *y)
{
    assert_int_equal(x->kind, y->kind);
    assert_int_equal(x->rel, y->rel);
    assert_int_equal(x->old_kind, y->old_kind);
    same_row(&x->old_row, &y->old_row);
    same_row(&x->new_row, &y->new_row);
    assert_int_equal(x->flags, y->flags);
    assert_int_equal(x->nrels, y->nrels);
    for (uint32_t i = 0; i < x->nrels; i++) {
        assert_int_equal(x->rels[i], y->rels[i]);
    }
    assert_int_equal(x->transactional, y->transactional);
    assert_true(x->lsn == y->lsn && x->oid == y->oid);
    assert_slice(x->a, y->a);
    assert_slice(x->b, y->b);
    assert_slice(x->copy_id, y->copy_id);
}

static void round_trip(uint64_t *s)
{
    weir_arena *a = weir_arena_new(0);
    weir_buf b;
    weir_error err;
    weir_frame_head got, head = {.kind = (weir_frame_kind)(1 + rnd(s) % 3),
                                 .last = rnd(s) % 2,
                                 .part = (uint32_t)rnd(s),
                                 .xid = (uint32_t)rnd(s),
                                 .commit_lsn = rnd(s),
                                 .commit_us = (int64_t)rnd(s)};
    head.end_lsn = head.last ? rnd(s) : 0;
    weir_ev ev[30];
    size_t n = rnd(s) % 30;
    for (size_t i = 0; i < n; i++) {
        ev[i] = rnd_event(s, a);
    }
    weir_buf_init(&b, SIZE_MAX);
    weir_buf_putz(&b, "before"); /* the header is patched relative to where the frame starts */
    sample_encode_event(&b, &head, ev, n);
    assert_false(b.failed);
    weir_slice exact = exact_copy(weir_slice_of(b.p + 6, b.n - 6));
    weir_frame_dec d;
    assert_rc(WEIR_OK, weir_frame_open(&d, exact, &got, &err));
    assert_int_equal(got.kind, head.kind);
    assert_true(got.last == head.last && got.part == head.part && got.xid == head.xid);
    assert_true(got.commit_lsn == head.commit_lsn && got.end_lsn == head.end_lsn);
    assert_true(got.commit_us == head.commit_us);
    for (size_t i = 0; i < n; i++) {
        weir_ev e;
        assert_rc(WEIR_OK, weir_frame_next(&d, a, &e, &err));
        same_event(&ev[i], &e);
    }
    weir_ev e;
    assert_rc(WEIR_E_EOF, weir_frame_next(&d, a, &e, &err));
    free((void *)(uintptr_t)exact.p);
    weir_buf_fini(&b);
    weir_arena_free(a);
}

static void test_round_trips(void **state)
{
    (void)state;
    uint64_t s = test_seed();
    for (int i = 0; i < 300; i++) {
        round_trip(&s);
    }
}

/* All events of a frame; the first thing that is not OK. */
static weir_rc walk(weir_slice s)
{
    weir_arena *a = weir_arena_new(1 << 20);
    weir_frame_head head;
    weir_frame_dec d;
    weir_error err;
    weir_ev ev;
    weir_rc rc = weir_frame_open(&d, s, &head, &err);
    while (rc == WEIR_OK) {
        rc = weir_frame_next(&d, a, &ev, &err);
    }
    weir_arena_free(a);
    return rc;
}

static void test_truncation(void **state)
{
    (void)state;
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < codec_samples_count; i++) {
        if (codec_samples[i].kind != SAMPLE_FRAME) {
            continue;
        }
        weir_buf_reset(&b);
        codec_samples[i].make(&b);
        for (size_t n = 0; n < b.n; n++) {
            weir_slice cut = exact_copy(weir_slice_of(b.p, n));
            assert_rc(WEIR_E_PROTO, walk(cut));
            free((void *)(uintptr_t)cut.p);
        }
        assert_rc(WEIR_E_EOF, walk(weir_buf_slice(&b)));
        weir_buf_u8(&b, 0xc0);
        assert_rc(WEIR_E_PROTO, walk(weir_buf_slice(&b)));
    }
    weir_buf_fini(&b);
}

/* Every single byte changed to every value: never a crash, never an endless loop. */
static void test_mutation(void **state)
{
    (void)state;
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < codec_samples_count; i++) {
        if (codec_samples[i].kind != SAMPLE_FRAME) {
            continue;
        }
        weir_buf_reset(&b);
        codec_samples[i].make(&b);
        for (size_t at = 0; at < b.n; at++) {
            char keep = b.p[at];
            for (int v = 0; v < 256; v += 3) {
                b.p[at] = (char)(unsigned char)v;
                weir_rc rc = walk(weir_buf_slice(&b));
                assert_true(rc == WEIR_E_EOF || rc == WEIR_E_PROTO);
            }
            b.p[at] = keep;
        }
    }
    weir_buf_fini(&b);
}

static void test_hostile_counts(void **state)
{
    (void)state;
    weir_buf b;
    weir_frame_enc e;
    weir_buf_init(&b, 1 << 20);
    weir_frame_begin(&e, &b, &(weir_frame_head){.kind = WEIR_FRAME_TX});
    weir_frame_finish(&e, true, 1);
    memset(b.p + b.n - 4, 0xff, 4); /* four thousand million events in no bytes */
    assert_rc(WEIR_E_PROTO, walk(weir_buf_slice(&b)));
    static const char row[] = "\x93\x01\x07\xdd\xff\xff\xff\xff";
    static const char wide[] = "\x93\x01\x07\xdc\x06\x81"; /* 1665 columns */
    static const char rels[] = "\x93\x04\x00\xdd\x7f\xff\xff\xff";
    const weir_slice bad[] = {WEIR_SLICE_LIT(row), WEIR_SLICE_LIT(wide), WEIR_SLICE_LIT(rels)};
    for (size_t i = 0; i < 3; i++) {
        weir_buf_reset(&b);
        weir_frame_begin(&e, &b, &(weir_frame_head){.kind = WEIR_FRAME_TX});
        e.events = 1;
        weir_buf_puts(&b, bad[i]);
        for (int k = 0; k < 2000; k++) {
            weir_buf_u8(&b, 0xc0);
        }
        weir_frame_finish(&e, true, 1);
        assert_rc(WEIR_E_PROTO, walk(weir_buf_slice(&b)));
    }
    weir_buf_fini(&b);
}

static void test_encoder_ceiling(void **state)
{
    (void)state;
    weir_buf b;
    weir_frame_enc e;
    weir_buf_init(&b, 20);
    weir_frame_begin(&e, &b, &(weir_frame_head){.kind = WEIR_FRAME_TX});
    weir_frame_finish(&e, true, 1);
    assert_true(b.failed);
    weir_buf_fini(&b);
}

static void test_relation(void **state)
{
    (void)state;
    weir_arena *a = weir_arena_new(1 << 20);
    weir_error err;
    weir_relation got;
    weir_buf b;
    weir_column cols[] = {{WEIR_SLICE_LIT("id"), 20, -1, true},
                          {WEIR_SLICE_LIT("n"), 1700, 655366, false}};
    weir_relation rel = {.version = 70000,
                         .oid = 16385,
                         .schema = WEIR_SLICE_LIT("s"),
                         .name = WEIR_SLICE_LIT("t"),
                         .identity = 'f',
                         .n = 2,
                         .cols = cols};
    weir_buf_init(&b, 1 << 20);
    weir_relation_encode(&b, &rel);
    for (size_t n = 0; n < b.n; n++) {
        weir_slice cut = exact_copy(weir_slice_of(b.p, n));
        assert_rc(WEIR_E_PROTO, weir_relation_decode(cut, a, &got, &err));
        free((void *)(uintptr_t)cut.p);
    }
    assert_rc(WEIR_OK, weir_relation_decode(weir_buf_slice(&b), a, &got, &err));
    assert_int_equal(got.version, 70000);
    assert_int_equal(got.identity, 'f');
    assert_int_equal(got.n, 2);
    assert_int_equal(got.cols[0].typmod, -1);
    assert_int_equal(got.cols[1].typmod, 655366);
    assert_true(got.cols[0].key && !got.cols[1].key);
    assert_slice(WEIR_SLICE_LIT("n"), got.cols[1].name);
    weir_buf_u8(&b, 0);
    assert_rc(WEIR_E_PROTO, weir_relation_decode(weir_buf_slice(&b), a, &got, &err));
    weir_buf_fini(&b);
    weir_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),     cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_mutation),        cmocka_unit_test(test_hostile_counts),
        cmocka_unit_test(test_encoder_ceiling), cmocka_unit_test(test_relation),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
