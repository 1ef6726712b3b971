/* test_jwt.c - tokens: the RFCs' own, forged ones, times, audiences, rotation of keys. */
#include "libweir/auth/jwt.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/base64url.h"
#include "libweir/base/buf.h"
#include "tests/support/check.h"

#define RFC_HS_KEY                                                                                 \
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
static const char rfc_hs_token[] =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTk"
    "zODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbU"
    "JU1p1r_wW1gFWFOEjXk";
static const char rfc_rs_modulus[] =
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJ"
    "PMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0"
    "LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uD"
    "Zlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2"
    "PAcDTW9gb54h4FRWyuXpoQ";
static const char rfc_rs_token[] =
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9"
    "leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2Vt"
    "Qgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKB"
    "YNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN"
    "9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI"
    "8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
/* A key of ours, whose private part nobody kept, and what it signed: kid r1, issuer
 * https://id.example, audiences other and shop, subject ann, exp 2100, realm.roles x and admin. */
static const char rs_modulus[] =
    "rZcffkKnxN8DwzUIuxOG9fDQP6avAEMRD3gkGvUsazfqL9azbrejG4u386FKfm-D7seI93BgPbpKH4Ar"
    "XA23BmFVlM50eEkU0WFKfXegYgfK3hn-45Xp6NleXehv3zeN18OUy30Se0IRoCNWjfghfe5TjNKF_QQ_"
    "pOijQV2I7z2LLL6YZWPjERoc6XU63aHJrHib9Mla2X4qp_Q9UUoqR_RvsfwvnYp99NpMoiP_p5kSDUV7"
    "Zw6QDMuHSXCWhAnM7hYRLzUXhQhQsXxOQrLFZbHdRdmSxU0XtaCBaLgJFgdLmJjvhw7YmI2Ecy6AdDwy"
    "-XWElNb58CkPHZUzMljqvQ";
static const char rs_token[] =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InIxIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2lkLmV4"
    "YW1wbGUiLCJhdWQiOlsib3RoZXIiLCJzaG9wIl0sInN1YiI6ImFubiIsImV4cCI6NDEwMjQ0NDgwMCwi"
    "bmJmIjoxNzAwMDAwMDAwLCJyZWFsbSI6eyJyb2xlcyI6WyJ4IiwiYWRtaW4iXX19.OAeIX7HXil7oq_8"
    "D9O2moDhynZJmMAjIBitSi2PhZOsIdQu0fIiHapLqJ0Z1qC2tZJY_0kzCt7I8WqqIYmwqT5Wc6tXB-uC"
    "umDU6J4mfpBPbh7qDqEVVvJuOWfoEal3j5Q-9CiutgdcWg3MRUS1nDoF-RXWoIjuEbo0kFPdmxI880lJ"
    "TaT685b1HLqhMUarj1c2FMjhO1D99Jkn7Q3gcCwY-uRoWGBvMWECU3mfgXg5Zm8IUCZCNv_QFMFqTBJU"
    "-U8Z-Lct9MUibKbHstL6YBJQp3b2TFfyEI9p_NDqmg-1XQkow75GwffGMq0l4PMYAEEzmZ8fErxXlLh1"
    "26-jUgA";

static weir_arena *arena;
static weir_jwks keys;
static weir_jwt got;
static weir_jwt_rules rules = {"joe", "*", 30, "role"};
enum { NOW_S = 1300819000 };

static int set_up(void **state)
{
    (void)state;
    arena = weir_arena_new(1 << 20);
    rules = (weir_jwt_rules){"joe", "*", 30, "role"};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    weir_jwks_fini(&keys);
    weir_arena_free(arena);
    return 0;
}

static weir_rc load(const char *json)
{
    weir_error err = {0};
    weir_jwks_fini(&keys);
    return weir_jwks_parse(&keys, weir_slice_z(json), arena, &err);
}

static weir_jwt_fault verify(const char *token)
{
    return weir_jwt_verify(&got, weir_slice_z(token), &keys, &rules, NOW_S, arena);
}

static const char *rsa_set(const char *kid, const char *modulus)
{
    return weir_arena_printf(
        arena, "{\"keys\":[{\"kty\":\"RSA\",\"alg\":\"RS256\"%s,\"n\":\"%s\",\"e\":\"AQAB\"}]}",
        kid, modulus);
}

static const char *b64(const char *text, size_t n)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_base64url_put(&b, weir_slice_of(text, n));
    const char *out = weir_arena_dupz(arena, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return out;
}

