/* test_migrate_northwind.c - examples/northwind-migration with a writer at work and kill -9 on the
 * way; what the cut-over claims is compared by SQL of the test's own.
 *
 * The data is looked for where WEIR_NORTHWIND says, else beside the source tree.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "tests/support/app.h"
#include "tests/support/check.h"
#include "tests/support/migtest.h"

static migtest t;

static const char *data_file(void)
{
    const char *env = getenv("WEIR_NORTHWIND");
    return env ? env : WEIR_SOURCE_DIR "/../shared/data/northwind/northwind.sql";
}

static int down(void **state)
{
    migtest_close(&t);
    return migtest_down(state);
}

static const char *file(const char *path)
{
    weir_slice s;
    weir_error err;
    assert_rc(WEIR_OK, weir_file_read(path, 4 << 20, migtest_fx.a, &s, &err), &err);
    return weir_arena_dupz(migtest_fx.a, s);
}

static bool load(void)
{
    if (access(data_file(), R_OK) != 0) {
        print_message("skipped: no northwind.sql at %s (WEIR_NORTHWIND names it)\n", data_file());
        return false;
    }
    migtest_open(&t, &migtest_fx, WEIR_BIN_DIR, "northwind");
    const char *argv[] = {"psql", "-q", "-d", t.source_uri, "-f", data_file(), NULL};
    if (orc_run(false, argv) != 0) {
        fail_msg("psql cannot load %s", data_file());
    }
    migtest_sql(t.source, "ANALYZE");
    migtest_sql(t.target, file(WEIR_SOURCE_DIR "/examples/northwind-migration/schema.sql"));
    assert_int_equal(0, setenv("NORTHWIND_SOURCE", t.source_uri, 1));
    assert_int_equal(0, setenv("NORTHWIND_TARGET", t.target_uri, 1));
    FILE *f = fopen(t.ini, "w");
    assert_non_null(f);
    const char *ini = file(WEIR_SOURCE_DIR "/examples/northwind-migration/northwind.ini");
    const char *at = strstr(ini, "workers = 2\n");
    assert_non_null(at);
    (void)fprintf(f, "%.*schunk_rows = 40\nchunk_rows_per_s = 2500\n%s", (int)(at - ini), ini, at);
    assert_int_equal(0, fclose(f));
    return true;
}

typedef struct writer {
    weir_thread *thread;
    atomic_bool stop;
    atomic_int rounds;
    uint64_t seed;
    char error[512];
} writer;

/* What an order desk does, faster: every kind of change on every mapped table. */
static const char *const WRITES[] = {
    "UPDATE orders SET freight = freight + 0.5, shipped_date = CASE WHEN %1$d %% 3 = 0 THEN NULL "
    "ELSE '1998-01-01'::date END WHERE order_id = 10248 + %1$d %% 830",
    "UPDATE products SET unit_price = unit_price + 1, discontinued = 1 - discontinued WHERE "
    "product_id = 1 + %1$d %% 77",
    "UPDATE customers SET contact_title = 'Title %1$d' WHERE customer_id = (SELECT customer_id "
    "FROM customers ORDER BY customer_id OFFSET %1$d %% 91 LIMIT 1)",
    "DELETE FROM order_details WHERE order_id = 10248 + %1$d %% 830 AND product_id %% 3 = 0",
    "INSERT INTO order_details VALUES (10248 + %1$d %% 830, 1 + %1$d %% 77, 3.25, 5, 0.05) ON "
    "CONFLICT DO NOTHING",
    "INSERT INTO orders (order_id, customer_id, employee_id, order_date, freight) VALUES (12000 + "
    "%1$d %% 500, 'ALFKI', 1, '1998-05-05', 1.25) ON CONFLICT (order_id) DO UPDATE SET customer_id "
    "= CASE WHEN orders.customer_id IS NULL THEN 'ALFKI' END",
    "UPDATE orders SET order_id = order_id + 600 WHERE order_id = 12000 + %1$d %% 500 AND NOT "
    "EXISTS "
    "(SELECT FROM orders o WHERE o.order_id = 12600 + %1$d %% 500)",
    "DELETE FROM orders WHERE order_id = 12600 + %1$d %% 500",
    "UPDATE territories SET territory_description = 'T%1$d' WHERE territory_id = (SELECT "
    "territory_id FROM territories ORDER BY 1 OFFSET %1$d %% 53 LIMIT 1)",
    "DELETE FROM employee_territories WHERE employee_id = 1 + %1$d %% 9 AND territory_id LIKE "
    "'%%0'; INSERT INTO employee_territories SELECT 1 + %1$d %% 9, territory_id FROM territories "
    "ORDER BY 2 OFFSET %1$d %% 53 LIMIT 1 ON CONFLICT DO NOTHING",
};

