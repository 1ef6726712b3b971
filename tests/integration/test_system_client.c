/* test_system_client.c - libweir-client and the examples against all four services: a query that
 * sees what a command did, the feed event by event, and the same from Python and Node. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weir/client.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "tests/support/check.h"
#include "tests/support/sys.h"

static fixture fx;
static sys in;
static weir_client *client;

static void copy_from_shop(sys *s, const char *path)
{
    weir_slice text;
    weir_error err = {0};
    const char *full = weir_arena_printf(s->app.a, WEIR_SOURCE_DIR "/examples/shop/%s", path);
    assert_rc(WEIR_OK, weir_file_read(full, 1 << 20, s->app.a, &text, &err), &err);
    sys_put(s, path, text.p);
}

static int open_group(void **state)
{
    weir_client_error err;
    sys *s = &in;
    (void)state;
    if (fixture_open(&fx, FIXTURE_PG | FIXTURE_REDIS) != 0) {
        return -1;
    }
    if (fx.missing[0]) {
        return 0;
    }
    sys_new(s, WEIR_BIN_DIR, &fx, "[app]\nname = client\n");
    copy_from_shop(s, "schema/0001_init.sql");
    copy_from_shop(s, "commands/place_order.sql");
    copy_from_shop(s, "read-models/order_view.sql");
    sys_weir(s, "deploy", s->app.dir, "--no-wait", NULL);
    sys_said(s, "revision");
    sys_sql(s, "INSERT INTO customers (id, name, email) SELECT i, 'c' || i, i || '@x' FROM "
               "generate_series(1, 50) i;"
               "INSERT INTO products SELECT 'SKU-000' || i, 'p', 1.5, 1000000 FROM "
               "generate_series(1, 9) i");
    sys_start_all(s);
    sys_await_model(s, "order_view", "ready", 20000);
    const weir_client_conf conf = {.write_url = s->s.write_nng,
                                   .read_url = s->s.read_nng,
                                   .feed_url = s->s.bridge_feed,
                                   .timeout_ms = 20000};
    return weir_client_open(&client, &conf, &err) == WEIR_CLIENT_OK ? 0 : -1;
}

static int close_group(void **state)
{
    (void)state;
    weir_client_close(client);
    sys_end(&in);
    fixture_close(&fx);
    return 0;
}

static const char *text_of(weir_client_text t)
{
    return weir_arena_printf(in.app.a, "%.*s", (int)t.n, t.p);
}

static void reads_its_own_writes(void **state)
{
    (void)state;
    fixture_need(&fx);
    weir_client_error err;
    weir_client_reply r, d;
    const weir_client_command k = {
        .name = "place_order",
        .args = "{\"customer_id\": 7, \"lines\": [{\"sku\": \"SKU-0003\", \"qty\": 2}]}"};
    for (int i = 0; i < 20; i++) {
        assert_int_equal(weir_client_send(client, &k, &r, &err), WEIR_CLIENT_OK);
        const char *at = strstr(r.result.p, "\"order_id\": ");
        assert_non_null(at);
        const char *id = weir_arena_printf(in.app.a, "%ld", strtol(at + 12, NULL, 10));
        const char *key[] = {id}, *position = text_of(r.position);
        weir_client_query q = {.model = "order_view",
                               .key = key,
                               .key_parts = 1,
                               .min_position = position,
                               .wait_ms = 10000};
        if (weir_client_get(client, &q, &d, &err) != WEIR_CLIENT_OK) {
            fail_msg("%s", err.detail);
        }
        assert_has(d.body.p, "\"total\": 3.00");
        assert_int_equal(d.status, 200);
        q.etag = text_of(d.etag);
        weir_client_reply_free(&d);
        assert_int_equal(weir_client_get(client, &q, &d, &err), WEIR_CLIENT_OK);
        assert_int_equal(d.status, 304);
        assert_int_equal(d.body.n, 0);
        weir_client_reply_free(&d);
        weir_client_reply_free(&r);
    }
    const char *none[] = {"999999999"}, *odd[] = {"a/b %"}, *two[] = {"1", "2"};
    weir_client_query q = {.model = "order_view", .key = none, .key_parts = 1};
    assert_int_equal(weir_client_get(client, &q, &d, &err), WEIR_CLIENT_REFUSED);
    assert_int_equal(err.status, 404);
    q.key = odd;
    assert_int_equal(weir_client_get(client, &q, &d, &err), WEIR_CLIENT_REFUSED);
    assert_int_equal(err.status, 400);
    q.key = two;
    q.key_parts = 2;
    assert_int_equal(weir_client_get(client, &q, &d, &err), WEIR_CLIENT_REFUSED);
    assert_int_equal(err.status, 400);
    q = (weir_client_query){.model = "nothing", .key = none, .key_parts = 1};
    assert_int_equal(weir_client_get(client, &q, &d, &err), WEIR_CLIENT_REFUSED);
    assert_string_equal(err.type, "urn:weir:problem:unknown-model");
    const weir_client_query late = {
        .model = "order_view", .key = none, .key_parts = 1, .min_position = "FF/0", .wait_ms = 50};
    assert_int_equal(weir_client_get(client, &late, &d, &err), WEIR_CLIENT_REFUSED);
    assert_int_equal(err.status, 504);
}

/* "insert customers id=60 name=x …" of one event. */
static const char *line_of(const weir_client_event *ev)
{
    static const char *const kinds[] = {"",         "insert",  "update", "delete",
                                        "truncate", "message", "read"};
    weir_arena *a = in.app.a;
    const char *line = weir_arena_printf(a, "%s %.*s%.*s", kinds[ev->kind], (int)ev->table.n,
                                         ev->table.p ? ev->table.p : "", (int)ev->prefix.n,
                                         ev->prefix.p ? ev->prefix.p : "");
    const weir_client_value *v = ev->row ? ev->row : ev->old;
    for (size_t i = 0; i < (ev->row ? ev->columns : ev->old_columns); i++) {
        if (v[i].state == WEIR_CLIENT_TEXT) {
            line = weir_arena_printf(a, "%s %.*s=%.*s", line, (int)v[i].column.n, v[i].column.p,
                                     (int)v[i].text.n, v[i].text.p);
        }
    }
    return line;
}

