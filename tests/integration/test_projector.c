/* test_projector.c - weir-projector as a process between a made feed and a private Redis: what it
 * writes, what it does when Redis loses, forgets or is taken over, when it is killed, and when the
 * feed has lapsed.
 *
 * PostgreSQL only has the tables and the models: rows exist in the feed alone.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/lsn.h"
#include "libweir/io/curl.h"
#include "libweir/io/redis.h"
#include "tests/support/check.h"
#include "tests/support/fakefeed.h"
#include "tests/support/feedtx.h"
#include "tests/support/fixture.h"
#include "tests/support/projected.h"
#include "tests/support/rediscmd.h"

enum { WAIT = 15000, HTTP_MAX = 20000, MANY = 5000, MANY_FROM = 1000, SECOND_MS = 2000 };

static fixture fx;
static fixture_proc *service;
static weir_redisc *redis;
static weir_arena *a;
static fakefeed *feed;
static char ini[256], base[64], feed_url[200];
static uint64_t lsn;
static uint32_t rel_c, rel_o;

static const char *const SCHEMA = "CREATE TABLE c (id int PRIMARY KEY, name text); CREATE TABLE o "
                                  "(id int PRIMARY KEY, c int, n int);"
                                  "CREATE PUBLICATION weir_t FOR TABLE c, o; CREATE SCHEMA weir;"
                                  "CREATE TABLE weir.setting (key text PRIMARY KEY, value text);"
                                  "CREATE TABLE weir.read_model (name text PRIMARY KEY, file text, "
                                  "source text, fingerprint text, revision bigint);";
static const char *const MODEL =
    "-- @model v\n-- @key id\n"
    "SELECT o.id, o.n, c.name, 100 / o.n AS share FROM o JOIN c ON c.id = o.c\n";

/* --- Redis and HTTP --- */

static weir_redisc *to_redis(void)
{
    weir_error err;
    if (!redis) {
        assert_rc(WEIR_OK, weir_redisc_open(&redis, fx.redis_uri, 5000, &err), &err);
    }
    return redis;
}

#define CMD(...) REDISCMD(to_redis(), __VA_ARGS__)

static const char *redis_text(const char *key)
{
    const weir_redis_reply *r = CMD("GET", key);
    weir_slice s = weir_redis_reply_str(r);
    return weir_redis_reply_type(r) == WEIR_REDIS_STRING ? weir_arena_dupz(a, s) : "none";
}

static const char *http(const char *path)
{
    weir_curl_response r = {0};
    weir_error err;
    const char *url = weir_arena_printf(a, "%s%s", base, path);
    if (weir_curl("GET", url, NULL, (weir_slice){NULL, 0}, HTTP_MAX, a, &r, &err) != WEIR_OK) {
        return "";
    }
    return weir_arena_dupz(a, r.body);
}

typedef struct wanted {
    const char *key, *value;
} wanted;

static bool has_value(void *arg)
{
    const wanted *w = arg;
    return strcmp(redis_text(w->key), w->value) == 0;
}

static void expect(const char *key, const char *value)
{
    wanted w = {key, value};
    char what[300];
    (void)snprintf(what, sizeof what, "%s = %s (now %s)", key, value, redis_text(key));
    fixture_wait(&fx, has_value, &w, WAIT, what);
}

static void expect_position(void)
{
    char text[WEIR_LSN_TEXT_MAX];
    expect("t:position", weir_lsn_print(lsn, text));
}

static bool http_has(void *arg)
{
    const wanted *w = arg;
    return strstr(http(w->key), w->value) != NULL;
}

static void expect_http(const char *path, const char *needle)
{
    wanted w = {path, needle};
    char what[300];
    (void)snprintf(what, sizeof what, "%s to say %s", path, needle);
    fixture_wait(&fx, http_has, &w, WAIT, what);
}

/* --- the feed --- */

static void put(feedtx *t, weir_ev_kind kind, uint32_t rel, const char *x, const char *y,
                const char *z)
{
    const char *cells[3] = {x, y, z};
    feedtx_put(t, kind, rel, rel == rel_c ? 2 : 3, cells);
}

static void commit(feedtx *t)
{
    lsn += 0x100;
    fakefeed_add(feed, WEIR_FRAME_TX, 0, lsn - 0x20, lsn, t->ev, t->n);
    t->n = 0;
}

