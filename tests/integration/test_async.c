/* test_async.c - asynchronous commands: accepted, executed once and in order, told and called back,
 * over kill -9 of two services. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "tests/support/receiver.h"
#include "tests/support/writetest.h"
#include "write-service/outcome.h"

static wt_service one, two; /* both on the same database */
static receiver rec;

static const char more_sql[] =
    "CREATE TABLE steps (at bigint GENERATED ALWAYS AS IDENTITY, key text NOT NULL, n int NOT "
    "NULL);"
    "CREATE FUNCTION command.step(key text, n int) RETURNS jsonb LANGUAGE plpgsql AS $$"
    " BEGIN INSERT INTO steps (key, n) VALUES (key, n); RETURN jsonb_build_object('key', key, 'n', "
    "n); END $$;"
    "SELECT weir.make_wrapper('step');"
    "UPDATE weir.setting SET value = '2' WHERE key = 'revision'";

/* id gets the command's id when the status is 202. */
static int accept_one(const wt_service *s, const char *name, const char *body,
                      const char *const *terms, char id[64])
{
    const char *headers[10] = {"Content-Type: application/json", "Prefer: respond-async"};
    char path[128];
    for (int i = 0; terms && terms[i]; i++) {
        headers[2 + i] = terms[i];
    }
    (void)snprintf(path, sizeof path, "/commands/%s", name);
    wt_answer a = wt_ask(s, "POST", path, headers, body);
    const char *at = strstr(a.body, "\"command_id\":\"");
    id[0] = '\0';
    if (a.status == 202 && at) {
        (void)snprintf(id, 33, "%.32s", at + strlen("\"command_id\":\""));
    }
    return a.status;
}

static void must_accept(const char *name, const char *body, const char *const *terms, char id[64])
{
    assert_int_equal(accept_one(&one, name, body, terms, id), 202);
}

static wt_answer look(const char *id, int wait_ms)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/commands/%s?wait_ms=%d", id, wait_ms);
    return wt_get(&one, path);
}

static void assert_ends(const char *id, const char *state)
{
    wt_answer a = look(id, 20000);
    wt_assert_status(200, &a);
    assert_has(a.body, state);
}

static const char *ini(void)
{
    return weir_arena_printf(
        wt_fx.a,
        "async_attempts_max=3\nretry_pause_max_ms=400\ncallback_attempts_max=100\n"
        "callback_allow=http://127.0.0.1:%d/hooks/\n"
        "callback_secret=old-one new-one\n",
        rec.port);
}

static void told_what_became_of_it(void **state)
{
    (void)state;
    char id[64];
    fixture_need(&wt_fx);
    must_accept("note", "{\"id\":\"told\"}", NULL, id);
    wt_answer a = look(id, 10000);
    assert_has(a.body, "\"state\": \"completed\"");
    assert_has(a.body, "\"result\": \"told\"");
    assert_has(a.body, "\"position\": ");
    must_accept("refuse", "{\"state\":\"P0001\",\"message\":\"we are closed\"}", NULL, id);
    a = look(id, 10000);
    assert_has(a.body, "\"state\": \"rejected\"");
    assert_has(a.body, "\"detail\": \"we are closed\"");
    assert_has(a.body, "\"status\": 422");
    /* Refused only at COMMIT: by a deferred constraint. */
    must_accept("adopt", "{\"id\":1,\"parent_id\":77}", NULL, id);
    a = look(id, 10000);
    assert_has(a.body, "\"state\": \"rejected\"");
    assert_has(a.body, "23503");
    a = look("0123456789abcdef0123456789abcdef", 0);
    wt_assert_status(404, &a);
    a = look("';--", 0);
    wt_assert_status(404, &a);
}

static void an_event_stream_tells_changes(void **state)
{
    (void)state;
    char id[64], path[80];
    fixture_need(&wt_fx);
    must_accept("nap", "{\"seconds\":0.3}", NULL, id);
    (void)snprintf(path, sizeof path, "/commands/%s", id);
    const char *fresh[] = {"Accept: text/event-stream", NULL};
    wt_answer a = wt_ask(&one, "GET", path, fresh, NULL);
    wt_assert_status(200, &a);
    assert_has(a.body, "event: state\ndata: {");
    const char *running[] = {"Accept: text/event-stream", "Last-Event-ID: running:0", NULL};
    assert_ends(id, "completed");
    a = wt_ask(&one, "GET", path, running, NULL);
    assert_has(a.body, "id: completed:1\n");
    const char *seen[] = {"Accept: text/event-stream", "Last-Event-ID: completed:1", NULL};
    a = wt_ask(&one, "GET", path, seen, NULL);
    wt_assert_status(204, &a);
}

