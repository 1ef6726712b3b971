/* test_pgrepl.c - libweir/io/pgrepl.c against a private PostgreSQL: slot, stream, feedback,
 * refusals. */
#include "libweir/io/pgrepl.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "libweir/io/pg.h"
#include "tests/support/check.h"
#include "tests/support/pgserver.h"

static pgserver server;

typedef struct fix {
    weir_pg *pg;
    weir_pgrepl *r;
    weir_error err;
} fix;

static int setup(void **state)
{
    fix *f = calloc(1, sizeof *f);
    weir_pg_conf conf = {.uri = server.uri};
    assert_int_equal(weir_pg_open(&f->pg, &conf, &f->err), WEIR_OK);
    assert_int_equal(weir_pgrepl_open(&f->r, server.uri, "test", &f->err), WEIR_OK);
    assert_int_equal(
        weir_pg_script(
            f->pg,
            "DROP TABLE IF EXISTS t; CREATE TABLE t(id int primary key, v text);"
            "DROP PUBLICATION IF EXISTS \"Pub'x\"; CREATE PUBLICATION \"Pub'x\" FOR TABLE t",
            &f->err),
        WEIR_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fix *f = *state;
    weir_pgrepl_close(f->r);
    assert_int_equal(
        weir_pg_script(
            f->pg,
            "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE active;"
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
            &f->err),
        WEIR_OK);
    weir_pg_close(f->pg);
    free(f);
    return 0;
}

static weir_rc next_wait(fix *f, weir_pgrepl_msg *m)
{
    int64_t end = weir_mono_ms() + 5000 * (int64_t)weir_test_timeout_x();
    for (;;) {
        weir_rc rc = weir_pgrepl_next(f->r, m, &f->err);
        if (rc != WEIR_E_AGAIN || weir_mono_ms() > end) {
            return rc;
        }
        struct pollfd pf = {weir_pgrepl_fd(f->r), POLLIN, 0};
        (void)poll(&pf, 1, 100);
    }
}

static void slot_snapshot_and_stream(void **state)
{
    fix *f = *state;
    weir_pgrepl_system sys;
    assert_int_equal(weir_pgrepl_identify(f->r, &sys, &f->err), WEIR_OK);
    assert_int_equal(sys.timeline, 1);
    assert_true(strlen(sys.system_id) > 10 && sys.flush_lsn > 0);
    assert_int_equal(weir_pg_script(f->pg, "INSERT INTO t VALUES (1, 'before')", &f->err), WEIR_OK);
    uint64_t lsn = 0;
    char snapshot[64];
    assert_int_equal(weir_pgrepl_create_slot(f->r, "s1", 100, NULL, NULL, &lsn, snapshot, &f->err),
                     WEIR_OK);
    assert_true(lsn > 0 && snapshot[0]);
    assert_int_equal(weir_pgrepl_create_slot(f->r, "s1", 100, NULL, NULL, &lsn, snapshot, &f->err),
                     WEIR_E_CONFLICT);
    assert_int_equal(weir_pg_script(f->pg, "INSERT INTO t VALUES (2, 'after')", &f->err), WEIR_OK);
    assert_int_equal(weir_pgrepl_start(f->r, "s1", "Pub'x", 0, &f->err), WEIR_OK);
    char kinds[8] = "";
    weir_pgrepl_msg m;
    while (strlen(kinds) < 4) {
        assert_int_equal(next_wait(f, &m), WEIR_OK);
        if (!m.keepalive) {
            kinds[strlen(kinds)] = m.data.p[0];
        }
    }
    assert_string_equal(kinds, "BRIC");
    assert_int_equal(weir_pgrepl_feedback(f->r, m.wal_end, m.wal_end, true, &f->err), WEIR_OK);
    do {
        assert_int_equal(next_wait(f, &m), WEIR_OK);
    } while (!m.keepalive);
    /* A second consumer is told that the slot is taken. */
    weir_pgrepl *other = NULL;
    assert_int_equal(weir_pgrepl_open(&other, server.uri, "test2", &f->err), WEIR_OK);
    assert_int_equal(weir_pgrepl_start(other, "s1", "Pub'x", 0, &f->err), WEIR_E_CONFLICT);
    weir_pgrepl_close(other);
}

static bool stop_waiting(void *arg)
{
    return ++*(int *)arg < 3;
}

static void waiting_for_transactions_can_be_given_up(void **state)
{
    fix *f = *state;
    weir_pg *blocker = NULL;
    weir_pg_conf conf = {.uri = server.uri};
    assert_int_equal(weir_pg_open(&blocker, &conf, &f->err), WEIR_OK);
    assert_int_equal(weir_pg_script(blocker, "BEGIN", &f->err), WEIR_OK);
    assert_int_equal(weir_pg_script(blocker, "INSERT INTO t VALUES (9, 'open')", &f->err), WEIR_OK);
    int calls = 0;
    uint64_t lsn = 0;
    char snapshot[64];
    assert_int_equal(
        weir_pgrepl_create_slot(f->r, "s2", 50, stop_waiting, &calls, &lsn, snapshot, &f->err),
        WEIR_E_TIMEOUT);
    assert_int_equal(calls, 3);
    weir_pg_rows *rows = NULL;
    assert_int_equal(
        weir_pg_query(f->pg, "SELECT count(*) FROM pg_replication_slots", 0, NULL, &rows, &f->err),
        WEIR_OK);
    assert_int_equal(weir_pg_i64(rows, 0, 0), 0);
    weir_pg_rows_free(rows);
    weir_pg_close(blocker);
}

static void refusals_have_the_right_code(void **state)
{
    fix *f = *state;
    uint64_t lsn = 0;
    char snapshot[64];
    assert_int_equal(weir_pgrepl_start(f->r, "absent", "p", 0, &f->err), WEIR_E_STATE);
    assert_int_equal(weir_pgrepl_start(f->r, "Bad name", "p", 0, &f->err), WEIR_E_INPUT);
    assert_int_equal(weir_pgrepl_create_slot(f->r, "s3", 100, NULL, NULL, &lsn, snapshot, &f->err),
                     WEIR_OK);
    assert_int_equal(weir_pgrepl_start(f->r, "s3", "late", 0, &f->err), WEIR_OK);
    assert_int_equal(weir_pg_script(f->pg, "INSERT INTO t VALUES (5, 'x')", &f->err), WEIR_OK);
    weir_pgrepl_msg m;
    weir_rc rc = WEIR_OK;
    while (rc == WEIR_OK) {
        rc = next_wait(f, &m);
    }
    assert_int_equal(rc, WEIR_E_STATE); /* publication "late" does not exist */
    assert_string_equal(f->err.sqlstate, "42704");
    assert_int_equal(weir_pg_script(f->pg, "CREATE ROLE plain LOGIN", &f->err), WEIR_OK);
    char uri[400];
    (void)snprintf(uri, sizeof uri, "%s&user=plain", server.uri);
    weir_pgrepl *other = NULL;
    assert_int_equal(weir_pgrepl_open(&other, uri, "test2", &f->err), WEIR_E_DENIED);
    assert_non_null(strstr(f->err.msg, "REPLICATION"));
}

static int up(void **state)
{
    (void)state;
    return pgserver_start(&server) ? 0 : -1;
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
    const struct CMUnitTest tests[] = {T(slot_snapshot_and_stream),
                                       T(waiting_for_transactions_can_be_given_up),
                                       T(refusals_have_the_right_code)};
    return cmocka_run_group_tests_name("pgrepl", tests, up, down);
}
