/* test_store.c - bridge/store.c: what readers are shown, what a crash leaves and what retention
 * takes, all of it by the key: one frame too many is a lost or a doubled transaction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bridge/store.h"
#include "libweir/codec/frame.h"

enum { MAP_BYTES = 1 << 24, OPEN_LSN = 170 };

typedef struct fix {
    char dir[64];
    brg_store s;
    weir_lmdb_txn *t;
    brg_fetch f;
    weir_error err;
} fix;

static weir_cursor tx(uint64_t lsn)
{
    return (weir_cursor){lsn, WEIR_SUB_TX};
}

static void put(fix *x, weir_cursor at, uint32_t part, uint64_t end)
{
    char key[BRG_KEY_BYTES];
    weir_buf b;
    weir_frame_enc enc;
    weir_frame_head head = {.kind = at.sub == WEIR_SUB_TX ? WEIR_FRAME_TX : WEIR_FRAME_CHUNK,
                            .part = part,
                            .commit_lsn = at.lsn};
    weir_buf_init(&b, 1 << 16);
    weir_frame_begin(&enc, &b, &head);
    weir_frame_finish(&enc, end != 0, end);
    assert_int_equal(WEIR_OK, weir_lmdb_put(x->t, x->s.log, brg_key_put(key, at, part),
                                            weir_buf_slice(&b), &x->err));
    weir_buf_fini(&b);
}

static void begin(fix *x)
{
    assert_int_equal(WEIR_OK, weir_lmdb_begin(x->s.env, true, &x->t, &x->err));
}

static void commit(fix *x)
{
    assert_int_equal(WEIR_OK, weir_lmdb_commit(x->t, &x->err));
    x->t = NULL;
}

/* A copied chunk, a transaction of three parts, one whose commit record begins where that ended,
 * and two parts of one that is not complete. */
