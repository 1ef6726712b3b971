/* test_tail.c - the tail of recent frames and fetches from it, against a naive list. */
#include "bridge/tail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bridge/fetch.h"
#include "libweir/base/xalloc.h"

static brg_frame *frame(uint64_t lsn, uint32_t sub, uint32_t part, bool last, size_t n)
{
    brg_frame *f = brg_frame_new(weir_xcalloc(1, n), n);
    f->at = (weir_cursor){lsn, sub};
    f->part = part;
    f->last = last;
    f->needs_sync = sub != WEIR_SUB_TX;
    f->end = sub == WEIR_SUB_TX ? (weir_cursor){lsn + 5, 0} : (weir_cursor){lsn, sub + 1};
    return f;
}

static void add(brg_tail *t, uint64_t lsn, uint32_t sub, uint32_t part, bool last, size_t n)
{
    brg_frame *f = frame(lsn, sub, part, last, n);
    brg_tail_add(t, f);
    brg_frame_unref(f);
}

/* What a frame of n bytes takes. */
static size_t cost(size_t n)
{
    brg_tail *t = brg_tail_new(1000, (weir_cursor){10, 0});
    add(t, 20, WEIR_SUB_TX, 0, true, n);
    size_t bytes = brg_tail_bytes(t);
    brg_tail_free(t);
    return bytes;
}

static size_t count_from(const brg_tail *t, uint64_t lsn, uint32_t sub, uint32_t part)
{
    size_t n = 0;
    for (size_t i = brg_tail_find(t, (weir_cursor){lsn, sub}, part); brg_tail_get(t, i); i++) {
        n++;
    }
    return n;
}

static void an_open_transaction_is_invisible(void **state)
{
    (void)state;
    brg_tail *t = brg_tail_new(1000, (weir_cursor){10, 0});
    add(t, 20, WEIR_SUB_TX, 0, true, 10);
    add(t, 30, WEIR_SUB_TX, 0, false, 10);
    add(t, 30, WEIR_SUB_TX, 1, false, 10);
    assert_int_equal(count_from(t, 10, 0, 0), 1);
    assert_int_equal(brg_tail_head(t).lsn, 25);
    brg_tail_drop_open(t); /* the connection was lost; it comes again */
    assert_int_equal(brg_tail_bytes(t), cost(10));
    add(t, 30, WEIR_SUB_TX, 0, false, 10);
    add(t, 30, WEIR_SUB_TX, 1, true, 10);
    assert_int_equal(count_from(t, 10, 0, 0), 3);
    assert_int_equal(count_from(t, 30, WEIR_SUB_TX, 1), 1);
    assert_int_equal(brg_tail_head(t).lsn, 35);
    brg_tail_move(t, (weir_cursor){90, 0});
    assert_int_equal(brg_tail_head(t).lsn, 90);
    brg_tail_free(t);
}

static void copied_rows_wait_for_the_sync_and_hold_back_what_follows(void **state)
{
    (void)state;
    brg_tail *t = brg_tail_new(1000, (weir_cursor){10, 0});
    add(t, 10, 0, 0, true, 10);
    add(t, 10, 1, 0, true, 10);
    add(t, 20, WEIR_SUB_TX, 0, true, 10);
    assert_int_equal(count_from(t, 10, 0, 0), 0);
    assert_int_equal(weir_cursor_cmp(brg_tail_head(t), (weir_cursor){10, 0}), 0);
    brg_tail_move(t, (weir_cursor){40, 0});
    assert_int_equal(brg_tail_head(t).lsn, 10);
    brg_tail_durable(t, (weir_cursor){10, 1});
    assert_int_equal(count_from(t, 10, 0, 0), 1);
    brg_tail_durable(t, (weir_cursor){10, 2});
    assert_int_equal(count_from(t, 10, 0, 0), 3);
    assert_int_equal(brg_tail_head(t).lsn, 40);
    brg_tail_free(t);
}

static void memory_is_bounded_and_from_moves_up(void **state)
{
    (void)state;
    const size_t max = 3 * cost(30) + 10;
    brg_tail *t = brg_tail_new(max, (weir_cursor){10, 0});
    assert_true(cost(30) >= sizeof(brg_frame) + 30); /* many small ones are not free */
    for (uint64_t i = 2; i < 2000; i++) {
        add(t, i * 10, WEIR_SUB_TX, 0, true, 30);
        assert_true(brg_tail_bytes(t) <= max);
        weir_cursor from = brg_tail_from(t);
        assert_true(count_from(t, from.lsn, from.sub, 0) <= 3);
    }
    assert_int_equal(count_from(t, brg_tail_from(t).lsn, 0, 0), 3);
    brg_tail_free(t);
}

/* Random fetch sizes, sizes of parts and trimming: what a reader in the tail sees is every frame
 * once, in order. */
static void a_reader_sees_everything_once(void **state)
{
    (void)state;
    brg_tail *t = brg_tail_new(1 << 20, (weir_cursor){0, 0});
    static brg_fetch f;
    weir_feed_pos at = {{0, 0}, 0};
    unsigned seed = 3;
    uint64_t made = 0;
    uint64_t seen = 0;
    for (uint64_t i = 1; i < 3000; i++) {
        seed = seed * 1103515245u + 12345u;
        uint32_t parts = (seed >> 16) % 4 + 1;
        for (uint32_t p = 0; p < parts; p++) {
            add(t, i * 10, WEIR_SUB_TX, p, p + 1 == parts, 8 + (seed >> 20) % 50);
            made++;
        }
        brg_fetch_init(&f, at, (seed >> 18) % 300);
        brg_fetch_tail(&f, t);
        seen += f.n;
        at = f.next;
        brg_fetch_release(&f);
    }
    for (size_t n = 1; n > 0;) {
        brg_fetch_init(&f, at, 1000);
        brg_fetch_tail(&f, t);
        n = f.n;
        seen += n;
        at = f.next;
        brg_fetch_release(&f);
    }
    assert_int_equal(seen, made);
    assert_int_equal(weir_cursor_cmp(at.at, brg_tail_head(t)), 0);
    brg_tail_free(t);
}

static void keys_order_as_cursors(void **state)
{
    (void)state;
    char a[BRG_KEY_BYTES];
    char b[BRG_KEY_BYTES];
    weir_cursor at;
    uint32_t part = 0;
    assert_true(brg_key_get(brg_key_put(a, (weir_cursor){0x123456789abcdef0, 7}, 9), &at, &part));
    assert_true(at.lsn == 0x123456789abcdef0 && at.sub == 7 && part == 9);
    (void)brg_key_put(a, (weir_cursor){256, 3}, 0);
    (void)brg_key_put(b, (weir_cursor){256, WEIR_SUB_TX}, 0);
    assert_true(memcmp(a, b, sizeof a) < 0);
    assert_false(brg_key_get((weir_slice){a, 15}, &at, &part));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_transaction_is_invisible),
        cmocka_unit_test(copied_rows_wait_for_the_sync_and_hold_back_what_follows),
        cmocka_unit_test(memory_is_bounded_and_from_moves_up),
        cmocka_unit_test(a_reader_sees_everything_once),
        cmocka_unit_test(keys_order_as_cursors),
    };
    return cmocka_run_group_tests_name("tail", tests, NULL, NULL);
}
