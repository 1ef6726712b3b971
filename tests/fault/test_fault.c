/* test_fault.c - kill -9 of every process under load, again and again; then nothing acknowledged is
 * missing, nothing is twice, no reader saw a version go back or half a transaction, and every
 * document equals PostgreSQL.
 *
 * Environment: WEIR_FAULT_ROUNDS kills per kind of process (2), WEIR_FAULT_SEED.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/codec/json.h"
#include "libweir/codec/lsn.h"
#include "libweir/io/curl.h"
#include "tests/support/app.h"
#include "tests/support/check.h"
#include "tests/support/compare.h"

enum { CLIENTS = 6, ACCOUNTS = 50, MAX_TOKENS = 8000000 };

enum outcome { UNSENT, ACKNOWLEDGED, REJECTED, UNKNOWN };

struct load {
    orc_app *app;
    atomic_bool stop;
    atomic_uint next;
    unsigned char outcome[MAX_TOKENS];
    atomic_uint acknowledged, rejected, unknown, reads, read_errors, backwards, partial;
};

static uint64_t rng_state;

static uint64_t rnd(uint64_t below)
{
    rng_state = rng_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (rng_state >> 33) % below;
}

static void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

/* One command; what the client may conclude from the answer. */
static enum outcome record(struct load *l, unsigned token, weir_arena *a)
{
    weir_error err = {0};
    weir_curl_response r;
    const char *const headers[] = {"Content-Type: application/json", NULL};
    bool zero = token % 17 == 0;
    const char *body =
        weir_arena_printf(a, "{\"token\": \"t%u\", \"account_id\": %u, \"amount\": %s}", token,
                          1 + token * 7 % ACCOUNTS, zero ? "0" : "1.25");
    weir_rc rc = weir_curl("POST", weir_arena_printf(a, "%s/commands/record", l->app->write_url),
                           headers, weir_slice_z(body), 15000, a, &r, &err);
    if (rc == WEIR_OK && r.status == 200) {
        return ACKNOWLEDGED;
    }
    if (rc == WEIR_OK && r.status == 422) {
        return REJECTED;
    }
    return UNKNOWN;
}

static void client(void *arg)
{
    struct load *l = arg;
    weir_arena *a = weir_arena_new(0);
    while (!atomic_load(&l->stop)) {
        unsigned token = atomic_fetch_add(&l->next, 1);
        if (token >= MAX_TOKENS) {
            break;
        }
        weir_arena_reset(a);
        enum outcome o = record(l, token, a);
        l->outcome[token] = (unsigned char)o;
        atomic_fetch_add(o == ACKNOWLEDGED ? &l->acknowledged
                         : o == REJECTED   ? &l->rejected
                                           : &l->unknown,
                         1);
        if (o == UNKNOWN) {
            pause_ms(5);
        }
    }
    weir_arena_free(a);
}

/* Reads account documents and holds them against what any committed state must satisfy. */
static void reader(void *arg)
{
    struct load *l = arg;
    weir_arena *a = weir_arena_new(0);
    int64_t seen[ACCOUNTS + 1] = {0};
    for (unsigned n = 0; !atomic_load(&l->stop); n++) {
        weir_error err = {0};
        weir_curl_response r;
        weir_json *j = NULL;
        unsigned id = 1 + n % ACCOUNTS;
        weir_arena_reset(a);
        const char *url = weir_arena_printf(a, "%s/queries/account_view/%u", l->app->read_url, id);
        if (weir_curl("GET", url, NULL, (weir_slice){0}, 5000, a, &r, &err) != WEIR_OK ||
            r.status != 200) {
            atomic_fetch_add(&l->read_errors, 1);
            pause_ms(5);
            continue;
        }
        int64_t version = 0, entries = 0;
        double balance = 0, total = 0;
        if (weir_json_parse(&j, r.body, &err) == WEIR_OK && weir_json_i64(j, "version", &version) &&
            weir_json_i64(j, "entries", &entries) && weir_json_double(j, "balance", &balance) &&
            weir_json_double(j, "total", &total)) {
            atomic_fetch_add(&l->reads, 1);
            if (version < seen[id]) {
                fprintf(stderr, "account %u went back from version %lld to %lld\n", id,
                        (long long)seen[id], (long long)version);
                atomic_fetch_add(&l->backwards, 1);
            }
            seen[id] = version;
            if (version != entries || balance < total || balance > total) {
                fprintf(stderr, "half a transaction: " WEIR_SLICE_FMT "\n", WEIR_SLICE_ARG(r.body));
                atomic_fetch_add(&l->partial, 1);
            }
        } else {
            atomic_fetch_add(&l->partial, 1);
        }
        weir_json_free(j);
        pause_ms(1);
    }
    weir_arena_free(a);
}