static void one(weir_ev_kind kind, uint32_t rel, const char *x, const char *y, const char *z)
{
    feedtx t = {.n = 0};
    put(&t, kind, rel, x, y, z);
    commit(&t);
}

/* MANY orders of a customer in one transaction. */
static void many_orders(const char *customer)
{
    weir_ev *evs = weir_arena_zalloc(a, MANY * sizeof *evs);
    weir_val(*vals)[3] = weir_arena_zalloc(a, MANY * sizeof *vals);
    for (int i = 0; i < MANY; i++) {
        const char *const row[3] = {weir_arena_printf(a, "%d", MANY_FROM + i), customer, "1"};
        evs[i] = (weir_ev){
            .kind = WEIR_EV_INSERT, .rel = rel_o, .new_row = feedtx_tuple(vals[i], 3, row)};
    }
    lsn += 0x100;
    fakefeed_add(feed, WEIR_FRAME_TX, 0, lsn - 0x20, lsn, evs, MANY);
}

static void copied(const char *id)
{
    weir_ev ev[2] = {{.kind = WEIR_EV_COPIED,
                      .a = WEIR_SLICE_LIT("public"),
                      .b = WEIR_SLICE_LIT("c"),
                      .copy_id = weir_slice_z(id)},
                     {.kind = WEIR_EV_COPIED,
                      .a = WEIR_SLICE_LIT("public"),
                      .b = WEIR_SLICE_LIT("o"),
                      .copy_id = weir_slice_z(id)}};
    fakefeed_add(feed, WEIR_FRAME_CHUNK, 0, lsn, lsn, ev, 2);
}

/* --- life --- */

static void start(void)
{
    const char *argv[] = {WEIR_BIN_DIR "/weir-projector", "--config", ini, NULL};
    service = service ? service : fixture_spawn(&fx, "projector", argv, NULL);
    assert_non_null(service);
}

static void restart(void)
{
    fixture_kill9(service);
    assert_true(fixture_restart(service));
}

static int up(void **state)
{
    (void)state;
    a = weir_arena_new(0);
    if (fixture_open(&fx, FIXTURE_PG | FIXTURE_REDIS) != 0) {
        return -1;
    }
    if (fx.missing[0]) {
        return 0;
    }
    fixture_sql(&fx, SCHEMA);
    fixture_sql(&fx,
                weir_arena_printf(
                    a, "INSERT INTO weir.read_model VALUES ('v', 'v.sql', $$%s$$, 'x', 1)", MODEL));
    (void)snprintf(feed_url, sizeof feed_url, "ipc://%s/feed.ipc", fx.dir);
    feed = fakefeed_open(feed_url, "4711");
    rel_c = feedtx_relation(feed, &fx, "c", 2, (const char *const[]){"id", "name"},
                            (const uint32_t[]){23, 25});
    rel_o = feedtx_relation(feed, &fx, "o", 3, (const char *const[]){"id", "c", "n"},
                            (const uint32_t[]){23, 23, 23});
    int port = fixture_free_port();
    (void)snprintf(base, sizeof base, "http://127.0.0.1:%d", port);
    (void)snprintf(ini, sizeof ini, "%s/weir.ini", fx.dir);
    const char *text = weir_arena_printf(
        a,
        "[app]\nname = t\n[postgres]\nuri = %s\n[redis]\nuri = %s\n[bridge]\nfeed = "
        "%s\npublication = weir_t\n"
        "[projector]\nport = %d\ndata_dir = %s/state\nmap_bytes = 1G\ncheckpoint_ms = "
        "50\nverify_every = 0\nkeep_old_ms = 0\n",
        fx.pg.uri, fx.redis_uri, feed_url, port, fx.dir);
    weir_error err;
    return weir_file_write(ini, weir_slice_z(text), 0600, &err) == WEIR_OK ? 0 : -1;
}

static int down(void **state)
{
    (void)state;
    weir_redisc_close(redis);
    fixture_close(&fx);
    if (feed) {
        fakefeed_close(feed);
    }
    weir_arena_free(a);
    return 0;
}

/* --- tests, in this order: each goes on where the one before stopped --- */

