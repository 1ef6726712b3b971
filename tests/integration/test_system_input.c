/* test_system_input.c - everything bad that comes from outside, and servers that are not there. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/codec/json.h"
#include "libweir/codec/message.h"
#include "libweir/io/sp_client.h"
#include "tests/support/check.h"
#include "tests/support/rawhttp.h"
#include "tests/support/sys.h"

enum { LIMIT_BYTES = 65536, PROMPT_MS = 2000, SLOW = 48, SLOW_MS = 25000, STOP_MS = 10000 };

static fixture fx;
static sys in;

static const char *const services[] = {"bridge", "projector", "write", "read"};

static int open_group(void **state)
{
    (void)state;
    if (fixture_open(&fx, FIXTURE_PG | FIXTURE_REDIS) != 0) {
        return -1;
    }
    if (fx.missing[0]) {
        return 0;
    }
    sys *s = &in;
    sys_new(s, WEIR_BIN_DIR, &fx,
            "[app]\nname = input\n[write]\nbody_max_bytes = 64k\nstatement_timeout_ms = "
            "1000\n[bridge]\nheartbeat_ms = 200\n");
    sys_put(s, "schema/0001_init.sql",
            "CREATE TYPE mood AS ENUM ('glad', 'sad');\n"
            "CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT "
            "NULL CHECK (length(text) < 100),\n"
            "                   n int NOT NULL, mood mood);\n"
            "CREATE TABLE pair (a text, b int, v text, PRIMARY KEY (a, b));\n"
            "INSERT INTO pair VALUES ('x', 1, 'one'), ('y', 2, NULL);\n"
            "INSERT INTO note (text, n) VALUES ('first', 1);\n");
    sys_put(s, "commands/add_note.sql",
            "CREATE OR REPLACE FUNCTION command.add_note(text text, n int DEFAULT 1, mood mood "
            "DEFAULT NULL, tags text[] DEFAULT '{}',\n"
            "  at timestamptz DEFAULT now()) RETURNS bigint LANGUAGE sql AS $$\n"
            "  INSERT INTO note (text, n, mood) VALUES (text, n, mood) RETURNING id $$;\n");
    sys_put(s, "commands/sleep.sql",
            "CREATE OR REPLACE FUNCTION command.sleep(s float8) RETURNS void LANGUAGE sql AS $$\n"
            "  SELECT pg_sleep(s) $$;\n");
    sys_put(s, "read-models/note_view.sql",
            "-- @key id\nSELECT n.id, n.text, n.n, n.mood FROM note n\n");
    sys_put(s, "read-models/pair_view.sql", "-- @key a, b\nSELECT p.a, p.b, p.v FROM pair p\n");
    sys_weir(s, "deploy", s->app.dir, "--no-wait", NULL);
    sys_said(s, "revision");
    sys_start_all(s);
    sys_await_model(s, "note_view", "ready", 20000);
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    sys_end(&in);
    fixture_close(&fx);
    return 0;
}

#define S(state)                                                                                   \
    (void)state;                                                                                   \
    fixture_need(&fx);                                                                             \
    sys *s = &in

static int64_t notes(sys *s)
{
    return sys_number(s, "SELECT count(*) FROM note");
}

/* --- bodies
 * -----------------------------------------------------------------------------------------------------------
 */

static const struct body_case {
    const char *body;
    int status;
    const char *says; /* in the answer; NULL: anything */
} bodies[] = {
    {"", 400, "empty"},
    {"{", 400, "line 1"},
    {"{\"text\": \"a\",}", 400, NULL},
    {"{\"text\": \"a\"} x", 400, NULL},
    {"{'text': 'a'}", 400, NULL},
    {"{\"text\": \"a\", \"text\": \"b\"}", 400, NULL},
    {"{\"text\": \"\\ud800\"}", 400, NULL},
    {"{\"text\": \"\xc3\x28\"}", 400, NULL},
    {"{\"text\": NaN}", 400, NULL},
    {"[]", 400, "object"},
    {"\"text\"", 400, "object"},
    {"null", 400, "object"},
    {"{}", 422, "text"},
    {"{\"n\": 1}", 422, "text"},
    {"{\"text\": \"a\", \"nn\": 1}", 422, "nn"},
    {"{\"text\": \"a\", \"Text\": \"b\"}", 422, "Text"},
    {"{\"text\": \"a\", \"n\": \"one\"}", 422, "n"},
    {"{\"text\": \"a\", \"n\": 1.5}", 422, NULL},
    {"{\"text\": \"a\", \"n\": 99999999999}", 422, NULL},
    {"{\"text\": \"a\", \"n\": [1]}", 422, NULL},
    {"{\"text\": \"a\", \"n\": null}", 422, NULL},
    {"{\"text\": \"a\", \"mood\": \"angry\"}", 422, "mood"},
    {"{\"text\": \"a\", \"tags\": \"x\"}", 422, NULL},
    {"{\"text\": \"a\", \"at\": \"soon\"}", 422, NULL},
    {"{\"text\": null}", 422, NULL},
    {"{\"text\": \"a\\u0000b\"}", -1, NULL}, /* 400 or 422: PostgreSQL has no such text */
};

