/* test_pg.c - libweir/io/pg*.c against a private PostgreSQL: queries, scripts, streams, copies,
 * pipelines, bounds. */
#include "libweir/io/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "libweir/io/pg_lock.h"
#include "tests/support/check.h"
#include "tests/support/pgserver.h"

static pgserver server;

typedef struct fix {
    weir_pg *pg;
    weir_error err;
    weir_arena *a;
} fix;

static weir_pg *connect_for(int64_t wait_max_ms)
{
    weir_pg *pg = NULL;
    weir_error err;
    weir_pg_conf conf = {
        .uri = server.uri, .application_name = "test_pg", .wait_max_ms = wait_max_ms};
    assert_int_equal(weir_pg_open(&pg, &conf, &err), WEIR_OK);
    return pg;
}

static int setup(void **state)
{
    fix *f = calloc(1, sizeof *f);
    f->pg = connect_for(10000);
    f->a = weir_arena_new(0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fix *f = *state;
    weir_pg_close(f->pg);
    weir_arena_free(f->a);
    free(f);
    return 0;
}

static void query_gives_rows_nulls_and_pinned_settings(void **state)
{
    fix *f = *state;
    weir_pg_rows *rows = NULL;
    const char *params[] = {"7", NULL};
    assert_int_equal(
        weir_pg_query(f->pg,
                      "SELECT $1::int + 1 AS n, $2::text, '2024-05-06 07:08:09+00'::timestamptz, "
                      "'1 year 2 days'::interval, 12.5::money",
                      2, params, &rows, &f->err),
        WEIR_OK);
    assert_int_equal(weir_pg_nrows(rows), 1);
    assert_int_equal(weir_pg_ncols(rows), 5);
    assert_string_equal(weir_pg_colname(rows, 0), "n");
    assert_int_equal(weir_pg_coltype(rows, 0), 23);
    assert_int_equal(weir_pg_i64(rows, 0, 0), 8);
    assert_true(weir_pg_isnull(rows, 0, 1));
    assert_int_equal(weir_pg_value(rows, 0, 1).n, 0);
    assert_string_equal(weir_pg_valuez(rows, 0, 2), "2024-05-06 07:08:09+00");
    assert_string_equal(weir_pg_valuez(rows, 0, 3), "1 year 2 days");
    assert_string_equal(weir_pg_valuez(rows, 0, 4), "$12.50");
    assert_string_equal(weir_pg_valuez(rows, 5, 9), "");
    weir_pg_rows_free(rows);
}

/* What a role is set to for its people changes neither what our SQL means nor how long it may
 * take. */
static void settings_of_the_role_do_not_matter(void **state)
{
    fix *f = *state;
    weir_pg_rows *rows = NULL;
    weir_pg *pg = NULL;
    assert_int_equal(weir_pg_script(f->pg,
                                    "CREATE ROLE odd SUPERUSER LOGIN; "
                                    "ALTER ROLE odd SET standard_conforming_strings = off; "
                                    "ALTER ROLE odd SET transform_null_equals = on; "
                                    "ALTER ROLE odd SET quote_all_identifiers = on; "
                                    "ALTER ROLE odd SET array_nulls = off; "
                                    "ALTER ROLE odd SET statement_timeout = 50; "
                                    "ALTER ROLE odd SET client_encoding = 'LATIN1'; "
                                    "ALTER ROLE odd SET datestyle = 'German'",
                                    &f->err),
                     WEIR_OK);
    char uri[400];
    (void)snprintf(uri, sizeof uri, "%s&user=odd", server.uri);
    weir_pg_conf conf = {.uri = uri};
    assert_int_equal(weir_pg_open(&pg, &conf, &f->err), WEIR_OK);
    assert_int_equal(
        weir_pg_query(pg,
                      "SELECT 'a\\b', NULL::int = NULL, 'int4in'::regproc, '{NULL}'::text[], "
                      "pg_sleep(0.1), 'é', date '2024-02-29'",
                      0, NULL, &rows, &f->err),
        WEIR_OK);
    assert_string_equal(weir_pg_valuez(rows, 0, 0), "a\\b");
    assert_true(weir_pg_isnull(rows, 0, 1));
    assert_string_equal(weir_pg_valuez(rows, 0, 2), "int4in");
    assert_string_equal(weir_pg_valuez(rows, 0, 3), "{NULL}");
    assert_string_equal(weir_pg_valuez(rows, 0, 5), "é");
    assert_string_equal(weir_pg_valuez(rows, 0, 6), "2024-02-29");
    weir_pg_rows_free(rows);
    weir_pg_close(pg);
    assert_int_equal(weir_pg_script(f->pg, "DROP ROLE odd", &f->err), WEIR_OK);
}

static void server_error_has_state_position_and_fields(void **state)
{
    fix *f = *state;
    assert_int_equal(
        weir_pg_query(f->pg, "SELECT '\xc3\xa4', nope FROM pg_class", 0, NULL, NULL, &f->err),
        WEIR_E_INPUT);
    assert_string_equal(f->err.sqlstate, "42703");
    assert_int_equal(weir_pg_error_position(f->pg),
                     13); /* bytes, although the umlaut is one character */
    assert_int_equal(
        weir_pg_query(f->pg,
                      "DO $$ BEGIN RAISE EXCEPTION 'x' USING HINT='do y', ERRCODE='40001'; END $$",
                      0, NULL, NULL, &f->err),
        WEIR_E_CONFLICT);
    assert_int_equal(f->err.flags & WEIR_EF_RETRY, WEIR_EF_RETRY);
    assert_string_equal(weir_pg_error_field(f->pg, 'H'), "do y");
    assert_int_equal(weir_pg_query(f->pg, "SELECT 1", 0, NULL, NULL, &f->err), WEIR_OK);
    assert_string_equal(weir_pg_error_field(f->pg, 'H'), "");
}

static void script_names_the_line(void **state)
{
    fix *f = *state;
    assert_int_equal(weir_pg_script(f->pg, "SELECT 1;\nSELECT 2;\nSELECT nope;\n", &f->err),
                     WEIR_E_INPUT);
    assert_true(strncmp(f->err.msg, "line 3: ", 8) == 0);
    assert_int_equal(
        weir_pg_script(f->pg, "CREATE TEMP TABLE s(a int); INSERT INTO s VALUES (1); SELECT 1/0",
                       &f->err),
        WEIR_E_INPUT);
    assert_string_equal(f->err.sqlstate, "22012");
    assert_int_equal(weir_pg_query(f->pg, "COPY pg_class TO STDOUT", 0, NULL, NULL, &f->err),
                     WEIR_E_INPUT);
    assert_int_equal(weir_pg_query(f->pg, "SELECT 1", 0, NULL, NULL, &f->err), WEIR_OK);
}

static void stream_can_be_left_in_the_middle(void **state)
{
    fix *f = *state;
    const weir_pg_rows *row = NULL;
    assert_int_equal(
        weir_pg_stream_start(f->pg, "SELECT i FROM generate_series(1, 3) i", 0, NULL, &f->err),
        WEIR_OK);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(weir_pg_stream_next(f->pg, &row, &f->err), WEIR_OK);
        assert_int_equal(weir_pg_i64(row, 0, 0), i);
    }
    assert_int_equal(weir_pg_stream_next(f->pg, &row, &f->err), WEIR_E_EOF);
    assert_int_equal(
        weir_pg_stream_start(f->pg, "SELECT generate_series(1, 100000000)", 0, NULL, &f->err),
        WEIR_OK);
    assert_int_equal(weir_pg_stream_next(f->pg, &row, &f->err), WEIR_OK);
    assert_int_equal(weir_pg_query(f->pg, "SELECT 1", 0, NULL, NULL, &f->err), WEIR_OK);
    assert_int_equal(weir_pg_stream_start(f->pg, "SELECT 1/(3-i) FROM generate_series(1, 4) i", 0,
                                          NULL, &f->err),
                     WEIR_OK);
    weir_rc rc = WEIR_OK;
    while (rc == WEIR_OK) {
        rc = weir_pg_stream_next(f->pg, &row, &f->err);
    }
    assert_int_equal(rc, WEIR_E_INPUT);
    assert_string_equal(f->err.sqlstate, "22012");
}

