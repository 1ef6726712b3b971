/* test_window.c - the merge of a chunk with the stream, against a model that applies events in
 * order. */
#include "bridge/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static weir_column cols[] = {{WEIR_SLICE_LIT("id"), 23, -1, true},
                             {WEIR_SLICE_LIT("n"), 23, -1, false},
                             {WEIR_SLICE_LIT("big"), 25, -1, false}};
static weir_relation rel = {.oid = 100,
                            .schema = WEIR_SLICE_LIT("public"),
                            .name = WEIR_SLICE_LIT("a"),
                            .identity = 'd',
                            .n = 3,
                            .cols = cols};
static const uint16_t key0[] = {0};

static weir_val val(const char *z)
{
    if (!z) {
        return (weir_val){WEIR_VAL_NULL, {NULL, 0}};
    }
    if (strcmp(z, "~") == 0) {
        return (weir_val){WEIR_VAL_UNCHANGED, {NULL, 0}};
    }
    return (weir_val){WEIR_VAL_TEXT, weir_slice_z(z)};
}

typedef struct row3 {
    weir_val v[3];
} row3;

static weir_tuple row(row3 *r, const char *id, const char *n, const char *big)
{
    r->v[0] = val(id);
    r->v[1] = val(n);
    r->v[2] = val(big);
    return (weir_tuple){3, r->v};
}

static void note(brg_window *w, weir_ev_kind kind, const char *old_id, const char *id,
                 const char *n, const char *big)
{
    row3 a;
    row3 b;
    weir_ev ev = {.kind = kind};
    if (old_id) {
        ev.old_kind = WEIR_OLD_KEY;
        ev.old_row = row(&a, old_id, NULL, NULL);
    }
    if (id) {
        ev.new_row = row(&b, id, n, big);
    }
    brg_window_note(w, &ev);
}

static weir_snapshot snap(const char *text)
{
    static uint64_t storage[16];
    weir_snapshot s;
    assert_true(weir_snapshot_parse(weir_slice_z(text), storage, 16, &s));
    return s;
}

static brg_recent *recent;

static brg_window *opened(void)
{
    recent = brg_recent_new(16);
    brg_recent_settled(recent, 0);
    brg_window *w = brg_window_new(1 << 20, recent);
    brg_window_watch(w, rel.oid, key0, 1);
    brg_window_open(w);
    return w;
}

static void closed(brg_window *w)
{
    brg_window_free(w);
    brg_recent_free(recent);
}

static void begin(brg_window *w, uint32_t xid)
{
    brg_recent_add(recent, xid);
    brg_window_begin(w, xid);
}

static void assert_merge(brg_window *w, const weir_snapshot *s, const char *id, brg_merge want,
                         const char *n, const char *big)
{
    row3 r;
    weir_tuple t = row(&r, id, "chunk", "chunk");
    assert_int_equal(brg_window_merge(w, s, &t), want);
    if (n) {
        assert_true(weir_slice_eqz(t.v[1].text, n));
        assert_true(weir_slice_eqz(t.v[2].text, big));
    }
}

static void events_the_snapshot_does_not_see_win(void **state)
{
    (void)state;
    brg_window *w = opened();
    begin(w, 10);
    note(w, WEIR_EV_UPDATE, NULL, "1", "10", "~");
    note(w, WEIR_EV_UPDATE, NULL, "2", "10", "b10");
    begin(w, 12);
    note(w, WEIR_EV_UPDATE, NULL, "1", "12", "~");
    note(w, WEIR_EV_DELETE, "3", NULL, NULL, NULL);
    note(w, WEIR_EV_DELETE, "4", NULL, NULL, NULL);
    note(w, WEIR_EV_INSERT, NULL, "4", "12", "new");
    note(w, WEIR_EV_UPDATE, NULL, "4", "13", "~");
    weir_snapshot s = snap("11:13:12");
    assert_null(brg_window_redo(w, &s, &rel));
    assert_merge(w, &s, "1", BRG_ROW_MERGED, "12", "chunk"); /* TOAST gap filled from the chunk */
    assert_merge(w, &s, "2", BRG_ROW_AS_READ, "chunk", "chunk");
    assert_merge(w, &s, "3", BRG_ROW_GONE, NULL, NULL);
    assert_merge(w, &s, "4", BRG_ROW_MERGED, "13", "new");
    assert_merge(w, &s, "5", BRG_ROW_AS_READ, "chunk", "chunk");
    closed(w);
}

