/* test_lake_folder.c - migrations/lake: files of a folder into tables, each once, whatever dies
 * when. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "migrations/lake/folder.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"
#include "tests/support/folder.h"

static fixture fx;

typedef struct fix {
    char dir[64], moved[64];
    lake_files files[2];
    lake_folder_conf conf;
    lake_folder *f;
    weir_error err;
} fix;

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
    fix *t = calloc(1, sizeof *t);
    fixture_need(&fx);
    assert_true(folder_make(t->dir, sizeof t->dir) && folder_make(t->moved, sizeof t->moved));
    fixture_sql(&fx, "DROP SCHEMA IF EXISTS weir_sync CASCADE; DROP TABLE IF EXISTS child, item;"
                     "CREATE TABLE item (id bigint PRIMARY KEY, name text DEFAULT 'none', price "
                     "numeric CHECK (price >= 0),"
                     " tags text[], extra jsonb, made timestamptz, twice numeric GENERATED ALWAYS "
                     "AS (price * 2) STORED)");
    t->files[0] = (lake_files){.pattern = "*", .schema = "public", .table = "item"};
    t->conf = (lake_folder_conf){.dir = t->dir,
                                 .uri = fx.pg.uri,
                                 .flow = "f",
                                 .files = t->files,
                                 .nfiles = 1,
                                 .complete = LAKE_RENAMED};
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    fix *t = *state;
    lake_folder_close(t->f);
    folder_remove(t->dir);
    folder_remove(t->moved);
    free(t);
    return 0;
}

static void put(const fix *t, const char *name, const char *text)
{
    char path[200];
    weir_error err;
    (void)snprintf(path, sizeof path, "%s/%s", t->dir, name);
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z(text), 0644, &err), &err);
}

static bool there(const char *dir, const char *name)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

/* The session of the folder closed a moment ago may still hold the flow. */
static bool opens(void *arg)
{
    fix *t = arg;
    return lake_folder_open(&t->f, &t->conf, &t->err) != WEIR_E_CONFLICT;
}

static void turn(fix *t)
{
    if (!t->f) {
        (void)weir_wait_until(opens, t, 10000, "the flow to be free");
        assert_non_null(t->f);
    }
    assert_rc(WEIR_OK, lake_folder_turn(t->f, &t->err), &t->err);
}

static void again(fix *t)
{
    lake_folder_close(t->f);
    t->f = NULL;
    turn(t);
}

static void expect(const char *want, const char *sql)
{
    assert_string_equal(want, fixture_sql_value(&fx, sql));
}

static void csv_and_json_lines_become_rows(void **state)
{
    fix *t = *state;
    put(t, "a.csv",
        "id,name,price,tags\r\n1,\"x, "
        "\"\"y\"\"\nz\",12345678901234567890.50,\"{a,b}\"\r\n2,,,\r\n3,\"\",1,\r\n");
    put(t, "b.jsonl",
        "{\"id\":4,\"price\":0.10,\"tags\":[\"a\",\"b c\",null],\"extra\":{\"k\":[1.50]}}\n"
        "{\"id\":5,\"name\":null,\"extra\":\"text\"}\n{\"id\":9007199254740993,\"extra\":2.50}\n");
    put(t, "c.tsv", "name\tid\n\\N\t6\na\\b\t7\n");
    turn(t);
    expect("8", "SELECT count(*) FROM item");
    expect("x, \"y\"\nz/12345678901234567890.50/{a,b}",
           "SELECT name || '/' || price || '/' || tags::text FROM item WHERE id = 1");
    expect("t", "SELECT name IS NULL AND price IS NULL FROM item WHERE id = 2");
    expect("t", "SELECT name = '' FROM item WHERE id = 3");
    expect("none/0.10/{a,\"b c\",NULL}/{\"k\": [1.50]}",
           "SELECT name || '/' || price || '/' || tags::text || '/' || extra::text FROM item WHERE "
           "id = 4");
    expect("true/\"text\"", "SELECT (name IS NULL) || '/' || extra::text FROM item WHERE id = 5");
    expect("2.50", "SELECT extra::text FROM item WHERE id = 9007199254740993");
    expect("\\N", "SELECT name FROM item WHERE id = 6"); /* no value of COPY's own */
    expect("a\\b", "SELECT name FROM item WHERE id = 7");
    expect("3/8/0",
           "SELECT count(*) || '/' || sum(rows) || '/' || sum(rejects) FROM weir_sync.file "
           "WHERE done_at IS NOT NULL AND pos = size");
    turn(t); /* nothing twice: neither in this process nor in the next */
    again(t);
    expect("8", "SELECT count(*) FROM item");
    assert_int_equal(atomic_load(&lake_folder_progress(t->f)->files), 0);
}

