/* test_ask.c - messages of the NNG endpoints: there and back, cut short, wrong in every way. */
#include "libweir/codec/mp.h"
#include "tests/support/asksamples.h"
#include "tests/support/codec_check.h"

static weir_arena *arena;
static weir_error err;

static weir_rc decode(weir_slice s, weir_ask *out)
{
    weir_arena_reset(arena);
    memset(&err, 0, sizeof err);
    return weir_ask_decode(s, arena, out, &err);
}

static void there_and_back(void **state)
{
    (void)state;
    for (int op = WEIR_ASK_COMMAND; op <= WEIR_ASK_QUERY; op++) {
        weir_buf b, again;
        weir_ask ask = asksample((weir_ask_op)op), got;
        weir_buf_init(&b, 1 << 16);
        weir_buf_init(&again, 1 << 16);
        weir_ask_encode(&b, &ask);
        weir_slice whole = exact_copy(weir_buf_slice(&b));
        assert_rc(WEIR_OK, decode(whole, &got));
        weir_ask_encode(&again, &got);
        assert_slice(weir_buf_slice(&b), weir_buf_slice(&again));
        assert_int_equal(got.op, op);
        assert_int_equal(got.nkey, ask.nkey);
        for (size_t n = 0; n < whole.n; n++) { /* cut short: refused, and nothing read beyond */
            weir_slice part = exact_copy(weir_slice_of(whole.p, n));
            assert_rc(WEIR_E_INPUT, decode(part, &got));
            free((void *)(uintptr_t)part.p);
        }
        free((void *)(uintptr_t)whole.p);
        weir_buf_fini(&b);
        weir_buf_fini(&again);
    }
}

static void answers(void **state)
{
    (void)state;
    for (int ok = 0; ok < 2; ok++) {
        weir_buf b;
        weir_answer a = asksample_answer(ok), got;
        weir_buf_init(&b, 1 << 16);
        weir_answer_encode(&b, &a);
        assert_rc(WEIR_OK, weir_answer_decode(weir_buf_slice(&b), &got, &err));
        assert_int_equal(got.status, a.status);
        assert_slice(a.body, got.body);
        assert_slice(a.model_state, got.model_state);
        assert_slice(a.location, got.location);
        assert_int_equal(got.retry_after_s, a.retry_after_s);
        assert_int_equal(got.replayed, a.replayed);
        for (size_t n = 0; n < b.n; n++) {
            weir_slice part = exact_copy(weir_slice_of(b.p, n));
            assert_rc(WEIR_E_PROTO, weir_answer_decode(part, &got, &err));
            free((void *)(uintptr_t)part.p);
        }
        weir_buf_fini(&b);
    }
}

/* {"op": op, field: value}, value put by hand. */
static weir_rc one(const char *op, const char *field, const char *raw, size_t raw_n)
{
    weir_buf b;
    weir_ask got;
    weir_buf_init(&b, 1 << 16);
    msgpack_packer pk = weir_mp_packer(&b);
    (void)msgpack_pack_map(&pk, 2);
    weir_mp_put_key(&pk, "op");
    weir_mp_put_key(&pk, op);
    weir_mp_put_key(&pk, field);
    weir_buf_put(&b, raw, raw_n);
    weir_rc rc = decode(weir_buf_slice(&b), &got);
    weir_buf_fini(&b);
    return rc;
}

static void refusals(void **state)
{
    static const struct {
        const char *op, *field, *raw;
        size_t n;
        const char *says;
    } bad[] = {
        {"command", "name", "\x01", 1, "\"name\" must be a text"},
        {"command", "name",
         "\xa3"
         "a\0b",
         4, "without NUL"},
        {"command", "idempotencykey", "\xa1k", 2, "there is no field \"idempotencykey\""},
        {"command", "\n\x1b[2J", "\xa1k", 2, "there is no field \"???\""},
        {"commands", "atomic", "\xc3", 1, "\"args\" must be given"},
        {"query", "atomic", "\xc3", 1, "op \"query\" has no field \"atomic\""},
        {"command", "args", "\xa2{}", 3, "\"name\" must be given"},
        {"command", "deadline_ms", "\xff", 1, "0 or more"},
        {"command", "priority", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, "0 or more"},
        {"command", "async", "\x01", 1, "true or false"},
        {"command", "op",
         "\xa7"
         "command",
         8, "there is no field \"op\""},
        {"erase", "name", "\xa1k", 2, "\"op\" must be"},
        {"status", "wait_ms", "\x01", 1, "\"id\" must be given"},
        {"query", "key", "\x90", 1, "1 to 16 parts"},
        {"query", "key", "\x91\xc0", 2, "a text or a number"},
        {"query", "key", "\xdd\xff\xff\xff\xff", 5, "1 to 16 parts"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rc(WEIR_E_INPUT, one(bad[i].op, bad[i].field, bad[i].raw, bad[i].n));
        if (!strstr(err.msg, bad[i].says)) {
            fail_msg("%zu: \"%s\" does not say \"%s\"", i, err.msg, bad[i].says);
        }
    }
    assert_rc(WEIR_OK, one("command", "name", "\xa1k", 2));
    assert_rc(WEIR_OK, one("query", "model", "\xa1k", 2));
}

static void keys_may_be_numbers(void **state)
{
    static const char raw[] = "\x83\xa2op\xa5query\xa5model\xa1m\xa3key\x93\x07\xd0\xfb\xa1x";
    weir_ask got;
    (void)state;
    assert_rc(WEIR_OK, decode(weir_slice_of(raw, sizeof raw - 1), &got));
    assert_int_equal(got.nkey, 3);
    assert_true(weir_slice_eqz(got.key[0], "7") && weir_slice_eqz(got.key[1], "-5"));
    assert_rc(WEIR_E_INPUT, decode(WEIR_SLICE_LIT("\x90"), &got));
    assert_rc(WEIR_E_INPUT, decode(WEIR_SLICE_LIT("\xdf\xff\xff\xff\xff"), &got));
}

static int up(void **state)
{
    (void)state;
    arena = weir_arena_new(1 << 20);
    return 0;
}

static int down(void **state)
{
    (void)state;
    weir_arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back), cmocka_unit_test(answers),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(keys_may_be_numbers)};
    return cmocka_run_group_tests_name("ask", tests, up, down);
}