static void write_all(void *arg)
{
    writer *w = arg;
    weir_pg *pg = NULL;
    weir_error err;
    weir_pg_conf conf = {.uri = t.source_uri, .application_name = "writer"};
    weir_rc rc = weir_pg_open(&pg, &conf, &err);
    while (rc == WEIR_OK && !atomic_load(&w->stop)) {
        char sql[1000];
        uint64_t r = weir_test_random(&w->seed);
        const char *one = WRITES[r % (sizeof WRITES / sizeof *WRITES)];
        (void)snprintf(sql, sizeof sql, one, (int)((r >> 20) % 100000));
        rc = weir_pg_script(pg, sql, &err);
        (void)atomic_fetch_add(&w->rounds, 1);
    }
    if (rc != WEIR_OK) {
        (void)snprintf(w->error, sizeof w->error, "%s", err.msg);
    }
    weir_pg_close(pg);
}

static writer *the_writer;

static bool wrote_more(void *arg)
{
    const int *goal = arg;
    return atomic_load(&the_writer->rounds) >= *goal || the_writer->error[0];
}

static void let_write(int rounds)
{
    int goal = atomic_load(&the_writer->rounds) + rounds;
    fixture_wait(&migtest_fx, wrote_more, &goal, 60000, "the writer goes on");
    assert_string_equal("", the_writer->error);
}

/* Both sides as the test itself understands the redesign. */
static const struct {
    const char *source, *target;
} SAME[] = {
    {"SELECT count(*) || md5(string_agg(concat_ws('|', customer_id, company_name, contact_name, "
     "contact_title, coalesce(country, 'unknown'), phone), ',' ORDER BY customer_id)) FROM "
     "customers",
     "SELECT count(*) || md5(string_agg(concat_ws('|', code, name, replace(contact, ', ', '|'), "
     "country, phone), ',' ORDER BY code)) FROM crm.customer"},
    {"SELECT count(*) || md5(string_agg(format('%s|%s|%s', product_id, "
     "to_char(unit_price::numeric, 'FM99990.00'), discontinued), ',' ORDER BY product_id)) FROM "
     "products",
     "SELECT count(*) || md5(string_agg(format('%s|%s|%s', id, to_char(price, 'FM99990.00'), CASE "
     "WHEN sold THEN 0 ELSE 1 END), ',' ORDER BY id)) FROM catalog.product"},
    {"SELECT count(*) || md5(string_agg(format('%s|%s|%s|%s|%s', order_id, customer_id, "
     "employee_id, to_char(freight::numeric, 'FM99990.00'), shipped_date IS NULL), ',' ORDER BY "
     "order_id)) FROM orders WHERE customer_id IS NOT NULL",
     "SELECT count(*) || md5(string_agg(format('%s|%s|%s|%s|%s', id, customer_code, employee_id, "
     "to_char(freight, 'FM99990.00'), state = 'open'), ',' ORDER BY id)) FROM sales.purchase"},
    {"SELECT count(*) || md5(string_agg(format('%s|%s|%s|%s', order_id, shipped_date, ship_via, "
     "ship_city), ',' ORDER BY order_id)) FROM orders WHERE shipped_date IS NOT NULL AND ship_via "
     "IS NOT NULL AND customer_id IS NOT NULL",
     "SELECT count(*) || md5(string_agg(format('%s|%s|%s|%s', purchase_id, shipped_on, carrier, "
     "address ->> 'city'), ',' ORDER BY purchase_id)) FROM sales.shipment"},
    {"SELECT count(*) || md5(string_agg(format('%s|%s|%s|%s', order_id, product_id, quantity, "
     "round(round(unit_price::numeric, 2) * quantity * (1 - round(discount::numeric, 3)), 2)), ',' "
     "ORDER BY order_id, product_id)) FROM order_details",
     "SELECT count(*) || md5(string_agg(format('%s|%s|%s|%s', purchase_id, product_id, quantity, "
     "amount), ',' ORDER BY purchase_id, product_id)) FROM sales.purchase_line"},
    {"SELECT count(*) || md5(string_agg(format('%s|%s|%s', territory_id, "
     "trim(territory_description), region_id), ',' ORDER BY territory_id)) FROM territories",
     "SELECT count(*) || md5(string_agg(format('%s|%s|%s', territory_id, name, region_id), ',' "
     "ORDER "
     "BY territory_id)) FROM hr.territory"},
    {"SELECT count(*) || md5(string_agg(employee_id || '|' || territory_id, ',' ORDER BY "
     "employee_id, territory_id)) FROM employee_territories",
     "SELECT count(*) || md5(string_agg(employee_id || '|' || territory_id, ',' ORDER BY "
     "employee_id, territory_id)) FROM hr.employee_territory"},
    {"SELECT count(*) || md5(string_agg(concat_ws('|', employee_id, first_name || ' ' || "
     "last_name, "
     "reports_to), ',' ORDER BY employee_id)) FROM employees",
     "SELECT count(*) || md5(string_agg(concat_ws('|', id, full_name, manager_id), ',' ORDER BY "
     "id)) FROM hr.employee"},
};

static void compare(void)
{
    for (size_t i = 0; i < sizeof SAME / sizeof *SAME; i++) {
        const char *source = migtest_value(&t, t.source, SAME[i].source);
        const char *target = migtest_value(&t, t.target, SAME[i].target);
        if (strcmp(source, target) != 0) {
            fail_msg("%s\n gives %s, but\n%s\n gives %s", SAME[i].source, source, SAME[i].target,
                     target);
        }
    }
}

