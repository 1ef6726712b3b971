/* test_write_auth.c - callers of the write-service: who is let in, what a command runs as, what one
 * caller sees of another, TLS. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weir/client.h>

#include "libweir/base/str.h"
#include "libweir/io/curl.h"
#include "tests/support/authkeys.h"
#include "tests/support/certs.h"
#include "tests/support/rawhttp.h"
#include "tests/support/writetest.h"

#define JSON "Content-Type: application/json"

enum { APP, ADMIN, SLOW, GONE, NKEYS };
static authkeys_one key[NKEYS] = {{.key = {.name = "app", .role = "shop_app"}},
                                  {.key = {.name = "boss", .role = "shop_admin"}},
                                  {.key = {.name = "slow", .role = "shop_app", .rate_per_s = 3}},
                                  {.key = {.name = "gone", .role = "shop_app"}}};
static char key_path[160], jwks_path[160];
static wt_service guarded;

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

static const char *token(const char *alg, const char *claims)
{
    return weir_arena_printf(wt_fx.a, "Authorization: Bearer %s",
                             authkeys_token(alg, "k1", claims, wt_fx.a));
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
    a = call_as(key[APP].header, "whoami", "{}");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"sub\": \"app\"");
    assert_has(a.body, "\"user\": \"shop_app\"");
    a = call_as(key[APP].header, "admin_only", "{}");
    wt_assert_status(403, &a);
    assert_has(a.body, "42501");
    a = call_as(key[ADMIN].header, "admin_only", "{}");
    wt_assert_status(200, &a);
    assert_has(a.body, "shop_admin");
    /* EXECUTE taken away holds from the next call on. */
    fixture_sql(&wt_fx, "REVOKE EXECUTE ON FUNCTION command.admin_only FROM shop_admin");
    a = call_as(key[ADMIN].header, "admin_only", "{}");
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

static weir_client *nng_client(const char *authorization)
{
    weir_client *c = NULL;
    weir_client_error err;
    const weir_client_conf conf = {.write_url = guarded.nng, .credentials = authorization};
    assert_int_equal(weir_client_open(&c, &conf, &err), WEIR_CLIENT_OK);
    return c;
}

typedef struct heard {
    int right, all;
} heard;

static void on_whoami(void *arg, const weir_client_reply *r, const weir_client_error *err)
{
    heard *h = arg;
    h->all++;
    h->right += r && !err &&
                strstr(weir_arena_printf(wt_fx.a, "%.*s", (int)r->body.n, r->body.p),
                       "\"sub\": \"app\"") != NULL;
}

/* The same door: credentials travel in each message, and many calls may share a statement. */
static void over_nng_too(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_client_error err;
    weir_client_reply r;
    const weir_client_command whoami = {.name = "whoami"}, admin = {.name = "admin_only"};
    weir_client *c = nng_client(NULL);
    assert_int_equal(weir_client_send(c, &whoami, &r, &err), WEIR_CLIENT_REFUSED);
    assert_int_equal(err.status, 401);
    assert_false(err.maybe_executed);
    weir_client_close(c);
    c = nng_client(key[APP].header + strlen("Authorization: "));
    assert_int_equal(weir_client_send(c, &admin, &r, &err), WEIR_CLIENT_REFUSED);
    assert_int_equal(err.status, 403);
    heard h = {0, 0};
    for (int i = 0; i < 200; i++) {
        assert_int_equal(weir_client_send_start(c, &whoami, on_whoami, &h, &err), WEIR_CLIENT_OK);
    }
    while (weir_client_run(c, 1000) > 0) {
    }
    assert_int_equal(h.all, 200);
    assert_int_equal(h.right, 200);
    weir_client_close(c);
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
        wt_answer a = call_as(key[APP].header, "escape", body);
        wt_assert_status(403, &a);
    }
    wt_answer a = call_as(key[APP].header, "escape", "{\"how\": \"SET LOCAL work_mem = '1MB'\"}");
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
    c->got = call_as(key[c->who].header, c->name, "{}");
}