static void copy_goes_both_ways(void **state)
{
    fix *f = *state;
    assert_int_equal(weir_pg_script(f->pg, "CREATE TEMP TABLE c(a int, b text)", &f->err), WEIR_OK);
    assert_int_equal(weir_pg_copy_in_start(f->pg, "COPY c FROM STDIN", &f->err), WEIR_OK);
    for (int i = 0; i < 50000; i++) {
        char line[64];
        int n = snprintf(line, sizeof line, "%d\tx\\ty%d\n", i, i);
        assert_int_equal(weir_pg_copy_in_put(f->pg, (weir_slice){line, (size_t)n}, &f->err),
                         WEIR_OK);
    }
    assert_int_equal(weir_pg_copy_in_end(f->pg, NULL, &f->err), WEIR_OK);
    weir_slice line;
    int n = 0;
    assert_int_equal(
        weir_pg_copy_out_start(f->pg, "COPY (SELECT * FROM c ORDER BY a) TO STDOUT", &f->err),
        WEIR_OK);
    while (weir_pg_copy_out_next(f->pg, &line, &f->err) == WEIR_OK) {
        char want[64];
        (void)snprintf(want, sizeof want, "%d\tx\\ty%d", n, n);
        assert_true(weir_slice_eqz(line, want));
        n++;
    }
    assert_int_equal(n, 50000);
    assert_int_equal(weir_pg_copy_out_start(f->pg, "COPY c TO STDOUT", &f->err), WEIR_OK);
    assert_int_equal(weir_pg_copy_out_next(f->pg, &line, &f->err), WEIR_OK);
    assert_int_equal(weir_pg_copy_in_start(f->pg, "COPY c FROM STDIN", &f->err), WEIR_OK);
    assert_int_equal(weir_pg_copy_in_end(f->pg, "changed my mind", &f->err), WEIR_OK);
    assert_int_equal(weir_pg_copy_in_start(f->pg, "COPY c FROM STDIN", &f->err), WEIR_OK);
    assert_int_equal(weir_pg_copy_in_put(f->pg, WEIR_SLICE_LIT("zzz\n"), &f->err), WEIR_OK);
    assert_int_equal(weir_pg_copy_in_end(f->pg, NULL, &f->err), WEIR_E_INPUT);
    assert_int_equal(weir_pg_copy_out_start(f->pg, "COPY nope TO STDOUT", &f->err),
                     WEIR_E_NOTFOUND);
    assert_int_equal(weir_pg_query(f->pg, "SELECT 1", 0, NULL, NULL, &f->err), WEIR_OK);
}

