/* test_write.c - the write-service with a real PostgreSQL: groups, refusals, collisions, the
 * catalog, clients that leave. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "tests/support/writetest.h"

enum { CLIENTS = 20 };

/* --- one at a time ------------------------------------------------------------------------------
 */

static void accepted_and_rejected(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service *s = &wt_main;
    wt_answer a = wt_post(s, "place_order",
                          "{\"customer_id\":7,\"note\":\"n\",\"lines\":[{\"sku\":\"a\",\"qty\":1,"
                          "\"price\":\"1.5\"}]}");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"result\":1,");
    assert_true(a.position[0] != '\0');
    /* The position lies at or behind the commit and is flushed. */
    char sql[160];
    (void)snprintf(sql, sizeof sql, "SELECT '%s'::pg_lsn <= pg_current_wal_flush_lsn()",
                   a.position);
    assert_string_equal(fixture_sql_value(&wt_fx, sql), "t");
    a = wt_post(s, "exact", "{}");
    assert_has(a.body, "\"result\":{\"n\": 12345678901234567890.1234567890, \"t\": \"},\\\"{\"}");
    a = wt_post(s, "refuse", "{\"state\":\"P0001\",\"message\":\"not so\"}");
    wt_assert_status(422, &a);
    assert_has(a.body, "\"detail\":\"not so\"");
    assert_has(a.body, "\"hint\":\"some hint\"");
    assert_has(a.body, "\"sqlstate\":\"P0001\"");
    a = wt_post(s, "book", "{\"id\":\"one\",\"amount\":1}");
    wt_assert_status(200, &a);
    a = wt_post(s, "book", "{\"id\":\"one\",\"amount\":1}");
    wt_assert_status(409, &a);
    assert_has(a.body, "\"constraint\":\"ledger_pkey\"");
    a = wt_post(s, "book", "{\"id\":\"two\",\"amount\":-1}");
    wt_assert_status(422, &a);
    a = wt_post(s, "adopt", "{\"id\":1,\"parent_id\":4711}"); /* refused by COMMIT */
    wt_assert_status(422, &a);
    assert_has(a.body, "\"sqlstate\":\"23503\"");
    assert_has(a.body, "child_parent_id_fkey");
    char words[1300] = "{\"id\":1,\"words\":\"two\\nlines ";
    while (strlen(words) < 1200) {
        (void)snprintf(words + strlen(words), 4, "\u20ac");
    }
    (void)snprintf(words + strlen(words), 16, " whole\"}");
    a = wt_post(s, "speak", words); /* refused by COMMIT, in as many words as by the function */
    wt_assert_status(422, &a);
    assert_true(weir_utf8_ok(weir_slice_z(a.body)));
    assert_has(a.body, "two\\nlines \u20ac");
    assert_has(a.body, "\u20ac whole\"");
    a = wt_post(s, "refuse", "{\"state\":\"40001\",\"message\":\"again\"}"); /* for ever */
    wt_assert_status(503, &a);
    assert_has(a.body, "40001");
    a = wt_post(s, "nap", "{\"seconds\": 20}");
    wt_assert_status(504, &a);
}

