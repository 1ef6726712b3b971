/* test_sync_lake.c - `weir sync` into a data lake and back: a table's changes as files, these files
 * loaded into a table, and the state they tell compared with the first table. weir-sync is killed
 * on the way. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "libweir/codec/lsn.h"
#include "migrations/sync/conf.h"
#include "tests/support/app.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"
#include "tests/support/folder.h"

#define WEIR WEIR_BIN_DIR "/weir"

static fixture fx;

typedef struct sync_test {
    char dir[64];
    const char *lake_ini, *load_ini;
    weir_arena *a;
    uint64_t files;
} sync_test;

static int group_setup(void **state)
{
    (void)state;
    return fixture_open(&fx, FIXTURE_PG);
}

static int group_teardown(void **state)
{
    (void)state;
    fixture_close(&fx);
    return 0;
}

static int setup(void **state)
{
    sync_test *t = calloc(1, sizeof *t);
    fixture_need(&fx);
    assert_true(folder_make(t->dir, sizeof t->dir));
    t->a = weir_arena_new(0);
    t->lake_ini = weir_arena_printf(t->a, "%s/to_lake.ini", t->dir);
    t->load_ini = weir_arena_printf(t->a, "%s/from_lake.ini", t->dir);
    *state = t;
    return 0;
}

static int verb(const char *ini, const char *what)
{
    const char *const argv[] = {WEIR, "sync", ini, what, NULL};
    return orc_run(false, argv);
}

static int teardown(void **state)
{
    sync_test *t = *state;
    (void)verb(t->lake_ini, "stop");
    (void)verb(t->load_ini, "stop");
    (void)verb(t->lake_ini, "forget");
    folder_remove(t->dir);
    weir_arena_free(t->a);
    free(t);
    return 0;
}

static void put(const char *path, const char *text)
{
    weir_error err;
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z(text), 0600, &err), &err);
}

/* The first flow of `status --json`, or NULL; *pid: of weir-sync. */
static weir_json *status(sync_test *t, const char *ini, int64_t *pid)
{
    const char *const argv[] = {WEIR, "sync", ini, "status", "--json", NULL};
    weir_slice out;
    weir_json *j = NULL;
    weir_error err;
    (void)orc_capture(t->a, &out, argv);
    if (weir_json_parse(&j, out, &err) != WEIR_OK) {
        return NULL;
    }
    *pid = 0;
    (void)weir_json_i64(j, "pid", pid);
    return j;
}

static int64_t flow_number(sync_test *t, const char *ini, const char *key, int64_t *pid)
{
    int64_t n = -1;
    weir_json *j = status(t, ini, pid);
    const weir_json *flow = j ? weir_json_at(weir_json_get(j, "flows"), 0) : NULL;
    if (flow) {
        (void)weir_json_i64(flow, key, &n);
    }
    weir_json_free(j);
    return n;
}

static bool is_copied(void *arg)
{
    int64_t pid;
    sync_test *t = arg;
    return flow_number(t, t->lake_ini, "copied", &pid) == 2;
}

static bool is_running(void *arg)
{
    int64_t pid;
    sync_test *t = arg;
    return flow_number(t, t->lake_ini, "waiting_rows", &pid) >= 0 && pid > 0;
}

/* Everything committed is in files: the flow's durable position has passed `lsn`. */
static bool is_written(void *arg)
{
    int64_t pid;
    weir_slice at;
    uint64_t lsn = 0, want = 0;
    sync_test *t = arg;
    weir_json *j = status(t, t->lake_ini, &pid);
    const weir_json *flow = j ? weir_json_at(weir_json_get(j, "flows"), 0) : NULL;
    bool ok = flow && weir_json_str(flow, "position", &at) && weir_lsn_parse(at, &lsn) &&
              weir_lsn_parse(weir_slice_z(fixture_sql_value(&fx, "SELECT lsn FROM mark")), &want);
    weir_json_free(j);
    return ok && lsn >= want;
}

