/* test_bridge_leave.c - subscribers of the feed that misbehave: they leave with answers under way,
 * or ask and never read. What the bridge held for them comes back, and the others are served
 * meanwhile. And a bridge that leaves: whoever follows it goes on.
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "libweir/base/sp.h"
#include "libweir/base/thread.h"
#include "libweir/io/sp_client.h"
#include "tests/support/bridgetest.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"
#include "tests/support/rawhttp.h"

enum {
    IN_FLIGHT = 64,
    LEAVERS = 4,
    ROUNDS = 100, /* of each leaver */
    SILENT = 4,
    PARKED = 50, /* of each that does not read */
    LARGE_BYTES = 4000000,
    TRIES = 10,
    KIB_EACH_MAX = 24 * 1024,
    ANSWER_MAX_BYTES = 16 << 20,
    SOON_MS = 10000,
    LEAVE_ROUNDS = 6,
    FETCH_MS = 15000,
    ROW_BYTES = 1000,
    ROWS = 4000,
};

static int setup(void **state)
{
    bridgetest *t = bridgetest_new(WEIR_BIN_DIR, "log_keep_ms = 1h\n");
    *state = t;
    if (!t) {
        return -1;
    }
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY, v text); CREATE PUBLICATION weir_t FOR "
                      "TABLE a");
    bridgetest_stream(t);
    char sql[200];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO a SELECT i, repeat('x', %d) FROM generate_series(1, %d) i",
                   ROW_BYTES, ROWS);
    bridgetest_sql(t, sql);
    bridgetest_skip(t);
    return 0;
}

static int teardown(void **state)
{
    bridgetest_free(*state);
    return 0;
}

static size_t descriptors(const bridgetest *t)
{
    char path[64];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", t->b.pid);
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d)) {
        n++;
    }
    (void)closedir(d);
    return n;
}

/* A greeted connection of bytes; -1: nobody took it. */
static int dial(const bridgetest *t)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    unsigned char greeting[WEIR_SP_GREETING_BYTES];
    struct timeval limit = {20, 0};
    (void)snprintf(to.sun_path, sizeof to.sun_path, "%s", t->b.feed + strlen("ipc://"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    weir_sp_greeting(greeting, WEIR_SP_REQ);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
        rawhttp_say(fd, (const char *)greeting, sizeof greeting);
        if (recv(fd, greeting, sizeof greeting, MSG_WAITALL) == sizeof greeting &&
            weir_sp_greeting_ok(greeting, WEIR_SP_REP)) {
            return fd;
        }
    }
    (void)close(fd);
    return -1;
}

/* n fetches from the beginning of the log on, or from its end. */
static void put_fetches(weir_buf *out, int n, const weir_feed_pos *after, uint32_t wait_ms)
{
    for (int i = 0; i < n; i++) {
        weir_feed_req req = {.op = WEIR_FEED_FETCH,
                             .has_after = after != NULL,
                             .max_bytes = 1 << 20,
                             .wait_ms = wait_ms};
        weir_buf body;
        unsigned char head[WEIR_SP_HEAD_MAX];
        weir_buf_init(&body, 1 << 16);
        if (after) {
            req.after = *after;
        }
        weir_feed_req_encode(&body, &req);
        weir_buf_put(out, head, weir_sp_head(head, true, body.n + 4));
        weir_buf_u32(out, 0x80000000U | (uint32_t)i);
        weir_buf_puts(out, weir_buf_slice(&body));
        weir_buf_fini(&body);
    }
}

/* --- they leave --- */

typedef struct leaver {
    bridgetest *t;
    uint64_t seed;
    int refused;
} leaver;

static void come_and_leave(void *arg)
{
    leaver *who = arg;
    weir_buf asks;
    const weir_feed_pos begin = {{0, 0}, 0};
    weir_buf_init(&asks, 1 << 20);
    put_fetches(&asks, IN_FLIGHT, &begin, 0);
    put_fetches(&asks, IN_FLIGHT, NULL, 60000);
    for (int i = 0; i < ROUNDS; i++) {
        int fd = dial(who->t);
        if (fd < 0) {
            who->refused++;
            continue;
        }
        rawhttp_say(fd, asks.p, asks.n / (1 + weir_test_random(&who->seed) % 4));
        char some[64 * 1024];
        for (uint64_t k = weir_test_random(&who->seed) % 4; k > 0; k--) {
            (void)recv(fd, some, sizeof some, 0);
        }
        (void)close(fd);
    }
    weir_buf_fini(&asks);
}

typedef struct descriptors_back {
    bridgetest *t;
    size_t before;
} descriptors_back;

