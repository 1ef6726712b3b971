/* test_write_keys.c - Idempotency-Key and If-Match of stored commands and of batches, deadlines and
 * clients that leave, over kills and restarts. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "tests/support/check.h"
#include "tests/support/rawhttp.h"
#include "tests/support/writetest.h"

#define LATER "Prefer: respond-async"

/* headers: up to three, NULL for none. */
static wt_answer send_to(const wt_service *s, const char *path, const char *one, const char *two,
                         const char *three, const char *body)
{
    const char *headers[5] = {"Content-Type: application/json"};
    const char *more[] = {one, two, three};
    for (size_t i = 0, n = 1; i < 3; i++) {
        if (more[i]) {
            headers[n++] = more[i];
        }
    }
    return wt_ask(s, "POST", path, headers, body);
}

static wt_answer look(const char *location)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s?wait_ms=20000", location);
    return wt_get(&wt_main, path);
}

static const char *count(const char *like)
{
    return fixture_sql_value(
        &wt_fx,
        weir_arena_printf(wt_fx.a, "SELECT count(*) FROM journal WHERE id LIKE '%s'", like));
}

static void a_stored_one_is_repeated(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service *s = &wt_main;
    static const char key[] = "Idempotency-Key: later-1", path[] = "/commands/note";
    wt_answer a = send_to(s, path, key, LATER, "Weir-Not-Before: +400", "{\"id\":\"l1\"}");
    wt_assert_status(202, &a);
    assert_false(a.replayed);
    wt_answer b = send_to(s, path, key, LATER, NULL, " { \"id\" : \"l1\" } ");
    wt_assert_status(202, &b);
    assert_true(b.replayed);
    assert_string_equal(a.location, b.location);
    assert_string_equal(a.body, b.body);
    b = send_to(s, path, key, NULL, NULL, "{\"id\":\"l1\"}"); /* not known yet */
    wt_assert_status(202, &b);
    assert_string_equal(a.location, b.location);
    b = send_to(s, path, key, LATER, NULL, "{\"id\":\"l2\"}");
    wt_assert_status(422, &b);
    b = send_to(s, "/commands/exact", key, NULL, NULL, "{}");
    wt_assert_status(422, &b);
    b = send_to(s, path, key, LATER, "If-Match: \"1\"", "{\"id\":\"l1\"}");
    wt_assert_status(422, &b);
    b = look(a.location);
    assert_has(b.body, "\"state\": \"completed\"");
    b = send_to(s, path, key, NULL, NULL, "{\"id\":\"l1\"}");
    wt_assert_status(200, &b);
    assert_true(b.replayed);
    assert_has(b.body, "\"result\":\"l1\"");
    b = send_to(s, path, key, LATER, NULL, "{\"id\":\"l1\"}");
    wt_assert_status(202, &b);
    assert_string_equal(a.location, b.location);
    assert_string_equal(count("l_"), "1");
    /* The other way round: what was executed at once is told at once. */
    static const char other[] = "Idempotency-Key: now-1";
    a = send_to(s, path, other, NULL, NULL, "{\"id\":\"n1\"}");
    wt_assert_status(200, &a);
    b = send_to(s, path, other, LATER, NULL, "{\"id\":\"n1\"}");
    wt_assert_status(200, &b);
    assert_true(b.replayed && b.position[0] != '\0');
    assert_string_equal(count("n1"), "1");
}