static void wire_rules(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service *s = &wt_main;
    wt_answer a = wt_post(s, "book", "{\"id\":");
    wt_assert_status(400, &a);
    a = wt_post(s, "book", "{\"id\":\"x\",\"id\":\"y\"}");
    wt_assert_status(400, &a);
    a = wt_post(s, "book", "[]");
    wt_assert_status(400, &a);
    a = wt_post(s, "bok", "{}");
    wt_assert_status(404, &a);
    assert_has(a.body, "did you mean \\\"book\\\"");
    a = wt_get(s, "/nothing/here/at/all");
    wt_assert_status(404, &a);
    a = wt_get(s, "/commands/book");
    wt_assert_status(405, &a);
    assert_string_equal(a.allow, "POST, OPTIONS");
    a = wt_ask(s, "OPTIONS", "/commands/book", NULL, NULL);
    wt_assert_status(204, &a);
    assert_string_equal(a.allow, "POST, OPTIONS");
    a = wt_ask(s, "DELETE", "/openapi.json", NULL, NULL);
    wt_assert_status(405, &a);
    assert_string_equal(a.allow, "GET, HEAD, OPTIONS");
    a = wt_ask(s, "OPTIONS", "/commands", NULL, NULL);
    assert_string_equal(a.allow, "GET, HEAD, POST, OPTIONS");
    static const char *const packed[] = {"Content-Type: application/json", "Content-Encoding: gzip",
                                         NULL};
    a = wt_ask(s, "POST", "/commands/book", packed, "{}");
    wt_assert_status(415, &a);
    a = wt_ask(s, "POST", "/commands", packed, "[]");
    wt_assert_status(415, &a);
    a = wt_post(s, "book", "{\"id\":\"a\\u0000b\"}");
    wt_assert_status(400, &a);
    assert_has(a.body, "\\u0000, which PostgreSQL cannot keep");
    static const char *const form[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    a = wt_ask(s, "POST", "/commands/book", form, "{}");
    wt_assert_status(415, &a);
    static const char *const key[] = {"Content-Type: application/json",
                                      "Weir-Callback: http://127.0.0.1/", NULL};
    a = wt_ask(s, "POST", "/commands/note", key, "{\"id\":\"never\"}");
    wt_assert_status(400, &a);
    static const char *const bad_id[] = {"Content-Type: application/json",
                                         "X-Correlation-Id: \xc3\xa9", NULL};
    a = wt_ask(s, "POST", "/commands/who_calls", bad_id, "{}");
    wt_assert_status(400, &a);
    static const char *const ids[] = {
        "Content-Type: application/json", "X-Correlation-Id: trip 42",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", NULL};
    a = wt_ask(s, "POST", "/commands/who_calls", ids, "{}");
    wt_assert_status(200, &a);
    assert_has(a.body, "\\\"correlation_id\\\":\\\"trip 42\\\"");
    assert_has(a.body, "00f067aa0ba902b7");
    char *big = calloc(1, 70001);
    memset(big, ' ', 70000);
    a = wt_post(s, "note", big);
    free(big);
    wt_assert_status(413, &a);
    a = wt_get(s, "/openapi.json");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"title\":\"shop\"");
    a = wt_get(s, "/commands");
    wt_assert_status(200, &a);
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT count(*) FROM journal WHERE id = 'never'"), "0");
}

/* --- groups -------------------------------------------------------------------------------------
 */

static void good_and_bad_in_one_group(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller naps[2], c[CLIENTS];
    int64_t small = wt_metric(&wt_main, "weir_write_groups_by_size_total{size=\"5-16\"}") +
                    wt_metric(&wt_main, "weir_write_groups_by_size_total{size=\"17-32\"}");
    wt_hold_lanes(naps);
    for (int i = 0; i < CLIENTS; i++) {
        char body[128];
        (void)snprintf(body, sizeof body, "{\"id\":\"g%d\",\"amount\":%d}", i % 5 == 3 ? 0 : i,
                       i % 4 == 1 ? -1 : 1);
        wt_start_call(&c[i], &wt_main, "book", body);
    }
    int n = CLIENTS;
    fixture_wait(&wt_fx, wt_waiting, &n, 5000, "all to wait for a lane");
    int zero_wins = 0;
    for (int i = 0; i < CLIENTS; i++) {
        wt_end_call(&c[i]);
        if (i % 4 == 1) {
            wt_assert_status(422, &c[i].got);
        } else if (i % 5 == 3 || i == 0) {
            zero_wins += c[i].got.status == 200;
            assert_true(c[i].got.status == 200 || c[i].got.status == 409);
        } else {
            wt_assert_status(200, &c[i].got);
        }
    }
    wt_end_call(&naps[0]);
    wt_end_call(&naps[1]);
    assert_int_equal(zero_wins, 1);
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT count(*) FROM ledger WHERE id LIKE 'g%' AND amount < 0"),
        "0");
    assert_true(wt_metric(&wt_main, "weir_write_groups_by_size_total{size=\"5-16\"}") +
                    wt_metric(&wt_main, "weir_write_groups_by_size_total{size=\"17-32\"}") >
                small);
}

/* COMMIT refuses the whole group because of one; a sleeper runs into the statement timeout: the
 * others get their due. */
static void one_spoils_the_group(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller naps[2], c[CLIENTS];
    for (int round = 0; round < 2; round++) {
        wt_hold_lanes(naps);
        for (int i = 0; i < CLIENTS; i++) {
            char body[64];
            (void)snprintf(body, sizeof body, "{\"id\":\"spoil%d.%d\"}", round, i);
            if (i == 7) {
                wt_start_call(&c[i], &wt_main, round == 0 ? "adopt" : "nap",
                              round == 0 ? "{\"id\":7,\"parent_id\":-7}" : "{\"seconds\":20}");
            } else {
                wt_start_call(&c[i], &wt_main, "note", body);
            }
        }
        for (int i = 0; i < CLIENTS; i++) {
            wt_end_call(&c[i]);
            wt_assert_status(i != 7 ? 200 : round == 0 ? 422 : 504, &c[i].got);
        }
        wt_end_call(&naps[0]);
        wt_end_call(&naps[1]);
    }
    assert_string_equal(
        fixture_sql_value(
            &wt_fx,
            "SELECT count(*) || ' ' || count(DISTINCT id) FROM journal WHERE id LIKE 'spoil%'"),
        "38 38");
}