static void documents_appear(void **state)
{
    (void)state;
    fixture_need(&fx);
    lsn = 0x1000;
    feedtx t = {.n = 0};
    put(&t, WEIR_EV_READ, rel_c, "1", "Ann", NULL);
    put(&t, WEIR_EV_READ, rel_o, "7", "1", "5");
    fakefeed_add(feed, WEIR_FRAME_CHUNK, 0, lsn, lsn, t.ev, t.n);
    copied("initial");
    start();
    expect("t:v:1:7", "{\"n\": 5, \"id\": 7, \"name\": \"Ann\", \"share\": 20}");
    expect_http("/readyz", "\"ready\":true");
    one(WEIR_EV_INSERT, rel_o, "8", "1", "10");
    expect("t:v:1:8", "{\"n\": 10, \"id\": 8, \"name\": \"Ann\", \"share\": 10}");
    expect_position();
    one(WEIR_EV_UPDATE, rel_c, "1", "Bob", NULL);
    expect("t:v:1:7", "{\"n\": 5, \"id\": 7, \"name\": \"Bob\", \"share\": 20}");
    expect("t:v:1:8", "{\"n\": 10, \"id\": 8, \"name\": \"Bob\", \"share\": 10}");
    one(WEIR_EV_DELETE, rel_o, "8", NULL, NULL);
    expect("t:v:1:8", "none");
    fakefeed_head(feed, lsn += 0x50); /* nothing happened, the position goes on all the same */
    expect_position();
}

static void a_failing_document_is_parked_and_heals(void **state)
{
    (void)state;
    fixture_need(&fx);
    one(WEIR_EV_UPDATE, rel_o, "7", "1", "0");
    expect_position();
    expect("t:v:1:7", "{\"n\": 5, \"id\": 7, \"name\": \"Bob\", \"share\": 20}");
    expect_http("/status", "\"parked\":1");
    one(WEIR_EV_UPDATE, rel_o, "7", "1", "50");
    expect("t:v:1:7", "{\"n\": 50, \"id\": 7, \"name\": \"Bob\", \"share\": 2}");
    expect_http("/status", "\"parked\":0");
}

static void a_transaction_is_seen_whole(void **state)
{
    (void)state;
    fixture_need(&fx);
    feedtx t = {.n = 0};
    uint64_t at = lsn + 0x80;
    put(&t, WEIR_EV_INSERT, rel_o, "20", "1", "1");
    fakefeed_add(feed, WEIR_FRAME_TX, 0, at, 0, t.ev, t.n);
    t.n = 0;
    put(&t, WEIR_EV_INSERT, rel_o, "21", "1", "2");
    fakefeed_add(feed, WEIR_FRAME_TX, 1, at, 0, t.ev, t.n);
    expect_http("/metrics", "weir_projector_steps_total");
    assert_string_equal(redis_text("t:v:1:20"), "none");
    restart(); /* in the middle of it */
    t.n = 0;
    put(&t, WEIR_EV_DELETE, rel_o, "20", NULL, NULL);
    put(&t, WEIR_EV_INSERT, rel_o, "22", "1", "4");
    lsn = at + 0x100;
    fakefeed_add(feed, WEIR_FRAME_TX, 2, at, lsn, t.ev, t.n);
    expect("t:v:1:22", "{\"n\": 4, \"id\": 22, \"name\": \"Bob\", \"share\": 25}");
    assert_string_equal(redis_text("t:v:1:21"),
                        "{\"n\": 2, \"id\": 21, \"name\": \"Bob\", \"share\": 50}");
    assert_string_equal(redis_text("t:v:1:20"), "none");
    expect_position();
}

/* Nothing is written outside of a MULTI: a position alone would be a lie after a crash. Redis's own
 * log of commands, newest first, tells what it was given. */
static void position_and_documents_are_one_write(void **state)
{
    (void)state;
    fixture_need(&fx);
    expect_position();
    (void)CMD("CONFIG", "SET", "slowlog-max-len", "1000");
    (void)CMD("CONFIG", "SET", "slowlog-log-slower-than", "0");
    (void)CMD("SLOWLOG", "RESET");
    one(WEIR_EV_INSERT, rel_o, "25", "1", "5");
    expect_position();
    (void)CMD("CONFIG", "SET", "slowlog-log-slower-than", "-1");
    projected_writes w = projected_log(CMD("SLOWLOG", "GET", "1000"), "t:v:1:25", "t:position");
    assert_true(w.document && w.position);
    assert_slice("MULTI", w.first);
}