static void a_key_in_use_holds_up_nobody_else(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    /* Another session holds the key, as a service that executes a command with it would. */
    fixture_sql(&wt_fx, "CREATE FUNCTION hold() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT "
                        "INTO weir.idempotency (key, command_id, print) VALUES ('held', 'x', ''); "
                        "PERFORM pg_sleep(2.5); RAISE EXCEPTION 'no'; END $$; "
                        "SELECT weir.make_wrapper('nap')");
    fixture_sql(&wt_fx, "CREATE OR REPLACE FUNCTION command.nap(seconds float8) RETURNS text "
                        "LANGUAGE plpgsql AS $$ BEGIN IF seconds = 77 THEN PERFORM hold(); END IF; "
                        "PERFORM pg_sleep(seconds); RETURN 'rested'; END $$");
    wt_caller holder;
    int one = 1;
    wt_start_call(&holder, &wt_main, "nap", "{\"seconds\":77}");
    fixture_wait(&wt_fx, wt_naps, &one, 5000, "the key to be held");
    int64_t from_ms = weir_mono_ms();
    wt_answer a = send_to(&wt_main, "/commands/note", "Idempotency-Key: held", LATER, NULL,
                          "{\"id\":\"held\"}");
    wt_assert_status(503, &a);
    a = send_to(&wt_main, "/commands/note", "Idempotency-Key: free", LATER, NULL,
                "{\"id\":\"free\"}");
    wt_assert_status(202, &a);
    assert_in_range(weir_mono_ms() - from_ms, 50, 2000);
    wt_end_call(&holder);
    a = send_to(&wt_main, "/commands/note", "Idempotency-Key: held", LATER, NULL,
                "{\"id\":\"held\"}");
    wt_assert_status(202, &a);
}

static void versions_are_expected_later(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service *s = &wt_main;
    static const char both[] = "[{\"name\":\"bump_if\",\"arguments\":{\"a\":8}},"
                               "{\"name\":\"note\",\"arguments\":{\"id\":\"version\"}}]";
    fixture_sql(&wt_fx, "UPDATE counter SET n = 7 WHERE id = 8");
    wt_answer a = send_to(s, "/commands/bump_if", "If-Match: \"6\"", LATER, NULL, "{\"a\":8}");
    wt_answer b = look(a.location);
    assert_has(b.body, "\"state\": \"rejected\"");
    assert_has(b.body, "\"status\": 412");
    a = send_to(s, "/commands/bump_if", "If-Match: \"7\"", LATER, NULL, "{\"a\":8}");
    b = look(a.location);
    assert_has(b.body, "\"state\": \"completed\"");
    a = send_to(s, "/commands/bump_if", LATER, NULL, NULL, "{\"a\":8}");
    b = look(a.location); /* nothing of the one before is left */
    assert_has(b.body, "\"state\": \"completed\"");
    a = send_to(s, "/commands?atomic=true", "If-Match: \"1\"", NULL, NULL, both);
    wt_assert_status(412, &a);
    a = send_to(s, "/commands", "If-Match: \"1\"", NULL, NULL, both);
    wt_assert_status(200, &a);
    assert_has(a.body, "[{\"status\":412,");
    a = send_to(s, "/commands?atomic=true", "If-Match: \"9\"", LATER, NULL, both);
    b = look(a.location);
    assert_has(b.body, "\"result\": [10, \"version\"]");
    assert_string_equal(count("version"), "2");
}

/* --- batches -------------------------------------------------------------------------------------
 */

/* Of the two notes in a stored batch, the id of the first or second in the 202's list. */
static void assert_noted(const wt_answer *list, int which, const char *result)
{
    char at[64];
    const char *id =
        strstr(list->body, which == 0 ? "[{\"command_id\":\"" : "},{\"command_id\":\"");
    assert_non_null(id);
    (void)snprintf(at, sizeof at, "/commands/%.32s", strchr(id, ':') + 2);
    wt_answer a = look(at);
    assert_has(a.body, result);
}

