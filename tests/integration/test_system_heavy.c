/* test_system_heavy.c - one transaction whose documents take long to make: the projector answers
 * probes meanwhile, and readers see all of it at once.
 */
#include <stdio.h>

#include "libweir/base/clock.h"
#include "tests/support/check.h"
#include "tests/support/rediscmd.h"
#include "tests/support/sys.h"

enum { CATS = 20, ITEMS = 200000, SOON_MS = 60000 };

static sys app;

static int open_group(void **state)
{
    (void)state;
    sys *s = &app;
    char sql[600];
    sys_new(s, WEIR_BIN_DIR, NULL, "[app]\nname = heavy\n");
    (void)snprintf(sql, sizeof sql,
                   "CREATE TABLE cat (id int PRIMARY KEY, name text NOT NULL);\n"
                   "CREATE TABLE item (id int PRIMARY KEY, cat int NOT NULL, n int NOT NULL);\n"
                   "INSERT INTO cat SELECT i, 'before' FROM generate_series(1, %d) i;\n"
                   "INSERT INTO item SELECT i, 1 + i %% %d, i %% 97 FROM generate_series(1, %d) "
                   "i;\n",
                   CATS, CATS, ITEMS);
    sys_put(s, "schema/0001_init.sql", sql);
    sys_put(s, "read-models/cat_view.sql",
            "-- @key id\nSELECT c.id, c.name,\n"
            "  (SELECT count(*) FROM item i WHERE i.cat = c.id) AS items,\n"
            "  (SELECT sum(i.n) FROM item i WHERE i.cat = c.id) AS total,\n"
            "  (SELECT avg(i.n) FROM item i WHERE i.cat = c.id) AS mean,\n"
            "  (SELECT min(i.n) FROM item i WHERE i.cat = c.id) AS least,\n"
            "  (SELECT max(i.n) FROM item i WHERE i.cat = c.id) AS most,\n"
            "  (SELECT sum(i.n * i.n) FROM item i WHERE i.cat = c.id) AS squares\n"
            "FROM cat c\n");
    sys_up(s);
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    sys_end(&app);
    return 0;
}

/* How many documents have the new name, read in one command. */
static size_t renamed(sys *s, const char *const *words)
{
    const weir_redis_reply *r = rediscmd(s->app.redis, 1 + CATS, words);
    size_t n = 0;
    for (size_t i = 0; i < weir_redis_reply_len(r); i++) {
        weir_slice doc = weir_redis_reply_str(weir_redis_reply_at(r, i));
        n += doc.n > 0 && memmem(doc.p, doc.n, "after", 5) != NULL;
    }
    return n;
}

static void test_probes_are_answered_and_readers_see_the_whole(void **state)
{
    (void)state;
    sys *s = &app;
    int64_t longest_ms = 0, began_ms, took_ms = 0;
    size_t n = 0;
    const char *words[1 + CATS] = {"MGET"};
    for (int i = 1; i <= CATS; i++) {
        words[i] = weir_arena_printf(s->app.a, "heavy:cat_view:1:%d", i);
    }
    sys_same(s, CATS);
    sys_sql(s, "UPDATE cat SET name = 'after'");
    began_ms = weir_mono_ms();
    while (n < CATS && took_ms < SOON_MS) {
        int64_t from_ms = weir_mono_ms();
        SYS_CHECK(s, sys_http(s, "GET", sys_url(s, "projector"), NULL, NULL) != 0);
        int64_t answered_ms = weir_mono_ms() - from_ms;
        longest_ms = answered_ms > longest_ms ? answered_ms : longest_ms;
        n = renamed(s, words);
        SYS_CHECK(s, n == 0 || n == CATS);
        took_ms = weir_mono_ms() - began_ms;
    }
    print_message("%d documents after %lld ms, longest wait of a probe %lld ms\n", CATS,
                  (long long)took_ms, (long long)longest_ms);
    SYS_CHECK(s, n == CATS);
    SYS_CHECK(s, longest_ms < 100 || longest_ms < took_ms * 2 / 3);
    sys_same(s, CATS);
}

int main(void)
{
    sys_filter();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probes_are_answered_and_readers_see_the_whole),
    };
    return cmocka_run_group_tests_name("system_heavy", tests, open_group, close_group);
}
