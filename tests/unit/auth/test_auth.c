/* test_auth.c - credentials to principals: keys, tokens, files that change, settings that
 * contradict themselves. */
#include "libweir/auth/auth.h"

#include <stdio.h>
#include <unistd.h>

#include "libweir/base/str.h"
#include "tests/support/authkeys.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

enum { NOW_S = 1800000000 };
#define NOW_US (INT64_C(1000000) * NOW_S)

static char dir[128];
static weir_arena *arena;
static weir_settings s;
static weir_auth *auth;
static weir_principal p;
static weir_refusal no;
static weir_error err;

static int set_up(void **state)
{
    (void)state;
    arena = weir_arena_new(0);
    if (!folder_make(dir, sizeof dir)) {
        return -1;
    }
    s = (weir_settings){.auth_keys = weir_arena_printf(arena, "%s/keys", dir),
                        .auth_jwt_keys = weir_arena_printf(arena, "%s/jwks", dir),
                        .auth_jwt_issuer = "me",
                        .auth_jwt_audience = "*",
                        .auth_jwt_role_claim = "role",
                        .auth_roles = "shop_app admin=shop_admin boss=shop_admin",
                        .auth_read_models = "shop_app=order_view,stock shop_admin=* *=catalog",
                        .auth_rate_per_s = 2};
    auth = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    weir_auth_close(auth);
    folder_remove(dir);
    weir_arena_free(arena);
    return 0;
}

static void open_it(void)
{
    assert_rc(WEIR_OK, weir_auth_open(&auth, &s, NULL, &err), &err);
    assert_true(weir_auth_on(auth));
}

static void write_keys(const weir_apikey *k, size_t n)
{
    weir_buf b;
    weir_apikeys all = {n, WEIR_ARENA_ARRAY(arena, weir_apikey, n + 1)};
    memcpy(all.k, k, n * sizeof *k);
    weir_buf_init(&b, 1 << 20);
    weir_apikeys_put(&b, &all);
    assert_rc(WEIR_OK, weir_file_write(s.auth_keys, weir_buf_slice(&b), 0600, &err), &err);
    weir_buf_fini(&b);
}

static bool check(const char *credential)
{
    return weir_auth_check(auth, weir_slice_z(credential), NOW_US, arena, &p, &no);
}

static void write_jwks(const char *kid)
{
    authkeys_jwks(s.auth_jwt_keys, kid, arena);
}

static const char *token(const char *claims)
{
    return authkeys_token("HS256", "k1", claims, arena);
}

static void keys(void **state)
{
    (void)state;
    weir_apikey k[2] = {{.name = "front", .role = "shop_app", .created_s = 1, .rate_per_s = 7},
                        {.name = "old", .role = "shop_app", .created_s = 1, .expires_s = NOW_S}};
    char first[WEIR_KEY_CHARS + 1], second[WEIR_KEY_CHARS + 1];
    open_it(); /* without any file: nobody gets in */
    assert_rc(WEIR_OK, weir_apikey_make(&k[0], first, &err), &err);
    assert_rc(WEIR_OK, weir_apikey_make(&k[1], second, &err), &err);
    assert_false(check(first));
    assert_int_equal(no.status, 401);
    write_keys(k, 2);
    assert_false(check(first));
    weir_auth_reload(auth, false);
    assert_true(check(first));
    assert_string_equal(p.name, "front");
    assert_string_equal(p.role, "shop_app");
    assert_string_equal(p.scope, "k:front");
    assert_int_equal(p.rate_per_s, 7);
    assert_has(p.claims.p, "\"sub\":\"front\"");
    assert_false(check(second));
    assert_has(no.detail, "expired");
    /* The right name, another secret; the file does not hold the key. */
    char forged[WEIR_KEY_CHARS + 1];
    memcpy(forged, first, sizeof forged);
    forged[WEIR_KEY_CHARS - 5] ^= 1;
    assert_false(check(forged));
    assert_int_equal(no.status, 401);
    weir_slice text;
    assert_rc(WEIR_OK, weir_file_read(s.auth_keys, 1 << 20, arena, &text, &err), &err);
    assert_null(strstr(text.p, first + WEIR_KEY_CHARS - WEIR_KEY_SECRET_CHARS));
    write_keys(k + 1, 1); /* revoked */
    weir_auth_reload(auth, false);
    assert_false(check(first));
    /* What cannot be used changes nothing. */
    write_keys(k, 1);
    weir_auth_reload(auth, false);
    assert_rc(WEIR_OK, weir_file_write(s.auth_keys, WEIR_SLICE_LIT("id=x\n"), 0600, &err), &err);
    weir_auth_reload(auth, false);
    assert_true(check(first));
    assert_int_equal(unlink(s.auth_keys), 0);
    weir_auth_reload(auth, false);
    assert_false(check(first));
}

