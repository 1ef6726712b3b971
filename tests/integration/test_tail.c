/* test_tail.c - what `weir tail --table` says of a table none of whose changes can come. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "libweir/base/str.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"

enum { SOON_MS = 10000 };

static fixture fx;
static char dir[200];

static int open_group(void **state)
{
    weir_error err;
    (void)state;
    if (fixture_open(&fx, FIXTURE_PG) != 0) {
        return -1;
    }
    if (fx.missing[0]) {
        return 0;
    }
    (void)snprintf(dir, sizeof dir, "%s/app", fx.dir);
    const char *ini = weir_arena_printf(fx.a, "%s/weir.ini", dir);
    const char *text = weir_arena_printf(fx.a,
                                         "[app]\nname = t\n[postgres]\nuri = %s\n[bridge]\n"
                                         "feed = ipc://%s/feed\npublication = pub\n",
                                         fx.pg.uri, fx.dir);
    fixture_sql(&fx, "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE stock (id int "
                     "PRIMARY KEY); CREATE TABLE hidden (id int PRIMARY KEY); CREATE PUBLICATION "
                     "pub FOR TABLE orders, stock");
    return mkdir(dir, 0700) == 0 && weir_file_write(ini, weir_slice_z(text), 0600, &err) == WEIR_OK
               ? 0
               : -1;
}

static int close_group(void **state)
{
    (void)state;
    fixture_close(&fx);
    return 0;
}

typedef struct saying {
    const fixture_proc *p;
    const char *text;
} saying;

static bool is_said(void *arg)
{
    const saying *s = arg;
    weir_slice log;
    weir_error err;
    return weir_file_read(s->p->log, 1 << 20, fx.a, &log, &err) == WEIR_OK &&
           strstr(weir_arena_dupz(fx.a, log), s->text) != NULL;
}

/* It says so, and waits. */
static void says(const char *table, const char *text)
{
    const char *const argv[] = {WEIR_BIN_DIR "/weir", "tail", dir, "--table", table, NULL};
    fixture_proc *p = fixture_spawn(&fx, table, argv, NULL);
    assert_non_null(p);
    saying s = {p, text}, waits = {p, "waiting for the bridge"};
    fixture_wait(&fx, is_said, &s, SOON_MS, text);
    fixture_wait(&fx, is_said, &waits, SOON_MS, "tail to wait");
    assert_int_equal(fixture_stop(p, SOON_MS), 0);
}

static void test_a_table_that_is_not_there(void **state)
{
    (void)state;
    fixture_need(&fx);
    says("customers", "there is no table customers (yet); published are orders, stock");
    says("ordrs", "there is no table ordrs (yet); did you mean orders?");
    says("other.orders", "there is no table other.orders (yet)");
}

static void test_a_table_that_is_not_published(void **state)
{
    (void)state;
    fixture_need(&fx);
    says("hidden", "table public.hidden is not in the publication pub");
}

static void test_nothing_is_said_of_the_others(void **state)
{
    saying s = {NULL, "weir tail: t"};
    (void)state;
    fixture_need(&fx);
    const char *const argv[] = {WEIR_BIN_DIR "/weir", "tail", dir, "--table", "public.stock", NULL};
    fixture_proc *p = fixture_spawn(&fx, "published", argv, NULL);
    assert_non_null(p);
    saying waits = {p, "waiting for the bridge"};
    fixture_wait(&fx, is_said, &waits, SOON_MS, "tail to wait");
    s.p = p;
    assert_false(is_said(&s));
    assert_int_equal(fixture_stop(p, SOON_MS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_table_that_is_not_there),
        cmocka_unit_test(test_a_table_that_is_not_published),
        cmocka_unit_test(test_nothing_is_said_of_the_others),
    };
    return cmocka_run_group_tests_name("tail", tests, open_group, close_group);
}