static void moves_while_a_writer_writes(void **state)
{
    (void)state;
    fixture_need(&migtest_fx);
    if (!load()) {
        skip();
    }
    writer w = {.seed = weir_test_seed()};
    weir_error err;
    the_writer = &w;
    assert_int_equal(0, migtest_weir(&t, "--dry-run", NULL));
    migtest_said(&t, "no problems; nothing was changed");
    assert_string_equal("0", migtest_value(&t, t.target,
                                           "SELECT count(*) FROM pg_namespace WHERE nspname = "
                                           "'weir_sync'"));
    assert_rc(WEIR_OK, weir_thread_start(&w.thread, "writer", write_all, &w, &err), &err);

    migtest_start(&t);
    migtest_await(&t, false, "SELECT (count(*) > 8)::text FROM weir_sync.chunk", "true");
    migtest_kill(&t, "weir-migrate"); /* in the middle of the copy */
    migtest_await(&t, false, "SELECT (count(*) > 16)::text FROM weir_sync.chunk", "true");
    migtest_kill(&t, "weir-bridge");
    migtest_kill(&t, "weir-migrate");
    migtest_await_phase(&t, "live");
    let_write(150);
    migtest_kill(&t, "weir-migrate"); /* while following */
    let_write(100);
    migtest_kill(&t, "weir-bridge");
    let_write(100);
    fixture_kill9(t.run); /* all of it at once: the next run goes on */
    let_write(100);
    migtest_start(&t);
    let_write(100);

    if (migtest_weir(&t, "verify", NULL) != 0) {
        fail_msg("%s", t.said);
    }
    migtest_said(&t, "0 differences");
    if (migtest_weir(&t, "cutover", NULL) != 0) {
        fail_msg("%s", t.said);
    }
    atomic_store(&w.stop, true);
    weir_thread_join(w.thread);
    assert_string_equal("", w.error);
    migtest_said(&t, "equal at ");
    migtest_said(&t, "cut over; 3 sequences set");
}

/* The writer went on after the locks were released: what the proof spoke of is compared once more
 * with the writer standing still before the cut-over. */
static void proves_what_is_so(void **state)
{
    (void)state;
    fixture_need(&migtest_fx);
    if (!t.source) {
        skip();
    }
    migtest_await(&t, true,
                  "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE "
                  "'weir_migrate%'",
                  "0");
    assert_string_equal("cut over",
                        migtest_value(&t, t.target, "SELECT phase FROM weir_sync.migrate"));
    assert_string_equal(
        "true", migtest_value(&t, t.target, "SELECT (proof ->> 'ok') FROM weir_sync.migrate"));
    /* begin again, without a writer; the run leaves by itself, but a moment after its slot */
    (void)fixture_stop(t.run, 20000);
    if (migtest_weir(&t, "abort", "--yes", NULL) != 0) {
        fail_msg("%s", t.said);
    }
    migtest_sql(t.target, "DROP SCHEMA crm, hr, catalog, sales CASCADE");
    migtest_sql(t.target, file(WEIR_SOURCE_DIR "/examples/northwind-migration/schema.sql"));
    migtest_start(&t);
    migtest_await_phase(&t, "live");
    migtest_sql(t.source,
                "UPDATE orders SET freight = freight + 1; DELETE FROM order_details WHERE "
                "quantity > 50");
    /* a row the tool knows nothing of, one that is gone, one that is changed */
    migtest_caught_up(&t);
    migtest_sql(t.target,
                "SET session_replication_role = replica; UPDATE catalog.product SET price = "
                "price + 1 WHERE id = 7; DELETE FROM hr.territory WHERE territory_id = "
                "'01581'; INSERT INTO catalog.category VALUES (99, 'x', NULL)");
    assert_int_equal(1, migtest_weir(&t, "verify", NULL));
    migtest_said(&t, "different: key {7}");
    migtest_said(&t, "missing: key {01581}");
    migtest_said(&t, "left over: key {99}");
    migtest_said(&t, "3 rows differ");
    assert_int_equal(1, migtest_weir(&t, "cutover", NULL));
    migtest_said(&t, "3 rows differ; the source stays in charge");
    migtest_sql(t.target, "DELETE FROM catalog.category WHERE id = 99");
    migtest_sql(t.source,
                "UPDATE products SET unit_price = unit_price WHERE product_id = 7; UPDATE "
                "territories SET region_id = region_id WHERE territory_id = '01581'");
    if (migtest_weir(&t, "cutover", NULL) != 0) {
        fail_msg("%s", t.said);
    }
    compare();
    /* identities go on above what came */
    assert_string_equal("true",
                        migtest_value(&t, t.target,
                                      "INSERT INTO sales.purchase (customer_code, ordered_on, "
                                      "state, freight) VALUES ('ALFKI', '2000-01-01', 'open', "
                                      "0) RETURNING (id > 12000)::text"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_while_a_writer_writes),
        cmocka_unit_test(proves_what_is_so),
    };
    return cmocka_run_group_tests_name("migrate_northwind", tests, migtest_up, down);
}
