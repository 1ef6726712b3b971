/* test_manifest.c - migrations/lake/manifest*.c: commits survive torn ends, damage is told. */
#include "migrations/lake/manifest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

typedef struct fix {
    char dir[64], file[128];
    weir_arena *a;
    weir_error err;
    lake_manifest *m;
    lake_commit last;
} fix;

static lake_file some_file = {.path = "public.t/2026-11-21/part-1.jsonl",
                              .table = "public.\"t\"",
                              .day = 20778,
                              .rows = 3,
                              .bytes = 99,
                              .first = 7,
                              .last = 8,
                              .hash = "0123456789abcdef0123456789abcdef"};

static int setup(void **state)
{
    fix *f = calloc(1, sizeof *f);
    assert_true(folder_make(f->dir, sizeof f->dir));
    (void)snprintf(f->file, sizeof f->file, "%s/_manifest/00000001.jsonl", f->dir);
    f->a = weir_arena_new(0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fix *f = *state;
    lake_manifest_close(f->m);
    weir_arena_free(f->a);
    folder_remove(f->dir);
    free(f);
    return 0;
}

static weir_rc reopen(fix *f)
{
    lake_manifest_close(f->m);
    f->m = NULL;
    return lake_manifest_open(&f->m, f->dir, "flow", "sys", f->a, &f->last, &f->err);
}

static void append(fix *f, uint64_t no)
{
    const char *copied[] = {"public.t"};
    lake_commit c = {.no = no,
                     .position = {no * 16, (uint32_t)no},
                     .open_day = 20778,
                     .nfiles = 1,
                     .files = &some_file,
                     .ncopied = 1,
                     .copied = copied};
    assert_rc(WEIR_OK, lake_manifest_append(f->m, &c, 1 << 20, &f->err), &f->err);
}

static weir_slice content(fix *f)
{
    weir_slice s;
    assert_rc(WEIR_OK, weir_file_read(f->file, 1 << 20, f->a, &s, &f->err), &f->err);
    return s;
}

static void put_content(fix *f, weir_slice s)
{
    assert_rc(WEIR_OK, weir_file_write(f->file, s, 0644, &f->err), &f->err);
}

static void a_commit_comes_back(void **state)
{
    fix *f = *state;
    assert_rc(WEIR_OK, reopen(f), &f->err);
    assert_int_equal(f->last.no, 0);
    append(f, 1);
    append(f, 2);
    assert_rc(WEIR_OK, reopen(f), &f->err);
    assert_int_equal(f->last.no, 2);
    assert_int_equal(f->last.position.lsn, 32);
    assert_int_equal(f->last.position.sub, 2);
    assert_int_equal(f->last.nfiles, 1);
    assert_string_equal(f->last.files[0].table, some_file.table);
    assert_string_equal(f->last.files[0].path, some_file.path);
    assert_string_equal(f->last.files[0].hash, some_file.hash);
    assert_int_equal(f->last.files[0].day, some_file.day);
    assert_int_equal(f->last.ncopied, 1);
    assert_int_equal(f->last.open_day, 20778);
}

static void every_torn_end_is_cut_off(void **state)
{
    fix *f = *state;
    assert_rc(WEIR_OK, reopen(f), &f->err);
    append(f, 1);
    size_t keep = content(f).n;
    append(f, 2);
    weir_slice all = content(f);
    for (size_t n = keep; n < all.n; n += n + 40 < all.n ? 37 : 1) {
        put_content(f, weir_slice_of(all.p, n));
        assert_rc(WEIR_OK, reopen(f), &f->err);
        assert_int_equal(f->last.no, 1);
        assert_int_equal(content(f).n, keep);
    }
    append(f, 2); /* goes on behind the cut */
    assert_rc(WEIR_OK, reopen(f), &f->err);
    assert_int_equal(f->last.no, 2);
    char *zeros = malloc(all.n);
    memset(zeros, 0, all.n);
    memcpy(zeros, all.p, keep);
    put_content(f, weir_slice_of(zeros, all.n)); /* blocks that never got their bytes */
    free(zeros);
    assert_rc(WEIR_OK, reopen(f), &f->err);
    assert_int_equal(f->last.no, 1);
}

static void a_torn_header_is_begun_again(void **state)
{
    fix *f = *state;
    assert_rc(WEIR_OK, reopen(f), &f->err);
    append(f, 1);
    put_content(f, weir_slice_of(content(f).p, 10));
    assert_rc(WEIR_OK, reopen(f), &f->err);
    assert_int_equal(f->last.no, 0);
    append(f, 1);
    assert_rc(WEIR_OK, reopen(f), &f->err);
    assert_int_equal(f->last.no, 1);
}

static void damage_before_the_end_is_told(void **state)
{
    fix *f = *state;
    assert_rc(WEIR_OK, reopen(f), &f->err);
    append(f, 1);
    append(f, 2);
    weir_slice all = content(f);
    char *bad = malloc(all.n);
    memcpy(bad, all.p, all.n);
    bad[all.n - 10] ^= 1;
    bad[all.n / 2] ^= 1;
    put_content(f, weir_slice_of(bad, all.n));
    free(bad);
    assert_rc(WEIR_E_STATE, reopen(f), &f->err);
    assert_has(f->err.msg, "damaged");
}

static void another_flow_source_or_process_is_refused(void **state)
{
    fix *f = *state;
    lake_manifest *m = NULL;
    assert_rc(WEIR_OK, reopen(f), &f->err);
    append(f, 1);
    assert_rc(WEIR_E_CONFLICT,
              lake_manifest_open(&m, f->dir, "flow", "sys", f->a, &f->last, &f->err), &f->err);
    lake_manifest_close(f->m);
    f->m = NULL;
    assert_rc(WEIR_E_STATE,
              lake_manifest_open(&m, f->dir, "flow", "other", f->a, &f->last, &f->err), &f->err);
    assert_rc(WEIR_E_STATE, lake_manifest_open(&m, f->dir, "f2", "sys", f->a, &f->last, &f->err),
              &f->err);
}

static void a_long_manifest_gets_a_successor(void **state)
{
    fix *f = *state;
    char second[128];
    (void)snprintf(second, sizeof second, "%s/_manifest/00000002.jsonl", f->dir);
    assert_rc(WEIR_OK, reopen(f), &f->err);
    append(f, 1);
    lake_commit c = {.no = 2, .position = {99, 0}, .open_day = 20778};
    assert_rc(WEIR_OK, lake_manifest_append(f->m, &c, 10, &f->err), &f->err);
    assert_int_equal(access(second, F_OK), 0);
    assert_rc(WEIR_OK, reopen(f), &f->err);
    assert_int_equal(f->last.no, 2);
    (void)snprintf(f->file, sizeof f->file, "%s", second);
    weir_slice s = content(f);
    const char *nl = memchr(s.p, '\n', s.n);
    put_content(f, weir_slice_of(s.p, (size_t)(nl - s.p) + 1)); /* begun, nothing in it */
    assert_rc(WEIR_OK, reopen(f), &f->err);
    assert_int_equal(f->last.no, 1);
    put_content(f, weir_slice_of(s.p, 5)); /* and not even begun */
    assert_rc(WEIR_OK, reopen(f), &f->err);
    assert_int_equal(f->last.no, 1);
    append(f, 2);
    assert_rc(WEIR_OK, reopen(f), &f->err);
    assert_int_equal(f->last.no, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_commit_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(every_torn_end_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(a_torn_header_is_begun_again, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_before_the_end_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(another_flow_source_or_process_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_manifest_gets_a_successor, setup, teardown),
    };
    if (!weir_log_set_level("error")) {
        return 1;
    }
    return cmocka_run_group_tests_name("lake manifest", tests, NULL, NULL);
}