/* Signed with the first HS256 key. */
static const char *sign(const char *header, const char *claims)
{
    unsigned char mac[32];
    const char *text =
        weir_arena_printf(arena, "%s.%s", b64(header, strlen(header)), b64(claims, strlen(claims)));
    assert_true(weir_hmac_sha256(keys.k[0].secret, weir_slice_z(text), mac));
    return weir_arena_printf(arena, "%s.%s", text, b64((const char *)mac, sizeof mac));
}

#define HS_SET                                                                                     \
    "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"a\",\"k\":\"" RFC_HS_KEY "\"}]}"
#define HEADER "{\"alg\":\"HS256\",\"kid\":\"a\"}"
#define CLAIMS "{\"iss\":\"joe\",\"sub\":\"ann\",\"exp\":1300819380,\"role\":\"shop\"}"

/* Their signatures hold and their claims are read; only a subject is missing, which we insist on.
 */
static void the_rfcs_tokens(void **state)
{
    (void)state;
    assert_rc(WEIR_OK,
              load("{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"" RFC_HS_KEY "\"}]}"),
              NULL);
    assert_int_equal(verify(rfc_hs_token), WEIR_JWT_CLAIMS);
    assert_slice("{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n "
                 "\"http://example.com/is_root\":true}",
                 got.claims);
    assert_rc(WEIR_OK, load(rsa_set("", rfc_rs_modulus)), NULL);
    assert_int_equal(verify(rfc_rs_token), WEIR_JWT_CLAIMS);
    /* One bit of the signature, and of the signed text. */
    for (size_t at = 30; at < sizeof rfc_rs_token - 1; at += 40) {
        char forged[sizeof rfc_rs_token];
        memcpy(forged, rfc_rs_token, sizeof forged);
        forged[at] = forged[at] == 'A' ? 'B' : 'A';
        assert_int_equal(verify(forged), WEIR_JWT_SIGNATURE);
    }
}

static void accepted(void **state)
{
    (void)state;
    assert_rc(WEIR_OK, load(HS_SET), NULL);
    assert_int_equal(verify(sign(HEADER, CLAIMS)), WEIR_JWT_OK);
    assert_string_equal(got.subject, "ann");
    assert_string_equal(got.issuer, "joe");
    assert_int_equal(got.expires_s, 1300819380);
    assert_int_equal(got.nroles, 1);
    assert_string_equal(got.roles[0], "shop");
    assert_slice(CLAIMS, got.claims);
    assert_rc(WEIR_OK, load(rsa_set(",\"kid\":\"r1\"", rs_modulus)), NULL);
    rules = (weir_jwt_rules){"https://id.example", "shop", 0, "/realm/roles"};
    assert_int_equal(
        weir_jwt_verify(&got, weir_slice_z(rs_token), &keys, &rules, 1800000000, arena),
        WEIR_JWT_OK);
    assert_int_equal(got.nroles, 2);
    assert_string_equal(got.roles[1], "admin");
}

static void forged_algorithms(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"alg\":\"none\",\"kid\":\"a\"}",
                                      "{\"alg\":\"None\"}",
                                      "{\"alg\":\"HS512\",\"kid\":\"a\"}",
                                      "{\"alg\":\"hs256\",\"kid\":\"a\"}",
                                      "{\"alg\":\"ES256\"}",
                                      "{\"kid\":\"a\"}",
                                      "{\"alg\":[\"HS256\"]}"};
    assert_rc(WEIR_OK, load(HS_SET), NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(verify(sign(bad[i], CLAIMS)), WEIR_JWT_ALGORITHM);
    }
    const char *text = weir_arena_printf(arena, "%s.%s.", b64("{\"alg\":\"none\"}", 14),
                                         b64(CLAIMS, strlen(CLAIMS)));
    assert_int_equal(verify(text), WEIR_JWT_ALGORITHM);
    /* The public key of RS256 taken as the secret of HS256. */
    weir_slice modulus;
    assert_rc(WEIR_OK, load(HS_SET), NULL);
    assert_true(weir_base64url_decode(weir_slice_z(rs_modulus), arena, &modulus));
    keys.k[0].secret = modulus;
    text = sign("{\"alg\":\"HS256\",\"kid\":\"r1\"}", CLAIMS);
    keys.k[0].secret = (weir_slice){NULL, 0};
    assert_rc(WEIR_OK, load(rsa_set(",\"kid\":\"r1\"", rs_modulus)), NULL);
    assert_int_equal(verify(text), WEIR_JWT_KEY);
    static const char *const odd[] = {
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "{\"alg\":\"HS256\",\"zip\":\"DEF\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JOSE\"}", "{\"alg\":\"HS256\",\"kid\":7}"};
    assert_rc(WEIR_OK, load(HS_SET), NULL);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_int_equal(verify(sign(odd[i], CLAIMS)), WEIR_JWT_MALFORMED);
    }
}

