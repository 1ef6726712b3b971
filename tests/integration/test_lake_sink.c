/* test_lake_sink.c - migrations/lake/sink.c: every change once, in order, whatever dies when. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/hash.h"
#include "libweir/base/log.h"
#include "libweir/base/map.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "migrations/lake/lake.h"
#include "migrations/lake/manifest.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

/* The stream: transaction i commits at i * 256, has i % 7 + 1 rows in two of three tables. */
enum { TX_STEP = 256, TABLES = 3, HOUR_TX = 40 };
#define DAY_US INT64_C(86400000000)

static weir_column cols[] = {{WEIR_SLICE_LIT("id"), 20, -1, true},
                             {WEIR_SLICE_LIT("v"), 25, -1, false}};
static weir_relation rels[TABLES];

static void init_rels(void)
{
    static const char *const names[TABLES] = {"a", "b", "c"};
    for (int i = 0; i < TABLES; i++) {
        rels[i] = (weir_relation){.version = (uint32_t)i + 1,
                                  .oid = (uint32_t)i + 1,
                                  .schema = WEIR_SLICE_LIT("public"),
                                  .name = weir_slice_z(names[i]),
                                  .identity = 'd',
                                  .n = 2,
                                  .cols = cols};
    }
}

static int rows_of(uint64_t tx)
{
    return (int)(tx % 7) + 1;
}
static int table_of_row(uint64_t tx, int row)
{
    return (int)((tx + (uint64_t)row % 2) % TABLES);
}
static int64_t time_of(uint64_t tx)
{
    return (int64_t)tx * (DAY_US / HOUR_TX);
}

static weir_rc feed_tx(lake_sink *s, uint64_t tx, weir_error *err)
{
    weir_frame_head h = {.kind = WEIR_FRAME_TX,
                         .last = true,
                         .xid = (uint32_t)tx,
                         .commit_lsn = tx * TX_STEP,
                         .end_lsn = tx * TX_STEP + 8,
                         .commit_us = time_of(tx)};
    char id[24], value[64];
    weir_rc rc = WEIR_OK;
    for (int r = 0; r < rows_of(tx) && rc == WEIR_OK; r++) {
        (void)snprintf(id, sizeof id, "%" PRIu64, tx * 10 + (uint64_t)r);
        (void)snprintf(value, sizeof value, "row %d of %" PRIu64, r, tx);
        weir_val v[] = {{WEIR_VAL_TEXT, weir_slice_z(id)}, {WEIR_VAL_TEXT, weir_slice_z(value)}};
        weir_relation *rel = &rels[table_of_row(tx, r)];
        weir_ev ev = {.kind = WEIR_EV_INSERT, .rel = rel->version, .new_row = {2, v}};
        rc = lake_sink_event(s, &h, rel, &ev, err);
    }
    if (rc == WEIR_OK) {
        lake_sink_end(s, (weir_cursor){h.end_lsn, 0});
    }
    return rc;
}

static uint64_t next_tx(const lake_sink *s)
{
    weir_cursor at;
    return lake_sink_position(s, &at) ? at.lsn / TX_STEP + 1 : 1;
}

/* --- what a lake holds ------------------------------------------------------------------------ */

typedef struct reader {
    const char *dir;
    weir_arena *a;
    unsigned char *seen; /* per transaction a bit per row */
    uint64_t txs, lines, files, marks;
    uint64_t last[TABLES];
    weir_map *named; /* of the manifest: path -> lake_file */
} reader;

static void read_line(reader *r, weir_slice line, const char *path)
{
    weir_json *j = NULL;
    weir_error err;
    weir_slice pos, name;
    int64_t seq;
    uint64_t lsn;
    assert_rc(WEIR_OK, weir_json_parse(&j, line, &err), &err);
    assert_true(weir_json_str(j, "position", &pos) && weir_lsn_parse(pos, &lsn));
    assert_true(weir_json_i64(j, "seq", &seq) && weir_json_str(j, "table", &name));
    uint64_t tx = lsn / TX_STEP;
    assert_true(tx >= 1 && tx <= r->txs && seq >= 1 && seq <= rows_of(tx));
    assert_false(r->seen[tx] & (1 << seq)); /* no line twice */
    r->seen[tx] |= (unsigned char)(1 << seq);
    int t = table_of_row(tx, (int)seq - 1);
    assert_int_equal(name.p[name.n - 1], 'a' + t);
    assert_true(lsn * 8 + (uint64_t)seq > r->last[t]); /* in order within a table */
    r->last[t] = lsn * 8 + (uint64_t)seq;
    assert_int_equal(path[7], 'a' + t);
    r->lines++;
    weir_json_free(j);
}