static void a_flushed_redis_is_filled_again(void **state)
{
    (void)state;
    fixture_need(&fx);
    (void)CMD("FLUSHALL");
    fakefeed_head(feed, lsn += 0x50); /* the next thing that would be written finds it out */
    expect("t:v:1:21", "{\"n\": 2, \"id\": 21, \"name\": \"Bob\", \"share\": 50}");
    expect("t:v:1:7", "{\"n\": 50, \"id\": 7, \"name\": \"Bob\", \"share\": 2}");
    expect_position();
    assert_true(weir_redis_reply_len(CMD("HGETALL", "t:models")) == 2);
}

static bool redis_pings(void *arg)
{
    (void)arg;
    weir_error err;
    weir_redisc *c = NULL;
    const weir_redis_reply *r = NULL;
    weir_slice ping = WEIR_SLICE_LIT("PING");
    bool ok = weir_redisc_open(&c, fx.redis_uri, 500, &err) == WEIR_OK &&
              weir_redisc_call(c, &r, 1, &ping, &err) == WEIR_OK &&
              weir_redis_reply_type(r) == WEIR_REDIS_STRING;
    weir_redisc_close(c);
    return ok;
}

static void bring_redis_back(void)
{
    weir_redisc_close(redis);
    redis = NULL;
    assert_true(fixture_restart(fx.redis));
    fixture_wait(&fx, redis_pings, NULL, WAIT, "Redis to answer again");
}

static void a_redis_of_yesterday_catches_up(void **state)
{
    (void)state;
    fixture_need(&fx);
    one(WEIR_EV_INSERT, rel_o, "30", "1", "1");
    expect("t:v:1:30", "{\"n\": 1, \"id\": 30, \"name\": \"Bob\", \"share\": 100}");
    expect_position();
    (void)CMD("SAVE");
    one(WEIR_EV_DELETE, rel_o, "30", NULL, NULL);
    one(WEIR_EV_UPDATE, rel_o, "21", "1", "20");
    one(WEIR_EV_INSERT, rel_o, "31", "1", "4");
    expect("t:v:1:31", "{\"n\": 4, \"id\": 31, \"name\": \"Bob\", \"share\": 25}");
    expect_position();
    fixture_kill9(fx.redis);
    bring_redis_back(); /* with what SAVE wrote: an old position, a deleted document back to life */
    expect_position();
    expect("t:v:1:31", "{\"n\": 4, \"id\": 31, \"name\": \"Bob\", \"share\": 25}");
    expect("t:v:1:21", "{\"n\": 20, \"id\": 21, \"name\": \"Bob\", \"share\": 5}");
    expect("t:v:1:30", "none");
}

static long rows_done(void)
{
    const char *m = strstr(http("/metrics"), "\nweir_projector_rows_total ");
    return m ? strtol(m + 27, NULL, 10) : -1;
}

static bool step_done(void *arg)
{
    return rows_done() > *(const long *)arg;
}

/* The state has the transaction, Redis never gets it: it is stopped, then both are killed. */
static void killed_between_commit_and_exec(void **state)
{
    (void)state;
    fixture_need(&fx);
    (void)CMD("SAVE");
    long before = rows_done();
    assert_int_equal(kill(fx.redis->pid, SIGSTOP), 0);
    feedtx t = {.n = 0};
    put(&t, WEIR_EV_UPDATE, rel_o, "31", "1", "100");
    put(&t, WEIR_EV_DELETE, rel_o, "25", NULL, NULL);
    commit(&t);
    fixture_wait(&fx, step_done, &before, WAIT, "the rows to be in the state");
    fixture_kill9(service);
    fixture_kill9(fx.redis);
    bring_redis_back();
    assert_string_equal(redis_text("t:v:1:31"),
                        "{\"n\": 4, \"id\": 31, \"name\": \"Bob\", \"share\": 25}");
    assert_true(fixture_restart(service));
    expect("t:v:1:31", "{\"n\": 100, \"id\": 31, \"name\": \"Bob\", \"share\": 1}");
    expect_position();
    expect("t:v:1:25", "none");
}

/* The same, but the projector lives on: what was deleted meanwhile is known by its tombstone alone.
 */