static void keys_rotate(void **state)
{
    (void)state;
#define TWO(first, second)                                                                         \
    "{\"keys\":[" first second "{\"kty\":\"EC\",\"use\":\"enc\",\"kid\":\"x\"}]}"
#define OLD "{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"a\",\"k\":\"" RFC_HS_KEY "\"},"
#define NEW                                                                                        \
    "{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"b\",\"k\":"                                      \
    "\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE\"},"
    assert_rc(WEIR_OK, load(TWO(OLD, NEW)), NULL);
    const char *old = sign(HEADER, CLAIMS), *nameless = sign("{\"alg\":\"HS256\"}", CLAIMS);
    assert_int_equal(verify(old), WEIR_JWT_OK);
    assert_int_equal(verify(nameless), WEIR_JWT_KEY); /* which of two? */
    /* Signed by one, naming the other. */
    assert_int_equal(verify(sign("{\"alg\":\"HS256\",\"kid\":\"b\"}", CLAIMS)), WEIR_JWT_SIGNATURE);
    assert_rc(WEIR_OK, load(TWO(NEW, "")), NULL);
    assert_int_equal(verify(old), WEIR_JWT_KEY);
    assert_int_equal(verify(sign("{\"alg\":\"HS256\",\"kid\":\"b\"}", CLAIMS)), WEIR_JWT_OK);
    assert_rc(WEIR_E_INPUT, load(TWO(OLD, OLD)), NULL);
    assert_rc(WEIR_E_INPUT, load(TWO("", "")), NULL);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *claims;
        weir_jwt_fault want;
    } cases[] = {
        {"{\"iss\":\"joe\",\"sub\":\"a\",\"exp\":1300818971}", WEIR_JWT_OK}, /* in the leeway */
        {"{\"iss\":\"joe\",\"sub\":\"a\",\"exp\":1300818970}", WEIR_JWT_EXPIRED},
        {"{\"iss\":\"joe\",\"sub\":\"a\",\"exp\":1300819000.5}", WEIR_JWT_OK},
        {"{\"iss\":\"joe\",\"sub\":\"a\"}", WEIR_JWT_CLAIMS},
        {"{\"iss\":\"joe\",\"sub\":\"a\",\"exp\":\"1300819380\"}", WEIR_JWT_CLAIMS},
        {"{\"iss\":\"joe\",\"sub\":\"a\",\"exp\":1e300}", WEIR_JWT_CLAIMS},
        {"{\"iss\":\"joe\",\"sub\":\"a\",\"exp\":-1}", WEIR_JWT_CLAIMS},
        {"{\"iss\":\"joe\",\"sub\":\"a\",\"exp\":1300819380,\"nbf\":1300819030}", WEIR_JWT_OK},
        {"{\"iss\":\"joe\",\"sub\":\"a\",\"exp\":1300819380,\"nbf\":1300819031}", WEIR_JWT_EARLY},
        {"{\"iss\":\"joe\",\"sub\":\"a\",\"exp\":1300819380,\"iat\":1300819031}", WEIR_JWT_EARLY},
        {"{\"iss\":\"joe\",\"sub\":\"a\",\"exp\":1300819380,\"nbf\":null}", WEIR_JWT_CLAIMS},
    };
    assert_rc(WEIR_OK, load(HS_SET), NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        weir_jwt_fault fault = verify(sign(HEADER, cases[i].claims));
        if (fault != cases[i].want) {
            fail_msg("%s: %s", cases[i].claims, weir_jwt_fault_name(fault));
        }
    }
}

static void issuers_and_audiences(void **state)
{
    (void)state;
    const char *mine =
        "{\"iss\":\"joe\",\"sub\":\"a\",\"exp\":1300819380,\"aud\":[\"x\",\"shop\"]}";
    assert_rc(WEIR_OK, load(HS_SET), NULL);
    rules.audience = "shop";
    assert_int_equal(verify(sign(HEADER, mine)), WEIR_JWT_OK);
    rules.audience = "sho";
    assert_int_equal(verify(sign(HEADER, mine)), WEIR_JWT_AUDIENCE);
    assert_int_equal(verify(sign(HEADER, CLAIMS)), WEIR_JWT_AUDIENCE);
    rules.audience = "*";
    rules.issuer = "jo";
    assert_int_equal(verify(sign(HEADER, mine)), WEIR_JWT_ISSUER);
    rules.issuer = "*";
    assert_int_equal(verify(sign(HEADER, "{\"sub\":\"a\",\"exp\":1300819380}")), WEIR_JWT_OK);
    rules.issuer = "joe";
    assert_int_equal(verify(sign(HEADER, "{\"sub\":\"a\",\"exp\":1300819380}")), WEIR_JWT_ISSUER);
    assert_int_equal(verify(sign(HEADER, "{\"iss\":\"joe\",\"sub\":\"\",\"exp\":1300819380}")),
                     WEIR_JWT_CLAIMS);
}