static void read_file(void *arg, const char *path)
{
    reader *r = arg;
    weir_slice s;
    weir_error err;
    char full[512], hex[33];
    const char *base = strrchr(path, '/');
    if (path[0] == '_') {
        assert_true(strncmp(path, "_manifest/", 10) == 0); /* nothing in _tmp */
        return;
    }
    if (strcmp(base, "/_SUCCESS") == 0) {
        r->marks++;
        return;
    }
    (void)snprintf(full, sizeof full, "%s/%s", r->dir, path);
    assert_rc(WEIR_OK, weir_file_read(full, 1 << 28, r->a, &s, &err), &err);
    lake_file *f = weir_map_get(r->named, weir_slice_z(path));
    assert_non_null(f); /* nothing is there that is not committed */
    assert_int_equal(f->bytes, s.n);
    weir_hash128_hex(weir_hash128_of(s), hex);
    assert_string_equal(f->hash, hex);
    r->files++;
    uint64_t rows = 0;
    while (s.n) {
        const char *nl = memchr(s.p, '\n', s.n);
        assert_non_null(nl);
        read_line(r, weir_slice_of(s.p, (size_t)(nl - s.p)), path);
        s.n -= (size_t)(nl - s.p) + 1;
        s.p = nl + 1;
        rows++;
    }
    assert_int_equal(f->rows, rows);
}

static void read_manifest(reader *r)
{
    char path[200];
    weir_slice s;
    weir_error err;
    (void)snprintf(path, sizeof path, "%s/_manifest/00000001.jsonl", r->dir);
    assert_rc(WEIR_OK, weir_file_read(path, 1 << 28, r->a, &s, &err), &err);
    while (s.n) {
        const char *nl = memchr(s.p, '\n', s.n);
        lake_commit c;
        assert_non_null(nl);
        if (lake_commit_decode(weir_slice_of(s.p, (size_t)(nl - s.p)), r->a, &c)) {
            for (size_t i = 0; i < c.nfiles; i++) {
                bool created;
                *weir_map_slot(r->named, weir_slice_z(c.files[i].path), &created) = &c.files[i];
                assert_true(created);
            }
        }
        s.n -= (size_t)(nl - s.p) + 1;
        s.p = nl + 1;
    }
}

/* Transactions 1 to txs, each line once, in order, nothing else; the figures in *out. */
static void check_lake(const char *dir, uint64_t txs, reader *out)
{
    reader r = {.dir = dir, .a = weir_arena_new(0), .txs = txs, .named = weir_map_new()};
    r.seen = calloc(txs + 1, 1);
    read_manifest(&r);
    size_t n = folder_each(dir, read_file, &r);
    assert_true(n > 0);
    uint64_t want = 0;
    for (uint64_t tx = 1; tx <= txs; tx++) {
        assert_int_equal(r.seen[tx], ((1 << rows_of(tx)) - 1) << 1); /* none missing */
        want += (uint64_t)rows_of(tx);
    }
    assert_int_equal(r.lines, want);
    assert_int_equal(r.files, weir_map_len(r.named));
    weir_map_free(r.named);
    weir_arena_free(r.a);
    free(r.seen);
    *out = r;
}

/* --- a process that may die ------------------------------------------------------------------- */

typedef struct killer {
    int at; /* dies at this step; -1: never */
    int n;
} killer;

static void maybe_die(void *arg, const char *name)
{
    killer *k = arg;
    (void)name;
    if (k->n++ == k->at) {
        (void)kill(getpid(), SIGKILL);
    }
}

