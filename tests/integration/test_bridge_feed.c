/* test_bridge_feed.c - the feed as subscribers use it: durable names, acknowledgements, long polls,
 * retention, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "libweir/io/sp_client.h"
#include "tests/support/bridgetest.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"

static int setup(void **state)
{
    *state = bridgetest_new(WEIR_BIN_DIR,
                            "log_keep_ms = 5s\n"); /* readers without a name keep nothing */
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    bridgetest_free(*state);
    return 0;
}

static weir_feed_reply call(bridgetest *t, weir_feed_req req)
{
    weir_feed_reply r;
    assert_true(bridgeproc_call(&t->b, &req, t->a, &r));
    return r;
}

static weir_feed_reply subscribe(bridgetest *t, const char *name, weir_feed_start start)
{
    return call(
        t, (weir_feed_req){.op = WEIR_FEED_SUBSCRIBE, .name = weir_slice_z(name), .start = start});
}

static weir_feed_reply fetch(bridgetest *t, const char *name, const weir_feed_pos *after,
                             uint32_t wait_ms)
{
    weir_feed_req req = {.op = WEIR_FEED_FETCH,
                         .name = weir_slice_z(name),
                         .max_bytes = 1 << 20,
                         .wait_ms = wait_ms};
    if (after) {
        req.has_after = true;
        req.after = *after;
    }
    return call(t, req);
}

static weir_feed_reply ack(bridgetest *t, const char *name, weir_cursor at)
{
    return call(t, (weir_feed_req){.op = WEIR_FEED_ACK,
                                   .name = weir_slice_z(name),
                                   .has_after = true,
                                   .after = {at, 0}});
}

static void prepare(bridgetest *t)
{
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY, v text); CREATE PUBLICATION weir_t FOR "
                      "TABLE a; INSERT INTO a VALUES (1, 'x')");
    bridgetest_stream(t);
}

static void durable_subscribers(void **state)
{
    bridgetest *t = *state;
    prepare(t);
    assert_true(weir_slice_eqz(fetch(t, "p", NULL, 0).code, "unknown"));
    weir_feed_reply s = subscribe(t, "p", WEIR_START_EARLIEST);
    assert_true(s.ok && s.complete);
    assert_string_equal(weir_arena_dupz(t->a, s.system_id),
                        bridgetest_text(t, "SELECT system_identifier FROM pg_control_system()"));
    weir_feed_reply f = fetch(t, "p", NULL, 1000);
    assert_true(f.ok);
    assert_int_equal(f.nframes, 1);
    assert_int_equal(f.nrelations, 1);
    assert_true(ack(t, "p", f.next.at).ok);
    weir_cursor acked = f.next.at;
    bridgeproc_kill(&t->b);
    bridgetest_stream(t);
    weir_feed_reply l = call(t, (weir_feed_req){.op = WEIR_FEED_LIST});
    assert_int_equal(l.nsubs, 1);
    assert_true(weir_slice_eqz(l.subs[0].name, "p") && weir_slice_eqz(l.subs[0].state, "active"));
    assert_int_equal(weir_cursor_cmp(l.subs[0].position, acked), 0);
    bridgetest_sql(t, "INSERT INTO a VALUES (2, 'y')");
    f = fetch(t, "p", NULL, 5000); /* goes on from what was acknowledged */
    while (f.nframes == 0) {
        f = fetch(t, "p", &f.next, 5000);
        assert_true(f.ok);
    }
    assert_int_equal(f.nframes, 1);
    assert_true(
        call(t, (weir_feed_req){.op = WEIR_FEED_UNSUBSCRIBE, .name = WEIR_SLICE_LIT("p")}).ok);
    assert_int_equal(call(t, (weir_feed_req){.op = WEIR_FEED_LIST}).nsubs, 0);
}

static void bad_requests_are_named(void **state)
{
    bridgetest *t = *state;
    prepare(t);
    weir_buf reply;
    weir_error err;
    weir_feed_reply r;
    weir_buf_init(&reply, 1 << 20);
    assert_int_equal(weir_sp_call(t->b.feed, WEIR_SLICE_LIT("nonsense"), 5000, &reply, &err),
                     WEIR_OK);
    assert_int_equal(weir_feed_reply_decode(weir_buf_slice(&reply), t->a, &r, &err), WEIR_OK);
    assert_true(!r.ok && weir_slice_eqz(r.code, "input"));
    weir_buf_fini(&reply);
    assert_true(weir_slice_eqz(ack(t, "nobody", (weir_cursor){1, 0}).code, "unknown"));
}