/* The same again is told the same; anything else with the key is refused. */
static wt_answer send_and_repeat(const char *path, const char *other_path, const char *when, int i)
{
    char key[64], body[300], shorter[200], longer[400];
    (void)snprintf(key, sizeof key, "Idempotency-Key: batch-%d", i);
    (void)snprintf(shorter, sizeof shorter,
                   "[{\"name\":\"note\",\"arguments\":{\"id\":\"b%d-1\"}}]", i);
    (void)snprintf(body, sizeof body, "%.*s,{\"name\":\"note\",\"arguments\":{\"id\":\"b%d-2\"}}]",
                   (int)strlen(shorter) - 1, shorter, i);
    (void)snprintf(longer, sizeof longer, "%.*s,{\"name\":\"exact\"}]", (int)strlen(body) - 1,
                   body);
    wt_answer a = send_to(&wt_main, path, key, when, NULL, body);
    wt_assert_status(when ? 202 : 200, &a);
    wt_answer b = send_to(&wt_main, path, key, when, NULL, body);
    wt_assert_status(a.status, &b);
    if (when) {
        assert_string_equal(a.body, b.body);
        assert_string_equal(a.location, b.location);
    } else { /* the position may be a later one */
        char id[64];
        (void)snprintf(id, sizeof id, "%.46s", strstr(a.body, "\"command_id\":"));
        assert_has(b.body, id);
    }
    const char *const others[][2] = {{path, longer},
                                     {path, shorter},
                                     {other_path, body},
                                     {"/commands/note", "{\"id\":\"b-1\"}"}};
    for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
        b = send_to(&wt_main, others[k][0], key, when, NULL, others[k][1]);
        wt_assert_status(422, &b);
    }
    if (a.location[0]) { /* stored as one: told as one */
        b = look(a.location);
        assert_has(b.body, "\"state\": \"completed\"");
        b = send_to(&wt_main, path, key, NULL, NULL, body);
        wt_assert_status(200, &b);
        assert_has(b.body, "\"result\":[\"b3-1\", \"b3-2\"]");
    }
    return a;
}

static void batches_are_repeated(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const char each[] = "/commands", atomic[] = "/commands?atomic=true";
    (void)send_and_repeat(each, atomic, NULL, 0);
    (void)send_and_repeat(atomic, each, NULL, 1);
    wt_answer a = send_and_repeat(each, atomic, LATER, 2);
    assert_string_equal(a.location, "");
    assert_noted(&a, 0, "\"result\": \"b2-1\"");
    assert_noted(&a, 1, "\"result\": \"b2-2\"");
    (void)send_and_repeat(atomic, each, LATER, 3);
    assert_string_equal(count("b%"), "8");
    a = send_to(&wt_main, "/commands", LATER, NULL, NULL,
                "[{\"name\":\"exact\"},{\"name\":\"nothing\"}]");
    wt_assert_status(404, &a);
    a = send_to(&wt_main, "/commands", "Weir-Priority: 3", NULL, NULL, "[{\"name\":\"exact\"}]");
    wt_assert_status(400, &a);
    a = send_to(&wt_main, "/commands?atomic=true", LATER, NULL, NULL,
                "[{\"name\":\"note\",\"arguments\":{\"id\":\"b9\"}},"
                "{\"name\":\"book\",\"arguments\":{\"id\":\"b9\",\"amount\":-1}}]");
    a = look(a.location);
    assert_has(a.body, "\"state\": \"rejected\"");
    assert_has(a.body, "\"pointer\": \"/1\"");
    assert_string_equal(count("b9"), "0");
}

/* What a crash left of a batch is done by the repetition, the rest is told again. */
static void what_is_left_of_a_batch_is_done(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const char body[] = "[{\"name\":\"note\",\"arguments\":{\"id\":\"left-1\"}},"
                               "{\"name\":\"note\",\"arguments\":{\"id\":\"left-2\"}}]";
    wt_answer a = send_to(&wt_main, "/commands", "Idempotency-Key: left", NULL, NULL, body);
    wt_assert_status(200, &a);
    fixture_sql(&wt_fx, "DELETE FROM weir.idempotency WHERE key = E'left\\x01\\x31'; DELETE FROM "
                        "journal WHERE id = 'left-2'");
    a = send_to(&wt_main, "/commands", "Idempotency-Key: left", NULL, NULL, body);
    wt_assert_status(200, &a);
    assert_string_equal(count("left-1"), "1");
    assert_string_equal(count("left-2"), "1");
}

/* --- deadlines, clients that leave ---------------------------------------------------------------
 */

static const char two_notes[] = "[{\"name\":\"note\",\"arguments\":{\"id\":\"late\"}},"
                                "{\"name\":\"note\",\"arguments\":{\"id\":\"late\"}}]";

static void busy(wt_caller naps[2])
{
    for (int i = 0; i < 2; i++) {
        int n = i + 1;
        wt_start_call(&naps[i], &wt_main, "nap", "{\"seconds\": 1.4}");
        fixture_wait(&wt_fx, wt_naps, &n, 5000, "a lane to sleep");
    }
}

