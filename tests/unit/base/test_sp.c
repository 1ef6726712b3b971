/* test_sp.c - addresses, greetings and message heads of NNG's protocols on a byte stream. */
#include "libweir/base/sp.h"
#include "tests/support/codec_check.h"

static void addresses(void **state)
{
    static const struct {
        const char *text, *host;
        int port;
        bool local, tls;
    } good[] = {{"tcp://127.0.0.1:7706", "127.0.0.1", 7706, true, false},
                {"tcp://localhost:0", "localhost", 0, true, false},
                {"tcp://[::1]:1", "::1", 1, true, false},
                {"tcp://0.0.0.0:1", "0.0.0.0", 1, false, false},
                {"tcp://[::]:65535", "::", 65535, false, false},
                {"tcp://127.0.0.1.example.org:1", "127.0.0.1.example.org", 1, false, false},
                {"tcp://db.example.org:1", "db.example.org", 1, false, false},
                {"tls+tcp://127.0.0.1:7706", "127.0.0.1", 7706, true, true},
                {"tls+tcp://[::]:1", "::", 1, false, true}};
    static const char *const bad[] = {"",
                                      "tcp://",
                                      "tcp://a",
                                      "tcp://a:",
                                      "tcp://a:x",
                                      "tcp://a:65536",
                                      "tcp://:1",
                                      "tcp://a:-1",
                                      "tcp://::1:1",
                                      "ipc://",
                                      "ws://a:1",
                                      "127.0.0.1:1",
                                      "tcp://[]:1",
                                      "tls+tcp://a",
                                      "tls+ipc:///a",
                                      "tls+tls+tcp://a:1",
                                      "tls+"};
    weir_sp_url url;
    weir_error err;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_rc(WEIR_OK, weir_sp_url_read(&url, good[i].text, &err));
        assert_string_equal(url.host, good[i].host);
        assert_int_equal(url.port, good[i].port);
        assert_int_equal(weir_sp_url_local(&url), good[i].local);
        assert_false(url.ipc);
        assert_int_equal(url.tls, good[i].tls);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rc(WEIR_E_INPUT, weir_sp_url_read(&url, bad[i], &err));
    }
    assert_rc(WEIR_OK, weir_sp_url_read(&url, "ipc:///run/weir.sock", &err));
    assert_true(url.ipc && weir_sp_url_local(&url));
    assert_string_equal(url.path, "/run/weir.sock");
}

/* Every prefix of a message is "more", the whole is whole, one byte over the limit is bad. */
static void heads(void **state)
{
    (void)state;
    for (int ipc = 0; ipc < 2; ipc++) {
        unsigned char head[WEIR_SP_HEAD_MAX];
        char wire[64];
        size_t at = 0, n = 0, head_n = weir_sp_head(head, ipc, 20);
        assert_int_equal(head_n, ipc ? 9 : 8);
        memcpy(wire, head, head_n);
        memset(wire + head_n, 'x', 20);
        for (size_t k = 0; k < head_n + 20; k++) {
            weir_slice part = exact_copy(weir_slice_of(wire, k));
            assert_int_equal(weir_sp_look(part.p, k, ipc, 20, &at, &n), WEIR_SP_MORE);
            free((void *)(uintptr_t)part.p);
        }
        assert_int_equal(weir_sp_look(wire, head_n + 20, ipc, 20, &at, &n), WEIR_SP_WHOLE);
        assert_int_equal(at, head_n);
        assert_int_equal(n, 20);
        assert_int_equal(weir_sp_look(wire, head_n, ipc, 19, &at, &n), WEIR_SP_BAD);
        memset(wire, 0xff, sizeof wire);
        assert_int_equal(weir_sp_look(wire, 64, ipc, SIZE_MAX / 2, &at, &n), WEIR_SP_BAD);
    }
}

static void ids(void **state)
{
    char devices[4 * (WEIR_SP_IDS_MAX + 1)] = {0};
    (void)state;
    assert_int_equal(weir_sp_ids("\x80\0\0\1", 4), 4);
    assert_int_equal(weir_sp_ids("\x7f\0\0\7\x80\0\0\1x", 9), 8);
    assert_int_equal(weir_sp_ids("\x80\0\0", 3), 0);
    assert_int_equal(weir_sp_ids("\0\0\0\7", 4), 0);
    assert_int_equal(weir_sp_ids("", 0), 0);
    devices[4 * WEIR_SP_IDS_MAX] = (char)0x80; /* one device too many */
    assert_int_equal(weir_sp_ids(devices, sizeof devices), 0);
    devices[4 * (WEIR_SP_IDS_MAX - 1)] = (char)0x80;
    assert_int_equal(weir_sp_ids(devices, sizeof devices), 4 * WEIR_SP_IDS_MAX);
}

static void greetings(void **state)
{
    unsigned char g[WEIR_SP_GREETING_BYTES];
    (void)state;
    weir_sp_greeting(g, WEIR_SP_REQ);
    assert_memory_equal(g, "\0SP\0\0\x30\0\0", 8);
    assert_true(weir_sp_greeting_ok(g, WEIR_SP_REQ));
    assert_false(weir_sp_greeting_ok(g, WEIR_SP_REP));
    g[7] = 1;
    assert_false(weir_sp_greeting_ok(g, WEIR_SP_REQ));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses), cmocka_unit_test(heads),
                                       cmocka_unit_test(ids), cmocka_unit_test(greetings)};
    return cmocka_run_group_tests_name("sp", tests, NULL, NULL);
}