static void redis_comes_back_without_the_last_exec(void **state)
{
    (void)state;
    fixture_need(&fx);
    one(WEIR_EV_INSERT, rel_o, "24", "1", "5");
    expect("t:v:1:24", "{\"n\": 5, \"id\": 24, \"name\": \"Bob\", \"share\": 20}");
    expect_position();
    (void)CMD("SAVE");
    long before = rows_done();
    assert_int_equal(kill(fx.redis->pid, SIGSTOP), 0);
    feedtx t = {.n = 0};
    put(&t, WEIR_EV_UPDATE, rel_o, "31", "1", "50");
    put(&t, WEIR_EV_DELETE, rel_o, "24", NULL, NULL);
    commit(&t);
    bool done = weir_wait_until(step_done, &before, WAIT, "the rows to be in the state");
    fixture_kill9(fx.redis);
    bring_redis_back();
    assert_true(done);
    expect_position();
    assert_string_equal(redis_text("t:v:1:24"), "none"); /* with the position, not later */
    assert_string_equal(redis_text("t:v:1:31"),
                        "{\"n\": 50, \"id\": 31, \"name\": \"Bob\", \"share\": 2}");
}

/* While one MULTI is on its way the next is made already. When the first is lost, the second must
 * not tell its position: a reader would take the first one's documents for new, and after a crash
 * right then nobody would write them again. */
static void what_was_ready_does_not_overtake_what_was_lost(void **state)
{
    (void)state;
    fixture_need(&fx);
    char last[32];
    one(WEIR_EV_INSERT, rel_c, "7", "Ann", NULL);
    many_orders("7");
    (void)snprintf(last, sizeof last, "t:v:1:%d", MANY_FROM + MANY - 1);
    expect_position();
    (void)CMD("SAVE");
    long before = rows_done();
    assert_int_equal(kill(fx.redis->pid, SIGSTOP), 0);
    one(WEIR_EV_UPDATE, rel_c, "7", "Zoe", NULL);
    bool first = weir_wait_until(step_done, &before, WAIT, "the first to be in the state");
    before = rows_done();
    one(WEIR_EV_INSERT, rel_o, "29", "1", "5");
    /* When something else was on its way to Redis, the first is what was ready and no second is
     * made. */
    (void)weir_wait_until(step_done, &before, SECOND_MS, "the second to be in the state");
    fixture_kill9(fx.redis);
    bring_redis_back();
    assert_true(first);
    expect_position();
    assert_string_equal(
        redis_text(last),
        weir_arena_printf(a, "{\"n\": 1, \"id\": %s, \"name\": \"Zoe\", \"share\": 100}",
                          last + 6));
}

/* Redis confirms the delete when the document is there again: what is forgotten then is not the
 * document. */
static void made_again_while_its_delete_is_under_way(void **state)
{
    (void)state;
    fixture_need(&fx);
    one(WEIR_EV_INSERT, rel_o, "26", "1", "5");
    expect("t:v:1:26", "{\"n\": 5, \"id\": 26, \"name\": \"Bob\", \"share\": 20}");
    expect_position();
    assert_int_equal(kill(fx.redis->pid, SIGSTOP), 0);
    long before = rows_done();
    one(WEIR_EV_DELETE, rel_o, "26", NULL, NULL);
    bool gone = weir_wait_until(step_done, &before, WAIT, "the delete to be in the state");
    before = rows_done();
    one(WEIR_EV_INSERT, rel_o, "26", "1", "4");
    bool made = weir_wait_until(step_done, &before, WAIT, "the insert to be in the state");
    assert_int_equal(kill(fx.redis->pid, SIGCONT), 0);
    assert_true(gone && made);
    expect("t:v:1:26", "{\"n\": 4, \"id\": 26, \"name\": \"Bob\", \"share\": 25}");
    expect_position();
    one(WEIR_EV_DELETE, rel_o, "26", NULL, NULL);
    expect_position();
    expect("t:v:1:26", "none");
}

static bool acked(void *arg)
{
    return fakefeed_acked(feed) >= *(const uint64_t *)arg;
}

/* How many tombstones the state has when everything is settled. */
static size_t tombstones(const char *id, size_t *live)
{
    size_t dead = 0;
    for (const char *n = "2"; *n; n = *n == '2' ? "1" : "") {
        one(WEIR_EV_UPDATE, rel_o, id, "1", n); /* sent only after what came before is settled */
        expect_position();
    }
    assert_int_equal(fixture_stop(service, 10000), 0);
    projected_count(weir_arena_printf(a, "%s/state", fx.dir), live, &dead);
    assert_true(fixture_restart(service));
    return dead;
}