/* The lines of what comes until nothing does; heartbeats and orders of the services are left out.
 */
static const char *follow(weir_client_feed *f, int want)
{
    const char *lines = "";
    weir_client_error err;
    weir_client_event ev;
    for (int n = 0; n < want;) {
        int rc = weir_client_feed_next(f, 10000, &ev, &err);
        if (rc != WEIR_CLIENT_OK) {
            fail_msg("%s; so far:\n%s", err.detail, lines);
        }
        bool ours = ev.kind != WEIR_CLIENT_MESSAGE || memcmp(ev.prefix.p, "weir.event", 10) == 0;
        if (ours) {
            lines = weir_arena_printf(in.app.a, "%s%s\n", lines, line_of(&ev));
            n++;
        }
    }
    return lines;
}

static weir_client_feed *open_feed(const char *name, const char *start)
{
    weir_client_feed *f = NULL;
    weir_client_error err;
    if (weir_client_feed_open(client, name, start, &f, &err) != WEIR_CLIENT_OK) {
        fail_msg("%s", err.detail);
    }
    return f;
}

static void the_feed_goes_on_where_it_was_acknowledged(void **state)
{
    (void)state;
    fixture_need(&fx);
    weir_client_error err;
    weir_client_event ev;
    sys *s = &in;
    sys_sql(s, "CREATE TABLE t (id int PRIMARY KEY, v text); ALTER PUBLICATION weir_client ADD "
               "TABLE t");
    weir_client_feed *f = open_feed("follower", "now");
    sys_sql(s, "BEGIN; INSERT INTO t VALUES (1, 'one'), (2, NULL); UPDATE t SET v = 'two' WHERE id "
               "= 2; SELECT weir.emit('topic', '{}'); DELETE FROM t WHERE id = 1; COMMIT");
    const char *lines = follow(f, 5);
    assert_string_equal(lines, "insert t id=1 v=one\ninsert t id=2\nupdate t id=2 v=two\n"
                               "message weir.event\ndelete t id=1\n");
    /* The stream goes on over what is nobody's event: the wait is as long as it was told. */
    int64_t from_ms = 0;
    sys_sql(s, "SELECT pg_logical_emit_message(false, 'weir.heartbeat', '{}')");
    do {
        from_ms = weir_mono_ms();
    } while (weir_client_feed_next(f, 300, &ev, &err) == WEIR_CLIENT_OK);
    assert_int_equal(err.code, WEIR_CLIENT_NOTHING);
    assert_true(weir_mono_ms() - from_ms >= 300);
    assert_int_equal(weir_client_feed_ack(f, &err), WEIR_CLIENT_OK);
    sys_sql(s, "INSERT INTO t VALUES (3, 'three')");
    lines = follow(f, 1); /* given out, not acknowledged */
    assert_string_equal(lines, "insert t id=3 v=three\n");
    weir_client_feed_close(f);

    f = open_feed("follower", "now");
    sys_sql(s, "TRUNCATE t");
    lines = follow(f, 2);
    assert_string_equal(lines, "insert t id=3 v=three\ntruncate t\n");
    weir_client_feed_close(f);
    /* The bridge is killed: fetching goes on by itself. */
    f = open_feed("follower", "now");
    fixture_kill9(sys_proc(s, "bridge"));
    assert_true(fixture_restart(sys_proc(s, "bridge")));
    lines = follow(f, 2);
    assert_has(lines, "truncate t");
    weir_client_feed_close(f);
    assert_int_equal(weir_client_unsubscribe(client, "follower", &err), WEIR_CLIENT_OK);
    assert_int_equal(weir_client_feed_open(client, "", "now", &f, &err), WEIR_CLIENT_INPUT);
    assert_int_equal(weir_client_feed_open(client, "x", "soon", &f, &err), WEIR_CLIENT_INPUT);
}