static void terms_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        int status;
    } cases[] = {{"Weir-Priority: 10", 400},
                 {"Weir-Not-Before: tomorrow", 400},
                 {"Weir-Not-Before: 2026-02-31T00:00:00Z", 400},
                 {"Weir-Deadline: 2001-01-01T00:00:00Z", 400},
                 {"Weir-Callback: http://127.0.0.1:1/hooks/", 422},
                 {"Weir-Callback: http://user:pw@127.0.0.1/hooks/", 400},
                 {"Weir-Callback: file:///etc/passwd", 400},
                 {"Idempotency-Key: \"\"", 400},
                 {"If-Match: 7", 400}};
    char id[64];
    fixture_need(&wt_fx);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *terms[] = {cases[i].header, NULL};
        assert_int_equal(accept_one(&one, "note", "{\"id\":\"bad\"}", terms, id), cases[i].status);
    }
    const char *headers[] = {"Content-Type: application/json", "Weir-Priority: 5", NULL};
    wt_answer a = wt_ask(&one, "POST", "/commands/note", headers, "{\"id\":\"bad\"}");
    wt_assert_status(400, &a);
    assert_int_equal(accept_one(&one, "no_such_thing", "{}", NULL, id), 404);
    assert_int_equal(accept_one(&one, "note", "[1]", NULL, id), 400);
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT count(*) FROM journal WHERE id = 'bad'"),
                        "0");
}

static void time_and_order_are_kept(void **state)
{
    (void)state;
    char slow[64], late[64], behind[64], free_one[64], later[64];
    const char *key[] = {"Weir-Ordering-Key: k \"1\" \\", NULL};
    const char *hurry[] = {"Weir-Ordering-Key: k \"1\" \\", "Weir-Deadline: +100",
                           "Weir-Priority: 9", NULL};
    const char *not_now[] = {"Weir-Not-Before: +7200000", NULL};
    fixture_need(&wt_fx);
    must_accept("nap", "{\"seconds\":0.6}", key, slow);
    must_accept("note", "{\"id\":\"late\"}", hurry, late);
    must_accept("step", "{\"key\":\"behind\",\"n\":1}", key, behind);
    must_accept("note", "{\"id\":\"free\"}", NULL, free_one);
    must_accept("note", "{\"id\":\"later\"}", not_now, later);
    assert_ends(free_one, "completed");
    wt_answer a = look(behind, 0);
    assert_has(a.body, "\"state\": \"accepted\"");
    assert_ends(behind, "completed"); /* a dead one does not stop those behind it */
    assert_ends(slow, "completed");
    a = look(late, 10000);
    assert_has(a.body, "\"state\": \"dead\"");
    assert_has(a.body, "deadline passed");
    a = look(later, 0);
    assert_has(a.body, "\"state\": \"accepted\"");
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT count(*) FROM journal WHERE id IN ('late', 'later')"),
        "0");
}

static void what_cannot_be_done_is_dead(void **state)
{
    (void)state;
    char busy[64], gone[64], bug[64];
    fixture_need(&wt_fx);
    must_accept("refuse", "{\"state\":\"53200\",\"message\":\"out of something\"}", NULL, busy);
    must_accept("refuse", "{\"state\":\"XX000\",\"message\":\"a bug\"}", NULL, bug);
    const char *soon[] = {"Weir-Not-Before: +300", NULL};
    must_accept("who_calls", "{}", soon, gone);
    fixture_sql(&wt_fx, "ALTER FUNCTION weir.run_who_calls(text, text) RENAME TO hidden");
    wt_answer a = look(busy, 20000);
    assert_has(a.body, "\"state\": \"dead\"");
    assert_has(a.body, "\"attempts\": 3");
    assert_has(a.body, "out of something");
    a = look(bug, 20000);
    assert_has(a.body, "\"state\": \"dead\"");
    assert_has(a.body, "\"attempts\": 1");
    a = look(gone, 20000);
    assert_has(a.body, "\"state\": \"dead\"");
    assert_has(a.body, "not deployed any more");
    fixture_sql(&wt_fx, "ALTER FUNCTION weir.hidden(text, text) RENAME TO run_who_calls");
}

static const char *value(weir_pg *pg, const char *sql)
{
    weir_pg_rows *rows = NULL;
    weir_error err = {0};
    assert_rc(WEIR_OK, weir_pg_query(pg, sql, 0, NULL, &rows, &err), &err);
    const char *v = weir_arena_strdup(wt_fx.a, weir_pg_valuez(rows, 0, 0));
    weir_pg_rows_free(rows);
    return v;
}

