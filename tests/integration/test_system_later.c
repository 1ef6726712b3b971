/* test_system_later.c - the second deploy and all that follow: tables, columns and models that
 * come, change and go while writers run. Each test ends with every document of Redis equal to
 * PostgreSQL.
 */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "libweir/codec/json.h"
#include "tests/support/check.h"
#include "tests/support/sys.h"

enum { WRITERS = 3, ORDERS = 3000, CUSTOMERS = 300, READY_MS = 30000 };

static sys later;

static const char schema1[] =
    "CREATE TABLE customer (id int PRIMARY KEY, name text, grade int);\n"
    "CREATE TABLE orders (id int PRIMARY KEY, customer_id int, status text, note text, qty int);\n"
    "CREATE TABLE item (order_id int, n int, sku text, big text, w1 int, w2 int, w3 int, w4 int, "
    "w5 int, PRIMARY KEY (order_id, n));\n"
    "ALTER TABLE orders ALTER note SET STORAGE EXTERNAL;\n"
    "ALTER TABLE item ALTER big SET STORAGE EXTERNAL;\n"
    "INSERT INTO customer SELECT i, 'c' || i, i % 5 FROM generate_series(1, 300) i;\n"
    "INSERT INTO orders SELECT i, i % 300, 'new', CASE WHEN i % 4 = 0 THEN repeat(md5(i::text), "
    "100) ELSE 'short' END, i % 7\n"
    "  FROM generate_series(1, 3000) i;\n"
    "INSERT INTO item SELECT i % 3000, i / 3000, 'sku' || i, CASE WHEN i % 3 = 0 THEN "
    "repeat(md5(i::text), 90) END, i, i, i, i, i\n"
    "  FROM generate_series(1, 9000) i;\n";

static const char schema2[] =
    "CREATE TABLE review (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id int, stars "
    "int);\n"
    "INSERT INTO review (order_id, stars) SELECT i % 100, i % 5 FROM generate_series(1, 500) i;\n";

static const char customer_view[] =
    "-- @key id\n"
    "SELECT c.id, c.name, (SELECT count(*) FROM orders o WHERE o.customer_id = c.id) AS orders\n"
    "  FROM customer c\n";

static const char order_view1[] = "-- @key id\n"
                                  "SELECT o.id, o.status, c.name AS customer FROM orders o LEFT "
                                  "JOIN customer c ON c.id = o.customer_id\n";

/* note is a column not kept before, with TOASTed values; item and review are tables not kept
 * before. */
static const char order_view2[] = "-- @key id\n"
                                  "SELECT o.id, o.status, o.note, c.name AS customer,\n"
                                  "       (SELECT jsonb_agg(jsonb_build_object('n', i.n, 'sku', "
                                  "i.sku, 'big', i.big) ORDER BY i.n)\n"
                                  "          FROM item i WHERE i.order_id = o.id) AS items\n"
                                  "  FROM orders o LEFT JOIN customer c ON c.id = o.customer_id\n";

static const char item_view[] = "-- @key order_id, n\n"
                                "SELECT i.order_id, i.n, i.sku, i.big, o.status\n"
                                "  FROM item i LEFT JOIN orders o ON o.id = i.order_id\n";

static const char review_view[] = "-- @key id\nSELECT r.id, r.stars, o.status FROM review r LEFT "
                                  "JOIN orders o ON o.id = r.order_id\n";

/* --- writers at full speed
 * -----------------------------------------------------------------------------------------------
 */

struct load;

struct one_writer {
    struct load *l;
    int i;
};

struct load {
    sys *s;
    struct one_writer w[WRITERS];
    atomic_bool stop;
    atomic_int transactions;
    weir_thread *t[WRITERS];
    weir_pg *pg[WRITERS];
    uint64_t seed;
};

static struct load load;

