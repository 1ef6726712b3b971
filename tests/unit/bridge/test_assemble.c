/* test_assemble.c - messages of the stream into frames: parts, skipping, relations, chunks, and
 * what makes no sense. */
#include "bridge/assemble.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct out {
    brg_frame *f[2000];
    size_t n;
    size_t relations;
    weir_cursor moved;
} out;

static weir_rc on_frame(void *arg, brg_frame *f, weir_error *err)
{
    out *o = arg;
    (void)err;
    assert_true(o->n < 2000);
    o->f[o->n++] = f;
    return WEIR_OK;
}

static weir_rc on_relation(void *arg, const weir_relation *rel, weir_hash128 hash, weir_error *err)
{
    out *o = arg;
    (void)hash;
    (void)err;
    assert_int_equal(rel->version, ++o->relations);
    return WEIR_OK;
}

static void on_moved(void *arg, weir_cursor head)
{
    ((out *)arg)->moved = head;
}

typedef struct fix {
    out o;
    brg_relcat *rc;
    brg_windows *w;
    brg_assembler *as;
    weir_error err;
} fix;

static int setup(void **state)
{
    fix *f = calloc(1, sizeof *f);
    brg_sink sink = {on_frame, on_relation, on_moved, &f->o, NULL};
    f->rc = brg_relcat_new();
    f->w = brg_windows_new(1 << 20);
    f->as = brg_assembler_new(f->rc, f->w, &sink, (weir_cursor){100, 0}, 200);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fix *f = *state;
    for (size_t i = 0; i < f->o.n; i++) {
        brg_frame_unref(f->o.f[i]);
    }
    brg_assembler_free(f->as);
    brg_relcat_free(f->rc);
    brg_windows_free(f->w);
    free(f);
    return 0;
}

static weir_column cols[] = {{WEIR_SLICE_LIT("id"), 23, -1, true},
                             {WEIR_SLICE_LIT("v"), 25, -1, false}};

static weir_rc feed(fix *f, weir_pgo m)
{
    return brg_assembler_feed(f->as, &m, &f->err);
}

static weir_rc begin(fix *f, uint64_t lsn, uint32_t xid)
{
    return feed(f, (weir_pgo){.kind = WEIR_PGO_BEGIN, .u.begin = {.final_lsn = lsn, .xid = xid}});
}

static weir_rc commit(fix *f, uint64_t lsn, uint64_t end)
{
    return feed(
        f, (weir_pgo){.kind = WEIR_PGO_COMMIT, .u.commit = {.commit_lsn = lsn, .end_lsn = end}});
}

static weir_rc relation(fix *f, uint32_t oid, uint16_t ncols)
{
    return feed(f, (weir_pgo){.kind = WEIR_PGO_RELATION,
                              .u.relation = {.oid = oid,
                                             .schema = WEIR_SLICE_LIT("s"),
                                             .name = WEIR_SLICE_LIT("t"),
                                             .identity = 'd',
                                             .n = ncols,
                                             .cols = cols}});
}

static weir_rc insert(fix *f, uint32_t oid, uint16_t ncols)
{
    weir_val v[3] = {{WEIR_VAL_TEXT, WEIR_SLICE_LIT("1")},
                     {WEIR_VAL_TEXT, WEIR_SLICE_LIT("some text")},
                     {WEIR_VAL_NULL, {NULL, 0}}};
    return feed(f,
                (weir_pgo){.kind = WEIR_PGO_INSERT, .u.row = {.oid = oid, .new_row = {ncols, v}}});
}

static size_t events(const brg_frame *fr, weir_frame_head *head)
{
    weir_frame_dec d;
    weir_ev ev;
    weir_error err;
    size_t n = 0;
    weir_arena *a = weir_arena_new(0);
    assert_int_equal(weir_frame_open(&d, (weir_slice){fr->p, fr->n}, head, &err), WEIR_OK);
    while (weir_frame_next(&d, a, &ev, &err) == WEIR_OK) {
        n++;
    }
    weir_arena_free(a);
    return n;
}