static void rows_that_do_not_fit_are_rejected_with_their_line(void **state)
{
    fix *t = *state;
    put(t, "a.csv",
        "id,price,made\n1,1,\nx,1,\n3,-1,\n\"4\n\",1,\n5,1,soon\n1,2,\n7,1\n8,\"1\n9,1,2024-01-"
        "01\n");
    put(t, "b.jsonl",
        "{\"id\":10}\nnot "
        "json\n{\"id\":11,\"nope\":1}\n{\"id\":12,\"id\":13}\n{\"twice\":1}\n{\"id\":14}\n{\"id\":"
        "10}\n"
        "{\"id\":15,\"price\":-1}\n");
    turn(t);
    expect("1,4,10,14", "SELECT string_agg(id::text, ',' ORDER BY id) FROM item");
    expect("3:22P02 4:23514 7:22007 8:23505 9:22000 10:22000",
           "SELECT string_agg(line || ':' || sqlstate, ' ' ORDER BY line) FROM weir_sync.reject "
           "WHERE file = 'a.csv'");
    expect("2:22000 3:22000 4:22000 5:22000 7:23505 8:23514",
           "SELECT string_agg(line || ':' || sqlstate, ' ' ORDER BY line) FROM weir_sync.reject "
           "WHERE file = 'b.jsonl'");
    expect("8,\"1\n9,1,2024-01-01", "SELECT rtrim(source_text, E'\\n') FROM weir_sync.reject WHERE "
                                    "file = 'a.csv' AND line = 10");
    assert_has(fixture_sql_value(
                   &fx, "SELECT reason FROM weir_sync.reject WHERE line = 3 AND file = 'b.jsonl'"),
               "no column \"nope\"");
    expect("12", "SELECT sum(rejects) FROM weir_sync.file");
}

static void many_bad_rows_among_good_ones(void **state)
{
    fix *t = *state;
    weir_buf b;
    uint64_t seed = weir_test_seed();
    int bad = 0;
    weir_buf_init(&b, 1 << 20);
    weir_buf_putz(&b, "id,price\n");
    for (int i = 1; i <= 3000; i++) {
        bool is_bad = weir_test_random(&seed) % 40 == 0;
        bad += is_bad;
        weir_buf_printf(&b, "%d,%s\n", i, is_bad ? (i % 2 ? "x" : "-1") : "1");
    }
    weir_buf_u8(&b, '\0');
    put(t, "a.csv", b.p);
    t->conf.part_rows = 700;
    turn(t);
    char want[40];
    (void)snprintf(want, sizeof want, "%d/%d", 3000 - bad, bad);
    expect(want,
           "SELECT (SELECT count(*) FROM item) || '/' || (SELECT count(*) FROM weir_sync.reject)");
    expect("0", "SELECT count(*) FROM weir_sync.reject r JOIN item i ON i.id = r.line - 1");
    weir_buf_fini(&b);
}

static void foreign_keys_have_no_line_and_are_found_all_the_same(void **state)
{
    fix *t = *state;
    fixture_sql(&fx, "INSERT INTO item (id) VALUES (1), (2); CREATE TABLE child (id int, item "
                     "bigint REFERENCES item "
                     "DEFERRABLE INITIALLY DEFERRED)");
    t->files[0].table = "child";
    put(t, "a.csv", "id,item\n1,1\n2,2\n3,3\n4,1\n5,\n6,9\n");
    turn(t);
    expect("1,2,4,5", "SELECT string_agg(id::text, ',' ORDER BY id) FROM child");
    expect("4:23503 7:23503",
           "SELECT string_agg(line || ':' || sqlstate, ' ' ORDER BY line) FROM weir_sync.reject");
}