static bool all_wait(void *n)
{
    wt_answer a = ask_as(key[ADMIN].header, "GET", "/status", NULL, NULL);
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
        /* The admins' calls first: what PL/pgSQL looked up for them must not serve the others. */
        for (int i = 0; i < CALLERS; i++) {
            int waits = i;
            c[i] = (caller){.who = i < CALLERS / 2 ? ADMIN : APP,
                            .name = round ? "use_secret" : "whoami"};
            if (i == CALLERS / 2) {
                fixture_wait(&wt_fx, all_wait, &waits, 5000, "the first calls to wait");
            }
            assert_rc(WEIR_OK, weir_thread_start(&c[i].thread, "caller", caller_main, &c[i], &err),
                      &err);
        }
        fixture_wait(&wt_fx, all_wait, &most, 5000, "the calls to wait");
        weir_thread_join(hold.thread);
        for (int i = 0; i < CALLERS; i++) {
            weir_thread_join(c[i].thread);
            if (round == 0) {
                wt_assert_status(200, &c[i].got);
                bool app = c[i].who == APP;
                assert_has(c[i].got.body,
                           app ? "\"user\": \"shop_app\"" : "\"user\": \"shop_admin\"");
                assert_has(c[i].got.body, app ? "\"sub\": \"app\"" : "\"sub\": \"boss\"");
            } else {
                wt_assert_status(c[i].who == APP ? 403 : 200, &c[i].got);
            }
        }
    }
}

static void callers_do_not_meet(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const char id[] = "Idempotency-Key: the-same";
    wt_answer a = ask_as(key[APP].header, "POST", "/commands/note", id, "{\"id\":\"mine\"}");
    wt_assert_status(200, &a);
    a = ask_as(key[ADMIN].header, "POST", "/commands/note", id, "{\"id\":\"yours\"}");
    wt_assert_status(200, &a); /* not 422: another caller's key is another key */
    a = ask_as(key[APP].header, "POST", "/commands/note", id, "{\"id\":\"mine\"}");
    wt_assert_status(200, &a);
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT string_agg(id, ',' ORDER BY id) FROM journal"),
        "mine,yours");
    /* With options too the command runs as its caller. */
    a = ask_as(key[APP].header, "POST", "/commands/admin_only", "Idempotency-Key: k2", "{}");
    wt_assert_status(403, &a);
    a = ask_as(key[APP].header, "POST", "/commands/whoami", "If-Match: \"1\"", "{}");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"user\": \"shop_app\"");
    a = ask_as(key[APP].header, "POST", "/commands", NULL,
               "[{\"name\":\"whoami\"},{\"name\":\"admin_only\"}]");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"user\": \"shop_app\"");
    assert_has(a.body, "\"status\":403");
    a = ask_as(key[APP].header, "POST", "/commands?atomic=true", NULL,
               "[{\"name\":\"whoami\"},{\"name\":\"whoami\"}]");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"sub\": \"app\"");
    a = ask_as(key[APP].header, "POST", "/commands?atomic=true", NULL,
               "[{\"name\":\"whoami\"},{\"name\":\"admin_only\"}]");
    wt_assert_status(403, &a);
}

static void stored_commands(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    char path[100] = "/commands/", *id;
    wt_answer a =
        ask_as(key[APP].header, "POST", "/commands/whoami", "Prefer: respond-async", "{}");
    wt_assert_status(202, &a);
    id = strstr(a.body, "\"command_id\":\"");
    assert_non_null(id);
    (void)snprintf(path + 10, 33, "%s", id + 14);
    wt_answer other = ask_as(key[ADMIN].header, "GET", path, NULL, NULL);
    wt_assert_status(404, &other);
    (void)snprintf(path + 42, sizeof path - 42, "?wait_ms=5000");
    a = ask_as(key[APP].header, "GET", path, NULL, NULL);
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
        wt_answer a = call_as(key[SLOW].header, "whoami", "{}");
        refused += a.status == 429;
    }
    assert_int_equal(refused, 1);
    const char *const headers[] = {JSON, key[SLOW].header, NULL};
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
    wt_answer a = call_as(key[APP].header, "whoami", "{}");
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
    a = ask_as(key[APP].header, "GET", "/metrics", NULL, NULL);
    wt_assert_status(200, &a);
    a = ask_as(key[APP].header, "GET", "/readyz", NULL, NULL);
    assert_has(a.body, "waits");
    const char *const headers[] = {key[APP].header, NULL};
    weir_curl_response r = {0};
    weir_error err = {0};
    char url[120];
    (void)snprintf(url, sizeof url, "%s/openapi.json", guarded.url);
    assert_rc(WEIR_OK,
              weir_curl("GET", url, headers, (weir_slice){NULL, 0}, 5000, wt_fx.a, &r, &err), &err);
    assert_has(r.body.p, "\"securitySchemes\":{\"Bearer\"");
}