static const char *const statements[] = {
    "UPDATE orders SET status = 's%2$d' WHERE id = %1$d",
    "UPDATE orders SET note = repeat(md5('%2$d'), 100) WHERE id = %1$d",
    "UPDATE orders SET qty = %2$d, customer_id = %2$d %% 300 WHERE id = %1$d",
    "UPDATE orders SET id = -id WHERE id IN (%1$d, -%1$d)",
    "DELETE FROM orders WHERE id = %1$d",
    "INSERT INTO orders VALUES (%1$d, %2$d %% 300, 'again', repeat(md5('%2$d'), 80), 1) ON "
    "CONFLICT (id) DO UPDATE SET status = 'upd'",
    "UPDATE customer SET name = 'n%2$d' WHERE id = %1$d %% 300",
    "UPDATE item SET sku = 'k%2$d' WHERE order_id = %1$d",
    "UPDATE item SET n = n + 1000 WHERE order_id = %1$d",
    "UPDATE item SET order_id = %2$d WHERE order_id = %1$d AND n = %2$d %% 3",
    "UPDATE item SET big = repeat(md5('%2$d'), 90) WHERE order_id = %1$d AND n = 1",
    "DELETE FROM item WHERE order_id = %1$d AND n > 2",
    "INSERT INTO item VALUES (%1$d, %2$d %% 4, 'new', repeat(md5('%2$d'), 90), 1, 2, 3, 4, 5) ON "
    "CONFLICT DO NOTHING",
};

/* One to four statements, now and then rolled back or with a savepoint undone. Errors (a key that
 * exists) undo it. */
static void one_transaction(struct load *l, weir_pg *pg, uint64_t *seed)
{
    weir_error err = {0};
    char sql[400];
    bool undo = weir_test_random(seed) % 12 == 0;
    weir_rc rc = weir_pg_query(pg, "BEGIN", 0, NULL, NULL, &err);
    for (uint64_t n = 1 + weir_test_random(seed) % 4; n > 0 && rc == WEIR_OK; n--) {
        size_t which = weir_test_random(seed) % (sizeof statements / sizeof *statements);
        int id = (int)(weir_test_random(seed) % ORDERS);
        (void)snprintf(sql, sizeof sql, statements[which], id,
                       (int)(weir_test_random(seed) % 3000));
        rc = weir_pg_query(pg, sql, 0, NULL, NULL, &err);
        if (rc == WEIR_OK && weir_test_random(seed) % 15 == 0) {
            rc = weir_pg_script(
                pg, "SAVEPOINT a; UPDATE orders SET status = 'undone' WHERE id < 20; ROLLBACK TO a",
                &err);
        }
    }
    const char *end = rc == WEIR_OK && !undo ? "COMMIT" : "ROLLBACK";
    rc = weir_pg_query(pg, end, 0, NULL, NULL, &err);
    atomic_fetch_add(&l->transactions, rc == WEIR_OK);
}

static void writer(void *arg)
{
    struct one_writer *w = arg;
    struct load *l = w->l;
    uint64_t seed = l->seed + (uint64_t)w->i;
    while (!atomic_load(&l->stop)) {
        one_transaction(l, l->pg[w->i], &seed);
    }
}

struct written {
    int least;
};

static bool has_written(void *arg)
{
    return atomic_load(&load.transactions) >= ((struct written *)arg)->least;
}

static void await_writers(sys *s, int more)
{
    struct written w = {atomic_load(&load.transactions) + more};
    sys_await(s, has_written, &w, 20000, "the writers to write");
}

static void start_writers(sys *s)
{
    weir_error err = {0};
    load = (struct load){.s = s, .seed = weir_test_seed()};
    for (int i = 0; i < WRITERS; i++) {
        load.pg[i] = sys_connect(s);
        load.w[i] = (struct one_writer){&load, i};
        assert_rc(WEIR_OK, weir_thread_start(&load.t[i], "writer", writer, &load.w[i], &err), &err);
    }
    await_writers(s, 100);
}