static void too_many_rejects_stop_a_file_that_can_go_on_later(void **state)
{
    fix *t = *state;
    put(t, "a.csv", "id\n1\n2\nx\ny\nz\n6\n");
    put(t, "b.csv", "id\n20\n");
    t->conf.rejects_max = 2;
    t->conf.part_rows = 2;
    turn(t);
    expect("1,2,20", "SELECT string_agg(id::text, ',' ORDER BY id) FROM item");
    assert_has(fixture_sql_value(&fx, "SELECT error FROM weir_sync.file WHERE name = 'a.csv'"),
               "rejects_max");
    t->conf.rejects_max = 3;
    again(t);
    expect("1,2,6,20", "SELECT string_agg(id::text, ',' ORDER BY id) FROM item");
    expect("3", "SELECT count(*) FROM weir_sync.reject");
    expect("t",
           "SELECT error IS NULL AND done_at IS NOT NULL FROM weir_sync.file WHERE name = 'a.csv'");
}

static void a_wrong_header_refuses_the_file(void **state)
{
    fix *t = *state;
    put(t, "a.csv", "id,nmae\n1,x\n");
    put(t, "b.csv", "id,twice\n1,2\n");
    put(t, "c.csv", "id,id\n1,2\n");
    put(t, "d.csv", "");
    turn(t);
    expect("0", "SELECT count(*) FROM item");
    assert_has(fixture_sql_value(&fx, "SELECT error FROM weir_sync.file WHERE name = 'a.csv'"),
               "\"nmae\" is no column");
    assert_has(fixture_sql_value(&fx, "SELECT error FROM weir_sync.file WHERE name = 'b.csv'"),
               "generated");
    assert_has(fixture_sql_value(&fx, "SELECT error FROM weir_sync.file WHERE name = 'c.csv'"),
               "twice");
    expect("t", "SELECT done_at IS NOT NULL FROM weir_sync.file WHERE name = 'd.csv'");
    t->files[0].ignore_unknown = true;
    again(t);
    expect("1", "SELECT count(*) FROM item");
}

static void an_upsert_replaces_rows(void **state)
{
    fix *t = *state;
    fixture_sql(&fx, "INSERT INTO item (id, name, price) VALUES (1, 'old', 5), (2, 'two', 5)");
    t->files[0].upsert = true;
    put(t, "a.csv", "id,name\n1,new\n3,three\n1,newer\nx,y\n3,\n");
    turn(t);
    expect("1:newer:5 2:two:5 3:-:-", "SELECT string_agg(concat_ws(':', id, coalesce(name, '-'), "
                                      "coalesce(price::text, '-')), ' ' ORDER BY id) FROM item");
    expect("5", "SELECT line FROM weir_sync.reject");
}

static void files_are_moved_or_deleted_when_loaded(void **state)
{
    fix *t = *state;
    t->conf.after = LAKE_MOVE;
    t->conf.move_to = t->moved;
    put(t, "a.csv", "id\n1\n");
    turn(t);
    assert_false(there(t->dir, "a.csv"));
    assert_true(there(t->moved, "a.csv"));
    put(t, "a.csv", "id\n2\n"); /* the same name, another content: another file */
    turn(t);
    expect("2", "SELECT count(*) FROM item");
    assert_false(there(t->dir, "a.csv"));
    put(t, "a.csv", "id\n2\n"); /* name and content as before: loaded already */
    turn(t);
    assert_false(there(t->dir, "a.csv"));
    expect("2", "SELECT count(*) FROM item");
    expect("0", "SELECT count(*) FROM weir_sync.reject");
    t->conf.after = LAKE_DELETE;
    put(t, "b.csv", "id\n3\n");
    again(t);
    assert_false(there(t->dir, "b.csv"));
    expect("3", "SELECT count(*) FROM item");
}