static void not_ready_before_the_first_copy(void **state)
{
    bridgetest *t = *state;
    assert_true(bridgeproc_start(&t->b));
    assert_true(bridgeproc_wait_state(&t->b, "waiting", 10000));
    weir_feed_reply s = subscribe(t, "p", WEIR_START_EARLIEST);
    assert_true(!s.ok && weir_slice_eqz(s.code, "notready"));
    assert_non_null(strstr(weir_arena_dupz(t->a, s.error), "weir deploy"));
}

enum { POLL_MS = 10000 };

typedef struct poller {
    bridgetest *t;
    weir_feed_pos after;
    int64_t ms;
    size_t frames;
} poller;

static void poll_once(void *arg)
{
    poller *p = arg;
    weir_arena *a = weir_arena_new(0);
    int64_t begun = weir_mono_ms();
    while (p->frames == 0 && weir_mono_ms() - begun < POLL_MS) {
        weir_feed_req req = {
            .op = WEIR_FEED_FETCH, .has_after = true, .after = p->after, .wait_ms = POLL_MS};
        weir_feed_reply r;
        if (!bridgeproc_call(&p->t->b, &req, a, &r) || !r.ok) {
            break;
        }
        p->frames = r.nframes;
        p->after = r.next;
    }
    p->ms = weir_mono_ms() - begun;
    weir_arena_free(a);
}

static void a_long_poll_ends_when_something_comes(void **state)
{
    bridgetest *t = *state;
    prepare(t);
    bridgetest_skip(t);
    poller p[4];
    weir_thread *th[4];
    weir_error err;
    for (int i = 0; i < 4; i++) {
        p[i] = (poller){.t = t, .after = t->f.at};
        assert_int_equal(weir_thread_start(&th[i], "poller", poll_once, &p[i], &err), WEIR_OK);
    }
    bridgetest_sql(t, "INSERT INTO a VALUES (2, 'y')");
    for (int i = 0; i < 4; i++) {
        weir_thread_join(th[i]);
        assert_int_equal(p[i].frames, 1);
        assert_true(p[i].ms < POLL_MS); /* by the row, not by its end */
    }
    int64_t begun = weir_mono_ms();
    weir_feed_pos far = {{UINT64_MAX / 2, 0},
                         0}; /* a cursor from the future waits, and is left where it is */
    weir_feed_reply r = fetch(t, "", &far, 300);
    assert_true(r.ok && r.nframes == 0 && weir_mono_ms() - begun >= 250);
    assert_int_equal(weir_cursor_cmp(r.next.at, far.at), 0);
}

static void a_transaction_may_span_replies(void **state)
{
    bridgetest *t = *state;
    prepare(t);
    bridgetest_skip(t);
    t->f.max_bytes = 1; /* one frame per reply */
    t->f.count_only = true;
    t->f.events = t->f.frames = 0;
    bridgetest_sql(t, "INSERT INTO a SELECT g, repeat('z', 200) FROM generate_series(10, 20009) g");
    assert_true(feedlines_until(&t->f, bridgetest_lsn(t), 20000));
    assert_int_equal(t->f.events, 20000);
    assert_int_equal(t->f.commits, 1);
    assert_true(t->f.frames > 10);
}

static bool log_is_short(void *arg)
{
    weir_arena *a = weir_arena_new(0);
    const char *status = bridgeproc_status_text(arg, a);
    bool is = strstr(status, "\"oldest\":\"") && !strstr(status, "\"oldest\":\"0/0\"");
    weir_arena_free(a);
    return is;
}

static void acknowledged_frames_are_forgotten(void **state)
{
    bridgetest *t = *state;
    prepare(t);
    assert_true(subscribe(t, "slow", WEIR_START_EARLIEST).ok);
    assert_true(subscribe(t, "fast", WEIR_START_EARLIEST).ok);
    for (int i = 10; i < 60; i++) {
        char sql[80];
        (void)snprintf(sql, sizeof sql, "INSERT INTO a VALUES (%d, 'x')", i);
        bridgetest_sql(t, sql);
    }
    bridgetest_skip(t);
    assert_true(ack(t, "fast", t->f.at.at).ok);
    weir_feed_reply r = fetch(t, "slow", NULL, 0);
    assert_true(r.ok && r.nframes > 0); /* kept for the slow one */
    assert_true(ack(t, "slow", t->f.at.at).ok);
    assert_true(weir_wait_until(log_is_short, &t->b, 20000, "the log to be trimmed"));
    weir_feed_reply s = subscribe(t, "late", WEIR_START_EARLIEST);
    assert_true(s.ok && !s.complete);
    weir_feed_pos zero = {{1, 0}, 0};
    assert_true(weir_slice_eqz(fetch(t, "", &zero, 0).code, "lapsed"));
    s = call(t, (weir_feed_req){.op = WEIR_FEED_SUBSCRIBE,
                                .name = WEIR_SLICE_LIT("late"),
                                .start = WEIR_START_AT,
                                .has_after = true,
                                .after = zero});
    assert_true(!s.ok && weir_slice_eqz(s.code, "lapsed"));
    /* What is left is whole over a restart too. */
    bridgeproc_kill(&t->b);
    bridgetest_stream(t);
    assert_true(weir_slice_eqz(fetch(t, "", &zero, 0).code, "lapsed"));
    assert_true(fetch(t, "slow", NULL, 0).ok);
}

