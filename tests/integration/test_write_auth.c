/* test_write_auth.c - callers of the write-service: who is let in, what a command runs as, what one
 * caller sees of another, TLS. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libweir/auth/keyfile.h"
#include "libweir/base/base64url.h"
#include "libweir/base/crypt.h"
#include "libweir/base/str.h"
#include "libweir/io/curl.h"
#include "tests/support/rawhttp.h"
#include "tests/support/writetest.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define JSON   "Content-Type: application/json"

enum { APP, ADMIN, SLOW, GONE, NKEYS };
static weir_apikey key[NKEYS] = {{.name = "app", .role = "shop_app"},
                                 {.name = "boss", .role = "shop_admin"},
                                 {.name = "slow", .role = "shop_app", .rate_per_s = 3},
                                 {.name = "gone", .role = "shop_app"}};
static char header[NKEYS][32 + WEIR_KEY_CHARS];
static char key_path[160], jwks_path[160];
static wt_service guarded;

static void write_keys(size_t n)
{
    weir_buf b;
    weir_error err = {0};
    weir_apikeys all = {n, key};
    weir_buf_init(&b, 1 << 20);
    weir_apikeys_put(&b, &all);
    assert_rc(WEIR_OK, weir_file_write(key_path, weir_buf_slice(&b), 0600, &err), &err);
    weir_buf_fini(&b);
}

static wt_answer ask_as(const char *who, const char *method, const char *path, const char *more,
                        const char *body)
{
    const char *const headers[] = {JSON, who ? who : "X-Nobody: 1", more ? more : "X-Nothing: 1",
                                   NULL};
    return wt_ask(&guarded, method, path, headers, body);
}

static wt_answer call_as(const char *who, const char *name, const char *body)
{
    char path[100];
    (void)snprintf(path, sizeof path, "/commands/%s", name);
    return ask_as(who, "POST", path, NULL, body);
}

static const char *b64(const char *bytes, size_t n)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 16);
    weir_base64url_put(&b, weir_slice_of(bytes, n));
    const char *out = weir_arena_dupz(wt_fx.a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return out;
}

static const char *token(const char *alg, const char *claims)
{
    unsigned char mac[32];
    const char *head = weir_arena_printf(wt_fx.a, "{\"alg\":\"%s\",\"kid\":\"k1\"}", alg);
    const char *text =
        weir_arena_printf(wt_fx.a, "%s.%s", b64(head, strlen(head)), b64(claims, strlen(claims)));
    assert_true(weir_hmac_sha256(WEIR_SLICE_LIT(SECRET), weir_slice_z(text), mac));
    return weir_arena_printf(wt_fx.a, "Authorization: Bearer %s.%s", text,
                             b64((const char *)mac, 32));
}

static void who_is_let_in(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_answer a = call_as(NULL, "whoami", "{}");
    wt_assert_status(401, &a);
    assert_has(a.body, "Authorization: Bearer");
    a = call_as("Authorization: Bearer weir_abcdefghijkmnpqr_"
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                "whoami", "{}");
    wt_assert_status(401, &a);
    a = call_as("Authorization: Basic YTpi", "whoami", "{}");
    wt_assert_status(401, &a);
    a = call_as(header[APP], "whoami", "{}");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"sub\": \"app\"");
    assert_has(a.body, "\"user\": \"shop_app\"");
    a = call_as(header[APP], "admin_only", "{}");
    wt_assert_status(403, &a);
    assert_has(a.body, "42501");
    a = call_as(header[ADMIN], "admin_only", "{}");
    wt_assert_status(200, &a);
    assert_has(a.body, "shop_admin");
    /* EXECUTE taken away holds from the next call on. */
    fixture_sql(&wt_fx, "REVOKE EXECUTE ON FUNCTION command.admin_only FROM shop_admin");
    a = call_as(header[ADMIN], "admin_only", "{}");
    wt_assert_status(403, &a);
    fixture_sql(&wt_fx, "GRANT EXECUTE ON FUNCTION command.admin_only TO shop_admin");
}