/* A stranger's body is not read: the answer comes before it, and ends the connection. */
static void strangers_send_no_bodies(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const char *const how[] = {"Content-Length: 1000000", "Transfer-Encoding: chunked"};
    for (size_t i = 0; i < 2; i++) {
        const char *head = weir_arena_printf(wt_fx.a,
                                             "POST /commands/whoami HTTP/1.1\r\nHost: x\r\n"
                                             "Content-Type: application/json\r\n%s\r\n\r\n",
                                             how[i]);
        assert_has(rawhttp_ask(wt_fx.a, guarded.port, head, "", 0), " 401 ");
    }
    /* One we know may, with a token as long as they may be. */
    char *body = weir_arena_alloc(wt_fx.a, 20001);
    (void)snprintf(body, 20001, "{\"id\":\"%19000d\"}", 1);
    wt_answer a = call_as(key[APP].header, "note", body);
    wt_assert_status(200, &a);
    const char *claims =
        weir_arena_printf(wt_fx.a,
                          "{\"iss\":\"me\",\"aud\":\"shop\",\"sub\":\"ann\",\"exp\":4000000000,"
                          "\"role\":\"customer\",\"x\":\"%5800d\"}",
                          1);
    a = call_as(token("HS256", claims), "whoami", "{}");
    wt_assert_status(200, &a);
}

/* As a role that is no superuser, and was not granted what it gives. */
static void deploy_as_a_plain_role(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    fixture_sql(&wt_fx,
                "CREATE ROLE shop_other NOLOGIN; CREATE ROLE plain; CREATE ROLE chief SUPERUSER;"
                "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO plain', "
                "current_database()); END $$;"
                "GRANT USAGE ON SCHEMA weir, command TO plain WITH GRANT OPTION;"
                "GRANT SELECT ON ALL TABLES IN SCHEMA weir TO plain;"
                "SET SESSION AUTHORIZATION plain");
    assert_has(fixture_sql_value(&wt_fx, "SELECT weir.role_problem('shop_other')"),
               "GRANT shop_other TO plain");
    assert_has(fixture_sql_value(&wt_fx, "SELECT weir.role_problem('nobody_here')"), "CREATE ROLE");
    assert_has(fixture_sql_value(&wt_fx, "SELECT weir.role_problem('chief')"), "superuser");
    fixture_sql(&wt_fx, "RESET SESSION AUTHORIZATION; GRANT shop_other TO plain; SET SESSION "
                        "AUTHORIZATION plain");
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT weir.role_problem('shop_other')"), "");
    assert_true(wt_number(fixture_sql_value(&wt_fx, "SELECT weir.deploy_role('shop_other')")) > 10);
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT weir.deploy_role('shop_other')"), "0");
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT current_user::text"), "plain");
    assert_has(
        fixture_sql_value(&wt_fx, "SELECT weir_as_shop_other.admin_only('{}', '{}', '{}')::text"),
        "42501");
    fixture_sql(&wt_fx, "RESET SESSION AUTHORIZATION");
    /* What is not listed any more goes. */
    fixture_sql(&wt_fx, "SELECT * FROM weir.deploy_roles('{shop_app,shop_admin}')");
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT string_agg(nspname, ' ' ORDER BY 1) FROM pg_namespace "
                                  "WHERE nspname LIKE 'weir_as_%'"),
        "weir_as_shop_admin weir_as_shop_app");
}

static bool accepted_now(void *who)
{
    wt_answer a = call_as(who, "whoami", "{}");
    return a.status == 200;
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
    wt_answer a = call_as(key[GONE].header, "whoami", "{}");
    wt_assert_status(200, &a);
    authkeys_write(key, GONE, key_path);
    fixture_wait(&wt_fx, refused_now, key[GONE].header, 3000, "the key to be refused");
    a = call_as(key[APP].header, "whoami", "{}");
    wt_assert_status(200, &a);
}

static bool ended(void *proc)
{
    return !fixture_running(proc);
}

/* What `weir WORDS…` says. */
static const char *weir(const char *env, const char *const *words)
{
    const char *argv[12] = {WEIR_BIN_DIR "/weir"};
    const char *const more[] = {env, NULL};
    weir_error err = {0};
    weir_slice said;
    for (int i = 0; words[i]; i++) {
        argv[i + 1] = words[i];
    }
    fixture_proc *p = fixture_spawn(&wt_fx, "weir", argv, more);
    assert_non_null(p);
    fixture_wait(&wt_fx, ended, p, 10000, "weir to end");
    assert_rc(WEIR_OK, weir_file_read(p->log, 1 << 20, wt_fx.a, &said, &err), &err);
    assert_int_equal(unlink(p->log), 0);
    return said.p;
}

