/* test_crawl.c - tables are crawled beside writers at full speed, with commits that SELECT cannot
 * see yet and kill -9 of bridge and server: a subscriber that began with garbage ends with the
 * source's rows.
 *
 * WEIR_CRAWL_RUNS: how many random runs (4). WEIR_CRAWL_SEED: of the first one. WEIR_BROKEN_MERGE:
 * run the bridge without that rule (broken_merge.c; "range": the subscriber ignores ranges) until
 * it is found.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "tests/support/bridgetest.h"
#include "tests/support/crawltarget.h"

enum {
    RUNS = 4,
    WRITERS = 3,
    HOLDERS = 2,
    ROWS = 300,
    BROKEN_RUNS = 15,
    CRAWL_MAX_MS = 90000,
};

typedef struct rng {
    uint64_t s;
} rng;

static bool is_stopped(void *arg)
{
    return atomic_load((atomic_bool *)arg);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static unsigned roll(rng *r, unsigned n)
{
    r->s ^= r->s << 13;
    r->s ^= r->s >> 7;
    r->s ^= r->s << 17;
    return (unsigned)((r->s >> 11) % n);
}

/* --- who writes
 * --------------------------------------------------------------------------------------------------
 */

typedef struct writer {
    const char *uri;
    atomic_bool *stop;
    rng r;
    bool holds; /* its commits wait for a standby that does not exist */
    bool truncates;
    weir_thread *thread;
    unsigned long done;
} writer;

#define BIG "repeat(md5(random()::text), 80)"

/* Holders have rows of their own, which nobody else writes: a stale one stays stale. */
static unsigned any_id(writer *w)
{
    return w->holds && roll(&w->r, 3) ? 1000 + roll(&w->r, 40) : roll(&w->r, ROWS);
}

static void statement_a(writer *w, char *sql, size_t size)
{
    unsigned id = any_id(w);
    unsigned other = any_id(w);
    switch (roll(&w->r, 9)) {
    case 0:
        (void)snprintf(sql, size,
                       "INSERT INTO a VALUES (%u, %u, " BIG
                       ") ON CONFLICT (id) DO UPDATE SET n = excluded.n",
                       id, other);
        break;
    case 1: (void)snprintf(sql, size, "DELETE FROM a WHERE id = %u", id); break;
    case 2:
    case 3:
        (void)snprintf(
            sql, size,
            "UPDATE a SET id = %u WHERE id = %u AND NOT EXISTS (SELECT 1 FROM a WHERE id = %u)",
            other, id, other);
        break;
    case 4: (void)snprintf(sql, size, "UPDATE a SET big = " BIG " WHERE id = %u", id); break;
    default:
        (void)snprintf(sql, size, "UPDATE a SET n = %u WHERE id = %u", roll(&w->r, 100000), id);
        break;
    }
}

static void statement_b(writer *w, char *sql, size_t size)
{
    unsigned id = any_id(w);
    unsigned other = any_id(w);
    switch (roll(&w->r, 7)) {
    case 0:
        (void)snprintf(sql, size,
                       "INSERT INTO b VALUES (chr(97 + %u) || 'é', %u, %u, " BIG
                       ") ON CONFLICT (k, j) DO UPDATE SET n = excluded.n",
                       id % 7, id / 7, other);
        break;
    case 1:
        (void)snprintf(sql, size, "DELETE FROM b WHERE k = chr(97 + %u) || 'é' AND j = %u", id % 7,
                       id / 7);
        break;
    case 2:
        (void)snprintf(
            sql, size,
            "UPDATE b SET k = chr(97 + %u) || 'é', j = %u WHERE k = chr(97 + %u) || 'é' "
            "AND j = %u AND NOT EXISTS (SELECT 1 FROM b WHERE k = chr(97 + %u) || 'é' AND "
            "j = %u)",
            other % 7, other / 7, id % 7, id / 7, other % 7, other / 7);
        break;
    default:
        (void)snprintf(sql, size, "UPDATE b SET n = %u WHERE k = chr(97 + %u) || 'é' AND j = %u",
                       roll(&w->r, 100000), id % 7, id / 7);
        break;
    }
}