static int stop_writers(void **state)
{
    (void)state;
    atomic_store(&load.stop, true);
    for (int i = 0; i < WRITERS; i++) {
        weir_thread_join(load.t[i]);
        weir_pg_close(load.pg[i]);
        load.t[i] = NULL;
        load.pg[i] = NULL;
    }
    return 0;
}

/* --- setup
 * -------------------------------------------------------------------------------------------------------------------
 */

static int open_group(void **state)
{
    (void)state;
    sys *s = &later;
    sys_new(s, WEIR_BIN_DIR, NULL,
            "[app]\nname = later\n[bridge]\ncopy_chunk_rows = 400\n[projector]\nkeep_old_ms = 0\n");
    sys_put(s, "schema/0001_init.sql", schema1);
    sys_put(s, "read-models/customer_view.sql", customer_view);
    sys_put(s, "read-models/order_view.sql", order_view1);
    sys_up(s);
    sys_same(s, ORDERS + CUSTOMERS);
    return 0;
}

static int close_group(void **state)
{
    (void)stop_writers(state);
    sys_end(&later);
    return 0;
}

/* --- what comes later
 * -----------------------------------------------------------------------------------------------------------
 */

struct keys {
    sys *s;
    const char *pattern;
};

static bool no_keys(void *arg)
{
    struct keys *k = arg;
    return sys_keys(k->s, k->pattern) == 0;
}

static void await_no_keys(sys *s, const char *pattern)
{
    struct keys k = {s, pattern};
    sys_await(s, no_keys, &k, READY_MS, weir_arena_printf(s->app.a, "no key like %s", pattern));
}

static void test_tables_columns_and_models(void **state)
{
    (void)state;
    sys *s = &later;
    start_writers(s);
    sys_put(s, "schema/0002_review.sql", schema2);
    sys_put(s, "read-models/review_view.sql", review_view);
    sys_put(s, "read-models/item_view.sql", item_view);
    sys_put(s, "read-models/order_view.sql", order_view2);
    int before = atomic_load(&load.transactions);
    int64_t t0 = weir_mono_ms();
    sys_deploy(s, 0);
    print_message("system.later: deployed and built in %lld ms, %d transactions beside it\n",
                  (long long)(weir_mono_ms() - t0), atomic_load(&load.transactions) - before);
    assert_true(atomic_load(&load.transactions) > before);
    await_writers(s, 100);
    stop_writers(state);
    sys_same(s, ORDERS);
    assert_int_equal(2, sys_model_generation(s, "order_view"));
    assert_int_equal(1, sys_model_generation(s, "customer_view"));
    await_no_keys(s, "later:order_view:1:*");
    sys_verify(s);
    int64_t revision = sys_number(s, "SELECT value FROM weir.setting WHERE key = 'revision'");
    sys_deploy(s, 0);
    sys_said(s, "unchanged");
    assert_int_equal(revision,
                     sys_number(s, "SELECT value FROM weir.setting WHERE key = 'revision'"));
}

static const char in_publication[] =
    "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'inflight'";

/* Pitfall 32: rows a transaction wrote before ALTER PUBLICATION, and which it commits after it, are
 * in neither a snapshot taken in between nor the stream. */