static void tokens(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const char claims[] =
        "{\"iss\":\"me\",\"aud\":\"shop\",\"sub\":\"ann\",\"exp\":4000000000,"
        "\"role\":\"customer\",\"team\":\"red\"}";
    wt_answer a = call_as(token("HS256", claims), "whoami", "{}");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"sub\": \"ann\"");
    assert_has(a.body, "\"team\": \"red\"");
    assert_has(a.body, "\"user\": \"shop_app\"");
    a = call_as(token("none", claims), "whoami", "{}");
    wt_assert_status(401, &a);
    a = call_as(token("RS256", claims), "whoami", "{}");
    wt_assert_status(401, &a);
    a = call_as(
        token("HS256",
              "{\"iss\":\"me\",\"aud\":\"shop\",\"sub\":\"ann\",\"exp\":1,\"role\":\"customer\"}"),
        "whoami", "{}");
    wt_assert_status(401, &a);
    assert_has(a.body, "expired");
    a = call_as(token("HS256", "{\"iss\":\"me\",\"aud\":\"shop\",\"sub\":\"ann\",\"exp\":"
                               "4000000000,\"role\":\"postgres\"}"),
                "whoami", "{}");
    wt_assert_status(403, &a);
    assert_null(strstr(a.body, "postgres"));
}

/* Nothing a command does makes it somebody else. */
static void no_escape(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const char *const ways[] = {"RESET ROLE",
                                       "SET ROLE NONE",
                                       "SET LOCAL ROLE shop_admin",
                                       "SET SESSION AUTHORIZATION DEFAULT",
                                       "SELECT set_config('role', 'none', false)",
                                       "RESET SESSION AUTHORIZATION",
                                       "DELETE FROM ledger",
                                       "SELECT * FROM weir.setting",
                                       "SELECT weir_as_shop_admin.admin_only('', '{}', '{}')",
                                       "DO 'BEGIN RESET ROLE; END'"};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char body[200];
        (void)snprintf(body, sizeof body, "{\"how\": \"%s\"}", ways[i]);
        wt_answer a = call_as(header[APP], "escape", body);
        wt_assert_status(403, &a);
    }
    wt_answer a = call_as(header[APP], "escape", "{\"how\": \"SET LOCAL work_mem = '1MB'\"}");
    wt_assert_status(200, &a);
    assert_has(a.body, "shop_app");
}

typedef struct caller {
    int who;
    const char *name;
    wt_answer got;
    weir_thread *thread;
} caller;

static void caller_main(void *arg)
{
    caller *c = arg;
    c->got = call_as(header[c->who], c->name, "{}");
}

static bool all_wait(void *n)
{
    wt_answer a = ask_as(header[ADMIN], "GET", "/status", NULL, NULL);
    const char *queue = strstr(a.body, "\"queue\":");
    return queue && wt_number(queue + 8) >= *(const int *)n;
}

/* Calls of two roles that wait for one lane and leave as one heap. */
static void one_role_is_not_the_other(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    enum { CALLERS = 16 };
    caller c[CALLERS];
    weir_error err = {0};
    int one = 1, most = CALLERS;
    for (int round = 0; round < 2; round++) {
        caller hold = {.who = ADMIN, .name = "hold"};
        assert_rc(WEIR_OK, weir_thread_start(&hold.thread, "hold", caller_main, &hold, &err), &err);
        fixture_wait(&wt_fx, wt_naps, &one, 5000, "the lane to sleep");
        for (int i = 0; i < CALLERS; i++) {
            c[i] = (caller){.who = i % 2 ? APP : ADMIN, .name = round ? "use_secret" : "whoami"};
            assert_rc(WEIR_OK, weir_thread_start(&c[i].thread, "caller", caller_main, &c[i], &err),
                      &err);
        }
        fixture_wait(&wt_fx, all_wait, &most, 5000, "the calls to wait");
        weir_thread_join(hold.thread);
        for (int i = 0; i < CALLERS; i++) {
            weir_thread_join(c[i].thread);
            if (round == 0) {
                wt_assert_status(200, &c[i].got);
                assert_has(c[i].got.body,
                           i % 2 ? "\"user\": \"shop_app\"" : "\"user\": \"shop_admin\"");
                assert_has(c[i].got.body, i % 2 ? "\"sub\": \"app\"" : "\"sub\": \"boss\"");
            } else {
                wt_assert_status(i % 2 ? 403 : 200, &c[i].got);
            }
        }
    }
}