static weir_rc one_transaction(writer *w, weir_pg *pg, weir_error *err)
{
    char sql[600];
    unsigned n = roll(&w->r, w->holds ? 2 : 4) + 1;
    weir_rc rc = weir_pg_script(pg, "BEGIN", err);
    for (unsigned i = 0; i < n && rc == WEIR_OK; i++) {
        (roll(&w->r, 2) ? statement_a : statement_b)(w, sql, sizeof sql);
        if (w->truncates && roll(&w->r, 300) == 0) {
            (void)snprintf(sql, sizeof sql, roll(&w->r, 2) ? "TRUNCATE a" : "TRUNCATE a, b");
        }
        bool inner = roll(&w->r, 4) == 0;
        rc = inner ? weir_pg_script(pg, "SAVEPOINT s", err) : WEIR_OK;
        rc = rc == WEIR_OK ? weir_pg_script(pg, sql, err) : rc;
        if (inner && rc == WEIR_OK) {
            rc = weir_pg_script(pg, roll(&w->r, 2) ? "ROLLBACK TO s" : "RELEASE s", err);
        }
    }
    if (rc == WEIR_OK && roll(&w->r, 30) == 0) {
        rc = weir_pg_script(pg, "SELECT pg_sleep(random() * 0.4)", err); /* open for long */
    }
    rc = weir_pg_script(pg, rc == WEIR_OK && roll(&w->r, 12) ? "COMMIT" : "ROLLBACK", err);
    return rc;
}

static void run_writer(void *arg)
{
    writer *w = arg;
    weir_pg *pg = NULL;
    weir_error err;
    weir_pg_conf conf = {.uri = w->uri,
                         .application_name = w->holds ? "holder" : "writer",
                         .options = w->holds ? "-c synchronous_commit=on -c lock_timeout=2s"
                                             : "-c lock_timeout=2s"};
    while (!atomic_load(w->stop)) {
        if (!pg || !weir_pg_ok(pg)) {
            weir_pg_close(pg);
            pg = NULL;
            if (weir_pg_open(&pg, &conf, &err) != WEIR_OK) {
                (void)wait_until(is_stopped, w->stop, 20);
                continue;
            }
        }
        w->done += one_transaction(w, pg, &err) == WEIR_OK;
    }
    weir_pg_close(pg);
}

/* Lets go of the commits that wait for a standby, each time after a while. */
static void run_releaser(void *arg)
{
    writer *w = arg;
    weir_pg *pg = NULL;
    weir_error err;
    weir_pg_conf conf = {.uri = w->uri, .application_name = "releaser"};
    bool stopped = false;
    for (int more = 0; more < 5; more += stopped) {
        stopped = atomic_load(w->stop);
        (void)wait_until(stopped ? never : is_stopped, w->stop, 10 + roll(&w->r, 150));
        if (!pg || !weir_pg_ok(pg)) {
            weir_pg_close(pg);
            pg = NULL;
            (void)!weir_pg_open(&pg, &conf, &err);
        }
        if (pg && weir_pg_script(pg,
                                 "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE "
                                 "wait_event = 'SyncRep'",
                                 &err) != WEIR_OK) {
            stopped = stopped && atomic_load(w->stop);
        }
    }
    weir_pg_close(pg);
}

/* --- one run
 * -----------------------------------------------------------------------------------------------------
 */

typedef struct run {
    bridgetest *t;
    rng r;
    uint64_t seed;
    const char *broken;
    crawltarget *targets[2];
    writer w[WRITERS + HOLDERS + 1];
    atomic_bool stop;
    int kills, crashes;
} run;

static const bool a_numbers[] = {true};
static const bool b_numbers[] = {false, true};

static void exec_retry(run *r, const char *sql)
{
    weir_error err;
    for (int i = 0; i < 200; i++) {
        if (!weir_pg_ok(r->t->pg)) {
            weir_pg_conf conf = {.uri = r->t->server->uri, .application_name = "test"};
            weir_pg_close(r->t->pg);
            r->t->pg = NULL;
            while (weir_pg_open(&r->t->pg, &conf, &err) != WEIR_OK) {
                (void)wait_until(never, NULL, 20);
            }
        }
        if (weir_pg_script(r->t->pg, sql, &err) == WEIR_OK) {
            return;
        }
    }
    fail_msg("%s: %s", err.msg, sql);
}