static bool has_lapsed(void *arg)
{
    bridgetest *t = arg;
    weir_feed_reply l = call(t, (weir_feed_req){.op = WEIR_FEED_LIST});
    for (size_t i = 0; i < l.nsubs; i++) {
        if (weir_slice_eqz(l.subs[i].name, "gone")) {
            return weir_slice_eqz(l.subs[i].state, "lapsed");
        }
    }
    return false;
}

static void past_the_cap_the_slowest_lapses(void **state)
{
    bridgetest *t = *state;
    bridgeproc_remove(&t->b);
    assert_true(bridgeproc_init(&t->b, WEIR_BIN_DIR, t->server->uri,
                                "log_keep_ms = 1h\nlog_max_bytes = 2M\nlog_map_bytes = 64M\n"));
    prepare(t);
    assert_true(subscribe(t, "gone", WEIR_START_EARLIEST).ok);
    assert_true(subscribe(t, "here", WEIR_START_EARLIEST).ok);
    for (int i = 0; i < 300; i++) { /* 75 MB in all: more than the map would hold */
        bridgetest_sql(t, "UPDATE a SET v = repeat(md5(random()::text), 8000)");
        bridgetest_skip(t);
        assert_true(ack(t, "here", t->f.at.at).ok);
    }
    assert_true(weir_wait_until(has_lapsed, t, 10000, "the slowest to lapse"));
    weir_feed_reply r = fetch(t, "gone", NULL, 0);
    assert_true(!r.ok && weir_slice_eqz(r.code, "lapsed"));
    assert_non_null(strstr(weir_arena_dupz(t->a, r.error), "rebuild"));
    assert_true(weir_slice_eqz(ack(t, "gone", t->f.at.at).code, "lapsed"));
    assert_true(fetch(t, "here", NULL, 0).ok);
    bridgeproc_kill(&t->b); /* lapsed is durable */
    bridgetest_stream(t);
    assert_true(weir_slice_eqz(fetch(t, "gone", NULL, 0).code, "lapsed"));
    assert_true(subscribe(t, "gone", WEIR_START_NOW).ok); /* and ends with a new subscription */
    assert_true(fetch(t, "gone", NULL, 0).ok);
}

/* A log that cannot take the next transaction: nothing is lost, the slot holds what waits, and
 * /readyz says so. */
static void a_full_log_waits(void **state)
{
    bridgetest *t = *state;
    bridgeproc_remove(&t->b);
    assert_true(bridgeproc_init(&t->b, WEIR_BIN_DIR, t->server->uri,
                                "log_keep_ms = 1h\nlog_max_bytes = 2M\nlog_map_bytes = 4M\n"));
    prepare(t);
    bridgetest_sql(t,
                   "UPDATE a SET v = repeat(md5(random()::text), 200000)"); /* one row larger than
                                                                               the log can be */
    int64_t end = weir_mono_ms() + 15000 * (int64_t)weir_test_timeout_x();
    while (!strstr(bridgeproc_status_text(&t->b, t->a), "the log is full")) {
        assert_true(weir_mono_ms() < end);
    }
    assert_true(bridgetest_i64(t, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), "
                                  "confirmed_flush_lsn) FROM pg_replication_slots") > 10000);
    assert_int_equal(bridgeproc_stop(&t->b), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(durable_subscribers),
        T(bad_requests_are_named),
        T(not_ready_before_the_first_copy),
        T(a_long_poll_ends_when_something_comes),
        T(a_transaction_may_span_replies),
        T(acknowledged_frames_are_forgotten),
        T(past_the_cap_the_slowest_lapses),
        T(a_full_log_waits),
    };
    return cmocka_run_group_tests_name("bridge feed", tests, bridgetest_up, bridgetest_down);
}