static void test_writer_in_flight(void **state)
{
    (void)state;
    sys *s = &later;
    weir_error err = {0};
    sys_sql(s, "CREATE TABLE inflight (id int PRIMARY KEY, v text); INSERT INTO inflight VALUES "
               "(1, 'old'), (2, 'old'), (3, 'old')");
    weir_pg *pg = sys_connect(s);
    assert_rc(WEIR_OK,
              weir_pg_script(pg,
                             "BEGIN; INSERT INTO inflight VALUES (10, 'early'); UPDATE inflight "
                             "SET v = 'early' WHERE id = 1;"
                             "DELETE FROM inflight WHERE id = 2; SAVEPOINT x; INSERT INTO inflight "
                             "VALUES (11, 'early')",
                             &err),
              &err);
    sys_put(s, "read-models/inflight_view.sql", "-- @key id\nSELECT i.id, i.v FROM inflight i\n");
    assert_int_equal(0, sys_weir(s, "deploy", s->app.dir, "--no-wait", NULL));
    assert_int_equal(1, sys_number(s, in_publication));
    /* Somebody waits, and says for whom; nobody else does. */
    sys_log_has(s, "bridge", weir_arena_printf(s->app.a, "pid %d ", weir_pg_pid(pg)), 15000);
    assert_string_not_equal("ready", sys_model_state(s, "inflight_view", NULL));
    sys_sql(s, "UPDATE customer SET name = 'meanwhile' WHERE id = 5; INSERT INTO inflight VALUES "
               "(20, 'meanwhile')");
    sys_settle(s);
    SYS_CHECK(s, sys_query(s, "customer_view/5") == 200);
    assert_has(s->body, "meanwhile");
    assert_rc(
        WEIR_OK,
        weir_pg_script(pg, "INSERT INTO inflight VALUES (12, 'late'); RELEASE x; COMMIT", &err),
        &err);
    weir_pg_close(pg);
    sys_await_model(s, "inflight_view", "ready", READY_MS);
    sys_same(s, 6);
    for (int i = 10; i < 13; i++) {
        SYS_CHECK(s, sys_query(s, weir_arena_printf(s->app.a, "inflight_view/%d", i)) == 200);
    }
    SYS_CHECK(s, sys_query(s, "inflight_view/2") == 404);
}

static void test_changed_and_removed(void **state)
{
    (void)state;
    sys *s = &later;
    start_writers(s);
    sys_put(s, "read-models/customer_view.sql",
            "-- @key id\nSELECT c.id, c.name || '!' AS name, c.grade, (SELECT sum(o.qty) FROM "
            "orders o WHERE o.customer_id = c.id) AS qty\n"
            "  FROM customer c WHERE c.grade <> 3\n");
    sys_remove(s, "read-models/review_view.sql");
    sys_deploy(s, 0);
    sys_said(s, "review_view");
    await_no_keys(s, "later:review_view:*");
    assert_string_equal("gone", sys_model_state(s, "review_view", NULL));
    SYS_CHECK(s, sys_query(s, "review_view/1") == 404);
    stop_writers(state);
    sys_same(s, ORDERS);
    assert_int_equal(2, sys_model_generation(s, "customer_view"));
    await_no_keys(s, "later:customer_view:1:*");
    SYS_CHECK(s, sys_query(s, "customer_view/3") == 404);
    /* It comes back: as if it had never been. */
    sys_put(s, "read-models/review_view.sql", review_view);
    sys_deploy(s, 0);
    sys_same(s, 500);
}

/* --- DDL behind our back
 * ----------------------------------------------------------------------------------------------------------
 */

static bool projector_names_order_view(void *arg)
{
    sys *s = arg;
    return sys_readyz(s, "projector") == 503 && strstr(s->body, "order_view") != NULL;
}

static bool projector_is_ready(void *arg)
{
    return sys_readyz(arg, "projector") == 200;
}