static void callers_do_not_meet(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const char id[] = "Idempotency-Key: the-same";
    wt_answer a = ask_as(header[APP], "POST", "/commands/note", id, "{\"id\":\"mine\"}");
    wt_assert_status(200, &a);
    a = ask_as(header[ADMIN], "POST", "/commands/note", id, "{\"id\":\"yours\"}");
    wt_assert_status(200, &a); /* not 422: another caller's key is another key */
    a = ask_as(header[APP], "POST", "/commands/note", id, "{\"id\":\"mine\"}");
    wt_assert_status(200, &a);
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT string_agg(id, ',' ORDER BY id) FROM journal"),
        "mine,yours");
    /* With options too the command runs as its caller. */
    a = ask_as(header[APP], "POST", "/commands/admin_only", "Idempotency-Key: k2", "{}");
    wt_assert_status(403, &a);
    a = ask_as(header[APP], "POST", "/commands/whoami", "If-Match: \"1\"", "{}");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"user\": \"shop_app\"");
    a = ask_as(header[APP], "POST", "/commands", NULL,
               "[{\"name\":\"whoami\"},{\"name\":\"admin_only\"}]");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"user\": \"shop_app\"");
    assert_has(a.body, "\"status\":403");
    a = ask_as(header[APP], "POST", "/commands?atomic=true", NULL,
               "[{\"name\":\"whoami\"},{\"name\":\"whoami\"}]");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"sub\": \"app\"");
    a = ask_as(header[APP], "POST", "/commands?atomic=true", NULL,
               "[{\"name\":\"whoami\"},{\"name\":\"admin_only\"}]");
    wt_assert_status(403, &a);
}

static void stored_commands(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    char path[100] = "/commands/", *id;
    wt_answer a = ask_as(header[APP], "POST", "/commands/whoami", "Prefer: respond-async", "{}");
    wt_assert_status(202, &a);
    id = strstr(a.body, "\"command_id\":\"");
    assert_non_null(id);
    (void)snprintf(path + 10, 33, "%s", id + 14);
    wt_answer other = ask_as(header[ADMIN], "GET", path, NULL, NULL);
    wt_assert_status(404, &other);
    (void)snprintf(path + 42, sizeof path - 42, "?wait_ms=5000");
    a = ask_as(header[APP], "GET", path, NULL, NULL);
    wt_assert_status(200, &a);
    assert_has(a.body, "\"state\": \"completed\"");
    assert_has(a.body, "\"user\": \"shop_app\"");
    assert_has(a.body, "\"sub\": \"app\"");
}

static void rates(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    int refused = 0;
    for (int i = 0; i < 8 && !refused; i++) {
        wt_answer a = call_as(header[SLOW], "whoami", "{}");
        refused += a.status == 429;
    }
    assert_int_equal(refused, 1);
    const char *const headers[] = {JSON, header[SLOW], NULL};
    weir_curl_response r = {0};
    weir_error err = {0};
    char url[120];
    (void)snprintf(url, sizeof url, "%s/commands", guarded.url);
    assert_rc(WEIR_OK,
              weir_curl("POST", url, headers,
                        WEIR_SLICE_LIT(
                            "[{\"name\":\"whoami\"},{\"name\":\"whoami\"},{\"name\":\"whoami\"}]"),
                        5000, wt_fx.a, &r, &err),
              &err);
    assert_int_equal(r.status, 429);
    assert_slice("3", weir_curl_header(&r, "RateLimit-Limit"));
    assert_true(weir_curl_header(&r, "Retry-After").n > 0);
    assert_true(weir_curl_header(&r, "RateLimit-Remaining").n > 0);
    assert_true(weir_curl_header(&r, "RateLimit-Reset").n > 0);
    wt_answer a = call_as(header[APP], "whoami", "{}");
    wt_assert_status(200, &a);
}

static void what_is_open(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const char *const closed[] = {"/metrics",
                                         "/status",
                                         "/openapi.json",
                                         "/commands",
                                         "/commands/0123456789abcdef0123456789abcdef",
                                         "/nothing"};
    wt_answer a = wt_get(&guarded, "/healthz");
    wt_assert_status(200, &a);
    a = wt_get(&guarded, "/readyz");
    wt_assert_status(200, &a);
    assert_null(strstr(a.body, "waits"));
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        a = wt_get(&guarded, closed[i]);
        wt_assert_status(401, &a);
    }
    a = ask_as(header[APP], "GET", "/metrics", NULL, NULL);
    wt_assert_status(200, &a);
    a = ask_as(header[APP], "GET", "/readyz", NULL, NULL);
    assert_has(a.body, "waits");
    const char *const headers[] = {header[APP], NULL};
    weir_curl_response r = {0};
    weir_error err = {0};
    char url[120];
    (void)snprintf(url, sizeof url, "%s/openapi.json", guarded.url);
    assert_rc(WEIR_OK,
              weir_curl("GET", url, headers, (weir_slice){NULL, 0}, 5000, wt_fx.a, &r, &err), &err);
    assert_has(r.body.p, "\"securitySchemes\":{\"Bearer\"");
}