static void make_tables(run *r)
{
    exec_retry(r,
               "CREATE TABLE a(id int PRIMARY KEY, n int, big text);"
               "ALTER TABLE a ALTER big SET STORAGE EXTERNAL;"
               "CREATE TABLE b(k text COLLATE \"C\", j int, n int, big text, PRIMARY KEY (k, j));"
               "ALTER TABLE b ALTER big SET STORAGE EXTERNAL;"
               "INSERT INTO a SELECT g, g, " BIG " FROM generate_series(0, 299) g;"
               "INSERT INTO a SELECT g, g, " BIG " FROM generate_series(1000, 1039) g;"
               "INSERT INTO b SELECT chr(97 + g % 7) || 'é', g / 7, g, " BIG
               " FROM generate_series(0, 299) g;"
               "INSERT INTO b SELECT chr(97 + g % 7) || 'é', g / 7, g, " BIG
               " FROM generate_series(1000, 1039) g;"
               "CREATE PUBLICATION weir_t FOR TABLE a, b");
    if (roll(&r->r, 5) == 0) {
        exec_retry(r, "ALTER TABLE a REPLICA IDENTITY FULL");
    }
}

/* What the subscriber believes before: rows that never were, and others' values. */
static void believe_garbage(run *r)
{
    bool deaf = r->broken && strcmp(r->broken, "range") == 0;
    r->targets[0] = crawltarget_new("a", 3, 1, a_numbers, deaf);
    r->targets[1] = crawltarget_new("b", 4, 2, b_numbers, deaf);
    for (int i = 0; i < 150; i++) {
        char id[16];
        char k[16];
        (void)snprintf(id, sizeof id, "%u", roll(&r->r, 2500));
        (void)snprintf(k, sizeof k, "%cx", 'a' + (char)roll(&r->r, 9));
        const char *a[] = {id, "-1", "garbage"};
        const char *b[] = {k, id, "-1", NULL};
        crawltarget_put(r->targets[0], a);
        crawltarget_put(r->targets[1], b);
    }
    r->t->f.on_event = crawltarget_event;
    r->t->f.arg = r->targets;
    r->t->f.count_only = true;
}

static void start_writers(run *r)
{
    weir_error err;
    for (int i = 0; i <= WRITERS + HOLDERS; i++) {
        r->w[i] = (writer){.uri = r->t->server->uri,
                           .stop = &r->stop,
                           .r = {r->seed * 1000003u + 17u * (unsigned)(i + 1)},
                           .holds = i >= WRITERS,
                           .truncates = r->seed % 3 == 0 && i < WRITERS};
        bool releaser = i == WRITERS + HOLDERS;
        assert_int_equal(weir_thread_start(&r->w[i].thread, "writer",
                                           releaser ? run_releaser : run_writer, &r->w[i], &err),
                         WEIR_OK);
    }
}

static unsigned long stop_writers(run *r)
{
    unsigned long done = 0;
    atomic_store(&r->stop, true);
    for (int i = 0; i <= WRITERS + HOLDERS; i++) {
        weir_thread_join(r->w[i].thread);
        done += r->w[i].done;
    }
    return done;
}

static uint64_t lsn_now(run *r)
{
    exec_retry(r, "SELECT 1");
    return bridgetest_lsn(r->t);
}

static void follow(run *r)
{
    if (!feedlines_until(&r->t->f, lsn_now(r), 60000)) {
        fail_msg("seed %llu: the feed does not get there: %s", (unsigned long long)r->seed,
                 bridgeproc_status_text(&r->t->b, r->t->a));
    }
}