static weir_pg_pipe_kind next_kind(fix *f, int64_t *value)
{
    weir_pg_pipe_kind kind = WEIR_PG_PIPE_SYNC;
    weir_pg_rows *rows = NULL;
    assert_int_equal(weir_pg_pipe_next(f->pg, 5000, &kind, &rows, &f->err), WEIR_OK);
    if (value) {
        *value = rows && weir_pg_nrows(rows) ? weir_pg_i64(rows, 0, 0) : -1;
    }
    weir_pg_rows_free(rows);
    return kind;
}

static void send(fix *f, const char *stmt, const char *sql, const char *param)
{
    const char *params[] = {param};
    assert_int_equal(weir_pg_pipe_send(f->pg, stmt, sql, param ? 1 : 0, params, NULL, &f->err),
                     WEIR_OK);
}

static void pipeline_hides_prepares_and_survives_errors(void **state)
{
    fix *f = *state;
    int64_t v = 0;
    assert_int_equal(weir_pg_pipe_enter(f->pg, &f->err), WEIR_OK);
    for (int i = 0; i < 300; i++) {
        send(f, "twice", "SELECT $1::int * 2", "21");
    }
    assert_int_equal(weir_pg_pipe_flush(f->pg, &f->err), WEIR_OK);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(next_kind(f, &v), WEIR_PG_PIPE_ROWS);
        assert_int_equal(v, 42);
    }
    send(f, "bad", "SELECT nope", NULL); /* the prepare fails: one error, nothing else */
    send(f, "later", "SELECT 5", NULL);  /* aborted before it could be prepared */
    send(f, "twice", "SELECT $1::int * 2", "1");
    assert_int_equal(weir_pg_pipe_sync(f->pg, &f->err), WEIR_OK);
    assert_int_equal(next_kind(f, NULL), WEIR_PG_PIPE_ERROR);
    assert_string_equal(f->err.sqlstate, "42703");
    assert_int_equal(next_kind(f, NULL), WEIR_PG_PIPE_ABORTED);
    assert_int_equal(next_kind(f, NULL), WEIR_PG_PIPE_ABORTED);
    assert_int_equal(next_kind(f, NULL), WEIR_PG_PIPE_SYNC);
    send(f, "later", "SELECT 5", NULL); /* prepared now */
    send(f, "twice", "SELECT $1::int * 2", "x");
    send(f, "later", "SELECT 5", NULL);
    assert_int_equal(weir_pg_pipe_sync(f->pg, &f->err), WEIR_OK);
    assert_int_equal(next_kind(f, &v), WEIR_PG_PIPE_ROWS);
    assert_int_equal(v, 5);
    assert_int_equal(next_kind(f, NULL), WEIR_PG_PIPE_ERROR);
    assert_int_equal(next_kind(f, NULL), WEIR_PG_PIPE_ABORTED);
    assert_int_equal(next_kind(f, NULL), WEIR_PG_PIPE_SYNC);
    assert_int_equal(weir_pg_pipe_leave(f->pg, &f->err), WEIR_OK);
    assert_int_equal(weir_pg_query(f->pg, "SELECT 1", 0, NULL, NULL, &f->err), WEIR_OK);
}