static lake_sink_conf conf_of(const char *dir, killer *k)
{
    return (lake_sink_conf){.dir = dir,
                            .flow = "f",
                            .source = "1",
                            .roll_ms = 1000000,
                            .roll_bytes = 4000,
                            .part_bytes = 700,
                            .step = maybe_die,
                            .step_arg = k};
}

static weir_rc run_to(const char *dir, uint64_t txs, killer *k, weir_error *err)
{
    lake_sink *s = NULL;
    lake_sink_conf conf = conf_of(dir, k);
    weir_rc rc = lake_sink_open(&s, &conf, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    for (uint64_t tx = next_tx(s); tx <= txs && rc == WEIR_OK; tx++) {
        rc = feed_tx(s, tx, err);
        if (rc == WEIR_OK && (lake_sink_due(s, time_of(tx) + DAY_US, false) || tx == txs)) {
            rc = lake_sink_commit(s, time_of(tx) + DAY_US, false, err);
        }
    }
    lake_sink_close(s);
    return rc;
}

/* true: it came to the end. */
static bool run_child(const char *dir, uint64_t txs, int die_at, int64_t kill_after_us)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        killer k = {.at = die_at};
        weir_error err;
        weir_rc rc = run_to(dir, txs, &k, &err);
        if (rc != WEIR_OK) {
            (void)fprintf(stderr, "%s\n", err.msg);
        }
        _exit(rc == WEIR_OK ? 0 : 3);
    }
    if (kill_after_us >= 0) {
        int64_t until = weir_mono_us() + kill_after_us;
        while (weir_mono_us() < until) {
        }
        (void)kill(pid, SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status)) {
        assert_int_equal(WEXITSTATUS(status), 0);
        return true;
    }
    assert_int_equal(WTERMSIG(status), SIGKILL);
    return false;
}

/* --- tests ------------------------------------------------------------------------------------ */

static int setup(void **state)
{
    char *dir = calloc(1, 64);
    init_rels();
    assert_true(folder_make(dir, 64));
    *state = dir;
    return 0;
}

static int teardown(void **state)
{
    folder_remove(*state);
    free(*state);
    return 0;
}

static void undisturbed_run_gives_all_lines_and_marks_days(void **state)
{
    reader r;
    killer k = {.at = -1};
    weir_error err;
    assert_rc(WEIR_OK, run_to(*state, 300, &k, &err), &err);
    check_lake(*state, 300, &r);
    /* 300 transactions at 40 a day: days 0 to 7 of 2000; 0 to 6 are over. */
    assert_int_equal(r.marks, 7 * TABLES);
    assert_true(r.files > 3 * 8);
}

static void killed_at_each_step_of_a_commit(void **state)
{
    reader r;
    for (int step = 0; step < 6; step++) {
        folder_remove(*state);
        assert_false(run_child(*state, 120, step, -1));
        /* Half way: nothing that is visible is uncommitted or twice. */
        assert_true(run_child(*state, 120, -1, -1));
        check_lake(*state, 120, &r);
    }
    folder_remove(*state);
    int deaths = 0;
    for (int i = 0; !run_child(*state, 150, i % 5, -1); i++) {
        deaths++;
        assert_true(deaths < 300);
    }
    check_lake(*state, 150, &r);
    print_message("died %d times\n", deaths);
}

static void killed_at_random_times(void **state)
{
    uint64_t seed = weir_test_seed();
    reader r;
    int runs = 15, deaths = 0;
    for (int i = 0; i < runs; i++) {
        uint64_t us = weir_test_random(&seed) % 25000;
        deaths += run_child(*state, 900, -1, (int64_t)us) ? 0 : 1;
    }
    print_message("died %d times of %d\n", deaths, runs);
    assert_true(run_child(*state, 900, -1, -1));
    check_lake(*state, 900, &r);
}