/* Claims may overlap, after a lost connection; the row decides. */
static void executed_once_whoever_has_it_in_hand(void **state)
{
    (void)state;
    static const char run[] = "SELECT weir.run_stored('{\"id\": \"once\"}', '')->>'ok'";
    weir_pg *other = NULL;
    weir_error err = {0};
    fixture_need(&wt_fx);
    weir_pg_conf conf = {.uri = wt_fx.pg.uri, .application_name = "other"};
    assert_rc(WEIR_OK, weir_pg_open(&other, &conf, &err), &err);
    fixture_sql(&wt_fx, "SELECT weir.accept_commands('[{\"id\": \"once\", \"name\": \"note\", "
                        "\"priority\": 5, \"correlation_id\": \"c\", \"delay_us\": 9000000000, "
                        "\"body\": \"{\\\"id\\\":\\\"once\\\"}\"}]')");
    fixture_sql(&wt_fx, "BEGIN");
    assert_string_equal(value(wt_fx.sql, run), "completed");
    assert_string_equal(value(other, run), "skipped"); /* at once: it does not wait */
    fixture_sql(&wt_fx, "ROLLBACK");
    fixture_sql(&wt_fx, "BEGIN");
    assert_string_equal(value(wt_fx.sql, run), "completed");
    fixture_sql(&wt_fx, "COMMIT");
    assert_string_equal(value(other, run), "skipped");
    assert_string_equal(value(other, "SELECT count(*) FROM journal WHERE id = 'once'"), "1");
    weir_pg_close(other);
}

/* --- weir dead --- */

static bool has_ended(void *proc)
{
    return !fixture_running(proc);
}

/* What `weir dead …` printed. */
static const char *dead(const char *action, const char *what)
{
    static int times;
    char name[32], program[512];
    weir_slice text;
    weir_error err = {0};
    (void)snprintf(name, sizeof name, "dead%d", times++);
    (void)snprintf(program, sizeof program, "%s/weir", WEIR_BIN_DIR);
    const char *argv[] = {program, "dead", action, wt_fx.dir, what, NULL};
    fixture_proc *p = fixture_spawn(&wt_fx, name, argv, NULL);
    assert_non_null(p);
    fixture_wait(&wt_fx, has_ended, p, 20000, "weir dead to end");
    assert_rc(WEIR_OK, weir_file_read(p->log, 1 << 20, wt_fx.a, &text, &err), &err);
    wt_fx.nprocs--;
    return text.p;
}

static void dead_ones_are_shown_retried_discarded(void **state)
{
    (void)state;
    char path[256];
    weir_error err = {0};
    fixture_need(&wt_fx);
    (void)snprintf(path, sizeof path, "%s/weir.ini", wt_fx.dir);
    const char *text = weir_arena_printf(
        wt_fx.a, "[app]\nname=shop\n[postgres]\nuri=%s\n[projector]\nport=1\n", wt_fx.pg.uri);
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z(text), 0600, &err), &err);
    const char *id = fixture_sql_value(
        &wt_fx, "SELECT id FROM weir.command WHERE state = 'dead' AND name = 'who_calls'");
    assert_has(dead("list", NULL), id);
    assert_has(dead("list", "--json"), "\"kind\": \"command\"");
    assert_has(dead("show", id), "not deployed any more");
    assert_has(dead("retry", id), "1 to be tried again");
    assert_ends(id, "\"state\": \"completed\"");
    assert_has(dead("retry", id), "is not among what is dead");
    assert_has(dead("discard", NULL), "--all");
    assert_has(dead("discard", "--all"), "discarded");
    assert_has(dead("list", NULL), "no dead commands or callbacks");
}

/* --- many, with kill -9 --- */

typedef struct sender {
    int number, keys, per_key;
    const wt_service *s;
    char (*ids)[33]; /* "" unless accepted */
    int accepted, unclear;
    weir_thread *thread;
} sender;

static bool listens(void *service)
{
    wt_answer a = wt_get(service, "/healthz");
    return a.status == 200;
}