static void deadlines_of_batches(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller naps[2];
    busy(naps);
    wt_answer a = send_to(&wt_main, "/commands", "Prefer: wait=1", NULL, NULL, two_notes);
    wt_assert_status(200, &a);
    assert_has(a.body, "[{\"status\":504,\"type\":\"urn:weir:problem:deadline\"");
    assert_has(a.body, ",{\"status\":504");
    wt_end_call(&naps[0]);
    wt_end_call(&naps[1]);
    busy(naps);
    a = send_to(&wt_main, "/commands?atomic=true", "Prefer: wait=1", NULL, NULL, two_notes);
    wt_assert_status(504, &a);
    wt_end_call(&naps[0]);
    wt_end_call(&naps[1]);
    busy(naps);
    a = send_to(&wt_main, "/commands", "Prefer: wait=1", "Idempotency-Key: late", NULL, two_notes);
    wt_assert_status(504, &a);
    wt_answer b = send_to(&wt_main, "/commands", LATER, "Weir-Deadline: +100", NULL, two_notes);
    wt_assert_status(202, &b);
    wt_end_call(&naps[0]);
    wt_end_call(&naps[1]);
    char at[64];
    (void)snprintf(at, sizeof at, "/commands/%.32s", strstr(b.body, "\"command_id\":\"") + 14);
    b = look(at);
    assert_has(b.body, "\"state\": \"dead\"");
    assert_string_equal(count("late"), "0");
    a = send_to(&wt_main, "/commands", "Prefer: wait=5", "Idempotency-Key: late", NULL, two_notes);
    wt_assert_status(200, &a);
    assert_string_equal(count("late"), "2");
}

static bool dropped(void *n)
{
    return wt_metric(&wt_main, "weir_write_cancelled_total") >= *(const int64_t *)n;
}

static void nobody_waits_for_the_batch_any_more(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller naps[2];
    static const char *const heads[] = {"/commands HTTP/1.1\r\n",
                                        "/commands?atomic=true HTTP/1.1\r\n",
                                        "/commands HTTP/1.1\r\nIdempotency-Key: gone\r\n"};
    int64_t before = wt_metric(&wt_main, "weir_write_cancelled_total"), want = before + 4;
    static const char body[] = "[{\"name\":\"note\",\"arguments\":{\"id\":\"gone\"}},"
                               "{\"name\":\"note\",\"arguments\":{\"id\":\"gone\"}}]";
    int fds[3], waiting = 4;
    busy(naps);
    for (int i = 0; i < 3; i++) {
        char text[600];
        (void)snprintf(text, sizeof text,
                       "POST %sHost: x\r\nContent-Type: application/json\r\nContent-Length: "
                       "%zu\r\n\r\n%s",
                       heads[i], strlen(body), body);
        fds[i] = rawhttp_dial(wt_main.port);
        rawhttp_say(fds[i], text, strlen(text));
    }
    fixture_wait(&wt_fx, wt_waiting, &waiting, 5000, "the batches to wait");
    for (int i = 0; i < 3; i++) {
        (void)close(fds[i]);
    }
    wt_end_call(&naps[0]);
    wt_end_call(&naps[1]);
    fixture_wait(&wt_fx, dropped, &want, 5000, "four to be dropped");
    assert_string_equal(count("gone"), "0");
}

/* --- whatever happens ----------------------------------------------------------------------------
 */

enum { CLIENTS = 12, KEYS = 120 };
static const char *const ways[][2] = {{"/commands/note", LATER},
                                      {"/commands", NULL},
                                      {"/commands?atomic=true", NULL},
                                      {"/commands", LATER},
                                      {"/commands?atomic=true", LATER}};
enum { WAYS = sizeof ways / sizeof ways[0] };
static bool acknowledged[KEYS];

typedef struct repeater {
    const wt_service *s;
    uint64_t rng;
    int n, wrong;
    atomic_bool *stop;
    wt_answer bad;
    weir_thread *thread;
} repeater;