static void test_bad_bodies(void **state)
{
    S(state);
    int64_t before = notes(s);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        const struct body_case *c = &bodies[i];
        int status = sys_command(s, "add_note", c->body);
        bool right = c->status > 0 ? status == c->status : status == 400 || status == 422;
        weir_slice type = weir_curl_header(&s->answer, "Content-Type");
        if (!right || (c->says && !strstr(s->body, c->says)) ||
            !weir_slice_eqz(type, "application/problem+json")) {
            fail_msg("%s: %d %s", c->body, status, s->body);
        }
    }
    char deep[4000];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    SYS_CHECK(s, sys_command(s, "add_note", deep) == 400);
    char *longer = weir_arena_alloc(s->app.a, LIMIT_BYTES);
    memset(longer, 'x', LIMIT_BYTES);
    SYS_CHECK(s,
              sys_command(s, "add_note",
                          weir_arena_printf(s->app.a, "{\"text\": \"%.*s\"}", 200, longer)) == 422);
    assert_has(s->body, "23514");
    SYS_CHECK(s, sys_command(s, "add_note",
                             weir_arena_printf(s->app.a, "{\"text\": \"%.*s\"}", LIMIT_BYTES,
                                               longer)) == 413);
    SYS_CHECK(s, sys_command(s, "sleep", "{\"s\": 30}") == 504);
    assert_int_equal(before, notes(s));
    SYS_CHECK(s, sys_command(s, "add_note", "{\"text\": \"good\", \"mood\": \"glad\"}") == 200);
    assert_int_equal(before + 1, notes(s));
}

static int with_type(sys *s, const char *type)
{
    const char *const headers[] = {weir_arena_printf(s->app.a, "Content-Type:%s", type), NULL};
    return sys_http(s, "POST",
                    weir_arena_printf(s->app.a, "%s/commands/add_note", s->app.write_url), headers,
                    "{\"text\": \"typed\"}");
}

static void test_bad_requests(void **state)
{
    S(state);
    int64_t before = notes(s);
    SYS_CHECK(s, sys_command(s, "add_not", "{}") == 404);
    assert_has(s->body, "add_note");
    SYS_CHECK(s, sys_command(s, "", "{}") == 404);
    SYS_CHECK(s, sys_command(s, "a/b", "{}") == 404);
    int code = sys_command(s, "%zz", "{}");
    SYS_CHECK(s, code == 404 || code == 400);
    SYS_CHECK(s, sys_command(s, "add_note%00", "{}") >= 400);
    static const char *const methods[] = {"GET", "PUT", "DELETE", "PATCH"};
    for (int i = 0; i < 4; i++) {
        const char *url = weir_arena_printf(s->app.a, "%s/commands/add_note", s->app.write_url);
        SYS_CHECK(s, sys_http(s, methods[i], url, NULL, NULL) == 405);
        assert_true(weir_curl_header(&s->answer, "Allow").n > 0);
        url = weir_arena_printf(s->app.a, "%s/queries/note_view/1", s->app.read_url);
        SYS_CHECK(s, i == 0 || sys_http(s, methods[i], url, NULL, NULL) == 405);
    }
    SYS_CHECK(s, with_type(s, "") == 415);
    SYS_CHECK(s, with_type(s, " text/plain") == 415);
    SYS_CHECK(s, with_type(s, " application/json; charset=latin1") == 415);
    SYS_CHECK(s, with_type(s, " application/x-www-form-urlencoded") == 415);
    assert_int_equal(before, notes(s));
    SYS_CHECK(s, with_type(s, " application/json; charset=UTF-8") == 200);
}