/* The pid of a process of the application, from up.json; 0 when it is not there. */
static int pid_of(orc_app *app, const char *name)
{
    weir_error err = {0};
    weir_slice text;
    weir_json *j = NULL;
    int64_t pid = 0;
    const char *path = weir_arena_printf(app->a, "%s/.weir/up.json", app->dir);
    if (weir_file_read(path, 1 << 20, app->a, &text, &err) == WEIR_OK &&
        weir_json_parse(&j, text, &err) == WEIR_OK) {
        const weir_json *list = weir_json_get(j, "processes");
        for (size_t i = 0; i < weir_json_len(list); i++) {
            weir_slice n;
            if (weir_json_str(weir_json_at(list, i), "name", &n) && weir_slice_eqz(n, name)) {
                (void)weir_json_i64(weir_json_at(list, i), "pid", &pid);
            }
        }
    }
    weir_json_free(j);
    return (int)pid;
}

/* A backend of PostgreSQL: killing one with -9 sends the whole server through crash recovery. */
static int backend_pid(orc_app *app)
{
    static const char *const any =
        "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND backend_type IN ('client backend', 'walsender') ORDER BY random() LIMIT 1";
    int pid = 0;
    for (int tries = 0; tries < 2 && pid == 0;
         tries++) { /* the last crash took our connection too */
        weir_error err = {0};
        weir_pg_rows *r = NULL;
        if (orc_app_connect(app, 20000) &&
            weir_pg_query(app->pg, any, 0, NULL, &r, &err) == WEIR_OK && weir_pg_nrows(r) == 1) {
            pid = (int)weir_pg_i64(r, 0, 0);
        } else {
            weir_pg_close(app->pg);
            app->pg = NULL;
        }
        weir_pg_rows_free(r);
    }
    return pid;
}

static int victim_pid(orc_app *app, const char *name)
{
    return strcmp(name, "backend") == 0 ? backend_pid(app) : pid_of(app, name);
}

/* A process that died a moment ago may not have been started again: waits for one to kill. */
static void kill_now(struct load *l, const char *name)
{
    int64_t until = weir_mono_ms() + 20000 * (int64_t)weir_test_timeout_x();
    for (;;) {
        int pid = victim_pid(l->app, name);
        if (pid > 1 && kill(pid, SIGKILL) == 0) {
            return;
        }
        if (weir_mono_ms() > until) {
            fail_msg("cannot kill %s (pid %d)", name, pid);
        }
        pause_ms(5);
    }
}

/* Kills, then waits until commands are acknowledged again. */
static void kill_one(struct load *l, const char *name)
{
    kill_now(l, name);
    int64_t t0 = weir_mono_ms();
    pause_ms(50);
    unsigned before = atomic_load(&l->acknowledged), reads = atomic_load(&l->reads);
    while (atomic_load(&l->acknowledged) < before + 20 || atomic_load(&l->reads) < reads + 20) {
        if (atomic_load(&l->next) >= MAX_TOKENS) {
            fail_msg("all %d tokens are used up: fewer rounds, please", MAX_TOKENS);
        }
        if (weir_mono_ms() > t0 + 60000) {
            fail_msg("after kill -9 of %s the system did not come back within 60 s", name);
        }
        pause_ms(5);
    }
    printf("fault: killed %-9s back after %lld ms\n", name, (long long)(weir_mono_ms() - t0));
    fflush(stdout);
    pause_ms(100 + (int)rnd(600));
}

static int64_t scalar(orc_app *app, const char *q)
{
    weir_error err = {0};
    weir_pg_rows *r = NULL;
    int64_t v = -1;
    if (weir_pg_query(app->pg, q, 0, NULL, &r, &err) == WEIR_OK) {
        v = weir_pg_i64(r, 0, 0);
    } else {
        fprintf(stderr, "%s: %s\n", q, err.msg);
    }
    weir_pg_rows_free(r);
    return v;
}

/* Every token against the table: acknowledged exactly once, rejected never, unknown at most once.
 */