static void repeat_main(void *arg)
{
    repeater *r = arg;
    while (!atomic_load(r->stop)) {
        int key = (int)(weir_test_random(&r->rng) % KEYS);
        bool batch = key % WAYS > 0;
        char header[64], body[200];
        (void)snprintf(header, sizeof header, "Idempotency-Key: every-%d", key);
        (void)snprintf(body, sizeof body,
                       batch ? "[{\"name\":\"note\",\"arguments\":{\"id\":\"every-%d\"}}]"
                             : "{\"id\":\"every-%d\"}",
                       key);
        wt_answer a = send_to(r->s, ways[key % WAYS][0], header, ways[key % WAYS][1], NULL, body);
        bool refused = strstr(a.body, "[{\"status\":503") != NULL; /* in a batch of each */
        r->n++;
        if (a.status == 202 || (a.status == 200 && !refused)) {
            acknowledged[key] = true;
        } else if (a.status != 503 && a.status != 0 && !refused) {
            r->wrong++;
            r->bad = a;
        }
    }
}

static bool drained(void *arg)
{
    (void)arg;
    return strcmp(fixture_sql_value(&wt_fx,
                                    "SELECT count(*) FROM weir.command WHERE state = 'accepted'"),
                  "0") == 0;
}

/* Each key in one of five ways, from many clients and through two services, while connections break
 * and services are killed: executed once, and not lost when it was acknowledged. */
static bool half_done(void *arg)
{
    (void)arg;
    return wt_number(count("every-%")) > KEYS / 2;
}

static void once_in_every_way(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    repeater r[CLIENTS];
    wt_service other;
    atomic_bool stop = false;
    weir_error err = {0};
    uint64_t seed = weir_test_seed();
    fixture_wait(&wt_fx, drained, NULL, 20000, "what is stored to be executed");
    wt_start(&other, "other", wt_fx.pg.uri, "statement_timeout_ms=1500\n");
    fixture_wait(&wt_fx, wt_is_ready, &other, 5000, "weir-write to be ready");
    for (int i = 0; i < CLIENTS; i++) {
        r[i] = (repeater){.s = i % 2 ? &wt_main : &other, .rng = seed + (uint64_t)i, .stop = &stop};
        assert_rc(WEIR_OK, weir_thread_start(&r[i].thread, "repeater", repeat_main, &r[i], &err),
                  &err);
    }
    wt_kill_backends("LIKE 'weir-write%'", 0.3, 1500);
    fixture_kill9(other.proc);
    wt_kill_backends("LIKE 'weir-write%'", 0.3, 500);
    fixture_wait(&wt_fx, half_done, NULL, 30000, "half of the keys to be executed");
    atomic_store(&stop, true);
    int n = 0, done = 0;
    for (int i = 0; i < CLIENTS; i++) {
        weir_thread_join(r[i].thread);
        n += r[i].n;
        if (r[i].wrong) {
            fail_msg("%d %s", r[i].bad.status, r[i].bad.body);
        }
    }
    fixture_wait(&wt_fx, drained, NULL, 20000, "what is stored to be executed");
    for (int i = 0; i < KEYS; i++) {
        char like[32];
        (void)snprintf(like, sizeof like, "every-%d", i);
        int times = wt_number(count(like));
        if (times > 1 || (acknowledged[i] && times != 1)) {
            fail_msg("way %d: key %s was executed %d times, acknowledged %d", i % WAYS, like, times,
                     acknowledged[i]);
        }
        done += times;
    }
    print_message("%d requests, %d of %d keys executed, each once\n", n, done, KEYS);
    assert_true(done > KEYS / 2);
}

static int up(void **state)
{
    (void)state;
    return wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stored_one_is_repeated),
        cmocka_unit_test(versions_are_expected_later),
        cmocka_unit_test(batches_are_repeated),
        cmocka_unit_test(what_is_left_of_a_batch_is_done),
        cmocka_unit_test(deadlines_of_batches),
        cmocka_unit_test(nobody_waits_for_the_batch_any_more),
        cmocka_unit_test(once_in_every_way),
        cmocka_unit_test(a_key_in_use_holds_up_nobody_else),
        cmocka_unit_test(wt_ends_well),
    };
    return cmocka_run_group_tests_name("write_keys", tests, up, wt_down);
}
