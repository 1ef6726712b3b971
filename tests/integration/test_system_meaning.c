/* test_system_meaning.c - changes of the catalog after which a SELECT means something else, or the
 * stream tells less than it did: the models they concern stall at once with the reason, and are
 * right again by themselves when it is undone. Nothing of this sends an event.
 */
#include "tests/support/check.h"
#include "tests/support/sys.h"

static sys app;

enum { SOON_MS = 20000 };

static int open_group(void **state)
{
    (void)state;
    sys *s = &app;
    sys_new(s, WEIR_BIN_DIR, NULL, "[app]\nname = meaning\n");
    sys_put(
        s, "schema/0001_init.sql",
        "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = "
        "false);\n"
        "CREATE TABLE kind (code text PRIMARY KEY, n int NOT NULL, label text NOT NULL UNIQUE);\n"
        "INSERT INTO kind VALUES ('a', 1, 'one'), ('b', 2, 'two');\n"
        "CREATE TABLE thing (id int PRIMARY KEY, code text, at timestamp);\n"
        "INSERT INTO thing VALUES (1, 'a', '2024-01-01'), (2, 'A', '2024-01-02');\n"
        "CREATE TABLE note (id int PRIMARY KEY, v int);\n"
        "INSERT INTO note VALUES (1, 1), (2, 2), (3, 3);\n"
        "CREATE TABLE turn (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, k int NOT NULL "
        "UNIQUE, v int);\n"
        "ALTER TABLE turn REPLICA IDENTITY FULL;\n"
        "INSERT INTO turn VALUES (1, 1, 10), (2, 2, 20), (3, 3, 30);\n"
        "CREATE TYPE mood AS ENUM ('glad', 'sad');\n"
        "CREATE TYPE moods AS RANGE (subtype = mood);\n"
        "CREATE TABLE felt (id int PRIMARY KEY, r moods);\n"
        "INSERT INTO felt VALUES (1, '[glad,sad]');\n");
    sys_put(
        s, "read-models/thing_view.sql",
        "-- @key id\nSELECT t.id, t.at, k.n FROM thing t LEFT JOIN kind k ON k.code = t.code\n");
    sys_put(s, "read-models/kind_view.sql", "-- @key label\nSELECT k.label, k.n FROM kind k\n");
    sys_put(s, "read-models/note_view.sql", "-- @key id\nSELECT n.id, n.v FROM note n\n");
    sys_put(s, "read-models/turn_view.sql", "-- @key id\nSELECT t.id, t.v FROM turn t\n");
    sys_put(s, "read-models/felt_view.sql", "-- @key id\nSELECT f.id, f.r FROM felt f\n");
    sys_up(s);
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    sys_end(&app);
    return 0;
}

struct stall {
    const char *model, *state, *why;
};

static bool is_stalled(void *arg)
{
    struct stall *w = arg;
    const char *why = "";
    w->state = sys_model_state(&app, w->model, &why);
    return strcmp(w->state, "stalled") == 0 && strstr(why, w->why) != NULL;
}

static void stalls(const char *sql, const char *model, const char *why)
{
    sys *s = &app;
    struct stall w = {model, "", why};
    sys_sql(s, sql);
    sys_await(s, is_stalled, &w, SOON_MS, why);
}

static void heals(const char *sql)
{
    sys *s = &app;
    sys_sql(s, sql);
    sys_await_verify(s, SOON_MS, sql);
}

/* Two rows may share a deferrable key until COMMIT, so it does not tell rows apart in the stream.
 */
static void test_a_deferrable_key(void **state)
{
    (void)state;
    sys *s = &app;
    sys_sql(s, "UPDATE turn SET id = id % 3 + 1");
    sys_verify(s);
    sys_sql(s, "BEGIN; INSERT INTO turn VALUES (1, 9, 90); DELETE FROM turn WHERE id = 1 AND k <> "
               "9; COMMIT");
    sys_verify(s);
    assert_int_equal(3, sys_keys(s, "meaning:turn_view:*"));
}

static void test_collations_keys_and_children(void **state)
{
    (void)state;
    stalls("ALTER TABLE kind ALTER code TYPE text COLLATE nocase", "thing_view",
           "nondeterministic");
    heals("ALTER TABLE kind ALTER code TYPE text COLLATE \"default\"; INSERT INTO thing VALUES (3, "
          "'b', NULL)");
    stalls("ALTER TABLE kind DROP CONSTRAINT kind_label_key", "kind_view", "no unique key");
    heals("ALTER TABLE kind ADD UNIQUE (label)");
    stalls("CREATE TABLE note_child () INHERITS (note)", "note_view", "inherit");
    heals("DROP TABLE note_child");
}

/* No value is rewritten, but they print differently. */
static void test_other_texts(void **state)
{
    (void)state;
    heals("SET TimeZone = 'UTC'; ALTER TABLE thing ALTER at TYPE timestamptz");
    heals("ALTER TYPE mood RENAME VALUE 'glad' TO 'happy'");
    sys *s = &app;
    SYS_CHECK(s, sys_query(s, "felt_view/1") == 200);
    assert_has(s->body, "happy");
}

static void test_a_publication_that_sends_less(void **state)
{
    (void)state;
    stalls(
        "ALTER PUBLICATION weir_meaning SET (publish = 'insert, update'); DELETE FROM note WHERE "
        "id = 1",
        "note_view", "does not send every change");
    heals("ALTER PUBLICATION weir_meaning SET (publish = 'insert, update, delete, truncate')");
    stalls("ALTER PUBLICATION weir_meaning DROP TABLE note; ALTER PUBLICATION weir_meaning ADD "
           "TABLE note WHERE (id > 2); UPDATE note SET v = 7 WHERE id = 2",
           "note_view", "does not send every change");
    stalls("ALTER PUBLICATION weir_meaning DROP TABLE note; DELETE FROM note WHERE id = 3",
           "note_view", "not in the publication");
    heals("ALTER PUBLICATION weir_meaning ADD TABLE note");
}

static void test_a_name_there_and_back(void **state)
{
    (void)state;
    stalls("ALTER TABLE note RENAME TO other; INSERT INTO other VALUES (9, 9)", "note_view",
           "there is no table note");
    heals("ALTER TABLE other RENAME TO note");
}

int main(void)
{
    sys_filter();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_deferrable_key),
        cmocka_unit_test(test_collations_keys_and_children),
        cmocka_unit_test(test_other_texts),
        cmocka_unit_test(test_a_publication_that_sends_less),
        cmocka_unit_test(test_a_name_there_and_back),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}