static void a_key_that_moves_with_unsent_columns_is_read_again(void **state)
{
    (void)state;
    brg_window *w = opened();
    weir_arena *a = weir_arena_new(0);
    weir_tuple *keys = NULL;
    bool overflow = true;
    begin(w, 10);
    note(w, WEIR_EV_INSERT, NULL, "1", "1", "known");
    note(w, WEIR_EV_UPDATE, "1", "2", "2", "~"); /* known in the window: no gap */
    note(w, WEIR_EV_UPDATE, "8", "9", "2", "~");
    weir_snapshot s = snap("5:6:");
    assert_merge(w, &s, "1", BRG_ROW_GONE, NULL, NULL);
    assert_merge(w, &s, "2", BRG_ROW_MERGED, "2", "known");
    assert_merge(w, &s, "8", BRG_ROW_GONE, NULL, NULL);
    assert_int_equal(brg_window_take_moved(w, a, &keys, &overflow), 1);
    assert_false(overflow);
    assert_true(weir_slice_eqz(keys[0].v[0].text, "9"));
    assert_int_equal(brg_window_take_moved(w, a, &keys, &overflow), 0);
    brg_window_open(w); /* the next window forgets keys, not who moves */
    note(w, WEIR_EV_UPDATE, "9", "10", "2", "~");
    brg_window_open(w);
    assert_int_equal(brg_window_take_moved(w, a, &keys, &overflow), 1);
    brg_window_broken(w); /* nor does a window that is of no use any more */
    note(w, WEIR_EV_UPDATE, "10", "11", "2", "~");
    assert_int_equal(brg_window_take_moved(w, a, &keys, &overflow), 1);
    weir_arena_free(a);
    closed(w);
}

static void reasons_to_read_again(void **state)
{
    (void)state;
    brg_window *w = opened();
    weir_snapshot s = snap("20:25:21");
    begin(w, 21);
    assert_null(brg_window_redo(w, &s, &rel));
    brg_window_open(w); /* 21 was delivered before this window, and S does not see it */
    assert_non_null(brg_window_redo(w, &s, &rel));
    weir_snapshot later = snap("30:30:");
    assert_null(brg_window_redo(w, &later, &rel));
    brg_window_relation(w, &rel);
    assert_null(brg_window_redo(w, &later, &rel));
    weir_relation other = rel;
    other.n = 2;
    brg_window_relation(w, &other);
    assert_non_null(brg_window_redo(w, &later, &rel));
    brg_window_open(w);
    assert_null(brg_window_redo(w, &later, &rel));
    brg_window_truncated(w);
    assert_non_null(brg_window_redo(w, &later, &rel));
    brg_window_open(w);
    brg_window_broken(w);
    assert_non_null(brg_window_redo(w, &later, &rel));
    brg_window_open(w);
    for (int i = 0; i < 20000 && !brg_window_redo(w, &later, &rel); i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%d", i);
        note(w, WEIR_EV_INSERT, NULL, id, "1", "x");
    }
    assert_non_null(brg_window_redo(w, &later, &rel)); /* memory is bounded */
    closed(w);
}