static void test_referenced_column_dropped(void **state)
{
    (void)state;
    sys *s = &later;
    SYS_CHECK(s, sys_query(s, "order_view/8") == 200 || s->status == 404);
    sys_sql(s, "INSERT INTO orders VALUES (500000, 8, 'seen', 'n', 1)");
    sys_settle(s);
    sys_sql(s,
            "ALTER TABLE orders DROP COLUMN status; INSERT INTO orders VALUES (500001, 7, 'n', 1)");
    const char *reason = sys_await_model(s, "order_view", "stalled", READY_MS);
    assert_has(reason, "orders");
    assert_has(reason, "status");
    (void)sys_await_model(s, "item_view", "stalled", READY_MS);
    assert_string_equal("ready", sys_model_state(s, "customer_view", NULL));
    /* Its documents stay, the others go on, and it is told where people look. */
    SYS_CHECK(s, sys_query(s, "order_view/500000") == 200);
    assert_has(s->body, "seen");
    sys_sql(s, "UPDATE customer SET name = 'goes on' WHERE id = 7");
    sys_settle(s);
    SYS_CHECK(s, sys_query(s, "customer_view/7") == 200);
    assert_has(s->body, "goes on!");
    sys_await(s, projector_names_order_view, s, 5000, "/readyz to name the stalled model");
    sys_weir(s, "status", s->app.dir, NULL);
    sys_said(s, "stalled");
    assert_int_equal(1, sys_weir(s, "check", s->app.dir, NULL));
    sys_said(s, "order_view.sql:2:");
    sys_deploy(s, 1);
    sys_put(s, "read-models/order_view.sql",
            "-- @key id\nSELECT o.id, o.note, o.qty, c.name AS customer\n"
            "  FROM orders o LEFT JOIN customer c ON c.id = o.customer_id\n");
    sys_put(s, "read-models/item_view.sql",
            "-- @key order_id, n\nSELECT i.order_id, i.n, i.sku, o.qty\n"
            "  FROM item i LEFT JOIN orders o ON o.id = i.order_id\n");
    sys_put(s, "read-models/review_view.sql", "-- @key id\nSELECT r.id, r.stars FROM review r\n");
    sys_deploy(s, 0);
    sys_same(s, ORDERS);
    sys_await(s, projector_is_ready, s, 5000, "the projector to be ready");
    sys_verify(s);
}

/* A rewrite changes every row and sends no event. */
static void test_type_changed(void **state)
{
    (void)state;
    sys *s = &later;
    sys_sql(s, "ALTER TABLE orders ALTER COLUMN qty TYPE numeric USING qty * 10.5");
    sys_sql(s, "INSERT INTO orders VALUES (500002, 7, 'n', 1.25)");
    assert_has(sys_await_model(s, "order_view", "stalled", READY_MS), "qty");
    sys_sql(s, "UPDATE orders SET note = 'before the deploy' WHERE id = 500001");
    sys_deploy(s, 0);
    sys_same(s, ORDERS);
    sys_sql(s, "ALTER TABLE customer RENAME COLUMN name TO full_name; UPDATE customer SET grade = "
               "1 WHERE id = 9");
    sys_await_model(s, "customer_view", "stalled", READY_MS);
    sys_sql(s, "ALTER TABLE customer RENAME COLUMN full_name TO name");
    sys_sql(s, "UPDATE customer SET grade = 2 WHERE id = 9");
    sys_deploy(s, 0);
    sys_same(s, ORDERS);
}

static void test_harmless_ddl(void **state)
{
    (void)state;
    sys *s = &later;
    int64_t generation = sys_model_generation(s, "order_view");
    sys_sql(s,
            "ALTER TABLE orders ADD COLUMN extra text DEFAULT 'x'; ALTER TABLE item DROP COLUMN w5;"
            "CREATE INDEX ON orders (qty); ALTER TABLE orders ADD CHECK (id IS NOT NULL)");
    sys_sql(s, "VACUUM FULL orders");
    sys_sql(s, "UPDATE orders SET note = 'after' WHERE id % 50 = 0; UPDATE item SET sku = 'after' "
               "WHERE n = 0");
    sys_same(s, ORDERS);
    assert_int_equal(generation, sys_model_generation(s, "order_view"));
    /* A column that came by a rewrite without events: kept from now on, so copied. */
    sys_sql(s, "ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid()");
    sys_put(s, "read-models/order_view.sql",
            "-- @key id\nSELECT o.id, o.note, o.qty, o.token, o.extra FROM orders o\n");
    sys_deploy(s, 0);
    sys_same(s, ORDERS);
}

/* --- the table changes under the copy
 * ------------------------------------------------------------------------------------------- */