static void a_transaction_is_cut_into_parts(void **state)
{
    fix *f = *state;
    weir_frame_head h;
    assert_int_equal(begin(f, 110, 7), WEIR_OK);
    assert_int_equal(relation(f, 5, 2), WEIR_OK);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(insert(f, 5, 2), WEIR_OK);
    }
    assert_true(f->o.n > 2);
    assert_int_equal(brg_assembler_head(f->as).lsn, 100);
    assert_int_equal(commit(f, 110, 120), WEIR_OK);
    assert_int_equal(brg_assembler_head(f->as).lsn, 120);
    size_t total = 0;
    for (size_t i = 0; i < f->o.n; i++) {
        const brg_frame *fr = f->o.f[i];
        bool last = i + 1 == f->o.n;
        total += events(fr, &h);
        assert_true(fr->at.lsn == 110 && fr->at.sub == WEIR_SUB_TX && fr->part == i &&
                    fr->last == last);
        assert_true(h.kind == WEIR_FRAME_TX && h.xid == 7 && h.part == i && h.last == last &&
                    h.end_lsn == (last ? 120u : 0u));
        assert_int_equal(fr->end.lsn, last ? 120 : 0);
    }
    assert_int_equal(total, 50);
    assert_int_equal(brg_assembler_rows(f->as), 50);
}

static void what_the_log_has_is_skipped(void **state)
{
    fix *f = *state;
    assert_int_equal(begin(f, 90, 7), WEIR_OK);
    assert_int_equal(relation(f, 5, 2), WEIR_OK); /* but descriptions are taken */
    assert_int_equal(insert(f, 5, 2), WEIR_OK);
    assert_int_equal(commit(f, 90, 100), WEIR_OK);
    assert_int_equal(f->o.n, 0);
    assert_int_equal(begin(f, 100, 8), WEIR_OK); /* begins where the last one ended: new */
    assert_int_equal(insert(f, 5, 2), WEIR_OK);
    assert_int_equal(commit(f, 100, 108), WEIR_OK);
    assert_int_equal(f->o.n, 1);
    assert_int_equal(begin(f, 110, 9), WEIR_OK); /* empty: only a position */
    assert_int_equal(commit(f, 110, 118), WEIR_OK);
    assert_int_equal(f->o.n, 1);
    assert_int_equal(f->o.moved.lsn, 118);
}

static void descriptions_have_one_number_each(void **state)
{
    fix *f = *state;
    assert_int_equal(begin(f, 110, 7), WEIR_OK);
    assert_int_equal(relation(f, 5, 2), WEIR_OK);
    assert_int_equal(relation(f, 5, 2), WEIR_OK);
    assert_int_equal(f->o.relations, 1);
    assert_int_equal(relation(f, 5, 1), WEIR_OK); /* ALTER TABLE */
    assert_int_equal(f->o.relations, 2);
    assert_int_equal(insert(f, 5, 2), WEIR_E_PROTO); /* a row of the old shape */
    brg_assembler_reset(f->as);
    assert_int_equal(begin(f, 110, 7), WEIR_OK);
    assert_int_equal(insert(f, 5, 1),
                     WEIR_E_PROTO); /* the server forgot with the connection what it told */
    assert_int_equal(relation(f, 5, 2), WEIR_OK);
    assert_int_equal(f->o.relations, 2);
    assert_int_equal(insert(f, 5, 2), WEIR_OK);
}

static void nonsense_is_refused(void **state)
{
    fix *f = *state;
    assert_int_equal(insert(f, 5, 2), WEIR_E_PROTO);
    assert_int_equal(commit(f, 1, 2), WEIR_E_PROTO);
    assert_int_equal(begin(f, 110, 7), WEIR_OK);
    assert_int_equal(begin(f, 111, 8), WEIR_E_PROTO);
    assert_int_equal(commit(f, 109, 120), WEIR_E_PROTO);
    assert_int_equal(commit(f, 110, 110), WEIR_E_PROTO);
}