/* Redis has the delete, and whoever sent it does not live to see the answer. */
static void killed_before_the_answer(void **state)
{
    (void)state;
    fixture_need(&fx);
    one(WEIR_EV_INSERT, rel_o, "27", "1", "5");
    expect_position();
    long before = rows_done();
    assert_int_equal(kill(fx.redis->pid, SIGSTOP), 0);
    one(WEIR_EV_DELETE, rel_o, "27", NULL, NULL);
    bool gone = weir_wait_until(step_done, &before, WAIT, "the delete to be in the state") &&
                weir_wait_until(acked, &lsn, WAIT, "the state to be on disk");
    size_t live = 0;
    assert_int_equal(kill(service->pid, SIGSTOP), 0);
    assert_int_equal(kill(fx.redis->pid, SIGCONT), 0);
    assert_true(gone);
    expect("t:v:1:27", "none");
    restart();
    assert_int_equal(tombstones("31", &live), 0);
}

static void kills_at_any_moment(void **state)
{
    (void)state;
    fixture_need(&fx);
    uint64_t rng = weir_test_seed();
    char n[16];
    for (int i = 1; i <= 200; i++) {
        (void)snprintf(n, sizeof n, "%d", 1 + i % 100);
        feedtx t = {.n = 0};
        put(&t, WEIR_EV_UPDATE, rel_o, "21", "1", n);
        put(&t, WEIR_EV_UPDATE, rel_o, "31", "1", n);
        put(&t, i % 2 ? WEIR_EV_INSERT : WEIR_EV_DELETE, rel_o, "40", i % 2 ? "1" : NULL,
            i % 2 ? n : NULL);
        commit(&t);
        if (weir_test_random(&rng) % 40 == 0) {
            restart();
        }
    }
    expect_position();
    expect("t:v:1:21", "{\"n\": 1, \"id\": 21, \"name\": \"Bob\", \"share\": 100}");
    expect("t:v:1:31", "{\"n\": 1, \"id\": 31, \"name\": \"Bob\", \"share\": 100}");
    expect("t:v:1:40", "none");
}

static void what_is_durable_is_acknowledged(void **state)
{
    (void)state;
    fixture_need(&fx);
    fixture_wait(&fx, acked, &lsn, WAIT, "the acknowledgement of everything");
    one(WEIR_EV_INSERT, rel_o, "50", "1", "1");
    fixture_wait(&fx, acked, &lsn, WAIT, "the acknowledgement of one more");
    assert_false(fakefeed_broke_its_word(feed)); /* in all the kills before */
}

/* While Redis does not answer the projector stands: one MULTI is under way, one is made, and what
 * it fetched beyond that is not in the state. */
static void what_is_only_fetched_is_not_acknowledged(void **state)
{
    (void)state;
    fixture_need(&fx);
    expect_position();
    assert_int_equal(kill(fx.redis->pid, SIGSTOP), 0);
    bool applied = true;
    for (int i = 0; i < 2; i++) {
        long before = rows_done();
        one(WEIR_EV_UPDATE, rel_o, "21", "1", i ? "2" : "4");
        applied = applied && weir_wait_until(step_done, &before, WAIT, "a row to be in the state");
    }
    uint64_t second = lsn;
    one(WEIR_EV_UPDATE, rel_o, "21", "1", "5");
    bool acked_it = weir_wait_until(acked, &second, WAIT, "the acknowledgement of the second");
    uint64_t told = fakefeed_acked(feed);
    assert_int_equal(kill(fx.redis->pid, SIGCONT), 0);
    assert_true(applied && acked_it);
    assert_true(told < lsn);
    expect("t:v:1:21", "{\"n\": 5, \"id\": 21, \"name\": \"Bob\", \"share\": 20}");
    expect_position();
}

static void truncate_removes_the_documents(void **state)
{
    (void)state;
    fixture_need(&fx);
    uint32_t rels[1] = {rel_o};
    weir_ev ev = {.kind = WEIR_EV_TRUNCATE, .nrels = 1, .rels = rels};
    lsn += 0x100;
    fakefeed_add(feed, WEIR_FRAME_TX, 0, lsn - 0x20, lsn, &ev, 1);
    expect_position();
    assert_int_equal(weir_redis_reply_len(CMD("KEYS", "t:v:*")), 0);
    one(WEIR_EV_INSERT, rel_o, "60", "1", "1");
    expect("t:v:1:60", "{\"n\": 1, \"id\": 60, \"name\": \"Bob\", \"share\": 100}");
}

/* A tombstone serves until Redis has confirmed the delete; kept longer the map would grow forever.
 */