/* --- examples --- */

static const char *run(const char *name, const char *const *argv)
{
    weir_slice out = {NULL, 0};
    (void)setenv("WEIR_WRITE_NNG_URL", in.s.write_nng, 1);
    (void)setenv("WEIR_READ_NNG_URL", in.s.read_nng, 1);
    (void)setenv("WEIR_FEED_URL", in.s.bridge_feed, 1);
    (void)setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
    int rc = orc_capture(in.app.a, &out, argv);
    const char *said = weir_arena_dupz(in.app.a, out);
    if (rc != 0) {
        fail_msg("%s ended with %d:\n%s", name, rc, said);
    }
    return said;
}

static void the_c_example_runs(void **state)
{
    (void)state;
    fixture_need(&fx);
    const char *argv[] = {WEIR_BIN_DIR "/weir-example-client", NULL};
    const char *said = run("example-c", argv);
    assert_has(said, "of 1000 orders 1000 were placed");
    assert_has(said, "weir.command {\"id\"");
    assert_has(said, "order_lines");
}

static bool works(const char *const *argv)
{
    return orc_run(false, argv) == 0;
}

static void the_python_example_runs(void **state)
{
    (void)state;
    fixture_need(&fx);
    static const char *const look[] = {"/usr/bin/python3", "-c", "import msgpack", NULL};
    if (access(look[0], X_OK) != 0 || !works(look)) {
        print_message("skipped: python3-msgpack is not installed\n");
        skip();
    }
    const char *argv[] = {"/usr/bin/python3", WEIR_SOURCE_DIR "/examples/client/python/shop.py",
                          NULL};
    const char *said = run("example-python", argv);
    assert_has(said, "refused 422 /customer_id");
    assert_has(said, "once True");
    assert_has(said, "{\"example\": \"done\"}");
}

static void the_node_example_runs(void **state)
{
    (void)state;
    fixture_need(&fx);
    static const char *const look[] = {"/usr/bin/node", "--version", NULL};
    if (access(look[0], X_OK) != 0 || !works(look)) {
        print_message("skipped: nodejs is not installed\n");
        skip();
    }
    const char *argv[] = {"/usr/bin/node", WEIR_SOURCE_DIR "/examples/client/node/shop.mjs", NULL};
    const char *said = run("example-node", argv);
    assert_has(said, "placed 64 at once");
    assert_has(said, "refused 422 /customer_id");
    assert_has(said, "{\"example\": \"done\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_its_own_writes),
        cmocka_unit_test(the_feed_goes_on_where_it_was_acknowledged),
        cmocka_unit_test(the_c_example_runs),
        cmocka_unit_test(the_python_example_runs),
        cmocka_unit_test(the_node_example_runs),
    };
    return cmocka_run_group_tests_name("system_client", tests, open_group, close_group);
}