static void waits_are_bounded(void **state)
{
    (void)state;
    weir_error err;
    weir_pg *pg = connect_for(200);
    int64_t t0 = weir_mono_ms();
    assert_int_equal(weir_pg_query(pg, "SELECT pg_sleep(30)", 0, NULL, NULL, &err), WEIR_E_TIMEOUT);
    assert_true(weir_mono_ms() - t0 < 5000 * (int64_t)weir_test_timeout_x());
    assert_false(weir_pg_ok(pg));
    assert_int_equal(weir_pg_query(pg, "SELECT 1", 0, NULL, NULL, &err), WEIR_E_CONN);
    weir_pg_close(pg);
}

static void lost_connection_and_secrets(void **state)
{
    fix *f = *state;
    weir_pg *other = connect_for(5000);
    char pid[16];
    (void)snprintf(pid, sizeof pid, "%d", weir_pg_pid(other));
    const char *params[] = {pid};
    assert_int_equal(weir_pg_query(f->pg, "SELECT pg_terminate_backend($1::int, 5000)", 1, params,
                                   NULL, &f->err),
                     WEIR_OK);
    weir_error err;
    assert_int_equal(weir_pg_query(other, "SELECT 1", 0, NULL, NULL, &err), WEIR_E_CONN);
    assert_true(err.flags & WEIR_EF_RETRY);
    assert_false(weir_pg_ok(other));
    weir_pg_close(other);
    weir_pg *pg = NULL;
    weir_pg_conf conf = {.uri = "postgresql://u:s3cret@127.0.0.1:1/x?broken",
                         .connect_timeout_ms = 500};
    assert_int_equal(weir_pg_open(&pg, &conf, &err), WEIR_E_INPUT);
    assert_null(strstr(err.msg, "s3cret"));
    conf.uri = "postgresql://u:s3cret@127.0.0.1:1/x";
    assert_int_equal(weir_pg_open(&pg, &conf, &err), WEIR_E_CONN);
    assert_null(strstr(err.msg, "s3cret"));
    char uri[400];
    (void)snprintf(uri, sizeof uri, "%s&user=nobody_here&password=s3cret", server.uri);
    conf.uri = uri;
    assert_int_equal(weir_pg_open(&pg, &conf, &err), WEIR_E_DENIED);
    assert_string_equal(err.sqlstate, "28000");
    assert_null(strstr(err.msg, "s3cret"));
}