static void the_head_moves_only_when_nothing_is_in_flight(void **state)
{
    fix *f = *state;
    assert_true(brg_assembler_idle(f->as, 105));
    assert_false(brg_assembler_idle(f->as, 104));
    assert_int_equal(begin(f, 110, 7), WEIR_OK);
    assert_false(brg_assembler_idle(f->as, 500));
    assert_int_equal(brg_assembler_head(f->as).lsn, 105);
    brg_assembler_reset(f->as);
    assert_true(brg_assembler_idle(f->as, 500));
    weir_pgo beat = {.kind = WEIR_PGO_MESSAGE,
                     .u.message = {.lsn = 600, .prefix = WEIR_SLICE_LIT("weir.heartbeat")}};
    assert_int_equal(feed(f, beat), WEIR_OK);
    assert_true(f->o.n == 0 && brg_assembler_head(f->as).lsn == 600);
    weir_pgo other = {
        .kind = WEIR_PGO_MESSAGE,
        .u.message = {.lsn = 700, .prefix = WEIR_SLICE_LIT("x"), .content = WEIR_SLICE_LIT("y")}};
    assert_int_equal(feed(f, other), WEIR_OK);
    assert_int_equal(feed(f, other), WEIR_OK); /* sent again */
    weir_frame_head h;
    assert_int_equal(f->o.n, 1);
    assert_int_equal(events(f->o.f[0], &h), 1);
    assert_int_equal(h.kind, WEIR_FRAME_MESSAGE);
    /* A message's position is its end, where the commit record of an open transaction may begin. */
    assert_int_equal(begin(f, 700, 9), WEIR_OK);
    assert_int_equal(relation(f, 5, 2), WEIR_OK);
    assert_int_equal(insert(f, 5, 2), WEIR_OK);
    assert_int_equal(commit(f, 700, 720), WEIR_OK);
    assert_int_equal(f->o.n, 2);
    assert_true(weir_cursor_cmp(f->o.f[0]->at, f->o.f[1]->at) < 0);
    assert_true(weir_cursor_cmp(f->o.f[0]->end, f->o.f[1]->at) <= 0);
}

static void chunks_lie_at_the_head(void **state)
{
    fix *f = *state;
    weir_val v[2] = {{WEIR_VAL_TEXT, WEIR_SLICE_LIT("1")},
                     {WEIR_VAL_TEXT, WEIR_SLICE_LIT("some text")}};
    weir_ev ev = {.kind = WEIR_EV_READ, .rel = 1, .new_row = {2, v}};
    for (int i = 0; i < 50; i++) {
        assert_int_equal(brg_assembler_chunk_put(f->as, &ev, &f->err), WEIR_OK);
    }
    assert_int_equal(brg_assembler_chunk_end(f->as, &f->err), WEIR_OK);
    assert_true(f->o.n > 2);
    for (size_t i = 0; i < f->o.n; i++) {
        const brg_frame *fr = f->o.f[i];
        assert_true(fr->at.lsn == 100 && fr->at.sub == i && fr->part == 0 && fr->last &&
                    fr->needs_sync);
        assert_true(fr->end.lsn == 100 && fr->end.sub == i + 1);
    }
    assert_int_equal(brg_assembler_head(f->as).sub, f->o.n);
    assert_false(brg_assembler_idle(f->as, 100));
    assert_int_equal(begin(f, 110, 7), WEIR_OK);
    assert_int_equal(brg_assembler_chunk_put(f->as, &ev, &f->err), WEIR_E_PROTO);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_transaction_is_cut_into_parts),
        T(what_the_log_has_is_skipped),
        T(descriptions_have_one_number_each),
        T(nonsense_is_refused),
        T(the_head_moves_only_when_nothing_is_in_flight),
        T(chunks_lie_at_the_head),
    };
    return cmocka_run_group_tests_name("assemble", tests, NULL, NULL);
}