static bool are_back(void *arg)
{
    const descriptors_back *w = arg;
    return descriptors(w->t) <= w->before;
}

static bool nothing_is_parked(void *arg)
{
    return bridgeproc_status(arg, "waiting") == 0;
}

static void those_who_leave_are_let_go(void **state)
{
    bridgetest *t = *state;
    descriptors_back back = {t, descriptors(t)};
    leaver who[LEAVERS];
    weir_thread *threads[LEAVERS];
    uint64_t seed = weir_test_seed();
    for (int i = 0; i < LEAVERS; i++) {
        who[i] = (leaver){.t = t, .seed = seed + (uint64_t)i};
        assert_rc(WEIR_OK, weir_thread_start(&threads[i], "leaver", come_and_leave, &who[i], NULL),
                  NULL);
    }
    for (int i = 0; i < LEAVERS; i++) {
        weir_thread_join(threads[i]);
        assert_int_equal(who[i].refused, 0);
    }
    if (!weir_wait_until(are_back, &back, SOON_MS, "the descriptors to be given back")) {
        fail_msg("%zu descriptors before, %zu after %d connections that left", back.before,
                 descriptors(t), LEAVERS * ROUNDS);
    }
    assert_true(weir_wait_until(nothing_is_parked, &t->b, SOON_MS, "no fetch to be parked"));
    bridgetest_sql(t, "UPDATE a SET v = 'y' WHERE id = 7");
    bridgetest_expect(t, "U public.a id=7 v=y\nC\n");
    assert_int_equal(bridgeproc_stop(&t->b), 0);
}

/* --- they do not read --- */

typedef struct parked_count {
    bridgetest *t;
    int64_t want;
} parked_count;

static bool are_parked(void *arg)
{
    const parked_count *w = arg;
    return bridgeproc_status(&w->t->b, "waiting") >= w->want;
}

/* Reads one answer; its request's number. */
static unsigned read_answer(int fd, char *room, size_t room_n)
{
    unsigned char head[13];
    assert_int_equal(recv(fd, head, sizeof head, MSG_WAITALL), sizeof head);
    size_t n = 0;
    for (int i = 1; i < 9; i++) {
        n = n << 8 | head[i];
    }
    assert_true(n >= 4 && n - 4 <= room_n);
    assert_int_equal(recv(fd, room, n - 4, MSG_WAITALL), n - 4);
    return head[11] * 256U + head[12];
}

typedef struct silent {
    int fds[SILENT];
    int64_t grown_kib;
} silent;

/* Each parks its fetches, and then a row comes that every one of them wants. false: the head moved
 * a moment before, and answered them all without it. */
static bool row_for_all(bridgetest *t, const weir_buf *asks, silent *s)
{
    parked_count all = {t, SILENT * PARKED};
    for (int i = 0; i < SILENT; i++) {
        s->fds[i] = dial(t);
        assert_true(s->fds[i] >= 0);
        rawhttp_say(s->fds[i], asks->p, asks->n);
    }
    assert_true(weir_wait_until(are_parked, &all, SOON_MS, "all fetches to be parked"));
    int64_t before_kib = bridgeproc_rss_max_kib(&t->b);
    char sql[100];
    (void)snprintf(sql, sizeof sql, "UPDATE a SET v = repeat('y', %d) WHERE id = 9", LARGE_BYTES);
    bridgetest_sql(t, sql);
    t->f.events = 0;
    bridgetest_skip(t); /* the others are served */
    assert_int_equal(t->f.events, 1);
    s->grown_kib = bridgeproc_rss_max_kib(&t->b) - before_kib;
    return bridgeproc_status(&t->b, "waiting") > 0;
}

static void leave_all(silent *s)
{
    for (int i = 0; i < SILENT; i++) {
        (void)close(s->fds[i]);
    }
}

/* 800 MB, if every fetch were answered at once. */
static void those_who_do_not_read_cost_little(void **state)
{
    bridgetest *t = *state;
    silent s;
    weir_buf asks;
    char *room = malloc(ANSWER_MAX_BYTES);
    bool seen[PARKED] = {false};
    int tries = 0;
    t->f.count_only = true;
    for (bool held = false; !held;) {
        assert_true(tries++ < TRIES);
        weir_buf_init(&asks, 1 << 20);
        put_fetches(&asks, PARKED, &t->f.at, 60000);
        held = row_for_all(t, &asks, &s);
        weir_buf_fini(&asks);
        if (!held) {
            leave_all(&s);
        }
    }
    if (s.grown_kib > SILENT * KIB_EACH_MAX && !weir_test_sanitized()) {
        fail_msg("%d subscribers that do not read cost %lld KiB", SILENT, (long long)s.grown_kib);
    }
    /* When one reads at last, each of its fetches has one answer. */
    for (int i = 0; i < PARKED; i++) {
        unsigned number = read_answer(s.fds[0], room, ANSWER_MAX_BYTES);
        assert_true(number < PARKED && !seen[number]);
        seen[number] = true;
    }
    int64_t begun_ms = weir_mono_ms();
    assert_int_equal(bridgeproc_stop(&t->b), 0);
    assert_true(weir_mono_ms() - begun_ms < SOON_MS * weir_test_timeout_x());
    leave_all(&s);
    free(room);
}