static void notify_and_quoting(void **state)
{
    fix *f = *state;
    char payload[8];
    assert_int_equal(weir_pg_script(f->pg, "LISTEN ch", &f->err), WEIR_OK);
    assert_int_equal(weir_pg_wait_notify(f->pg, 20, payload, sizeof payload, &f->err),
                     WEIR_E_AGAIN);
    weir_pg *other = connect_for(5000);
    assert_int_equal(weir_pg_script(other, "NOTIFY ch, 'hello world'", &f->err), WEIR_OK);
    assert_int_equal(weir_pg_wait_notify(f->pg, 5000, payload, sizeof payload, &f->err), WEIR_OK);
    assert_string_equal(payload, "hello w");
    weir_pg_close(other);
    assert_string_equal(weir_pg_ident(f->a, WEIR_SLICE_LIT("a\"b")), "\"a\"\"b\"");
    assert_string_equal(weir_pg_literal(f->a, WEIR_SLICE_LIT("it's")), "'it''s'");
    assert_string_equal(weir_pg_literal(f->a, WEIR_SLICE_LIT("a\\'b")), " E'a\\\\''b'");
}

static int up(void **state)
{
    (void)state;
    return pgserver_start(&server) ? 0 : -1;
}

static void hidden_rows_say_what_helps(void **state)
{
    fix *f = *state;
    assert_int_equal(weir_pg_script(f->pg,
                                    "CREATE ROLE guest; CREATE TABLE veiled (id int); ALTER TABLE "
                                    "veiled ENABLE ROW LEVEL SECURITY; GRANT SELECT ON veiled TO "
                                    "guest; SET ROLE guest; SET row_security = off",
                                    &f->err),
                     WEIR_OK);
    assert_int_not_equal(weir_pg_query(f->pg, "SELECT * FROM veiled", 0, NULL, NULL, &f->err),
                         WEIR_OK);
    assert_non_null(strstr(f->err.msg, "BYPASSRLS"));
    assert_int_equal(
        weir_pg_script(f->pg, "RESET ROLE; DROP TABLE veiled; DROP ROLE guest", &f->err), WEIR_OK);
}

static bool release(void *holder)
{
    weir_pg_close(*(weir_pg **)holder);
    *(weir_pg **)holder = NULL;
    return true;
}

static void a_lock_is_one_session_s_and_waits_for_one_that_dies(void **state)
{
    fix *f = *state;
    weir_pg *other = connect_for(10000);
    weir_pg_lock_conf conf = {.kind = "job", .name = "a"};
    assert_int_equal(weir_pg_lock(other, &conf, &f->err), WEIR_OK);
    assert_int_equal(weir_pg_lock(f->pg, &conf, &f->err), WEIR_E_CONFLICT);
    conf.name = "b";
    assert_int_equal(weir_pg_lock(f->pg, &conf, &f->err), WEIR_OK);
    conf = (weir_pg_lock_conf){"job", "a", 10000, release, &other}; /* gone while we wait */
    assert_int_equal(weir_pg_lock(f->pg, &conf, &f->err), WEIR_OK);
    weir_pg_close(other);
}

static int down(void **state)
{
    (void)state;
    pgserver_remove(&server);
    return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(query_gives_rows_nulls_and_pinned_settings),
        T(settings_of_the_role_do_not_matter),
        T(server_error_has_state_position_and_fields),
        T(script_names_the_line),
        T(stream_can_be_left_in_the_middle),
        T(copy_goes_both_ways),
        T(pipeline_hides_prepares_and_survives_errors),
        T(waits_are_bounded),
        T(lost_connection_and_secrets),
        T(notify_and_quoting),
        T(hidden_rows_say_what_helps),
        T(a_lock_is_one_session_s_and_waits_for_one_that_dies),
    };
    return cmocka_run_group_tests_name("pg", tests, up, down);
}