static void send_all(void *arg)
{
    sender *t = arg;
    char key[64], hook[96], body[80], id[64];
    const char *terms[] = {key, hook, NULL};
    for (int n = 0; n < t->per_key; n++) {
        for (int k = 0; k < t->keys; k++) {
            (void)snprintf(key, sizeof key, "Weir-Ordering-Key: s%d.%d", t->number, k);
            (void)snprintf(hook, sizeof hook, "Weir-Callback: http://127.0.0.1:%d/hooks/a",
                           rec.port);
            (void)snprintf(body, sizeof body, "{\"key\":\"s%d.%d\",\"n\":%d}", t->number, k, n);
            int status = accept_one(t->s, "step", body, terms, id);
            t->accepted += status == 202;
            t->unclear += status != 202;
            if (status != 202) { /* the next one when it is back */
                (void)wait_until(listens, (void *)(uintptr_t)t->s, 10000);
            }
            (void)snprintf(t->ids[n * t->keys + k], 33, "%.32s", id);
        }
    }
}

static bool nothing_pending(void *arg)
{
    (void)arg;
    return strcmp(fixture_sql_value(
                      &wt_fx, "SELECT (SELECT count(*) FROM weir.command WHERE state = "
                              "'accepted' AND due_at < now() + interval '30 s') "
                              "+ (SELECT count(*) FROM weir.callback WHERE state = 'pending')"),
                  "0") == 0;
}

static int64_t done_now(void)
{
    return weir_wall_us();
}

static bool some_acknowledged(void *arg)
{
    return atomic_load(&rec.acknowledged) >= *(int *)arg;
}

static void kill_one(wt_service *s, int after_more)
{
    int n = atomic_load(&rec.acknowledged) + after_more;
    (void)wait_until(some_acknowledged, &n, 3000);
    fixture_kill9(s->proc);
    assert_true(fixture_restart(s->proc));
    fixture_wait(&wt_fx, listens, s, 10000, "weir-write to listen again");
}

static void check_sender(const sender *t)
{
    for (int i = 0; i < t->keys * t->per_key; i++) {
        if (t->ids[i][0] && receiver_acks(&rec, t->ids[i]) == 0) {
            fail_msg("command %s was never called back", t->ids[i]);
        }
    }
}

static void none_lost_none_twice_in_order(void **state)
{
    (void)state;
    enum { SENDERS = 4 };
    sender t[SENDERS];
    weir_error err = {0};
    fixture_need(&wt_fx);
    bool all = getenv("WEIR_ASYNC_LONG") != NULL;
    int keys = all ? 125 : 20, per_key = all ? 20 : 6, accepted = 0, unclear = 0;
    int64_t start_us = done_now();
    for (int i = 0; i < SENDERS; i++) {
        t[i] = (sender){.number = i,
                        .keys = keys,
                        .per_key = per_key,
                        .s = i % 2 ? &two : &one,
                        .ids = weir_xcalloc((size_t)(keys * per_key), 33)};
        assert_rc(WEIR_OK, weir_thread_start(&t[i].thread, "sender", send_all, &t[i], &err), &err);
    }
    for (int round = 0; round < (all ? 12 : 4); round++) {
        kill_one(round % 2 ? &two : &one, all ? 300 : 40);
    }
    for (int i = 0; i < SENDERS; i++) {
        weir_thread_join(t[i].thread);
        accepted += t[i].accepted;
        unclear += t[i].unclear;
    }
    fixture_wait(&wt_fx, nothing_pending, NULL, all ? 240000 : 40000,
                 "every command and callback to be finished");
    receiver_stop(&rec);
    print_message("%d accepted, %d unclear, %d callbacks sent, %d acknowledged, ms=%d\n", accepted,
                  unclear, atomic_load(&rec.got), atomic_load(&rec.acknowledged),
                  (int)((done_now() - start_us) / 1000));
    assert_true(accepted > SENDERS * keys * per_key / 2);
    assert_int_equal(rec.bad_signature + rec.malformed, 0);
    assert_int_equal(rec.out_of_order, 0);
    for (int i = 0; i < SENDERS; i++) {
        check_sender(&t[i]);
        free(t[i].ids);
    }
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT count(*) FROM (SELECT FROM steps GROUP BY key, n HAVING "
                                  "count(*) > 1) x"),
        "0");
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT count(*) FROM (SELECT n < lag(n) OVER (PARTITION BY key "
                                  "ORDER BY at) AS back FROM steps) x WHERE back"),
        "0");
    assert_string_equal(
        fixture_sql_value(&wt_fx,
                          "SELECT count(*) FROM weir.command c WHERE name = 'step' AND state <> "
                          "'completed' OR (state = 'completed' AND name = 'step' AND NOT EXISTS "
                          "(SELECT FROM steps s WHERE s.key = c.answer->'ok'->>'key' AND s.n = "
                          "(c.answer->'ok'->>'n')::int))"),
        "0");
    assert_true(wt_number(fixture_sql_value(&wt_fx, "SELECT count(*) FROM steps")) >= accepted);
}