/* --- collisions ---------------------------------------------------------------------------------
 */

typedef struct bumper {
    const wt_service *s;
    uint64_t rng;
    int n, ok;
    wt_answer bad;
    weir_thread *thread;
} bumper;

static void bump_main(void *arg)
{
    bumper *b = arg;
    for (int i = 0; i < b->n; i++) {
        char body[64];
        (void)snprintf(body, sizeof body, "{\"a\":%d,\"b\":%d}",
                       1 + (int)(weir_test_random(&b->rng) % 3),
                       1 + (int)(weir_test_random(&b->rng) % 3));
        wt_answer a = wt_post(b->s, "bump2", body);
        if (a.status == 200) {
            b->ok++;
        } else {
            b->bad = a;
        }
    }
}

/* Rows in random order by many clients: without care each pair of lanes deadlocks for a second. */
static void hot_rows(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    bumper b[CLIENTS];
    weir_error err = {0};
    uint64_t seed = weir_test_seed();
    int64_t start_ms = weir_mono_ms();
    fixture_sql(&wt_fx, "UPDATE counter SET n = 0");
    for (int i = 0; i < CLIENTS; i++) {
        b[i] = (bumper){.s = &wt_main, .rng = seed + (uint64_t)i, .n = 60};
        assert_rc(WEIR_OK, weir_thread_start(&b[i].thread, "bumper", bump_main, &b[i], &err), &err);
    }
    for (int i = 0; i < CLIENTS; i++) {
        weir_thread_join(b[i].thread);
        if (b[i].ok != b[i].n) {
            fail_msg("%d of %d: %d %s", b[i].ok, b[i].n, b[i].bad.status, b[i].bad.body);
        }
    }
    assert_int_equal(wt_number(fixture_sql_value(&wt_fx, "SELECT sum(n) FROM counter")),
                     2 * 60 * CLIENTS);
    print_message("%d colliding commands in %lld ms\n", 60 * CLIENTS,
                  (long long)(weir_mono_ms() - start_ms));
    assert_true(wt_metric(&wt_main, "weir_write_collisions_total") > 0);
}

/* Each waits for what another holds: whoever gives way must not do so at the same moment, again and
 * again, until all of them have used up their patience. */
static void opposite_orders(int n, double seconds)
{
    wt_caller c[6];
    char body[64], want[32];
    assert_in_range(n, 2, 6);
    fixture_sql(&wt_fx, "UPDATE counter SET n = 0");
    for (int i = 0; i < n; i++) {
        (void)snprintf(body, sizeof body, "{\"a\":%d,\"b\":%d,\"seconds\":%g}", 4 + i % 2,
                       5 - i % 2, seconds);
        wt_start_call(&c[i], &wt_main, "slow_bump2", body);
    }
    for (int i = 0; i < n; i++) {
        wt_end_call(&c[i]);
        wt_assert_status(200, &c[i].got);
    }
    (void)snprintf(want, sizeof want, "%d,%d", n, n);
    assert_string_equal(
        fixture_sql_value(&wt_fx,
                          "SELECT string_agg(n::text, ',') FROM counter WHERE id IN (4, 5)"),
        want);
}

static void deadlock_of_two(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    opposite_orders(2, 0.2);
}

static void deadlock_of_six(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    opposite_orders(6, 0.1);
}

/* Each sees the sum before it: with anything less than serializable two would see the same. */
static void serializable_ones(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller c[8];
    bool seen[4096] = {false};
    fixture_sql(&wt_fx, "DELETE FROM ledger");
    for (int i = 0; i < 8; i++) {
        char body[64];
        (void)snprintf(body, sizeof body, "{\"id\":\"s%d\"}", i);
        wt_start_call(&c[i], &wt_main, "sum_and_book", body);
    }
    for (int i = 0; i < 8; i++) {
        wt_end_call(&c[i]);
        wt_assert_status(200, &c[i].got);
        const char *at = strstr(c[i].got.body, "\"result\":");
        assert_non_null(at);
        int sum = wt_number(at + strlen("\"result\":"));
        assert_in_range(sum, 0, 7);
        assert_false(seen[sum]);
        seen[sum] = true;
    }
}