static bool refused_now(void *who)
{
    wt_answer a = call_as(who, "whoami", "{}");
    return a.status == 401;
}

static void revoked(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_answer a = call_as(header[GONE], "whoami", "{}");
    wt_assert_status(200, &a);
    write_keys(GONE);
    fixture_wait(&wt_fx, refused_now, header[GONE], 3000, "the key to be refused");
    a = call_as(header[APP], "whoami", "{}");
    wt_assert_status(200, &a);
}

static bool ended(void *proc)
{
    return !fixture_running(proc);
}

static void open_doors_are_refused(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    char path[200], text[600], program[300];
    weir_error err = {0};
    weir_slice log;
    (void)snprintf(path, sizeof path, "%s/open.ini", wt_fx.dir);
    (void)snprintf(text, sizeof text, "[postgres]\nuri=%s\n[write]\nlisten=0.0.0.0\nport=0\n",
                   wt_fx.pg.uri);
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z(text), 0600, &err), &err);
    (void)snprintf(program, sizeof program, "%s/weir-write", WEIR_BIN_DIR);
    const char *argv[] = {program, "--config", path, NULL};
    fixture_proc *p = fixture_spawn(&wt_fx, "open", argv, NULL);
    assert_non_null(p);
    fixture_wait(&wt_fx, ended, p, 5000, "weir-write to refuse");
    assert_rc(WEIR_OK, weir_file_read(p->log, 1 << 20, wt_fx.a, &log, &err), &err);
    assert_has(log.p, "weir keys add");
}