static void keys_from_the_shell(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    char app[160];
    weir_error err = {0};
    (void)snprintf(app, sizeof app, "%s/app", wt_fx.dir);
    assert_rc(WEIR_OK, weir_mkdirs(app, 0755, &err), &err);
    const char *ini = weir_arena_printf(
        wt_fx.a, "[postgres]\nuri=%s\n[write]\nport=%d\n[auth]\nkeys=%s\nroles=shop_app\n",
        wt_fx.pg.uri, guarded.port, key_path);
    assert_rc(WEIR_OK,
              weir_file_write(weir_arena_printf(wt_fx.a, "%s/weir.ini", app), weir_slice_z(ini),
                              0600, &err),
              &err);
    const char *const wrong[] = {"keys", "add", "--app", app, "ci", "--role", "postgres", NULL};
    assert_has(weir(NULL, wrong), "auth.roles does not list");
    const char *const add[] = {"keys", "add", "--app", app, "ci", "--role", "shop_app", NULL};
    const char *said = weir(NULL, add), *text = strstr(said, "weir_");
    assert_non_null(text);
    weir_slice secret = weir_slice_of(text, WEIR_KEY_CHARS);
    const char *env =
        weir_arena_printf(wt_fx.a, "WEIR_KEY=" WEIR_SLICE_FMT, WEIR_SLICE_ARG(secret));
    const char *const list[] = {"keys", "list", "--app", app, NULL};
    said = weir(NULL, list);
    assert_has(said, "ci ");
    assert_null(strstr(said, "weir_"));
    const char *const send[] = {"send", "--app", app, "whoami", "{}", NULL};
    assert_has(weir("WEIR_KEY=", send), "401");
    const char *header = weir_arena_printf(wt_fx.a, "Authorization: Bearer %s", env + 9);
    fixture_wait(&wt_fx, accepted_now, (void *)(uintptr_t)header, 3000, "the new key to hold");
    assert_has(weir(env, send), "\"sub\": \"ci\"");
    char id[WEIR_KEY_ID_CHARS + 1] = "";
    memcpy(id, secret.p + 5, WEIR_KEY_ID_CHARS);
    const char *const revoke[] = {"keys", "revoke", "--app", app, id, NULL};
    assert_has(weir(NULL, revoke), "revoked");
    assert_has(weir(NULL, revoke), "there is no key");
    fixture_wait(&wt_fx, refused_now, (void *)(uintptr_t)header, 3000, "the key to be refused");
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
        const char *secret = key[i].header + strlen(key[i].header) - WEIR_KEY_SECRET_CHARS;
        assert_null(strstr(log.p, secret));
    }
    assert_null(strstr(log.p, AUTHKEYS_SECRET));
    assert_string_equal(
        fixture_sql_value(
            &wt_fx, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%weir\\_%\\_A%'"),
        "0");
}

/* --- TLS --- */

static void tls(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service s;
    char ca[160], ca_key[160], cert[160], cert_key[160], more[600];
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", wt_fx.dir);
    (void)snprintf(ca_key, sizeof ca_key, "%s/ca.key", wt_fx.dir);
    (void)snprintf(cert, sizeof cert, "%s/cert.pem", wt_fx.dir);
    (void)snprintf(cert_key, sizeof cert_key, "%s/cert.key", wt_fx.dir);
    certs_make(ca, ca_key, cert, cert_key);
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
    certs_make(ca, ca_key, cert, cert_key); /* by another authority, so only the new one will do */
    fixture_wait(&wt_fx, wt_is_up, &s, 10000, "weir-write to show the renewed certificate");
    assert_int_equal(wt_metric(&s, "weir_tls_renewals_total{result=\"taken\"}"), 1);
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
    wt_answer a = call_as(key[APP].header, "whoami", "{}");
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
    authkeys_make(key, NKEYS, key_path);
    authkeys_jwks(jwks_path, "k1", wt_fx.a);
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
        cmocka_unit_test(over_nng_too),
        cmocka_unit_test(no_escape),
        cmocka_unit_test(one_role_is_not_the_other),
        cmocka_unit_test(callers_do_not_meet),
        cmocka_unit_test(stored_commands),
        cmocka_unit_test(rates),
        cmocka_unit_test(what_is_open),
        cmocka_unit_test(revoked),
        cmocka_unit_test(strangers_send_no_bodies),
        cmocka_unit_test(deploy_as_a_plain_role),
        cmocka_unit_test(keys_from_the_shell),
        cmocka_unit_test(open_doors_are_refused),
        cmocka_unit_test(nothing_secret_is_told),
        cmocka_unit_test(tls),
        cmocka_unit_test(service_ends_well),
    };
    return cmocka_run_group_tests_name("write auth", tests, up, wt_down);
}