static void malformed(void **state)
{
    (void)state;
    assert_rc(WEIR_OK, load(HS_SET), NULL);
    const char *good = sign(HEADER, CLAIMS);
    static const char *const bad[] = {"", ".", "..", "...", "a.b", "a.b.c", "eyJ9..", " . . "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(verify(bad[i]), WEIR_JWT_MALFORMED);
    }
    assert_int_equal(verify(weir_arena_printf(arena, "%s=", good)), WEIR_JWT_SIGNATURE);
    assert_int_equal(verify(weir_arena_printf(arena, "%s.x", good)), WEIR_JWT_SIGNATURE);
    assert_int_equal(verify(weir_arena_printf(arena, " %s", good)), WEIR_JWT_MALFORMED);
    /* The last digit has bits that stand for nothing: another spelling of the same signature. */
    char other[1024];
    (void)snprintf(other, sizeof other, "%s", good);
    other[strlen(other) - 1]++;
    assert_int_equal(verify(other), WEIR_JWT_SIGNATURE);
    char *huge = weir_arena_alloc(arena, WEIR_JWT_MAX_BYTES + 2);
    memset(huge, 'A', WEIR_JWT_MAX_BYTES + 1);
    huge[100] = huge[200] = '.';
    assert_int_equal(weir_jwt_verify(&got, weir_slice_of(huge, WEIR_JWT_MAX_BYTES + 1), &keys,
                                     &rules, NOW_S, arena),
                     WEIR_JWT_MALFORMED);
    assert_int_equal(verify(sign(HEADER, "[1]")), WEIR_JWT_CLAIMS);
    assert_int_equal(verify(sign(HEADER, "{\"sub\":\"a\",\"sub\":\"b\",\"exp\":1300819380}")),
                     WEIR_JWT_CLAIMS);
    assert_int_equal(verify(sign("{\"alg\":\"HS256\",\"alg\":\"none\"}", CLAIMS)),
                     WEIR_JWT_MALFORMED);
}

static void key_sets(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":[1]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"" RFC_HS_KEY "\"}]}",         /* no alg */
        "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"QUFB\"}]}", /* short */
        "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"RS256\",\"k\":\"" RFC_HS_KEY "\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"alg\":\"RS256\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"none\",\"k\":\"" RFC_HS_KEY "\"}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rc(WEIR_E_INPUT, load(bad[i]), NULL);
    }
    weir_error err = {0};
    const char *with_private = weir_arena_printf(arena,
                                                 "{\"keys\":[{\"kty\":\"RSA\",\"alg\":\"RS256\","
                                                 "\"n\":\"%s\",\"e\":\"AQAB\",\"d\":\"secret\"}]}",
                                                 rs_modulus);
    assert_rc(WEIR_E_INPUT, weir_jwks_parse(&keys, weir_slice_z(with_private), arena, &err), &err);
    assert_has(err.msg, "private");
    assert_null(strstr(err.msg, "secret"));
}

static void base64url(void **state)
{
    (void)state;
    weir_slice out;
    assert_true(weir_base64url_decode(weir_slice_z("_-8"), arena, &out));
    assert_int_equal(out.n, 2);
    assert_memory_equal(out.p, "\xff\xef", 2);
    static const char *const bad[] = {"A", "AB=", "A+/B", "AAA\n", "AB", "AAB"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(weir_base64url_decode(weir_slice_z(bad[i]), arena, &out));
    }
    for (size_t n = 0; n < 70; n++) {
        char bytes[70];
        for (size_t i = 0; i < n; i++) {
            bytes[i] = (char)(i * 37 + n);
        }
        assert_true(weir_base64url_decode(weir_slice_z(b64(bytes, n)), arena, &out));
        assert_int_equal(out.n, n);
        assert_memory_equal(out.p, bytes, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_rfcs_tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(accepted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forged_algorithms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_rotate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(issuers_and_audiences, set_up, tear_down),
        cmocka_unit_test_setup_teardown(malformed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(key_sets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(base64url, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("jwt", tests, NULL, NULL);
}