static bool copying(void *arg)
{
    sys *s = arg;
    weir_error err = {0};
    weir_json *j = NULL;
    int64_t open_jobs = 0, rows = 0;
    (void)sys_http(s, "GET", weir_arena_printf(s->app.a, "%s/status", sys_url(s, "bridge")), NULL,
                   NULL);
    if (s->status == 200 && weir_json_parse(&j, weir_slice_z(s->body), &err) == WEIR_OK) {
        const weir_json *copy = weir_json_get(j, "copy");
        (void)weir_json_i64(copy, "open_jobs", &open_jobs);
        (void)weir_json_i64(copy, "rows", &rows);
    }
    weir_json_free(j);
    return open_jobs > 0;
}

/* Each makes a column of item kept that was not kept before, and strikes while it is copied. */
static const struct strike {
    const char *column, *sql;
    const char *kill; /* this process, with -9 */
} strikes[] = {
    {"w1",
     "UPDATE item SET n = n + 100000; UPDATE item SET order_id = -order_id - 1 WHERE n % 2 = 0",
     NULL},
    {"w2",
     "BEGIN; TRUNCATE item; INSERT INTO item SELECT i % 2500, i, 'anew', CASE WHEN i % 2 = 0 THEN "
     "repeat(md5(i::text), 90) END,"
     " i, i, i, i FROM generate_series(1, 7000) i; UPDATE item SET n = -n WHERE n % 10 = 0; COMMIT",
     NULL},
    {"w3", "DELETE FROM item WHERE n % 3 = 0; UPDATE item SET w3 = -w3 WHERE n % 7 = 0", "bridge"},
    {"w4",
     "ALTER TABLE item ADD COLUMN later int DEFAULT 4; UPDATE item SET sku = 'relation changed' "
     "WHERE n % 100 = 1",
     "projector"},
};

struct killed {
    sys *s;
    const char *service;
    int pid;
};

static bool is_back(void *arg)
{
    struct killed *k = arg;
    int now = sys_pid(k->s, k->service);
    return now > 1 && now != k->pid && sys_readyz(k->s, k->service) != 0;
}

static void kill_and_await(sys *s, const char *service)
{
    struct killed k = {s, service, sys_pid(s, service)};
    assert_int_equal(0, kill(k.pid, SIGKILL));
    sys_await(s, is_back, &k, READY_MS, weir_arena_printf(s->app.a, "%s to be back", service));
}

static void test_copy_under_fire(void **state)
{
    (void)state;
    sys *s = &later;
    for (size_t i = 0; i < sizeof strikes / sizeof *strikes; i++) {
        const struct strike *k = &strikes[i];
        sys_put(s, "read-models/item_view.sql",
                weir_arena_printf(
                    s->app.a,
                    "-- @key order_id, n\nSELECT i.order_id, i.n, i.sku, i.big, i.%s FROM item i\n",
                    k->column));
        assert_int_equal(0, sys_weir(s, "deploy", s->app.dir, "--no-wait", NULL));
        sys_await(s, copying, s, 10000, "the copy to begin");
        sys_sql(s, k->sql);
        if (k->kill) {
            kill_and_await(s, k->kill);
        }
        sys_sql(s, "UPDATE item SET sku = sku || '.' WHERE order_id % 10 = 3");
        sys_deploy(s, 0);
        sys_await_model(s, "item_view", "ready", READY_MS);
        sys_same(s, ORDERS);
    }
    /* No build was ever complete without its rows. */
    const char *log = weir_arena_printf(s->app.a, "%s/.weir/log/projector.log", s->app.dir);
    assert_int_equal(1, orc_run(true, (const char *const[]){"grep", "PROJ-DOC-PARKED", log, NULL}));
    sys_verify(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_tables_columns_and_models, stop_writers),
        cmocka_unit_test(test_writer_in_flight),
        cmocka_unit_test_teardown(test_changed_and_removed, stop_writers),
        cmocka_unit_test(test_referenced_column_dropped),
        cmocka_unit_test(test_type_changed),
        cmocka_unit_test(test_harmless_ddl),
        cmocka_unit_test(test_copy_under_fire),
    };
    sys_filter();
    return cmocka_run_group_tests_name("system.later", tests, open_group, close_group);
}