static int setup(void **state)
{
    fix *x = calloc(1, sizeof *x);
    (void)snprintf(x->dir, sizeof x->dir, "/tmp/weir-store-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    assert_int_equal(WEIR_OK, brg_store_open(&x->s, x->dir, MAP_BYTES, &x->err));
    begin(x);
    put(x, (weir_cursor){100, 0}, 0, 100);
    put(x, tx(150), 0, 0);
    put(x, tx(150), 1, 0);
    put(x, tx(150), 2, 160);
    put(x, tx(160), 0, OPEN_LSN);
    put(x, tx(OPEN_LSN), 0, 0);
    put(x, tx(OPEN_LSN), 1, 0);
    assert_int_equal(
        WEIR_OK, brg_store_put_cursor(&x->s, x->t, "end_lsn", (weir_cursor){OPEN_LSN, 0}, &x->err));
    commit(x);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    fix *x = *state;
    if (x->t) {
        weir_lmdb_abort(x->t);
    }
    brg_store_close(&x->s);
    char cmd[128];
    (void)snprintf(cmd, sizeof cmd, "rm -rf %s", x->dir);
    int rc = system(cmd); /* banned-ok: removes a folder of our own */
    free(x);
    return rc;
}

static size_t fetch(fix *x, weir_cursor at, uint32_t part, size_t max_bytes)
{
    weir_lmdb_txn *t = NULL;
    brg_fetch_init(&x->f, (weir_feed_pos){at, part}, max_bytes);
    assert_int_equal(WEIR_OK, brg_store_fetch(&x->s, &x->f, &t, &x->err));
    weir_lmdb_abort(t);
    return x->f.n;
}

static size_t frames(fix *x)
{
    weir_lmdb_txn *t = NULL;
    weir_lmdb_cursor *c = NULL;
    weir_slice k;
    weir_slice v;
    size_t n = 0;
    assert_int_equal(WEIR_OK, weir_lmdb_begin(x->s.env, false, &t, &x->err));
    assert_int_equal(WEIR_OK, weir_lmdb_cursor_open(t, x->s.log, &c, &x->err));
    weir_rc got = weir_lmdb_seek(c, (weir_slice){NULL, 0}, &k, &v);
    for (; got == WEIR_OK; got = weir_lmdb_next(c, &k, &v)) {
        n++;
    }
    weir_lmdb_cursor_close(c);
    weir_lmdb_abort(t);
    return n;
}

#define assert_at(lsn_, sub_, c_)                                                                  \
    do {                                                                                           \
        assert_int_equal(lsn_, (c_).lsn);                                                          \
        assert_int_equal(sub_, (c_).sub);                                                          \
    } while (0)

static void readers_see_complete_transactions_only(void **state)
{
    fix *x = *state;
    assert_int_equal(5, fetch(x, (weir_cursor){0, 0}, 0, 1 << 20));
    assert_at(OPEN_LSN, 0, x->f.next.at);
    assert_int_equal(0, fetch(x, (weir_cursor){OPEN_LSN, 0}, 0, 1 << 20));
    assert_at(OPEN_LSN, 0, x->f.next.at);
    assert_int_equal(3, fetch(x, tx(150), 1, 1 << 20)); /* from inside a transaction */
    assert_int_equal(1, fetch(x, (weir_cursor){160, 0}, 0, 1 << 20));
    assert_int_equal(1, fetch(x, tx(150), 1, 1)); /* one at least, whatever fits */
    assert_at(150, WEIR_SUB_TX, x->f.next.at);
    assert_int_equal(2, x->f.next.part);
}

static void a_cut_removes_what_is_not_complete(void **state)
{
    fix *x = *state;
    begin(x);
    assert_int_equal(WEIR_OK, brg_store_cut_end(&x->s, x->t, (weir_cursor){OPEN_LSN, 0}, &x->err));
    commit(x);
    assert_int_equal(5, frames(x));
    assert_int_equal(5, fetch(x, (weir_cursor){0, 0}, 0, 1 << 20));
}

static brg_trim trim(fix *x, weir_cursor cut, size_t max_frames, uint64_t max_bytes)
{
    brg_trim b = {.cut = cut, .max_frames = max_frames, .max_bytes = max_bytes};
    begin(x);
    assert_int_equal(WEIR_OK, brg_store_trim(&x->s, x->t, &b, &x->err));
    commit(x);
    return b;
}

static void a_trim_takes_what_lies_below_and_no_more(void **state)
{
    fix *x = *state;
    brg_trim b = trim(x, (weir_cursor){100, 0}, 1000, 1 << 20);
    assert_int_equal(0, b.frames);
    b = trim(x, (weir_cursor){100, 1}, 1000, 1 << 20);
    assert_int_equal(1, b.frames);
    assert_at(100, 1, b.first);
    /* Who has acknowledged 160 still needs the transaction whose commit record begins there. */
    b = trim(x, (weir_cursor){160, 0}, 1000, 1 << 20);
    assert_int_equal(3, b.frames);
    assert_false(b.more);
    assert_at(160, 0, b.first);
    assert_int_equal(1, fetch(x, b.first, 0, 1 << 20));
    b = trim(x, (weir_cursor){OPEN_LSN, 0}, 1000, 1 << 20);
    assert_int_equal(1, b.frames);
    assert_int_equal(2, frames(x)); /* the open one is above every cut */
}

static void a_trim_never_leaves_half_a_transaction(void **state)
{
    fix *x = *state;
    brg_trim b = trim(x, (weir_cursor){OPEN_LSN, 0}, 1, 1 << 20);
    assert_int_equal(1, b.frames);
    assert_true(b.more);
    b = trim(x, (weir_cursor){OPEN_LSN, 0}, 2, 1 << 20); /* stops behind it, not in it */
    assert_int_equal(3, b.frames);
    assert_true(b.more);
    assert_at(160, 0, b.first);
    b = trim(x, (weir_cursor){OPEN_LSN, 0}, 1000, 1);
    assert_int_equal(1, b.frames);
    assert_int_equal(2, frames(x));
}

static void a_wiped_log_knows_nothing(void **state)
{
    fix *x = *state;
    brg_meta m;
    begin(x);
    assert_int_equal(WEIR_OK, brg_store_put_meta(&x->s, x->t, "state", "streaming", &x->err));
    assert_int_equal(WEIR_OK, brg_store_wipe(&x->s, x->t, &x->err));
    commit(x);
    assert_int_equal(0, frames(x));
    assert_int_equal(WEIR_OK, brg_store_meta(&x->s, &m, &x->err));
    assert_string_equal("", m.state);
    assert_at(0, 0, m.end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(readers_see_complete_transactions_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_removes_what_is_not_complete, setup, teardown),
        cmocka_unit_test_setup_teardown(a_trim_takes_what_lies_below_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_trim_never_leaves_half_a_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wiped_log_knows_nothing, setup, teardown),
    };
    return cmocka_run_group_tests_name("bridge/store", tests, NULL, NULL);
}