static void a_process_that_dies_in_a_commit_shows_nothing_before_it(void **state)
{
    reader r = {.dir = *state};
    (void)r;
    assert_false(run_child(*state, 120, 0, -1)); /* "sealed": files are whole, but not committed */
    char path[128];
    (void)snprintf(path, sizeof path, "%s/public.a", (char *)*state);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_false(run_child(*state, 120, 1, -1)); /* "committed": not renamed */
    assert_int_not_equal(access(path, F_OK), 0);
    killer k = {.at = -1};
    lake_sink_conf conf = conf_of(*state, &k);
    lake_sink *s = NULL;
    weir_error err;
    assert_rc(WEIR_OK, lake_sink_open(&s, &conf, &err), &err); /* finishes it */
    assert_int_equal(access(path, F_OK), 0);
    assert_true(next_tx(s) > 1);
    lake_sink_close(s);
}

static void a_full_disk_stops_and_goes_on(void **state)
{
    killer k = {.at = -1};
    weir_error err = {0};
    reader r;
    struct rlimit old, tiny;
    assert_rc(WEIR_OK, run_to(*state, 60, &k, &err), &err);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    for (rlim_t bytes = 0; bytes < 3000;
         bytes += 431) { /* parts, then the manifest, are too long */
        tiny = (struct rlimit){bytes, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tiny), 0);
        weir_rc rc = run_to(*state, 200, &k, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_rc(WEIR_E_SYS, rc, NULL);
        assert_int_equal(err.flags & WEIR_EF_RETRY, WEIR_EF_RETRY);
        assert_has(err.msg, "make room");
    }
    assert_rc(WEIR_OK, run_to(*state, 200, &k, &err), &err);
    check_lake(*state, 200, &r);
}

static void the_same_sink_goes_on_after_a_full_disk(void **state)
{
    killer k = {.at = -1};
    lake_sink_conf conf = conf_of(*state, &k);
    lake_sink *s = NULL;
    weir_error err = {0};
    reader r;
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_rc(WEIR_OK, lake_sink_open(&s, &conf, &err), &err);
    uint64_t seed = weir_test_seed();
    int failures = 0;
    for (uint64_t tx = 1; tx <= 200;) {
        struct rlimit now = old;
        if (weir_test_random(&seed) % 3 == 0) {
            now.rlim_cur = weir_test_random(&seed) % 6000;
        }
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
        weir_rc rc = feed_tx(s, tx, &err);
        if (rc == WEIR_OK && (lake_sink_due(s, time_of(tx) + DAY_US, false) || tx == 200)) {
            rc = lake_sink_commit(s, time_of(tx) + DAY_US, false, &err);
        }
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        failures += rc != WEIR_OK;
        tx = rc == WEIR_OK ? tx + 1 : next_tx(s);
    }
    print_message("failed %d times\n", failures);
    assert_true(failures > 3);
    lake_sink_close(s);
    check_lake(*state, 200, &r);
}

static int64_t peak_kib(void)
{
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
    return u.ru_maxrss;
}

static void a_huge_transaction_needs_little_memory(void **state)
{
    const char *big = getenv("WEIR_TEST_LAKE_ROWS"); /* NOLINT(concurrency-mt-unsafe) */
    int64_t rows = 300000, before = peak_kib();
    lake_sink_conf conf = {.dir = *state, .flow = "f", .source = "1", .part_bytes = 8 << 20};
    lake_sink *s = NULL;
    weir_error err;
    char value[200], id[24];
    lake_sink_state st;
    (void)(big && weir_slice_i64(weir_slice_z(big), &rows));
    memset(value, 'x', sizeof value);
    assert_rc(WEIR_OK, lake_sink_open(&s, &conf, &err), &err);
    int64_t from = weir_mono_ms();
    weir_frame_head h = {.kind = WEIR_FRAME_TX, .commit_lsn = 256, .end_lsn = 300};
    for (int64_t i = 0; i < rows; i++) {
        (void)snprintf(id, sizeof id, "%" PRId64, i);
        weir_val v[] = {{WEIR_VAL_TEXT, weir_slice_z(id)},
                        {WEIR_VAL_TEXT, weir_slice_of(value, sizeof value)}};
        weir_ev ev = {.kind = WEIR_EV_INSERT, .rel = 1, .new_row = {2, v}};
        assert_rc(WEIR_OK, lake_sink_event(s, &h, &rels[0], &ev, &err), &err);
    }
    assert_false(lake_sink_due(s, DAY_US, false)); /* never inside of a transaction */
    lake_sink_end(s, (weir_cursor){300, 0});
    assert_rc(WEIR_OK, lake_sink_commit(s, DAY_US, false, &err), &err);
    lake_sink_progress(s, &st);
    int64_t ms = weir_mono_ms() - from;
    print_message("%" PRId64 " rows, %" PRIu64 " MiB in %" PRIu64 " files, %" PRId64
                  " ms, memory grew by %" PRId64 " KiB\n",
                  rows, st.bytes >> 20, st.files, ms, peak_kib() - before);
    assert_int_equal(st.rows, rows);
    assert_true(st.files >= st.bytes / ((8 << 20) + 65536));
#if !defined(__SANITIZE_ADDRESS__)
    assert_true(peak_kib() - before < 16 * 1024);
#endif
    lake_sink_close(s);
}