static int check_tokens(struct load *l)
{
    weir_error err = {0};
    weir_pg_rows *r = NULL;
    int bad = 0;
    unsigned *count = calloc(MAX_TOKENS, sizeof *count);
    assert_non_null(count);
    assert_int_equal(WEIR_OK,
                     weir_pg_query(l->app->pg,
                                   "SELECT substr(token, 2), count(*) FROM entry GROUP BY 1", 0,
                                   NULL, &r, &err));
    for (int i = 0; i < weir_pg_nrows(r); i++) {
        int64_t token = weir_pg_i64(r, i, 0);
        assert_true(token >= 0 && token < MAX_TOKENS);
        count[token] = (unsigned)weir_pg_i64(r, i, 1);
    }
    weir_pg_rows_free(r);
    for (unsigned t = 0; t < MAX_TOKENS; t++) {
        unsigned o = l->outcome[t], c = count[t];
        if ((o == ACKNOWLEDGED && c != 1) || (o == REJECTED && c != 0) || c > 1) {
            fprintf(stderr, "token t%u: outcome %u, %u entries\n", t, o, c);
            bad++;
        }
    }
    free(count);
    return bad;
}

static void check_end(struct load *l)
{
    uint64_t lsn = 0, documents = 0;
    weir_error err = {0};
    weir_pg_rows *r = NULL;
    weir_redisc_close(l->app->redis);
    l->app->redis = NULL;
    weir_pg_close(l->app->pg);
    l->app->pg = NULL;
    assert_true(orc_app_connect(l->app, 20000));
    assert_int_equal(
        WEIR_OK, weir_pg_query(l->app->pg, "SELECT pg_current_wal_flush_lsn()", 0, NULL, &r, &err));
    assert_true(weir_lsn_parse(weir_pg_value(r, 0, 0), &lsn));
    weir_pg_rows_free(r);
    assert_true(orc_app_reached(l->app, lsn, 60000));
    assert_int_equal(0, check_tokens(l));
    assert_int_equal(0, scalar(l->app, "SELECT count(*) FROM account a WHERE version <> (SELECT "
                                       "count(*) FROM entry WHERE account_id = a.id)"));
    assert_int_equal(0, orc_compare(l->app, &documents, false));
    const char *weir = weir_arena_printf(l->app->a, "%s/weir", l->app->bin);
    assert_int_equal(0, orc_run(true, (const char *const[]){weir, "verify", l->app->dir, NULL}));
    printf("fault: %u acknowledged, %u rejected, %u unknown; %u reads, %u refused; %llu documents "
           "equal\n",
           l->acknowledged, l->rejected, l->unknown, l->reads, l->read_errors,
           (unsigned long long)documents);
}

static void test_kill_everything(void **state)
{
    struct load *l = *state;
    static const char *const victims[] = {"bridge", "projector", "write",
                                          "read",   "backend",   "redis"};
    const char *rounds_text = getenv("WEIR_FAULT_ROUNDS");
    int64_t rounds = 2;
    (void)(rounds_text && weir_slice_i64(weir_slice_z(rounds_text), &rounds));
    weir_thread *threads[CLIENTS + 1] = {0};
    weir_error err = {0};
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(WEIR_OK, weir_thread_start(&threads[i], "client", client, l, &err));
    }
    assert_int_equal(WEIR_OK, weir_thread_start(&threads[CLIENTS], "reader", reader, l, &err));
    for (int64_t n = 0; n < rounds; n++) {
        for (size_t v = 0; v < sizeof victims / sizeof *victims; v++) {
            kill_one(l, victims[v]);
        }
    }
    for (int n = 0; n < 2; n++) { /* two at once */
        kill_now(l, "bridge");
        kill_now(l, n ? "redis" : "projector");
        kill_one(l, "write");
    }
    atomic_store(&l->stop, true);
    for (int i = 0; i <= CLIENTS; i++) {
        weir_thread_join(threads[i]);
    }
    check_end(l);
    assert_int_equal(0, atomic_load(&l->backwards));
    assert_int_equal(0, atomic_load(&l->partial));
}

static int setup(void **state)
{
    struct load *l = calloc(1, sizeof *l);
    orc_app *app = calloc(1, sizeof *app);
    if (!l || !app) {
        return -1;
    }
    const char *seed = getenv("WEIR_FAULT_SEED");
    rng_state = seed ? strtoull(seed, NULL, 10) : (uint64_t)weir_wall_us();
    printf("fault: seed %llu\n", (unsigned long long)rng_state);
    l->app = app;
    *state = l;
    return orc_app_up(app, WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/fault/app") ? 0 : -1;
}

static int teardown(void **state)
{
    struct load *l = *state;
    if (l) {
        atomic_store(&l->stop, true);
        orc_app_down(l->app, false);
        free(l->app);
        free(l);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kill_everything, setup, teardown)};
    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