static void a_key_with_a_role_that_is_not_listed(void **state)
{
    (void)state;
    weir_apikey k = {.name = "x", .role = "postgres", .created_s = 1};
    char text[WEIR_KEY_CHARS + 1];
    assert_rc(WEIR_OK, weir_apikey_make(&k, text, &err), &err);
    write_keys(&k, 1);
    open_it();
    assert_false(check(text));
    assert_int_equal(no.status, 403);
}

static void tokens(void **state)
{
    (void)state;
    const char *ann =
        token("{\"iss\":\"me\",\"sub\":\"ann\",\"exp\":1800000100,\"role\":\"boss\"}");
    write_jwks("k1");
    open_it();
    for (int i = 0; i < 2; i++) { /* verified, remembered */
        assert_true(check(ann));
        assert_string_equal(p.name, "ann");
        assert_string_equal(p.role, "shop_admin");
        assert_has(p.claims.p, "\"role\":\"boss\"");
        assert_int_equal(strncmp(p.scope, "j:", 2), 0);
    }
    const char *role = p.role;
    assert_true(check(
        token("{\"iss\":\"me\",\"sub\":\"bob\",\"exp\":1800000100,\"role\":[\"x\",\"admin\"]}")));
    assert_ptr_equal(p.role, role);
    assert_false(
        check(token("{\"iss\":\"me\",\"sub\":\"bob\",\"exp\":1800000100,\"role\":\"postgres\"}")));
    assert_int_equal(no.status, 403);
    assert_false(check(token("{\"iss\":\"me\",\"sub\":\"bob\",\"exp\":1800000100}")));
    assert_int_equal(no.status, 403);
    /* What is remembered ends with the token, and with its key. */
    assert_false(
        weir_auth_check(auth, weir_slice_z(ann), NOW_US + INT64_C(101000000), arena, &p, &no));
    assert_has(no.detail, "expired");
    assert_true(check(ann));
    write_jwks("k2");
    weir_auth_reload(auth, false);
    assert_false(check(ann));
    assert_int_equal(no.status, 401);
    assert_has(no.challenge, "invalid_token");
}

static void rates(void **state)
{
    (void)state;
    weir_rate r;
    write_jwks("k1");
    open_it();
    assert_true(
        check(token("{\"iss\":\"me\",\"sub\":\"ann\",\"exp\":1800000100,\"role\":\"boss\"}")));
    assert_true(weir_auth_charge(auth, &p, 1, 1000000, &r, &no));
    assert_int_equal(r.limit, 2);
    assert_true(weir_auth_charge(auth, &p, 1, 1000000, &r, &no));
    assert_false(weir_auth_charge(auth, &p, 1, 1000000, &r, &no));
    assert_int_equal(no.status, 429);
    assert_int_equal(no.rate.retry_after_s, 1);
    p.rate_per_s = 0;
    assert_true(weir_auth_charge(auth, &p, 100, 1000000, &r, &no));
    assert_int_equal(r.limit, 0);
}