static void xids_wrap(void **state)
{
    (void)state;
    brg_window *w = opened();
    begin(w, 4294967290u);
    note(w, WEIR_EV_UPDATE, NULL, "1", "a", "a");
    begin(w, 3);
    note(w, WEIR_EV_UPDATE, NULL, "2", "b", "b");
    /* 64-bit xids around 2^32: 4294967290 is over, 4294967299 (3 on the wire) is running. */
    weir_snapshot s = snap("4294967299:4294967300:4294967299");
    assert_merge(w, &s, "1", BRG_ROW_AS_READ, "chunk", "chunk");
    assert_merge(w, &s, "2", BRG_ROW_MERGED, "b", "b");
    closed(w);
}

typedef struct balance_sum {
    int64_t a, b;
} balance_sum;

static void sum(void *arg, const weir_tuple *t, int64_t n)
{
    balance_sum *s = arg;
    if (weir_slice_eqz(t->v[0].text, "a")) {
        s->a += n;
    } else {
        s->b += n;
    }
}

static void keyless_rows_are_counted(void **state)
{
    (void)state;
    brg_window *w = opened();
    brg_window_watch(w, rel.oid, NULL, 0);
    brg_window_open(w);
    row3 x;
    row3 y;
    begin(w, 9); /* seen */
    weir_ev ev = {.kind = WEIR_EV_INSERT, .new_row = row(&x, "a", NULL, "1")};
    brg_window_note(w, &ev);
    begin(w, 10); /* unseen */
    brg_window_note(w, &ev);
    brg_window_note(w, &ev);
    ev = (weir_ev){.kind = WEIR_EV_UPDATE,
                   .old_kind = WEIR_OLD_ROW,
                   .old_row = row(&x, "a", NULL, "1"),
                   .new_row = row(&y, "b", NULL, "1")};
    brg_window_note(w, &ev);
    ev = (weir_ev){
        .kind = WEIR_EV_DELETE, .old_kind = WEIR_OLD_ROW, .old_row = row(&y, "b", NULL, "1")};
    brg_window_note(w, &ev);
    brg_window_note(w, &ev);
    weir_snapshot s = snap("10:11:10");
    balance_sum got = {0, 0};
    brg_window_balance(w, &s, sum, &got);
    assert_int_equal(got.a, 1);
    assert_int_equal(got.b, -1);
    closed(w);
}

/* Two chunks are under way; the one with the newer snapshot is merged first. What it sees the other
 * need not see. */
static void an_older_snapshot_is_asked_on_its_own(void **state)
{
    (void)state;
    brg_window *a = opened();
    brg_window *b = brg_window_new(1 << 20, recent);
    brg_recent_add(recent, 30);
    brg_window_watch(b, rel.oid, key0, 1);
    brg_window_open(a);
    brg_window_open(b);
    weir_snapshot newer = snap("40:40:");
    assert_null(brg_window_redo(b, &newer, &rel));
    static const uint64_t xip[] = {30};
    weir_snapshot older = {.xmin = 30, .xmax = 31, .xip = xip, .nxip = 1};
    assert_non_null(brg_window_redo(a, &older, &rel));
    brg_window_open(a); /* a snapshot taken now is newer than both */
    assert_null(brg_window_redo(a, &newer, &rel));
    for (uint32_t i = 0; i < 20; i++) { /* more than can be remembered */
        brg_recent_add(recent, 50 + i);
    }
    brg_window_open(a);
    weir_snapshot all = snap("90:90:");
    assert_ptr_equal(brg_window_redo(a, &all, &rel), brg_recent_unsure);
    brg_recent_settled(recent, brg_recent_mark(recent));
    brg_window_open(a);
    assert_null(brg_window_redo(a, &all, &rel));
    brg_window_free(b);
    closed(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_the_snapshot_does_not_see_win),
        cmocka_unit_test(a_key_that_moves_with_unsent_columns_is_read_again),
        cmocka_unit_test(reasons_to_read_again),
        cmocka_unit_test(xids_wrap),
        cmocka_unit_test(an_older_snapshot_is_asked_on_its_own),
        cmocka_unit_test(keyless_rows_are_counted),
    };
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