/* --- positions ----------------------------------------------------------------------------------
 */

static bool streamed(void *arg)
{
    char sql[300];
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) > 0 FROM pg_logical_slot_peek_binary_changes('seen', NULL, "
                   "NULL, 'proto_version', '1',"
                   " 'publication_names', 'seen') WHERE encode(data, 'escape') LIKE '%%%s%%'",
                   (const char *)arg);
    return strcmp(fixture_sql_value(&wt_fx, sql), "t") == 0;
}

/* The end of each commit, as the stream tells it, is not behind the position its client was given.
 */
static void check_positions(const wt_service *s, const char *name)
{
    for (int i = 0; i < 20; i++) {
        char body[64], id[32], sql[300];
        (void)snprintf(id, sizeof id, "%s%d.", name, i);
        (void)snprintf(body, sizeof body, "{\"id\":\"%s\"}", id);
        wt_answer a = wt_post(s, "note", body);
        wt_assert_status(200, &a);
        fixture_wait(&wt_fx, streamed, id, 5000, "the commit to be in the stream");
        (void)snprintf(sql, sizeof sql,
                       "SELECT max(lsn) <= '%s' FROM pg_logical_slot_get_binary_changes('seen', "
                       "NULL, NULL, 'proto_version', '1',"
                       " 'publication_names', 'seen')",
                       a.position);
        assert_string_equal(fixture_sql_value(&wt_fx, sql), "t");
    }
}

static void positions_lie_behind_the_commit(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service async;
    fixture_sql(&wt_fx, "CREATE PUBLICATION seen FOR TABLE journal");
    fixture_sql(&wt_fx, "SELECT pg_create_logical_replication_slot('seen', 'pgoutput')");
    check_positions(&wt_main, "sync");
    fixture_sql(&wt_fx, "ALTER DATABASE postgres SET synchronous_commit = off");
    wt_start(&async, "async", wt_fx.pg.uri, "");
    fixture_wait(&wt_fx, wt_is_ready, &async, 5000, "weir-write to be ready");
    check_positions(&async, "async");
    assert_int_equal(fixture_stop(async.proc, 10000), 0);
    fixture_sql(&wt_fx, "ALTER DATABASE postgres RESET synchronous_commit");
    fixture_sql(&wt_fx, "SELECT pg_drop_replication_slot('seen'); DROP PUBLICATION seen");
}

/* --- the catalog ---------------------------------------------------------------------------------
 */

static bool is_gone(void *arg)
{
    wt_answer a = wt_post(&wt_main, arg, "{}");
    return a.status == 404;
}

static void deployed_while_running(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    for (int i = 0; i < 5; i++) { /* at once, not after the next second */
        char sql[400], name[32];
        (void)snprintf(name, sizeof name, "fresh%d", i);
        (void)snprintf(sql, sizeof sql,
                       "BEGIN; CREATE FUNCTION command.%s() RETURNS int LANGUAGE sql AS 'SELECT "
                       "5'; SELECT weir.make_wrapper('%s');"
                       "UPDATE weir.setting SET value = (value::bigint + 1)::text WHERE key = "
                       "'revision'; COMMIT",
                       name, name);
        fixture_sql(&wt_fx, sql);
        wt_answer a = wt_post(&wt_main, name, "{}");
        wt_assert_status(200, &a);
    }
    fixture_sql(&wt_fx, "DROP FUNCTION weir.run_fresh0(text, text)"); /* against the rules */
    wt_answer a = wt_post(&wt_main, "fresh0", "{}");
    wt_assert_status(503, &a);
    fixture_sql(&wt_fx,
                "DELETE FROM weir.command_catalog WHERE name = 'fresh1';"
                "UPDATE weir.setting SET value = (value::bigint + 1)::text WHERE key = 'revision'");
    static char name[] = "fresh1";
    fixture_wait(&wt_fx, is_gone, name, 5000, "a removed command to be gone");
}