static void tombstones_go_when_redis_knows(void **state)
{
    (void)state;
    fixture_need(&fx);
    size_t live = 0;
    for (int i = 61; i < 79; i++) {
        bool add = i < 70;
        if (i == 70) {
            expect_position();
        }
        one(add ? WEIR_EV_INSERT : WEIR_EV_DELETE, rel_o,
            weir_arena_printf(a, "%d", add ? i : i - 9), add ? "1" : NULL, add ? "1" : NULL);
    }
    expect_position();
    assert_int_equal(tombstones("60", &live), 0);
    assert_int_equal(1, live);
}

static bool copy_asked(void *arg)
{
    char table[64];
    (void)arg;
    char id[64];
    return fakefeed_copy(feed, id, table, sizeof id);
}

static void message(const char *prefix)
{
    weir_ev ev = {.kind = WEIR_EV_MESSAGE,
                  .transactional = true,
                  .lsn = lsn,
                  .a = weir_slice_z(prefix),
                  .b = WEIR_SLICE_LIT("{}")};
    lsn += 0x100;
    fakefeed_add(feed, WEIR_FRAME_TX, 0, lsn - 0x20, lsn, &ev, 1);
}

/* A new version of the model and a new table column: built beside, then switched, the old documents
 * removed. */
static void a_deploy_builds_beside_and_switches(void **state)
{
    (void)state;
    fixture_need(&fx);
    fixture_sql(&fx,
                "UPDATE weir.read_model SET source = replace(source, 'o.n,', 'o.n, o.c AS who,')");
    message("weir.deploy");
    expect("t:v:2:60", "{\"n\": 1, \"id\": 60, \"who\": 1, \"name\": \"Bob\", \"share\": 100}");
    expect("t:v:1:60", "none");
    expect_http("/status", "\"generation\":2");
    fixture_sql(&fx, "ALTER TABLE c ADD COLUMN town text");
    fixture_sql(
        &fx, "UPDATE weir.read_model SET source = replace(source, 'c.name,', 'c.name, c.town,')");
    message("weir.deploy");
    fixture_wait(&fx, copy_asked, NULL, WAIT, "a copy of the table with the new column");
    char id[64];
    char table[64];
    assert_true(fakefeed_copy(feed, id, table, sizeof id));
    assert_string_equal(table, "c");
    assert_string_equal(redis_text("t:v:2:60"),
                        "{\"n\": 1, \"id\": 60, \"who\": 1, \"name\": \"Bob\", \"share\": 100}");
    rel_c = feedtx_relation(feed, &fx, "c", 3, (const char *const[]){"id", "name", "town"},
                            (const uint32_t[]){23, 25, 25});
    weir_val v[3];
    weir_ev ev[2] = {{.kind = WEIR_EV_READ,
                      .rel = rel_c,
                      .new_row = feedtx_tuple(v, 3, (const char *const[]){"1", "Bob", "Rome"})},
                     {.kind = WEIR_EV_COPIED,
                      .a = WEIR_SLICE_LIT("public"),
                      .b = WEIR_SLICE_LIT("c"),
                      .copy_id = weir_slice_z(id)}};
    fakefeed_add(feed, WEIR_FRAME_CHUNK, 0, lsn, lsn, ev, 2);
    expect("t:v:3:60", "{\"n\": 1, \"id\": 60, \"who\": 1, \"name\": \"Bob\", \"town\": \"Rome\", "
                       "\"share\": 100}");
    expect("t:v:2:60", "none");
}

typedef struct new_copy {
    char (*seen)[64];
    int subscribed;
} new_copy;

static bool copy_is_new(void *arg)
{
    const new_copy *w = arg;
    char id[64];
    char table[64];
    if (fakefeed_subscribed(feed) == w->subscribed || !fakefeed_copy(feed, id, table, sizeof id)) {
        return false;
    }
    return strcmp(id, w->seen[0]) != 0 && strcmp(id, w->seen[1]) != 0 &&
           strcmp(id, w->seen[2]) != 0;
}