static void test_bad_queries(void **state)
{
    S(state);
    static const struct {
        const char *path;
        int status;
    } cases[] = {
        {"note_view/1", 200},
        {"pair_view/x/1", 200},
        {"pair_view/y/3", 404},
        {"no_view/1", 404},
        {"note_view/1?min_position=banana", 400},
        {"note_view/1?min_position=1/2/3", 400},
        {"note_view/1?min_position=", 400},
        {"note_view/1?min_position=0/0&wait_ms=soon", 400},
        {"note_view/1?min_position=0/0&wait_ms=-5", 400},
        {"note_view/1/2", 400},
        {"pair_view/x", 400},
        {"pair_view/x/1/2", 400},
        {"note_view/%zz", 400},
        {"note_view/one", 400},
        {"note_view/+01", 200},
        {"note_view/99999999999999999999", 400},
        {"pair_view/x/01", 200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = sys_query(s, cases[i].path);
        if (status != cases[i].status) {
            fail_msg("GET /queries/%s: %d, not %d: %s", cases[i].path, status, cases[i].status,
                     s->body);
        }
    }
    SYS_CHECK(s, sys_query(s, "note_vie/1") == 404);
    int64_t t0 = weir_mono_ms();
    SYS_CHECK(s, sys_query(s, "note_view/1?min_position=FFFF/0&wait_ms=200") >= 400);
    assert_true(weir_mono_ms() - t0 < (int64_t)PROMPT_MS * weir_test_timeout_x());
}

#define POST_HEAD                                                                                  \
    "POST /commands/add_note HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

static void test_bodies_over_the_limit(void **state)
{
    S(state);
    int64_t port = s->s.write_port;
    char chunk[1100];
    (void)snprintf(chunk, sizeof chunk, "400\r\n%01024d\r\n", 0);
    const char *chunked = POST_HEAD "Transfer-Encoding: chunked\r\n\r\n";
    int fd = rawhttp_dial(port);
    rawhttp_say(fd, chunked, strlen(chunked));
    for (int i = 0; i < 66; i++) {
        rawhttp_say(fd, chunk, strlen(chunk));
    }
    rawhttp_say(fd, "0\r\n\r\n", 5);
    assert_has(rawhttp_hear(s->app.a, fd, "\r\n\r\n"), " 413 ");
    (void)close(fd);
    /* One that never ends is cut off; it may not get to read why. */
    (void)rawhttp_ask(s->app.a, port, chunked, chunk, 30000);
    assert_has(rawhttp_ask(s->app.a, port, POST_HEAD "Content-Length: 70000\r\n\r\n", chunk, 70),
               " 413 ");
    assert_has(rawhttp_ask(s->app.a, port,
                           POST_HEAD "Content-Length: 99999999999999999999999\r\n\r\n", "", 0),
               "HTTP/1.1 4");
    /* Told before a byte of the body was sent, and never told to go on. */
    const char *answer = rawhttp_ask(
        s->app.a, port, POST_HEAD "Content-Length: 70000\r\nExpect: 100-continue\r\n\r\n", "", 0);
    assert_has(answer, " 413 ");
    assert_null(strstr(answer, "100 Continue"));
    fd = rawhttp_dial(port);
    static const char small[] =
        POST_HEAD "Content-Length: 16\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    rawhttp_say(fd, small, sizeof small - 1);
    assert_has(rawhttp_hear(s->app.a, fd, "\r\n\r\n"), "100 Continue");
    rawhttp_say(fd, "{\"text\": \"late\"}", 16);
    assert_has(rawhttp_hear(s->app.a, fd, NULL), " 200 ");
    (void)close(fd);
}

static void test_header_bombs(void **state)
{
    S(state);
    const int64_t ports[] = {s->s.write_port, s->s.read_port, s->s.bridge_port,
                             s->s.projector_port};
    char line[1100];
    (void)snprintf(line, sizeof line, "X-Bomb: %01000d\r\n", 0);
    for (int i = 0; i < 4; i++) {
        const char *answer =
            rawhttp_ask(s->app.a, ports[i], "GET /readyz HTTP/1.1\r\nHost: x\r\n", line, 200);
        assert_true(answer[0] == '\0' || strstr(answer, " 431 ") || strstr(answer, " 413 "));
        (void)rawhttp_ask(s->app.a, ports[i], "GET /readyz HTTP/1.1\r\nHost: x\r\n", "A: b\r\n",
                          20000);
        (void)rawhttp_ask(s->app.a, ports[i], "GET /", "x", 100000);
        (void)rawhttp_ask(s->app.a, ports[i], "\x16\x03\x01 no http at all\r\n\r\n", "", 0);
        (void)rawhttp_ask(s->app.a, ports[i], "GET /readyz HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                          "", 0);
        (void)rawhttp_ask(s->app.a, ports[i],
                          "POST /readyz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                          "chunked\r\n\r\nfffffffffffffffff\r\n",
                          "", 0);
        SYS_CHECK(s, sys_readyz(s, services[i]) == 200);
    }
}

/* --- slow clients
 * -------------------------------------------------------------------------------------------------------------
 */

struct slow {
    int fd[2 * SLOW];
    int open;
};

static bool all_closed(void *arg)
{
    struct slow *w = arg;
    for (int i = 0; i < 2 * SLOW; i++) {
        char c;
        if (w->fd[i] >= 0) {
            ssize_t n = recv(w->fd[i], &c, 1, MSG_DONTWAIT);
            /* A byte now and then, so that it looks alive. */
            bool over = n == 0 || (n < 0 && errno != EAGAIN);
            if (!over && weir_mono_ms() % 100 < 10) {
                over = send(w->fd[i], " ", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN;
            }
            if (over) {
                (void)close(w->fd[i]);
                w->fd[i] = -1;
                w->open--;
            }
        }
    }
    return w->open == 0;
}

static void test_slow_clients(void **state)
{
    S(state);
    static const char post[] = POST_HEAD "Content-Length: 60000\r\n\r\n{\"text\":";
    static const char get[] = "GET /queries/note_view/1 HTTP/1.1\r\nHost: x\r\nX-Slow: ";
    struct slow w = {.open = 2 * SLOW};
    for (int i = 0; i < 2 * SLOW; i++) {
        bool writes = i < SLOW;
        w.fd[i] = rawhttp_dial(writes ? s->s.write_port : s->s.read_port);
        rawhttp_say(w.fd[i], writes ? post : get, writes ? sizeof post - 1 : sizeof get - 1);
    }
    for (int i = 0; i < 50; i++) {
        int64_t t0 = weir_mono_ms();
        SYS_CHECK(s, sys_command(s, "add_note", "{\"text\": \"meanwhile\"}") == 200);
        SYS_CHECK(s, sys_query(s, "note_view/1") == 200);
        assert_true(weir_mono_ms() - t0 < (int64_t)PROMPT_MS * weir_test_timeout_x());
    }
    sys_await(s, all_closed, &w, SLOW_MS, "slow clients to be sent away");
}

/* --- apps that must be refused
 * ----------------------------------------------------------------------------------------------------
 */

static const char snapshot_sql[] =
    "SELECT md5(string_agg(x, ',' ORDER BY x)) FROM ("
    " SELECT 'c' || c.oid || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
    "  WHERE nspname IN ('public', 'weir', 'command')"
    " UNION ALL SELECT 'p' || oid || proname || md5(prosrc) FROM pg_proc WHERE "
    "pronamespace::regnamespace::text IN"
    "  ('public', 'weir', 'command')"
    " UNION ALL SELECT 's' || s::text FROM weir.setting s UNION ALL SELECT 'm' || s::text FROM "
    "weir.schema_migration s"
    " UNION ALL SELECT 'r' || s::text FROM weir.read_model s UNION ALL SELECT 'k' || s::text FROM "
    "weir.command_catalog s"
    " UNION ALL SELECT 'u' || tablename FROM pg_publication_tables UNION ALL SELECT 'n' || nspname "
    "FROM pg_namespace"
    "  WHERE nspname !~ '^pg_') t(x)";

static const struct refused {
    const char *path, *text;
    const char *says[4];
    bool check_too;
} refusals[] = {
    {"read-models/bad.sql",
     "-- @key id\nSELECT n.id,\n       row_number() OVER (ORDER BY n.id) AS r FROM note n\n",
     {"bad.sql:3:", "^", "over"},
     true},
    {"read-models/bad.sql",
     "-- @key id\nSELECT DISTINCT n.id FROM note n\n",
     {"bad.sql:2:", "^"},
     true},
    {"read-models/bad.sql",
     "-- @key id\nWITH RECURSIVE t AS (SELECT 1 AS id) SELECT t.id FROM t\n",
     {"bad.sql:2:", "^"},
     true},
    {"read-models/bad.sql",
     "-- @key id\nSELECT n.id, random() AS r FROM note n\n",
     {"bad.sql:2:", "random", "^"},
     true},
    {"read-models/bad.sql",
     "-- @key id\nSELECT n.id, n.txet FROM note n\n",
     {"bad.sql:2:", "txet", "^"},
     true},
    {"read-models/bad.sql",
     "-- @key id\nSELECT n.id FROM nota n\n",
     {"bad.sql:2:", "nota", "^"},
     true},
    {"read-models/bad.sql", "-- @key nid\nSELECT n.id FROM note n\n", {"bad.sql:1:", "nid"}, true},
    {"read-models/bad.sql", "-- @kye id\nSELECT n.id FROM note n\n", {"bad.sql:1:", "@key"}, true},
    {"read-models/bad.sql", "-- @key id\nSELECT n.id FROM note n WHERE\n", {"bad.sql:", "^"}, true},
    {"read-models/bad.sql",
     "-- @key id\nSELECT n.id FROM note n; DROP TABLE note\n",
     {"bad.sql:2:"},
     true},
    {"read-models/bad.sql", "-- @key id\nDELETE FROM note RETURNING id\n", {"bad.sql:2:"}, true},
    {"read-models/bad.sql", "", {"bad.sql"}, true},
    {"read-models/bad.sql", "-- @key a\nSELECT p.a, p.v FROM pair p\n", {"bad.sql:", "key"}, true},
    {"schema/0002_more.sql",
     "CREATE TABLE half (id int PRIMARY KEY);\nINSERT INTO half VALUES (1);\nCREATE TABLE half2 "
     "(id int PRIMARY KYE);\n",
     {"0002_more.sql:3:", "KYE"},
     true},
    {"schema/0002_more.sql",
     "CREATE TABLE half (id int PRIMARY KEY);\nCOMMIT;\n",
     {"0002_more.sql:2:", "COMMIT"},
     true},
    {"schema/0002_more.sql",
     "CREATE INDEX CONCURRENTLY ON note (n);\n",
     {"0002_more.sql", "outside"},
     true},
    {"commands/bad.sql",
     "CREATE FUNCTION command.bad() RETURNS int LANGUAGE sql AS $$ SELECT 1 FROM nowhere $$;\n",
     {"bad.sql", "nowhere"},
     true},
    {"commands/bad.sql",
     "CREATE FUNCTION command.bad() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETRUN 1; END $$;\n",
     {"bad.sql", "RETRUN"},
     true},
};

static void must_refuse(sys *s, const char *verb, const struct refused *c)
{
    int rc = sys_weir(s, verb, s->app.dir, NULL);
    if (rc != 1) {
        fail_msg("weir %s ended with %d for %s:\n%s\n%s", verb, rc, c->path, c->text, s->said);
    }
    for (int i = 0; i < 4 && c->says[i]; i++) {
        if (!strcasestr(s->said, c->says[i])) {
            fail_msg("weir %s does not say \"%s\" of\n%s\nbut:\n%s", verb, c->says[i], c->text,
                     s->said);
        }
    }
}

static void test_refused_apps(void **state)
{
    S(state);
    const char *before = sys_value(s, snapshot_sql);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct refused *c = &refusals[i];
        sys_put(s, c->path, c->text);
        must_refuse(s, "check", c);
        must_refuse(s, "deploy", c);
        sys_remove(s, c->path);
        if (strcmp(before, sys_value(s, snapshot_sql)) != 0) {
            fail_msg("the database is not as it was after the refusal of %s:\n%s", c->path,
                     c->text);
        }
    }
    /* The last step fails; those before it, which were right, leave nothing behind. */
    sys_put(s, "schema/0002_more.sql", "CREATE TABLE half (id int PRIMARY KEY);\n");
    sys_put(s, "commands/half.sql",
            "CREATE FUNCTION command.half() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;\n");
    sys_put(s, "read-models/half_view.sql", "-- @key id\nSELECT h.id FROM half h\n");
    static const struct refused last = {"read-models/z.sql",
                                        "-- @key id\nSELECT h.id, h.nothing FROM half h\n",
                                        {"z.sql:2:"},
                                        true};
    sys_put(s, last.path, last.text);
    must_refuse(s, "check", &last);
    must_refuse(s, "deploy", &last);
    assert_string_equal(before, sys_value(s, snapshot_sql));
    sys_remove(s, "schema/0002_more.sql");
    sys_remove(s, "commands/half.sql");
    sys_remove(s, "read-models/half_view.sql");
    sys_remove(s, last.path);
    sys_sql(s, "CREATE TABLE bare (id int NOT NULL, v text)");
    before = sys_value(s, snapshot_sql);
    static const struct refused bare = {"read-models/bare_view.sql",
                                        "-- @key id\nSELECT b.id, b.v FROM bare b\n",
                                        {"bare_view.sql:2:", "bare", "primary key"},
                                        true};
    sys_put(s, bare.path, bare.text);
    must_refuse(s, "check", &bare);
    must_refuse(s, "deploy", &bare);
    assert_string_equal(before, sys_value(s, snapshot_sql));
    sys_remove(s, bare.path);
    sys_sql(s, "DROP TABLE bare");
}

static void test_changed_migration(void **state)
{
    S(state);
    weir_error err = {0};
    weir_slice was = {0};
    const char *path = weir_arena_printf(s->app.a, "%s/schema/0001_init.sql", s->app.dir);
    assert_rc(WEIR_OK, weir_file_read(path, 1 << 20, s->app.a, &was, &err), &err);
    const char *before = sys_value(s, snapshot_sql);
    sys_put(s, "schema/0001_init.sql", weir_arena_printf(s->app.a, "%s-- a word more\n", was.p));
    static const struct refused changed = {
        "schema/0001_init.sql", "", {"0001_init.sql", "changed"}, true};
    must_refuse(s, "check", &changed);
    must_refuse(s, "deploy", &changed);
    sys_remove(s, "schema/0001_init.sql");
    static const struct refused gone = {"schema/0001_init.sql", "", {"0001_init", "gone"}, true};
    must_refuse(s, "deploy", &gone);
    assert_string_equal(before, sys_value(s, snapshot_sql));
    sys_put(s, "schema/0001_init.sql", was.p);
    sys_deploy(s, 0);
}

/* --- messages and bytes from strangers
 * ------------------------------------------------------------------------------------------------
 */

static void test_hostile_messages(void **state)
{
    S(state);
    int pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = sys_pid(s, services[i]);
    }
    sys_sql(s,
            "SELECT pg_logical_emit_message(t, p, m) FROM (VALUES (true), (false)) a(t),"
            " (VALUES ('weir.deploy'), ('weir.command'), ('weir.heartbeat'), ('weir.'), ('')) b(p),"
            " (VALUES (''::bytea), ('\\xff00fe'), ('{\"revision\": 99999999999999999999}'), "
            "('{\"revision\": -1}'), ('[[[[{'),"
            "  (convert_to(repeat('[', 100000), 'UTF8')), (convert_to('{\"id\": {\"id\": \"' || "
            "repeat('x', 3000000) || '\"}}', 'UTF8')),"
            "  (convert_to('{\"id\":\"a\\nb\",\"name\":\"\\u0000\",\"correlation_id\":7}', "
            "'UTF8'))) c(m)");
    sys_sql(s, "BEGIN; SELECT pg_logical_emit_message(true, 'weir.command', 'no json'); INSERT "
               "INTO note (text, n) VALUES ('forged', 1);"
               " SAVEPOINT x; SELECT pg_logical_emit_message(true, 'weir.deploy', ''); ROLLBACK TO "
               "x; COMMIT");
    sys_same(s, 3);
    SYS_CHECK(s, sys_command(s, "add_note", "{\"text\": \"after\"}") == 200);
    sys_same(s, 3);
    for (int i = 0; i < 4; i++) {
        assert_true(fixture_running(sys_proc(s, services[i])));
        assert_int_equal(pids[i], sys_pid(s, services[i]));
    }
}

/* An NNG request that is not ours gets an error and no more. */
static void nng_says_input(sys *s, weir_slice request)
{
    weir_error err = {0};
    weir_buf b;
    weir_feed_reply r;
    weir_buf_init(&b, 1 << 20);
    assert_rc(WEIR_OK, weir_sp_call(s->app.feed_url, request, 5000, &b, &err), &err);
    assert_rc(WEIR_OK, weir_feed_reply_decode(weir_buf_slice(&b), s->app.a, &r, &err), &err);
    assert_false(r.ok);
    if (!weir_slice_eqz(r.code, "input")) {
        fail_msg("the feed answers %.*s: %.*s", WEIR_SLICE_ARG(r.code), WEIR_SLICE_ARG(r.error));
    }
    weir_buf_fini(&b);
}

static void test_garbage_on_the_feed(void **state)
{
    S(state);
    int pid = sys_pid(s, "bridge");
    int64_t port = strtoll(strrchr(s->app.feed_url, ':') + 1, NULL, 10);
    char noise[8192];
    uint64_t seed = weir_test_seed();
    for (int round = 0; round < 30; round++) {
        int fd = rawhttp_dial(port);
        if (round % 2) { /* a good NNG handshake (REQ), then a length nobody should believe */
            rawhttp_say(fd, "\0SP\0\0\x30\0\0", 8);
            rawhttp_say(
                fd, round % 4 == 1 ? "\x7f\xff\xff\xff\xff\xff\xff\xff" : "\0\0\0\0\0\0\x20\0", 8);
        }
        for (size_t i = 0; i < sizeof noise; i++) {
            noise[i] = (char)weir_test_random(&seed);
        }
        rawhttp_say(fd, noise, sizeof noise);
        (void)close(fd);
    }
    nng_says_input(s, weir_slice_of(noise, 500));
    nng_says_input(s, weir_slice_of("", 0));
    nng_says_input(s, WEIR_SLICE_LIT("\x81\xa2op\xa6reboot"));
    nng_says_input(s, WEIR_SLICE_LIT("\x81\xa2op\xa5"
                                     "fetch\xdd\xff\xff\xff\xff"));
    nng_says_input(s, WEIR_SLICE_LIT("\xdf\xff\xff\xff\xff"));
    assert_true(fixture_running(sys_proc(s, "bridge")));
    assert_int_equal(pid, sys_pid(s, "bridge"));
    SYS_CHECK(s, sys_command(s, "add_note", "{\"text\": \"still here\"}") == 200);
    sys_same(s, 3);
}

/* --- stopping, and starting without servers
 * -------------------------------------------------------------------------------------- */

struct writers {
    sys *s;
    atomic_bool stop;
    atomic_int acknowledged, unknown;
};

static void write_notes(void *arg)
{
    struct writers *w = arg;
    weir_arena *a = weir_arena_new(0);
    const char *const headers[] = {"Content-Type: application/json", NULL};
    while (!atomic_load(&w->stop)) {
        weir_error err = {0};
        weir_curl_response r = {0};
        weir_arena_reset(a);
        const char *url = weir_arena_printf(a, "%s/commands/add_note", w->s->app.write_url);
        weir_rc rc = weir_curl("POST", url, headers, WEIR_SLICE_LIT("{\"text\": \"counted\"}"),
                               15000, a, &r, &err);
        if (rc == WEIR_OK && r.status == 200) {
            atomic_fetch_add(&w->acknowledged, 1);
        } else if (rc != WEIR_E_CONN && r.status != 503) {
            atomic_fetch_add(&w->unknown, 1);
        } else {
            (void)poll(NULL, 0, 2);
        }
    }
    weir_arena_free(a);
}

static const char counted_sql[] = "SELECT count(*) FROM note WHERE text = 'counted'";

struct counted {
    struct writers *w;
    int more_than;
};

static bool has_written(void *arg)
{
    struct counted *c = arg;
    return atomic_load(&c->w->acknowledged) > c->more_than;
}

static void await_written(sys *s, struct writers *w, int more)
{
    struct counted c = {w, atomic_load(&w->acknowledged) + more};
    sys_await(s, has_written, &c, 20000, "commands to be acknowledged");
}

/* SIGTERM under load: exit 0 in time, and what was acknowledged is there. */
static void test_stop_and_start(void **state)
{
    S(state);
    struct writers w = {.s = s};
    weir_thread *t[4] = {0};
    weir_error err = {0};
    for (int i = 0; i < 4; i++) {
        assert_rc(WEIR_OK, weir_thread_start(&t[i], "writer", write_notes, &w, &err), &err);
    }
    for (int i = 0; i < 4; i++) {
        await_written(s, &w, 50);
        int64_t t0 = weir_mono_ms();
        int code = fixture_stop(sys_proc(s, services[i]), STOP_MS);
        print_message("system.input: weir-%s ended %lld ms after SIGTERM\n", services[i],
                      (long long)(weir_mono_ms() - t0));
        if (code != 0) {
            atomic_store(&w.stop, true);
            sys_logs(s, 12);
        }
        assert_int_equal(0, code);
        sys_start(s, services[i], true);
    }
    await_written(s, &w, 50);
    atomic_store(&w.stop, true);
    for (int i = 0; i < 4; i++) {
        weir_thread_join(t[i]);
    }
    assert_int_equal(0, atomic_load(&w.unknown));
    assert_int_equal(atomic_load(&w.acknowledged), sys_number(s, counted_sql));
    sys_same(s, 100);
}

struct endpoint {
    sys *s;
    const char *service;
};

static bool becomes_ready(void *arg)
{
    struct endpoint *e = arg;
    return sys_readyz(e->s, e->service) == 200;
}

static bool answers(void *arg)
{
    struct endpoint *e = arg;
    return sys_readyz(e->s, e->service) != 0;
}

struct waiting {
    sys *s;
    const char *service, *text;
};

static bool says_what_it_waits_for(void *arg)
{
    struct waiting *w = arg;
    return sys_readyz(w->s, w->service) == 503 && strcasestr(w->s->body, w->text) != NULL;
}

static void must_wait_for(sys *s, const char *service, const char *text)
{
    struct waiting w = {s, service, text};
    sys_await(s, says_what_it_waits_for, &w, 5000,
              weir_arena_printf(s->app.a, "/readyz of %s to name %s", service, text));
    const char *url = weir_arena_printf(s->app.a, "%s/healthz", sys_url(s, service));
    SYS_CHECK(s, sys_http(s, "GET", url, NULL, NULL) == 200);
}

static void test_servers_absent_at_start(void **state)
{
    S(state);
    int64_t before = sys_number(s, "SELECT count(*) FROM note");
    for (int i = 3; i >= 0; i--) {
        assert_int_equal(0, fixture_stop(sys_proc(s, services[i]), STOP_MS));
    }
    sys_sql(s, "INSERT INTO note (text, n) VALUES ('while all were down', 1)");
    assert_int_equal(0, fixture_stop(fx.redis, STOP_MS));
    pgserver_stop(&fx.pg, false);
    for (int i = 0; i < 4; i++) {
        sys_start(s, services[i], false);
    }
    for (int i = 0; i < 4; i++) {
        struct endpoint e = {s, services[i]};
        sys_await(s, answers, &e, 10000, services[i]);
    }
    must_wait_for(s, "bridge", "connection to server");
    must_wait_for(s, "write", "connection to server");
    must_wait_for(s, "read", "redis");
    must_wait_for(s, "projector", "redis");
    int64_t t0 = weir_mono_ms();
    SYS_CHECK(s, sys_command(s, "add_note", "{\"text\": \"refused\"}") == 503);
    assert_true(weir_curl_header(&s->answer, "Retry-After").n > 0);
    SYS_CHECK(s, sys_query(s, "note_view/1") == 503);
    assert_true(weir_mono_ms() - t0 < (int64_t)PROMPT_MS * weir_test_timeout_x());
    /* PostgreSQL alone is enough for commands. */
    assert_true(pgserver_restart(&fx.pg));
    struct endpoint w = {s, "write"};
    sys_await(s, becomes_ready, &w, 15000, "the write-service to be ready");
    SYS_CHECK(s, sys_command(s, "add_note", "{\"text\": \"before Redis came\"}") == 200);
    w.service = "bridge";
    sys_await(s, becomes_ready, &w, 15000, "the bridge to be ready");
    SYS_CHECK(s, sys_readyz(s, "projector") == 503);
    assert_true(fixture_restart(fx.redis));
    for (int i = 0; i < 4; i++) {
        w.service = services[i];
        sys_await(s, becomes_ready, &w, 15000, services[i]);
    }
    assert_int_equal(before + 2, notes(s));
    sys_same(s, (uint64_t)before + 2);
    sys_verify(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_bodies),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_bad_queries),
        cmocka_unit_test(test_bodies_over_the_limit),
        cmocka_unit_test(test_header_bombs),
        cmocka_unit_test(test_refused_apps),
        cmocka_unit_test(test_changed_migration),
        cmocka_unit_test(test_hostile_messages),
        cmocka_unit_test(test_garbage_on_the_feed),
        cmocka_unit_test(test_stop_and_start),
        cmocka_unit_test(test_servers_absent_at_start),
        cmocka_unit_test(test_slow_clients),
    };
    sys_filter();
    return cmocka_run_group_tests_name("system.input", tests, open_group, close_group);
}