static void a_late_commit_never_goes_into_a_finished_day(void **state)
{
    killer k = {.at = -1};
    lake_sink_conf conf = conf_of(*state, &k);
    lake_sink *s = NULL;
    weir_error err;
    char path[200];
    assert_rc(WEIR_OK, lake_sink_open(&s, &conf, &err), &err);
    assert_rc(WEIR_OK, feed_tx(s, 1, &err), &err);
    assert_rc(WEIR_OK, lake_sink_commit(s, time_of(1), true, &err), &err);
    (void)snprintf(path, sizeof path, "%s/public.b/2000-01-01/_SUCCESS", (char *)*state);
    assert_int_not_equal(access(path, F_OK), 0);
    /* Idle and past midnight, but the grace is not over. */
    assert_false(lake_sink_due(s, DAY_US + 299000000, true));
    assert_false(lake_sink_due(s, DAY_US + 301000000, false));
    assert_true(lake_sink_due(s, DAY_US + 301000000, true));
    assert_rc(WEIR_OK, lake_sink_commit(s, DAY_US + 301000000, true, &err), &err);
    assert_int_equal(access(path, F_OK), 0);
    assert_rc(WEIR_OK, feed_tx(s, 4, &err), &err); /* its clock still says the day before */
    assert_rc(WEIR_OK, lake_sink_commit(s, DAY_US + 301000000, true, &err), &err);
    (void)snprintf(path, sizeof path, "%s/public.b/2000-01-02", (char *)*state);
    assert_int_equal(access(path, F_OK), 0);
    lake_sink_close(s);
}