static const char *crawl(run *r, weir_feed_action action)
{
    static const unsigned chunk_ms[] = {1, 5, 50, 500};
    weir_feed_req q = {.op = WEIR_FEED_CRAWL,
                       .action = action,
                       .copy_id = WEIR_SLICE_LIT("c"),
                       .where = {"", 0},
                       .parallel = 1 + roll(&r->r, 3),
                       .chunk_ms = chunk_ms[roll(&r->r, 4)],
                       .load_percent = 100};
    weir_feed_reply reply;
    for (int i = 0; i < 500; i++) {
        weir_arena_reset(r->t->a);
        if (!bridgeproc_call(&r->t->b, &q, r->t->a, &reply)) {
            continue;
        }
        if (reply.ok) {
            return weir_arena_dupz(r->t->a, reply.status);
        }
        if (action != WEIR_CRAWL_START && weir_slice_eqz(reply.code, "input")) {
            return ""; /* it has just ended: nothing to pause */
        }
        (void)wait_until(never, NULL, 20);
    }
    fail_msg("the bridge does not take it");
    return "";
}

static bool has_ended(run *r)
{
    const char *s = crawl(r, WEIR_CRAWL_STATUS);
    if (strncmp(s, "{\"state\":\"failed\"", 17) == 0) {
        fail_msg("seed %llu: %s", (unsigned long long)r->seed, s);
    }
    return strncmp(s, "{\"state\":\"done\"", 15) == 0; /* tables have states too */
}

static void kill_something(run *r)
{
    if (roll(&r->r, 5) == 0) {
        pgserver_stop(r->t->server, true);
        assert_true(pgserver_restart(r->t->server));
        r->crashes++;
    } else {
        bridgeproc_kill(&r->t->b);
        assert_true(bridgeproc_start(&r->t->b));
        r->kills++;
    }
    if (!bridgeproc_wait_state(&r->t->b, "streaming", 30000)) {
        fail_msg("seed %llu: it does not stream again: %s", (unsigned long long)r->seed,
                 bridgeproc_status_text(&r->t->b, r->t->a));
    }
}

static void crawl_through(run *r)
{
    int64_t begun = weir_mono_ms();
    int kills = (int)roll(&r->r, 4);
    int64_t next = begun + roll(&r->r, 500);
    crawl(r, WEIR_CRAWL_START);
    while (!has_ended(r)) {
        if (weir_mono_ms() - begun > CRAWL_MAX_MS) {
            fail_msg("seed %llu: it does not end: %s", (unsigned long long)r->seed,
                     crawl(r, WEIR_CRAWL_STATUS));
        }
        if (kills > 0 && weir_mono_ms() > next) {
            kill_something(r);
            kills--;
            next = weir_mono_ms() + roll(&r->r, 700);
        } else if (roll(&r->r, 12) == 0) {
            (void)crawl(r, WEIR_CRAWL_PAUSE);
            follow(r);
            (void)crawl(r, WEIR_CRAWL_RESUME);
        }
        follow(r);
    }
}

static const char a_sql[] = "SELECT coalesce(string_agg(concat_ws('|', id, coalesce(n::text, ''), "
                            "coalesce(big, '')) || E'\\n', '' ORDER BY id), '') FROM a";
static const char b_sql[] =
    "SELECT coalesce(string_agg(concat_ws('|', k, j, coalesce(n::text, ''), "
    "coalesce(big, '')) || E'\\n', '' ORDER BY k, j), '') FROM b";

/* NULL: equal. Else where they differ. */
static const char *difference(run *r, int table, const char *sql)
{
    char *mine = crawltarget_text(r->targets[table]);
    const char *theirs = bridgetest_text(r->t, sql);
    const char *p = mine;
    const char *q = theirs;
    size_t line = 0; /* where the line of p and q begins */
    for (; *p && *p == *q; p++, q++) {
        line = *p == '\n' ? (size_t)(p + 1 - mine) : line;
    }
    const char *text = *p == *q ? NULL
                                : weir_arena_printf(r->t->a, "subscriber %.60s | source %.60s",
                                                    mine + line, theirs + line);
    free(mine);
    return text;
}

