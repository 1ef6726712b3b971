/* test_scan.c - statements are found in spite of everything that may hold a semicolon. */
#include "migrations/deploy/scan.h"

#include "tests/support/codec_check.h"

static void expect(const char *sql, size_t n, const char *const *first_words)
{
    dep_scan s = dep_scan_of(weir_slice_z(sql));
    dep_stmt st;
    size_t i = 0;
    while (dep_scan_next(&s, &st)) {
        if (i >= n || strcmp(st.words[0], first_words[i]) != 0) {
            fail_msg("statement %zu of \"%s\" begins with %s", i, sql, st.words[0]);
        }
        i++;
    }
    assert_int_equal(i, n);
}

#define EXPECT(sql, ...)                                                                           \
    do {                                                                                           \
        const char *const words_[] = {__VA_ARGS__};                                                \
        expect(sql, sizeof words_ / sizeof words_[0], words_);                                     \
    } while (0)

static void test_statements(void **state)
{
    (void)state;
    EXPECT("select 1; insert into t values (';'); update t set a = 1", "SELECT", "INSERT",
           "UPDATE");
    EXPECT(";;select 1;;", "SELECT");
    EXPECT("-- a; b\n/* c; /* d; */ e; */ select 'it''s; ', \"a;\"\"b\"; delete from t", "SELECT",
           "DELETE");
    EXPECT("select E'\\';'; begin", "SELECT", "BEGIN");
    EXPECT("select '\\'; begin", "SELECT", "BEGIN");
    EXPECT("create function f() returns int language plpgsql as $$ begin; commit; end $$; select 1",
           "CREATE", "SELECT");
    EXPECT("do $a$ x $b$; $a $a$; select $1; select 2", "DO", "SELECT", "SELECT");
    EXPECT("select a$b$c; select d$b$e", "SELECT", "SELECT");
    EXPECT("create or replace function f(a int) returns int begin atomic select 1; select case "
           "when a > 0 then 1 else 2 end; end; select 3",
           "CREATE", "SELECT");
}

static void test_unterminated(void **state)
{
    (void)state;
    EXPECT("select 'abc; commit", "SELECT");
    EXPECT("select $x$ ; commit", "SELECT");
    EXPECT("select 1 /* ; commit", "SELECT");
    expect("  -- nothing\n /* at all */ ", 0, NULL);
    expect("", 0, NULL);
}

static void test_lines(void **state)
{
    (void)state;
    dep_stmt st;
    assert_true(dep_scan_transaction(WEIR_SLICE_LIT("-- one\nselect '\n\n';\n  commit;\n"), &st));
    assert_int_equal(st.line, 5);
    assert_string_equal(st.words[0], "COMMIT");
}

static void test_transaction_words(void **state)
{
    (void)state;
    static const char *const ends[] = {
        "begin", "Start Transaction",      "commit", "end", "rollback",
        "abort", "prepare transaction 'x'"};
    static const char *const fine[] = {"savepoint a; rollback to a; release a",
                                       "prepare p as select 1", "create table begin_x(a int)",
                                       "comment on table t is 'commit;'",
                                       "do $$ begin null; end $$"};
    dep_stmt st;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        assert_true(dep_scan_transaction(weir_slice_z(ends[i]), &st));
    }
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        if (dep_scan_transaction(weir_slice_z(fine[i]), &st)) {
            fail_msg("%s", fine[i]);
        }
    }
}

static void test_random(void **state)
{
    (void)state;
    static const char pieces[] = "'\"$;-/*\\ \nabEe1begin";
    uint64_t s = test_seed();
    for (int i = 0; i < 20000; i++) {
        char text[64];
        size_t n = rnd(&s) % sizeof text;
        for (size_t k = 0; k < n; k++) {
            text[k] = pieces[rnd(&s) % (sizeof pieces - 1)];
        }
        weir_slice exact = exact_copy(weir_slice_of(text, n));
        dep_scan scan = dep_scan_of(exact);
        dep_stmt st;
        size_t found = 0;
        while (dep_scan_next(&scan, &st)) {
            found++;
            assert_true(st.text.p >= exact.p && st.text.p + st.text.n <= exact.p + exact.n);
        }
        assert_true(found <= n);
        free((void *)(uintptr_t)exact.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements), cmocka_unit_test(test_unterminated),
        cmocka_unit_test(test_lines), cmocka_unit_test(test_transaction_words),
        cmocka_unit_test(test_random)};
    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