static void count_part(void *arg, const char *path)
{
    sync_test *t = arg;
    const char *name = strrchr(path, '/');
    t->files += name && strncmp(name, "/part-", 6) == 0;
}

static bool is_loaded(void *arg)
{
    sync_test *t = arg;
    int64_t n = 0;
    const char *done = fixture_sql_value(
        &fx, "SELECT CASE WHEN to_regclass('weir_sync.file') IS NULL THEN '0' ELSE "
             "(xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM "
             "weir_sync.file WHERE done_at IS NOT NULL', false, true, '')))[1]::text END");
    return weir_slice_i64(weir_slice_z(done), &n) && (uint64_t)n == t->files;
}

static void write_some(sync_test *t, int round)
{
    (void)t;
    char sql[900];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO item SELECT i, 'new', i FROM generate_series(%d, %d) i;"
                   "UPDATE item SET v = 'round \"%d\"', n = n + 0.10 WHERE id %% 7 = %d;"
                   "DELETE FROM item WHERE id %% 31 = %d;"
                   "BEGIN; UPDATE \"odd.Name\" SET x = x + 1; INSERT INTO \"odd.Name\" VALUES (%d, "
                   "1); COMMIT;",
                   1000 + round * 100, 1099 + round * 100, round, round % 7, round, 100 + round);
    fixture_sql(&fx, sql);
}

static void kill_sync(sync_test *t)
{
    int64_t pid = 0;
    (void)flow_number(t, t->lake_ini, "rows", &pid);
    assert_true(pid > 1);
    (void)kill((pid_t)pid, SIGKILL);
    fixture_wait(&fx, is_running, t, 60000, "weir-sync runs again");
}

static void start(sync_test *t, const char *ini)
{
    const char *const argv[] = {WEIR, "sync", ini, "--detach", NULL};
    weir_slice out;
    int rc = orc_capture(t->a, &out, argv);
    if (rc != 0) {
        print_error(WEIR_SLICE_FMT "\n", WEIR_SLICE_ARG(out));
    }
    assert_int_equal(rc, 0);
}