static void nothing_there_at_start(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service s;
    char uri[400];
    (void)snprintf(uri, sizeof uri, "%s", wt_fx.pg.uri);
    char *db = uri;
    for (char *at = strstr(uri, "/postgres"); at; at = strstr(at + 1, "/postgres")) {
        db = at + 1; /* the last one; the first may be the user */
    }
    memcpy(db, "newborns", 8);
    fixture_sql(&wt_fx, "DROP DATABASE IF EXISTS newborns");
    wt_start(&s, "early", uri, "");
    wt_answer a = wt_get(&s, "/readyz");
    wt_assert_status(503, &a);
    a = wt_post(&s, "note", "{}");
    wt_assert_status(503, &a);
    fixture_sql(&wt_fx, "CREATE DATABASE newborns");
    weir_pg *pg = NULL;
    weir_error err = {0};
    weir_pg_conf conf = {.uri = uri, .application_name = "test"};
    assert_rc(WEIR_OK, weir_pg_open(&pg, &conf, &err), &err);
    a = wt_get(&s, "/readyz");
    wt_assert_status(503, &a);
    assert_rc(WEIR_OK, weir_pg_script(pg, wt_fixture_sql(), &err), &err);
    weir_pg_close(pg);
    fixture_wait(&wt_fx, wt_is_ready, &s, 5000, "weir-write to find what was deployed");
    a = wt_post(&s, "note", "{\"id\":\"first\"}");
    wt_assert_status(200, &a);
    assert_int_equal(fixture_stop(s.proc, 10000), 0);
}

/* --- clients that leave, queues that fill, the end
 * ------------------------------------------------- */

static bool one_cancelled(void *arg)
{
    return wt_metric(&wt_main, "weir_write_cancelled_total") > *(int64_t *)arg;
}

static void client_gone_before_its_turn(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller naps[2];
    int64_t before = wt_metric(&wt_main, "weir_write_cancelled_total");
    wt_hold_lanes(naps);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)wt_main.port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    static const char request[] =
        "POST /commands/note HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 13\r\n\r\n{\"id\":\"gone\"}";
    assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    int n = 1;
    fixture_wait(&wt_fx, wt_waiting, &n, 5000, "the request to wait");
    (void)close(fd);
    fixture_wait(&wt_fx, one_cancelled, &before, 5000, "the command to be dropped");
    wt_end_call(&naps[0]);
    wt_end_call(&naps[1]);
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT count(*) FROM journal WHERE id = 'gone'"),
                        "0");
}

static void full_queue(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service s;
    wt_caller c[12];
    int ok = 0, busy = 0;
    wt_start(&s, "small", wt_fx.pg.uri, "queue_max=3\nlanes=1\ngroup_max=1\n");
    fixture_wait(&wt_fx, wt_is_ready, &s, 5000, "weir-write to be ready");
    for (int i = 0; i < 12; i++) {
        wt_start_call(&c[i], &s, "nap", "{\"seconds\":0.1}");
    }
    for (int i = 0; i < 12; i++) {
        wt_end_call(&c[i]);
        ok += c[i].got.status == 200;
        busy += c[i].got.status == 503;
    }
    assert_int_equal(ok + busy, 12);
    assert_true(ok >= 3);
    assert_true(busy >= 1);
    assert_int_equal(fixture_stop(s.proc, 10000), 0);
}

static int up(void **state)
{
    (void)state;
    return wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql");
}

static void headers_that_are_repeated(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const char *const pairs[][4] = {
        {"Content-Type: application/json", "If-Match: \"1\"", "If-Match: \"2\"", NULL},
        {"Content-Type: application/json", "Idempotency-Key: a", "idempotency-key: b", NULL},
        {"Content-Type: application/json", "Weir-Begin-Within: 9", "Weir-Begin-Within: 9000",
         NULL}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const char *body = "{\"id\":\"repeated\",\"amount\":1}";
        wt_answer a = wt_ask(&wt_main, "POST", "/commands/book", pairs[i], body);
        wt_assert_status(400, &a);
        assert_has(a.body, "must be sent once");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_that_are_repeated),
        cmocka_unit_test(accepted_and_rejected),
        cmocka_unit_test(wire_rules),
        cmocka_unit_test(good_and_bad_in_one_group),
        cmocka_unit_test(one_spoils_the_group),
        cmocka_unit_test(hot_rows),
        cmocka_unit_test(deadlock_of_two),
        cmocka_unit_test(deadlock_of_six),
        cmocka_unit_test(serializable_ones),
        cmocka_unit_test(positions_lie_behind_the_commit),
        cmocka_unit_test(deployed_while_running),
        cmocka_unit_test(client_gone_before_its_turn),
        cmocka_unit_test(full_queue),
        cmocka_unit_test(nothing_there_at_start),
    };
    return cmocka_run_group_tests_name("write", tests, up, wt_down);
}