/* The difference that was found, in t->a of the run, copied; or NULL. */
static char *one_run(uint64_t seed, const char *broken)
{
    static const int chunk_rows[] = {2, 7, 40, 100, 10000};
    run *r = weir_xcalloc(1, sizeof *r); /* a failing test leaves it to its threads */
    r->seed = seed;
    r->broken = broken;
    r->r.s = seed * 2654435761u + 1;
    char extra[100];
    bool broken_bridge = broken && strcmp(broken, "range") != 0;
    (void)snprintf(extra, sizeof extra, "log_keep_ms = 1h\ncopy_chunk_rows = %d\n",
                   chunk_rows[roll(&r->r, 5)]);
    r->t = bridgetest_new(broken_bridge ? WEIR_BROKEN_DIR : WEIR_BIN_DIR, extra);
    assert_non_null(r->t);
    make_tables(r);
    bridgetest_stream(r->t);
    start_writers(r);
    r->t->f.count_only = true;
    follow(r); /* its own first copy is of no interest */
    believe_garbage(r);
    crawl_through(r);
    unsigned long done = stop_writers(r);
    int64_t redone = bridgeproc_status(&r->t->b, "chunks_redone");
    follow(r);
    const char *a = difference(r, 0, a_sql);
    const char *b = difference(r, 1, b_sql);
    char *text = a || b ? weir_xstrdup(a ? a : b) : NULL;
    print_message("seed %llu: %lu transactions beside it, %d kills, %d crashes, %lld chunks read "
                  "again%s%s\n",
                  (unsigned long long)seed, done, r->kills, r->crashes, (long long)redone,
                  text ? ": " : "", text ? text : "");
    crawltarget_free(r->targets[0]);
    crawltarget_free(r->targets[1]);
    bridgetest_free(r->t);
    free(r);
    return text;
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
    uint64_t v = 0;
    const char *z = getenv(name);
    return z && weir_slice_u64(weir_slice_z(z), &v) ? v : otherwise;
}

static void target_equals_source(void **state)
{
    (void)state;
    uint64_t runs = from_env("WEIR_CRAWL_RUNS", RUNS);
    uint64_t seed = from_env("WEIR_CRAWL_SEED", (uint64_t)weir_wall_us() % 1000000);
    if (getenv("WEIR_BROKEN_MERGE")) {
        skip();
    }
    for (uint64_t i = 0; i < runs; i++) {
        char *text = one_run(seed + i, NULL);
        if (text) {
            fail_msg("seed %llu: %s", (unsigned long long)(seed + i), text);
        }
    }
}

/* The test of the test: without a rule of the merge a stale row must come up. */
static void finds_the_broken_rule(void **state)
{
    (void)state;
    const char *broken = getenv("WEIR_BROKEN_MERGE");
    uint64_t seed = from_env("WEIR_CRAWL_SEED", (uint64_t)weir_wall_us() % 1000000);
    if (!broken && getenv("WEIR_CRAWL_RUNS")) {
        skip(); /* a long run of the other test */
    }
    broken = broken ? broken : "redo";
    (void)setenv("WEIR_BROKEN_MERGE", broken, 1);
    char *text = NULL;
    for (int i = 0; i < BROKEN_RUNS && !text; i++) {
        text = one_run(seed + (unsigned)i, broken);
    }
    if (!text) {
        fail_msg("%d runs without the rule %s found nothing", BROKEN_RUNS, broken);
    }
    free(text);
}

static int up(void **state)
{
    int rc = bridgetest_up(state);
    weir_pg *pg = NULL;
    weir_error err;
    weir_pg_conf conf = {.uri = bridgetest_server()->uri};
    if (rc != 0 || weir_pg_open(&pg, &conf, &err) != WEIR_OK) {
        return -1;
    }
    const char *const sqls[] = {"ALTER DATABASE postgres SET synchronous_commit = local",
                                "ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
                                "SELECT pg_reload_conf()"};
    for (size_t i = 0; i < sizeof sqls / sizeof sqls[0] && rc == 0; i++) {
        rc = weir_pg_query(pg, sqls[i], 0, NULL, NULL, &err) == WEIR_OK ? 0 : -1;
    }
    weir_pg_close(pg);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(target_equals_source),
        cmocka_unit_test(finds_the_broken_rule),
    };
    return cmocka_run_group_tests_name("fault.crawl", tests, up, bridgetest_down);
}