/* --- the rest --- */

static void statuses_are_the_same_in_sql(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_pg_rows *rows = NULL;
    weir_error err = {0};
    assert_rc(
        WEIR_OK,
        weir_pg_query(wt_fx.sql,
                      "WITH d(c) AS (SELECT substr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', i, "
                      "1) FROM generate_series(1, 36) i), s(state) AS (SELECT a.c || b.c || t "
                      "FROM d a, d b, unnest('{000,P01,505,501,P03,014,004}'::text[]) t UNION "
                      "ALL SELECT '' UNION ALL SELECT '42' UNION ALL SELECT 'WE412') "
                      "SELECT state, weir.http_status(state) FROM s",
                      0, NULL, &rows, &err),
        &err);
    for (int r = 0; r < weir_pg_nrows(rows); r++) {
        const char *s = weir_pg_valuez(rows, r, 0);
        if (wsvc_status_of(s) != weir_pg_i64(rows, r, 1)) {
            fail_msg("%s is %d in C, %d in SQL", s, wsvc_status_of(s),
                     (int)weir_pg_i64(rows, r, 1));
        }
    }
    weir_pg_rows_free(rows);
}

static bool forgotten(void *id)
{
    wt_answer a = look(id, 0);
    return a.status == 404;
}

static void finished_ones_are_forgotten(void **state)
{
    (void)state;
    char id[64];
    wt_service brief;
    fixture_need(&wt_fx);
    must_accept("note", "{\"id\":\"brief\"}", NULL, id);
    assert_ends(id, "completed");
    wt_start(&brief, "brief", wt_fx.pg.uri, "async_keep_ms=1\ndead_keep_ms=1\n");
    fixture_wait(&wt_fx, forgotten, id, 10000, "the finished command to be forgotten");
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT count(*) FROM weir.command WHERE state = 'accepted'"),
        "1"); /* the one for later */
    assert_int_equal(fixture_stop(brief.proc, 10000), 0);
}

static void events_are_bounded(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    fixture_sql(&wt_fx,
                "SELECT weir.emit('orders.placed', '{\"id\": 1}'); SELECT weir.emit('plain');"
                "DO $$ BEGIN PERFORM weir.emit('no spaces'); RAISE 'not refused'; EXCEPTION WHEN "
                "invalid_parameter_value THEN NULL; END $$;"
                "DO $$ BEGIN PERFORM weir.emit('big', to_jsonb(repeat('x', 1100000))); RAISE 'not "
                "refused'; EXCEPTION WHEN program_limit_exceeded THEN NULL; END $$");
}

static void services_end_well(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    assert_int_equal(fixture_stop(one.proc, 10000), 0);
    assert_int_equal(fixture_stop(two.proc, 10000), 0);
}

static int up(void **state)
{
    (void)state;
    if (wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql") != 0) {
        return -1;
    }
    if (wt_fx.missing[0]) {
        return 0;
    }
    (void)fixture_stop(wt_main.proc, 10000); /* it has other ideas of how often to try */
    receiver_start(&rec, "old-one new-one", 50, weir_test_seed());
    fixture_sql(&wt_fx, more_sql);
    wt_start(&one, "one", wt_fx.pg.uri, ini());
    wt_start(&two, "two", wt_fx.pg.uri, ini());
    fixture_wait(&wt_fx, wt_is_ready, &one, 5000, "weir-write to be ready");
    fixture_wait(&wt_fx, wt_is_ready, &two, 5000, "weir-write to be ready");
    return 0;
}

static int down(void **state)
{
    if (rec.acks) {
        receiver_free(&rec);
    }
    return wt_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_what_became_of_it),
        cmocka_unit_test(an_event_stream_tells_changes),
        cmocka_unit_test(terms_are_checked),
        cmocka_unit_test(time_and_order_are_kept),
        cmocka_unit_test(what_cannot_be_done_is_dead),
        cmocka_unit_test(executed_once_whoever_has_it_in_hand),
        cmocka_unit_test(dead_ones_are_shown_retried_discarded),
        cmocka_unit_test(statuses_are_the_same_in_sql),
        cmocka_unit_test(events_are_bounded),
        cmocka_unit_test(none_lost_none_twice_in_order),
        cmocka_unit_test(finished_ones_are_forgotten),
        cmocka_unit_test(services_end_well),
    };
    return cmocka_run_group_tests_name("async", tests, up, down);
}
