/* test_lmdb.c - libweir/io/lmdb.c: order, cursors, limits, the folder's lock, reuse of freed pages.
 */
#include "libweir/io/lmdb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct fix {
    char dir[64];
    weir_lmdb *e;
    weir_lmdb_db db;
    weir_error err;
} fix;

static int setup(void **state)
{
    fix *f = calloc(1, sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/weir-lmdb-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(weir_lmdb_open(&f->e, f->dir, 1u << 20, 4, false, &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_db_open(f->e, "t", &f->db, &f->err), WEIR_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fix *f = *state;
    weir_lmdb_close(f->e);
    char cmd[128];
    (void)snprintf(cmd, sizeof cmd, "rm -rf %s", f->dir);
    int rc = system(cmd); /* banned-ok: removes a folder of our own */
    free(f);
    return rc;
}

static weir_slice z(const char *s)
{
    return weir_slice_z(s);
}

static void put_get_cursor_del(void **state)
{
    fix *f = *state;
    weir_lmdb_txn *t = NULL;
    weir_slice k;
    weir_slice v;
    assert_int_equal(weir_lmdb_begin(f->e, true, &t, &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_put(t, f->db, z("b"), z("2"), &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_put(t, f->db, z("a"), z("1"), &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_append(t, f->db, z("c"), z("3"), &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_append(t, f->db, z("bb"), z("x"), &f->err), WEIR_E_CONFLICT);
    assert_int_equal(weir_lmdb_commit(t, &f->err), WEIR_OK);

    assert_int_equal(weir_lmdb_begin(f->e, true, &t, &f->err), WEIR_OK);
    weir_lmdb_txn *reader = NULL; /* a reader beside the writer, on the same thread */
    assert_int_equal(weir_lmdb_begin(f->e, false, &reader, &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_del(t, f->db, z("a"), &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_del(t, f->db, z("a"), &f->err), WEIR_E_NOTFOUND);
    assert_int_equal(weir_lmdb_get(reader, f->db, z("a"), &v, &f->err), WEIR_OK);
    assert_true(weir_slice_eqz(v, "1"));
    weir_lmdb_cursor *c = NULL;
    assert_int_equal(weir_lmdb_cursor_open(t, f->db, &c, &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_seek(c, z("a"), &k, &v), WEIR_OK);
    assert_true(weir_slice_eqz(k, "b"));
    assert_int_equal(weir_lmdb_cursor_del(c, &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_next(c, &k, &v), WEIR_OK);
    assert_true(weir_slice_eqz(k, "c"));
    assert_int_equal(weir_lmdb_next(c, &k, &v), WEIR_E_NOTFOUND);
    assert_int_equal(weir_lmdb_last(c, &k, &v), WEIR_OK);
    assert_true(weir_slice_eqz(k, "c"));
    weir_lmdb_cursor_close(c);
    assert_int_equal(weir_lmdb_count(t, f->db), 1);
    weir_lmdb_abort(reader);
    assert_int_equal(weir_lmdb_drop(t, f->db, &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_commit(t, &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_sync(f->e, &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_begin(f->e, false, &t, &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_cursor_open(t, f->db, &c, &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_seek(c, z(""), &k, &v), WEIR_E_NOTFOUND);
    assert_int_equal(weir_lmdb_last(c, &k, &v), WEIR_E_NOTFOUND);
    weir_lmdb_cursor_close(c);
    weir_lmdb_abort(t);
}

static void limits_are_errors(void **state)
{
    fix *f = *state;
    static char big[512];
    weir_lmdb_txn *t = NULL;
    assert_int_equal(weir_lmdb_begin(f->e, true, &t, &f->err), WEIR_OK);
    assert_int_equal(weir_lmdb_put(t, f->db, (weir_slice){big, 0}, z("x"), &f->err), WEIR_E_INPUT);
    assert_int_equal(weir_lmdb_put(t, f->db, (weir_slice){big, 512}, z("x"), &f->err),
                     WEIR_E_INPUT);
    assert_int_equal(weir_lmdb_put(t, f->db, (weir_slice){big, 511}, z("x"), &f->err), WEIR_OK);
    static char value[4000];
    weir_rc rc = WEIR_OK;
    for (int i = 0; i < 1000 && rc == WEIR_OK; i++) {
        rc = weir_lmdb_put(t, f->db, (weir_slice){(const char *)&i, sizeof i},
                           (weir_slice){value, sizeof value}, &f->err);
    }
    assert_int_equal(rc, WEIR_E_LIMIT);
    weir_lmdb_abort(t);
}

static void second_process_is_kept_out(void **state)
{
    fix *f = *state;
    weir_lmdb *other = NULL;
    assert_int_equal(weir_lmdb_open(&other, f->dir, 1u << 20, 4, false, &f->err), WEIR_E_CONFLICT);
    assert_null(other);
}

static void freed_pages_do_not_count_as_used(void **state)
{
    fix *f = *state;
    static char value[100000];
    weir_lmdb_txn *t = NULL;
    size_t before = weir_lmdb_used_bytes(f->e);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(weir_lmdb_begin(f->e, true, &t, &f->err), WEIR_OK);
        assert_int_equal(
            weir_lmdb_put(t, f->db, z("k"), (weir_slice){value, sizeof value}, &f->err), WEIR_OK);
        assert_int_equal(weir_lmdb_commit(t, &f->err), WEIR_OK);
    }
    assert_true(weir_lmdb_used_bytes(f->e) >= before + sizeof value);
    assert_true(weir_lmdb_used_bytes(f->e) < before + 2 * sizeof value);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(put_get_cursor_del), T(limits_are_errors),
                                       T(second_process_is_kept_out),
                                       T(freed_pages_do_not_count_as_used)};
    return cmocka_run_group_tests_name("lmdb", tests, NULL, NULL);
}