/* --- the bridge leaves --- */

typedef struct follower {
    bridgetest *t;
    weir_loop *l;
    weir_sp_client *client;
    weir_feed_pos after;
    size_t frames, refused;
    uint64_t head; /* everything before it is here */
} follower;

static void follow(follower *f);

static void on_fetched(void *arg, weir_rc rc, weir_slice bytes)
{
    follower *f = arg;
    weir_arena *a = weir_arena_new(0);
    weir_feed_reply r = {.ok = false};
    weir_error err;
    if (rc == WEIR_OK && weir_feed_reply_decode(bytes, a, &r, &err) == WEIR_OK && r.ok) {
        f->frames += r.nframes;
        f->after = r.next;
        f->head = r.next.at.lsn;
    } else {
        f->refused++;
    }
    weir_arena_free(a);
    follow(f);
}

static void follow(follower *f)
{
    weir_feed_req req = {.op = WEIR_FEED_FETCH,
                         .has_after = true,
                         .after = f->after,
                         .max_bytes = 1 << 20,
                         .wait_ms = 500,
                         .known = UINT32_MAX};
    weir_buf b;
    weir_buf_init(&b, 1 << 16);
    weir_feed_req_encode(&b, &req);
    assert_rc(WEIR_OK,
              weir_sp_request(f->client, weir_buf_slice(&b), FETCH_MS * weir_test_timeout_x(),
                              on_fetched, f),
              NULL);
    weir_buf_fini(&b);
}

static void turn_until(follower *f, uint64_t lsn, int round, const char *what)
{
    int64_t end_ms = weir_mono_ms() + (int64_t)2 * SOON_MS * weir_test_timeout_x();
    while (f->head < lsn) {
        weir_loop_turn(f->l, 20);
        if (weir_mono_ms() > end_ms) {
            fail_msg("round %d: nothing came after the bridge was %s", round, what);
        }
    }
}

/* Killed while answers flow, and stopped for a while: who follows it always goes on. */
static void whoever_follows_a_bridge_that_leaves_goes_on(void **state)
{
    bridgetest *t = *state;
    follower f = {.t = t};
    const char *word = getenv("WEIR_LEAVE_ROUNDS");
    long rounds = word ? strtol(word, NULL, 10) : LEAVE_ROUNDS;
    uint64_t seed = weir_test_seed();
    assert_rc(WEIR_OK, weir_loop_new(&f.l, NULL), NULL);
    assert_rc(WEIR_OK,
              weir_sp_client_open(&f.client, f.l, t->b.feed, WEIR_FEED_REPLY_MAX_BYTES, NULL),
              NULL);
    follow(&f);
    for (int i = 0; i < rounds; i++) {
        char sql[100];
        f.after = (weir_feed_pos){{0, 0}, 0}; /* all of it again, so that answers are under way */
        f.head = 0;
        for (uint64_t k = weir_test_random(&seed) % 12; k > 0; k--) {
            weir_loop_turn(f.l, 1);
        }
        if (i % 3 == 2) {
            (void)kill(t->b.pid, SIGSTOP);
            weir_loop_turn(f.l, 50);
            (void)kill(t->b.pid, SIGCONT);
        } else {
            bridgeproc_kill(&t->b);
            weir_loop_turn(f.l, 10);
            assert_true(bridgeproc_start(&t->b));
        }
        (void)snprintf(sql, sizeof sql, "UPDATE a SET v = 'round %d' WHERE id = 1", i);
        bridgetest_sql(t, sql);
        turn_until(&f, bridgetest_lsn(t), i, i % 3 == 2 ? "stopped" : "killed");
    }
    assert_true(f.frames > 0);
    weir_sp_client_close(f.client);
    weir_loop_free(f.l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(those_who_leave_are_let_go, setup, teardown),
        cmocka_unit_test_setup_teardown(those_who_do_not_read_cost_little, setup, teardown),
        cmocka_unit_test_setup_teardown(whoever_follows_a_bridge_that_leaves_goes_on, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("bridge leave", tests, bridgetest_up, bridgetest_down);
}