static void reading(void **state)
{
    (void)state;
    open_it();
    p = (weir_principal){.role = "shop_app"};
    assert_true(weir_auth_may_read(auth, &p, WEIR_SLICE_LIT("stock")));
    assert_true(weir_auth_may_read(auth, &p, WEIR_SLICE_LIT("catalog")));
    assert_false(weir_auth_may_read(auth, &p, WEIR_SLICE_LIT("order")));
    assert_false(weir_auth_may_read(auth, &p, WEIR_SLICE_LIT("payments")));
    p.role = "shop_admin";
    assert_true(weir_auth_may_read(auth, &p, WEIR_SLICE_LIT("payments")));
    p.role = "nobody";
    assert_false(weir_auth_may_read(auth, &p, WEIR_SLICE_LIT("payments")));
}

static void headers(void **state)
{
    (void)state;
    weir_slice c;
    assert_true(weir_auth_bearer(NULL, &c));
    assert_int_equal(c.n, 0);
    assert_true(weir_auth_bearer("Bearer abc", &c));
    assert_slice("abc", c);
    assert_true(weir_auth_bearer("bEARER  abc ", &c));
    assert_slice("abc", c);
    static const char *const bad[] = {"",          "Bearer",    "Bearer ",
                                      "Basic abc", "Bearerabc", "Bearer a b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(weir_auth_bearer(bad[i], &c));
    }
}

static void settings(void **state)
{
    (void)state;
    weir_settings good = s;
    s.auth_roles = "";
    assert_rc(WEIR_E_INPUT, weir_auth_open(&auth, &s, NULL, &err), &err);
    s = good;
    s.auth_roles = "Robert\"";
    assert_rc(WEIR_E_INPUT, weir_auth_open(&auth, &s, NULL, &err), &err);
    s = good;
    s.auth_jwt_issuer = "";
    assert_rc(WEIR_E_INPUT, weir_auth_open(&auth, &s, NULL, &err), &err);
    s = good;
    s.auth_keys = s.auth_jwt_keys = ""; /* roles, and nothing to have them by */
    assert_rc(WEIR_E_INPUT, weir_auth_open(&auth, &s, NULL, &err), &err);
    s.auth_roles = s.auth_read_models = "";
    assert_rc(WEIR_OK, weir_auth_open(&auth, &s, NULL, &err), &err);
    assert_false(weir_auth_on(auth));
    assert_true(check(""));
    assert_null(p.role);
    weir_auth_close(auth);
    s = good;
    assert_rc(WEIR_OK,
              weir_file_write(s.auth_jwt_keys, WEIR_SLICE_LIT("{\"k\":\"hidden\"}"), 0600, &err),
              &err);
    assert_rc(WEIR_E_INPUT, weir_auth_open(&auth, &s, NULL, &err), &err);
    assert_null(strstr(err.msg, "hidden"));
}

static void key_files(void **state)
{
    (void)state;
    weir_apikeys ks;
#define HASH "0000000000000000000000000000000000000000000000000000000000000000"
    static const char *const bad[] = {
        "id=abcdefghijkmnpqr name=x role=r\n",
        "id=abcdefghijkmnpqr name=x role=r sha256=12\n",
        "id=abc name=x role=r sha256=" HASH "\n",
        "id=abcdefghijkmnpqr name=x role=R sha256=" HASH "\n",
        "id=abcdefghijkmnpqr name=x role=r role=r sha256=" HASH "\n",
        "id=abcdefghijkmnpqr name=x role=r sha256=" HASH " what=1\n",
        "id=abcdefghijkmnpqr name=x role=r sha256=" HASH " rate=-1\n",
        "id=abcdefghijkmnpqr name=x role=r sha256=" HASH
        "\nid=abcdefghijkmnpqr name=x role=r sha256=" HASH "\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rc(WEIR_E_INPUT, weir_apikeys_parse(&ks, weir_slice_z(bad[i]), arena, &err), &err);
    }
    assert_rc(
        WEIR_OK,
        weir_apikeys_parse(
            &ks,
            WEIR_SLICE_LIT("# x\n\n  id=abcdefghijkmnpqr  name=x role=r sha256=" HASH " rate=5"),
            arena, &err),
        &err);
    assert_int_equal(ks.n, 1);
    assert_int_equal(ks.k[0].rate_per_s, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_with_a_role_that_is_not_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reading, set_up, tear_down),
        cmocka_unit_test_setup_teardown(headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(key_files, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