static void nothing_secret_is_told(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_error err = {0};
    weir_slice log;
    assert_rc(WEIR_OK, weir_file_read(guarded.proc->log, 16 << 20, wt_fx.a, &log, &err), &err);
    for (int i = 0; i < NKEYS; i++) {
        const char *secret = header[i] + strlen(header[i]) - WEIR_KEY_SECRET_CHARS;
        assert_null(strstr(log.p, secret));
    }
    assert_null(strstr(log.p, SECRET));
    assert_string_equal(
        fixture_sql_value(
            &wt_fx, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%weir\\_%\\_A%'"),
        "0");
}

/* --- TLS --- */

static void run(const char *const *argv)
{
    fixture_proc *p = fixture_spawn(&wt_fx, "openssl", argv, NULL);
    assert_non_null(p);
    fixture_wait(&wt_fx, ended, p, 20000, "openssl");
}

/* A certificate authority of our own, and what it signed for 127.0.0.1. */
static void make_certificates(const char *ca, const char *cert, const char *cert_key)
{
    char ca_key[200];
    (void)snprintf(ca_key, sizeof ca_key, "%s/ca.key", wt_fx.dir);
    const char *const authority[] = {"openssl",
                                     "req",
                                     "-x509",
                                     "-newkey",
                                     "ec",
                                     "-pkeyopt",
                                     "ec_paramgen_curve:prime256v1",
                                     "-nodes",
                                     "-days",
                                     "2",
                                     "-subj",
                                     "/CN=test CA",
                                     "-keyout",
                                     ca_key,
                                     "-out",
                                     ca,
                                     NULL};
    const char *const server[] = {"openssl",
                                  "req",
                                  "-x509",
                                  "-newkey",
                                  "ec",
                                  "-pkeyopt",
                                  "ec_paramgen_curve:prime256v1",
                                  "-nodes",
                                  "-days",
                                  "2",
                                  "-subj",
                                  "/CN=weir",
                                  "-addext",
                                  "subjectAltName=IP:127.0.0.1",
                                  "-CA",
                                  ca,
                                  "-CAkey",
                                  ca_key,
                                  "-keyout",
                                  cert_key,
                                  "-out",
                                  cert,
                                  NULL};
    run(authority);
    run(server);
    assert_int_equal(access(cert, R_OK), 0);
}

static void tls(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service s;
    char ca[160], cert[160], cert_key[160], more[600];
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", wt_fx.dir);
    (void)snprintf(cert, sizeof cert, "%s/cert.pem", wt_fx.dir);
    (void)snprintf(cert_key, sizeof cert_key, "%s/cert.key", wt_fx.dir);
    make_certificates(ca, cert, cert_key);
    (void)snprintf(more, sizeof more, "[tls]\ncert=%s\nkey=%s\n", cert, cert_key);
    weir_curl_trust(ca);
    wt_start_tls(&s, "tls", wt_fx.pg.uri, more);
    fixture_wait(&wt_fx, wt_is_ready, &s, 5000, "weir-write to be ready over TLS");
    for (int i = 0; i < 5; i++) {
        wt_answer a = wt_post(&s, "note", "{\"id\":\"tls\"}");
        wt_assert_status(200, &a);
    }
    weir_curl_trust(NULL); /* a client that does not know the authority */
    wt_answer a = wt_get(&s, "/healthz");
    assert_int_equal(a.status, 0);
    /* Plain HTTP is no TLS: the connection ends, and that is all. */
    const char *said =
        rawhttp_ask(wt_fx.a, s.port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "", 0);
    assert_null(strstr(said, "200 OK"));
    weir_curl_trust(ca);
    a = wt_get(&s, "/healthz");
    wt_assert_status(200, &a);
    weir_curl_trust(NULL);
    assert_int_equal(fixture_stop(s.proc, 10000), 0);
}

static void service_ends_well(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    assert_int_equal(fixture_stop(guarded.proc, 10000), 0);
}

static bool answers(void *unused)
{
    (void)unused;
    wt_answer a = call_as(header[APP], "whoami", "{}");
    return a.status == 200;
}

static void add_fixture_sql(void)
{
    weir_slice sql;
    weir_error err = {0};
    assert_rc(WEIR_OK,
              weir_file_read(WEIR_SOURCE_DIR "/tests/integration/auth_fixture.sql", 1 << 20,
                             wt_fx.a, &sql, &err),
              &err);
    fixture_sql(&wt_fx, sql.p);
}

static int up(void **state)
{
    (void)state;
    weir_error err = {0};
    char more[1200];
    if (wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql") != 0) {
        return -1;
    }
    if (wt_fx.missing[0]) {
        return 0;
    }
    add_fixture_sql();
    (void)snprintf(key_path, sizeof key_path, "%s/keys", wt_fx.dir);
    (void)snprintf(jwks_path, sizeof jwks_path, "%s/jwks", wt_fx.dir);
    for (int i = 0; i < NKEYS; i++) {
        char text[WEIR_KEY_CHARS + 1];
        assert_rc(WEIR_OK, weir_apikey_make(&key[i], text, &err), &err);
        (void)snprintf(header[i], sizeof header[i], "Authorization: Bearer %s", text);
    }
    write_keys(NKEYS);
    const char *jwks = weir_arena_printf(
        wt_fx.a, "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"k1\",\"k\":\"%s\"}]}",
        b64(SECRET, 32));
    assert_rc(WEIR_OK, weir_file_write(jwks_path, weir_slice_z(jwks), 0600, &err), &err);
    (void)snprintf(more, sizeof more,
                   "lanes=1\n[auth]\nkeys=%s\njwt_keys=%s\njwt_issuer=me\njwt_audience=shop\n"
                   "roles=customer=shop_app shop_admin shop_app\n",
                   key_path, jwks_path);
    wt_start(&guarded, "guarded", wt_fx.pg.uri, more);
    fixture_wait(&wt_fx, answers, NULL, 5000, "weir-write to answer with authentication");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_let_in),
        cmocka_unit_test(tokens),
        cmocka_unit_test(no_escape),
        cmocka_unit_test(one_role_is_not_the_other),
        cmocka_unit_test(callers_do_not_meet),
        cmocka_unit_test(stored_commands),
        cmocka_unit_test(rates),
        cmocka_unit_test(what_is_open),
        cmocka_unit_test(revoked),
        cmocka_unit_test(open_doors_are_refused),
        cmocka_unit_test(nothing_secret_is_told),
        cmocka_unit_test(tls),
        cmocka_unit_test(service_ends_well),
    };
    return cmocka_run_group_tests_name("write auth", tests, up, wt_down);
}