static void many_tables_keep_few_descriptors(void **state)
{
    killer k = {.at = -1};
    lake_sink_conf conf = conf_of(*state, &k);
    lake_sink *s = NULL;
    weir_error err;
    lake_sink_state st;
    struct rlimit old, few;
    conf.roll_bytes = conf.part_bytes = 1 << 30;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = (struct rlimit){100, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_rc(WEIR_OK, lake_sink_open(&s, &conf, &err), &err);
    weir_frame_head h = {.kind = WEIR_FRAME_TX, .commit_lsn = 256, .end_lsn = 300};
    weir_val v[] = {{WEIR_VAL_TEXT, WEIR_SLICE_LIT("1")}, {WEIR_VAL_TEXT, WEIR_SLICE_LIT("x")}};
    weir_ev ev = {.kind = WEIR_EV_INSERT, .new_row = {2, v}};
    for (int i = 0; i < 900; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t%d", i % 300);
        weir_relation rel = rels[0];
        rel.name = weir_slice_z(name);
        assert_rc(WEIR_OK, lake_sink_event(s, &h, &rel, &ev, &err), &err);
    }
    lake_sink_end(s, (weir_cursor){300, 0});
    assert_rc(WEIR_OK, lake_sink_commit(s, 0, false, &err), &err);
    lake_sink_progress(s, &st);
    assert_int_equal(st.files, 300);
    assert_int_equal(st.rows, 900);
    lake_sink_close(s);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void copied_rows_have_places_and_marks_of_their_own(void **state)
{
    killer k = {.at = -1};
    lake_sink_conf conf = conf_of(*state, &k);
    lake_sink *s = NULL;
    weir_error err;
    weir_val v[] = {{WEIR_VAL_TEXT, WEIR_SLICE_LIT("1")}, {WEIR_VAL_TEXT, WEIR_SLICE_LIT("x")}};
    assert_rc(WEIR_OK, lake_sink_open(&s, &conf, &err), &err);
    for (uint32_t sub = 0; sub < 3; sub++) {
        weir_frame_head h = {.kind = WEIR_FRAME_CHUNK, .commit_lsn = 300, .commit_us = 5};
        weir_ev ev = {.kind = WEIR_EV_READ, .rel = 1, .new_row = {2, v}};
        assert_rc(WEIR_OK, lake_sink_event(s, &h, &rels[0], &ev, &err), &err);
        ev = (weir_ev){.kind = WEIR_EV_COPIED, .rel = 1, .copy_id = WEIR_SLICE_LIT("k")};
        if (sub == 2) {
            assert_rc(WEIR_OK, lake_sink_event(s, &h, &rels[0], &ev, &err), &err);
        }
        lake_sink_end(s, (weir_cursor){300, sub + 1});
        assert_false(lake_sink_copied(s, rels[0].schema, rels[0].name));
    }
    assert_rc(WEIR_OK, lake_sink_commit(s, 6, true, &err), &err);
    assert_true(lake_sink_copied(s, rels[0].schema, rels[0].name));
    assert_false(lake_sink_copied(s, rels[1].schema, rels[1].name));
    lake_sink_close(s);
    char path[200];
    weir_slice text;
    weir_arena *a = weir_arena_new(0);
    (void)snprintf(path, sizeof path,
                   "%s/public.a/2000-01-01/part-000000000000012C-0000000001-00000.jsonl",
                   (char *)*state);
    assert_rc(WEIR_OK, weir_file_read(path, 1 << 20, a, &text, &err), &err);
    assert_has(text.p, "\"sub\":0,\"seq\":1,");
    assert_has(text.p, "\"sub\":1,\"seq\":1,");
    assert_has(text.p, "\"sub\":2,\"seq\":2,");
    weir_arena_free(a);
}

static void only_what_is_committed_may_be_acknowledged(void **state)
{
    killer k = {.at = -1};
    lake_sink_conf conf = conf_of(*state, &k);
    lake_sink *s = NULL;
    weir_error err;
    weir_cursor at;
    assert_rc(WEIR_OK, lake_sink_open(&s, &conf, &err), &err);
    assert_rc(WEIR_OK, feed_tx(s, 1, &err), &err);
    assert_false(lake_sink_position(s, &at));
    assert_rc(WEIR_OK, lake_sink_commit(s, time_of(1), false, &err), &err);
    assert_rc(WEIR_OK, feed_tx(s, 2, &err), &err);
    assert_true(lake_sink_position(s, &at));
    assert_int_equal(at.lsn, TX_STEP + 8); /* the first one's end, not the second's */
    lake_sink_rewind(s);
    assert_rc(WEIR_OK, feed_tx(s, 2, &err), &err);
    assert_rc(WEIR_OK, lake_sink_finish(s, time_of(2), &err), &err);
    lake_sink_close(s);
    reader r;
    check_lake(*state, 2, &r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(undisturbed_run_gives_all_lines_and_marks_days),
        T(killed_at_each_step_of_a_commit),
        T(killed_at_random_times),
        T(a_process_that_dies_in_a_commit_shows_nothing_before_it),
        T(a_full_disk_stops_and_goes_on),
        T(the_same_sink_goes_on_after_a_full_disk),
        T(a_huge_transaction_needs_little_memory),
        T(a_late_commit_never_goes_into_a_finished_day),
        T(many_tables_keep_few_descriptors),
        T(only_what_is_committed_may_be_acknowledged),
        T(copied_rows_have_places_and_marks_of_their_own),
    };
    if (!weir_log_set_level("error")) {
        return 1;
    }
    return cmocka_run_group_tests_name("lake sink", tests, NULL, NULL);
}