static void only_complete_files_are_taken(void **state)
{
    fix *t = *state;
    t->conf.complete = LAKE_DONE_FILE;
    put(t, "a.csv", "id\n1\n");
    put(t, ".b.csv", "id\n2\n");
    put(t, "_c.csv", "id\n3\n");
    put(t, "d.csv.tmp", "id\n4\n");
    turn(t);
    expect("0", "SELECT count(*) FROM item");
    put(t, "a.csv.done", "");
    turn(t);
    expect("1", "SELECT string_agg(id::text, ',') FROM item");
    t->conf.complete = LAKE_STABLE;
    t->conf.stable_ms = 200;
    put(t, "e.csv", "id\n5\n");
    again(t);
    expect("1", "SELECT count(*) FROM item"); /* seen once: nobody knows yet */
    assert_int_equal(atomic_load(&lake_folder_progress(t->f)->waiting), 2);
    int64_t from = weir_mono_ms();
    while (atomic_load(&lake_folder_progress(t->f)->files) == 0) {
        assert_true(weir_mono_ms() - from < 20000);
        lake_folder_wait(t->f, 5000);
        turn(t);
    }
    assert_true(weir_mono_ms() - from >= 150);
    expect("2", "SELECT count(*) FROM item");
}

static void inotify_tells_of_new_files(void **state)
{
    fix *t = *state;
    t->conf.scan_ms = 600000;
    turn(t);
    put(t, "a.csv", "id\n1\n");
    int64_t from = weir_mono_ms();
    lake_folder_wait(t->f, 60000);
    assert_true(weir_mono_ms() - from < 30000);
    turn(t);
    expect("1", "SELECT count(*) FROM item");
    lake_folder_stop(t->f);
    lake_folder_wait(t->f, 60000); /* returns at once */
    assert_true(weir_mono_ms() - from < 30000);
}

static void one_flow_runs_once(void **state)
{
    fix *t = *state;
    lake_folder *other = NULL;
    turn(t);
    assert_rc(WEIR_E_CONFLICT, lake_folder_open(&other, &t->conf, &t->err), &t->err);
    t->files[0].table = "missing";
    t->conf.flow = "g";
    assert_rc(WEIR_E_INPUT, lake_folder_open(&other, &t->conf, &t->err), &t->err);
    assert_has(t->err.msg, "no table public.missing");
}

static void a_lost_connection_is_an_error_that_passes(void **state)
{
    fix *t = *state;
    put(t, "a.csv", "id\n1\n");
    turn(t);
    fixture_sql(&fx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                     "application_name = 'weir-sync files'");
    put(t, "b.csv", "id\n2\n");
    int64_t from = weir_mono_ms();
    weir_rc rc;
    while ((rc = lake_folder_turn(t->f, &t->err)) != WEIR_OK) {
        assert_int_equal(t->err.flags & WEIR_EF_RETRY, WEIR_EF_RETRY);
        assert_true(weir_mono_ms() - from < 20000);
    }
    expect("2", "SELECT count(*) FROM item");
}

/* --- a process that may die ------------------------------------------------------------------- */

typedef struct killer {
    int at, n;
} killer;

static void maybe_die(void *arg, const char *name)
{
    killer *k = arg;
    (void)name;
    if (k->n++ == k->at) {
        (void)kill(getpid(), SIGKILL);
    }
}

/* Loads all; true when it came to the end. */
static bool run_child(fix *t, int die_at, int64_t kill_after_us)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        killer k = {.at = die_at};
        lake_folder *f = NULL;
        weir_error err;
        t->conf.step = maybe_die;
        t->conf.step_arg = &k;
        weir_rc rc = lake_folder_open(&f, &t->conf, &err);
        /* The server may still end our predecessor's session. */
        for (int i = 0; rc == WEIR_E_CONFLICT && i < 2000; i++) {
            rc = lake_folder_open(&f, &t->conf, &err);
        }
        rc = rc == WEIR_OK ? lake_folder_turn(f, &err) : rc;
        if (rc != WEIR_OK) {
            (void)fprintf(stderr, "%s\n", err.msg);
        }
        _exit(rc == WEIR_OK ? 0 : 3);
    }
    if (kill_after_us >= 0) {
        int64_t until = weir_mono_us() + kill_after_us;
        while (weir_mono_us() < until) {
        }
        (void)kill(pid, SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status)) {
        assert_int_equal(WEXITSTATUS(status), 0);
        return true;
    }
    return false;
}