static void a_lapsed_feed_rebuilds_from_copies(void **state)
{
    (void)state;
    fixture_need(&fx);
    int subscribed = fakefeed_subscribed(feed);
    char id[64];
    char table[64];
    char seen[3][64] = {"", "", ""};
    (void)fakefeed_copy(feed, seen[0], table, sizeof id);
    fakefeed_lapse(feed);
    for (int done = 1; done < 3;) {
        new_copy wait = {seen, subscribed};
        fixture_wait(&fx, copy_is_new, &wait, WAIT, "a copy of each table");
        (void)fakefeed_copy(feed, id, table, sizeof id);
        bool c = strcmp(table, "c") == 0;
        weir_val v[3];
        const char *const rc[3] = {"1", "Eve", "Oslo"};
        const char *const ro[3] = {"60", "1", "2"};
        weir_ev ev[2] = {{.kind = WEIR_EV_READ,
                          .rel = c ? rel_c : rel_o,
                          .new_row = feedtx_tuple(v, 3, c ? rc : ro)},
                         {.kind = WEIR_EV_COPIED,
                          .a = WEIR_SLICE_LIT("public"),
                          .b = weir_slice_z(table),
                          .copy_id = weir_slice_z(id)}};
        fakefeed_add(feed, WEIR_FRAME_CHUNK, 0, lsn, lsn, ev, 2);
        memcpy(seen[done++], id, sizeof id);
    }
    expect(
        "t:v:4:60",
        "{\"n\": 2, \"id\": 60, \"who\": 1, \"name\": \"Eve\", \"town\": \"Oslo\", \"share\": 50}");
    expect("t:v:3:60", "none"); /* known only to Redis: swept */
}

/* A model that comes later and looks a kept table up by another column: an index is built over more
 * rows than one step takes. */
static void a_late_index_is_built_whole(void **state)
{
    (void)state;
    fixture_need(&fx);
    many_orders("1");
    expect_position();
    fixture_sql(&fx,
                "INSERT INTO weir.read_model VALUES ('w', 'w.sql', $$-- @model w\n-- @key id\n"
                "SELECT c.id, (SELECT count(*) FROM o WHERE o.n = c.id) AS n FROM c$$, 'y', 1)");
    message("weir.deploy");
    expect("t:w:1:1", "{\"n\": 5000, \"id\": 1}");
}

static void a_removed_model_goes(void **state)
{
    (void)state;
    fixture_need(&fx);
    fixture_sql(&fx, "DELETE FROM weir.read_model");
    message("weir.deploy");
    expect("t:v:4:60", "none");
    expect_http("/status", "\"models\":[]");
    expect_position();
    assert_int_equal(weir_redis_reply_len(CMD("HGETALL", "t:models")), 0);
}

static void it_stops_in_order(void **state)
{
    (void)state;
    fixture_need(&fx);
    assert_int_equal(fixture_stop(service, 10000), 0);
    assert_true(fixture_restart(service));
    expect_http("/readyz", "\"ready\":true");
}

static void another_projector_fences_this_one(void **state)
{
    (void)state;
    fixture_need(&fx);
    const char *before = redis_text("t:position");
    (void)CMD("SET", "t:epoch", "1000000");
    fakefeed_head(feed, lsn += 0x50);
    expect_http("/readyz", "another projector took over");
    assert_string_equal(redis_text("t:position"), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_appear),
        cmocka_unit_test(a_failing_document_is_parked_and_heals),
        cmocka_unit_test(a_transaction_is_seen_whole),
        cmocka_unit_test(position_and_documents_are_one_write),
        cmocka_unit_test(a_flushed_redis_is_filled_again),
        cmocka_unit_test(a_redis_of_yesterday_catches_up),
        cmocka_unit_test(killed_between_commit_and_exec),
        cmocka_unit_test(redis_comes_back_without_the_last_exec),
        cmocka_unit_test(what_was_ready_does_not_overtake_what_was_lost),
        cmocka_unit_test(made_again_while_its_delete_is_under_way),
        cmocka_unit_test(killed_before_the_answer),
        cmocka_unit_test(kills_at_any_moment),
        cmocka_unit_test(what_is_durable_is_acknowledged),
        cmocka_unit_test(what_is_only_fetched_is_not_acknowledged),
        cmocka_unit_test(truncate_removes_the_documents),
        cmocka_unit_test(tombstones_go_when_redis_knows),
        cmocka_unit_test(a_deploy_builds_beside_and_switches),
        cmocka_unit_test(a_lapsed_feed_rebuilds_from_copies),
        cmocka_unit_test(a_late_index_is_built_whole),
        cmocka_unit_test(a_removed_model_goes),
        cmocka_unit_test(it_stops_in_order),
        cmocka_unit_test(another_projector_fences_this_one),
    };
    return cmocka_run_group_tests_name("projector", tests, up, down);
}