static void to_a_lake_and_back(void **state)
{
    sync_test *t = *state;
    fixture_sql(&fx, "CREATE TABLE item (id bigint PRIMARY KEY, v text, n numeric);"
                     "CREATE TABLE \"odd.Name\" (id int PRIMARY KEY, x int);"
                     "CREATE TABLE other (id int PRIMARY KEY);"
                     "INSERT INTO item SELECT i, 'v' || i, i / 3.0 FROM generate_series(1, 900) i;"
                     "INSERT INTO \"odd.Name\" VALUES (1, 1), (2, 2);"
                     "CREATE TABLE mark (lsn pg_lsn);");
    put(t->lake_ini,
        weir_arena_printf(
            t->a,
            "[sync]\ntables = public.item, public.odd*\ninitial = copy\n[source]\nuri = %s\n"
            "[destination]\ntype = jsonl\ndir = %s/lake\nroll_seconds = 1\n",
            fx.pg.uri, t->dir));
    start(t, t->lake_ini);
    for (int round = 0; round < 6; round++) {
        write_some(t, round);
        if (round % 2 == 1) {
            kill_sync(t);
        }
    }
    fixture_wait(&fx, is_copied, t, 60000, "both tables are copied");
    fixture_sql(&fx, "INSERT INTO mark SELECT pg_current_wal_insert_lsn(); INSERT INTO item VALUES "
                     "(5000, NULL, 'NaN')");
    fixture_wait(&fx, is_written, t, 60000, "all changes are in files");
    assert_int_equal(verb(t->lake_ini, "stop"), 0);
    (void)folder_each(weir_arena_printf(t->a, "%s/lake", t->dir), count_part, t);
    assert_true(t->files >= 2);

    fixture_sql(&fx, "CREATE TABLE change (op text, \"table\" text, position pg_lsn, sub bigint, "
                     "seq bigint, key jsonb, "
                     "row jsonb, at timestamptz, UNIQUE (position, sub, seq))");
    put(t->load_ini,
        weir_arena_printf(
            t->a,
            "[source]\ntype = folder\ndir = %s/lake\ncomplete = rename\n"
            "[target]\nuri = %s\n"
            "[files all]\npattern = */*/*.jsonl\ntable = change\nignore_unknown = yes\n",
            t->dir, fx.pg.uri));
    start(t, t->load_ini);
    fixture_wait(&fx, is_loaded, t, 60000, "all files are loaded");
    assert_int_equal(verb(t->load_ini, "stop"), 0);
    assert_string_equal("0", fixture_sql_value(&fx, "SELECT count(*) FROM weir_sync.reject"));
    /* The last word on each key, in the order of the lines, is what the table holds. */
    fixture_sql(&fx, "CREATE VIEW told AS SELECT * FROM (SELECT DISTINCT ON (\"table\", key) "
                     "\"table\", op, row FROM change "
                     "WHERE key IS NOT NULL ORDER BY \"table\", key, position DESC, sub DESC, seq "
                     "DESC) x WHERE op <> 'delete'");
    assert_string_equal(
        "0",
        fixture_sql_value(&fx, "SELECT count(*) FROM (SELECT id, v, n FROM item EXCEPT ALL SELECT "
                               "(row->>'id')::bigint, row->>'v', (row->>'n')::numeric FROM told "
                               "WHERE \"table\" = 'public.item') x"));
    assert_string_equal(
        "t", fixture_sql_value(
                 &fx, "SELECT (SELECT count(*) FROM item) = (SELECT count(*) FROM told WHERE "
                      "\"table\" = 'public.item')"));
    assert_string_equal(
        "t", fixture_sql_value(
                 &fx, "SELECT (SELECT sum(x) FROM \"odd.Name\") = (SELECT sum((row->>'x')::int) "
                      "FROM told WHERE \"table\" = 'public.odd.Name')"));
    assert_string_equal(
        "0",
        fixture_sql_value(&fx, "SELECT count(*) FROM change WHERE \"table\" = 'public.other'"));
}

static void mistakes_in_the_file_are_told(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"[source]\ntype = folder\n[target]\nuri = x\n", "dir is not set"},
        {"[source]\ntype = folder\ndir = /x\n[target]\nuri = x\n", "no [files NAME]"},
        {"[source]\ntype = folder\ndir = /x\n[target]\nuri = x\n[files a]\npattern = *\n",
         "needs pattern and table"},
        {"[source]\ntype = folder\ndir = /x\nafter = move\n[files a]\npattern = *\ntable = "
         "t\n[target]\nuri = x\n",
         "needs move_to"},
        {"[source]\ndir = /x\nuri = x\n[target]\nuri = x\n", "type = folder is missing"},
        {"[source]\ntype = folder\ndir = /x\n[files a]\npatern = *\n", "did you mean pattern"},
        {"[sync]\ntables = *\n[source]\nuri = x\n[destination]\ntype = parquet\n",
         "a [destination] is jsonl"},
        {"[sync]\ntables = *\n[source]\nuri = x\n[destination]\ntype = jsonl\n",
         "[destination] dir is not set"},
        {"[sync]\ntables = *\n[source]\nuri = x\n[destination]\ndir = /x\n[target]\nuri = y\n",
         "one of them"},
        {"[sync]\ntables = *\nways = both\n[source]\nuri = x\n[destination]\ndir = /x\n",
         "two databases"},
    };
    sync_test *t = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sync_conf c;
        weir_error err;
        put(t->lake_ini, cases[i].text);
        assert_rc(WEIR_E_INPUT, sync_conf_load(&c, t->lake_ini, t->a, &err), &err);
        assert_has(err.msg, cases[i].says);
    }
    put(t->lake_ini, "");
    put(t->load_ini, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(to_a_lake_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_in_the_file_are_told, setup, teardown),
    };
    return cmocka_run_group_tests_name("sync lake", tests, group_setup, group_teardown);
}