static int big_files(fix *t, int files, int rows)
{
    weir_buf b;
    int id = 0;
    weir_buf_init(&b, 1 << 24);
    for (int f = 0; f < files; f++) {
        char name[32];
        bool json = f % 2;
        weir_buf_reset(&b);
        weir_buf_putz(&b, json ? "" : "id,name\n");
        for (int i = 0; i < rows; i++, id++) {
            bool bad = i % 97 == 5;
            weir_buf_printf(&b,
                            json ? "{\"id\":%s%d,\"name\":\"line\\n%d\"}\n" : "%s%d,\"line\n%d\"\n",
                            bad ? (json ? "\"x\",\"price\":" : "x") : "", id, i);
        }
        weir_buf_u8(&b, '\0');
        (void)snprintf(name, sizeof name, "%d.%s", f, json ? "jsonl" : "csv");
        put(t, name, b.p);
    }
    weir_buf_fini(&b);
    return id;
}

static void killed_anywhere_each_row_is_there_once(void **state)
{
    fix *t = *state;
    /* No primary key: a row loaded twice would stay. */
    fixture_sql(&fx, "DROP TABLE item; CREATE TABLE item (id bigint, name text, price numeric)");
    int total = big_files(t, 3, 1000);
    t->conf.part_rows = 100;
    t->conf.after = LAKE_MOVE;
    t->conf.move_to = t->moved;
    uint64_t seed = weir_test_seed();
    int deaths = 0;
    /* A part has two steps: at most two of the 30 parts get done each time, so it always dies. */
    for (int i = 0; i < 8; i++) {
        assert_false(run_child(t, (int)(weir_test_random(&seed) % 4), -1));
        deaths++;
    }
    for (int i = 0; i < 5; i++) { /* any moment, also none */
        deaths += !run_child(t, -1, (int64_t)(weir_test_random(&seed) % 60000));
    }
    assert_true(run_child(t, -1, -1));
    print_message("died %d times\n", deaths);
    int bad = 3 * (1000 / 97 + 1);
    char want[64];
    (void)snprintf(want, sizeof want, "%d/%d/%d", total - bad, total - bad, bad);
    expect(want, "SELECT count(*) || '/' || count(DISTINCT id) || '/' || (SELECT count(*) FROM "
                 "weir_sync.reject) FROM item");
    expect(want, "SELECT sum(rows) || '/' || sum(rows) || '/' || sum(rejects) FROM weir_sync.file "
                 "WHERE pos = size");
    assert_true(there(t->moved, "0.csv") && there(t->moved, "1.jsonl") && there(t->moved, "2.csv"));
}

static void a_large_file_shows_its_speed(void **state)
{
    fix *t = *state;
    const char *big = getenv("WEIR_TEST_LAKE_ROWS"); /* NOLINT(concurrency-mt-unsafe) */
    int64_t rows = 100000;
    (void)(big && weir_slice_i64(weir_slice_z(big), &rows));
    char path[200];
    (void)snprintf(path, sizeof path, "%s/big.csv", t->dir);
    FILE *f = fopen(path, "we");
    (void)fprintf(f, "id,name,price\n");
    for (int64_t i = 0; i < rows; i++) {
        (void)fprintf(f, "%" PRId64 ",\"name of %" PRId64 "\",%" PRId64 ".50\n", i, i, i % 1000);
    }
    (void)fclose(f);
    int64_t from = weir_mono_ms();
    turn(t);
    int64_t ms = weir_mono_ms() - from;
    print_message("%" PRId64 " rows in %" PRId64 " ms: %" PRId64 " rows/s\n", rows, ms,
                  rows * 1000 / (ms + 1));
    char want[32];
    (void)snprintf(want, sizeof want, "%" PRId64, rows);
    expect(want, "SELECT count(*) FROM item");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(csv_and_json_lines_become_rows),
        T(rows_that_do_not_fit_are_rejected_with_their_line),
        T(many_bad_rows_among_good_ones),
        T(foreign_keys_have_no_line_and_are_found_all_the_same),
        T(too_many_rejects_stop_a_file_that_can_go_on_later),
        T(a_wrong_header_refuses_the_file),
        T(an_upsert_replaces_rows),
        T(files_are_moved_or_deleted_when_loaded),
        T(only_complete_files_are_taken),
        T(inotify_tells_of_new_files),
        T(one_flow_runs_once),
        T(a_lost_connection_is_an_error_that_passes),
        T(killed_anywhere_each_row_is_there_once),
        T(a_large_file_shows_its_speed),
    };
    if (!weir_log_set_level("off")) {
        return 1;
    }
    return cmocka_run_group_tests_name("lake folder", tests, group_setup, group_teardown);
}
