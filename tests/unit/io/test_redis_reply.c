/* test_redis_reply.c - answers shorter or of another kind than expected read as nil. */
#include <hiredis/hiredis.h>

#include "libweir/io/redis.h"
#include "tests/support/check.h"

static const weir_redis_reply *as_reply(const redisReply *r)
{
    return (const weir_redis_reply *)(const void *)r;
}

static void nothing_reads_as_nil(void **state)
{
    (void)state;
    assert_int_equal(weir_redis_reply_type(NULL), WEIR_REDIS_NIL);
    assert_null(weir_redis_reply_str(NULL).p);
    assert_int_equal(weir_redis_reply_str(NULL).n, 0);
    assert_int_equal(weir_redis_reply_int(NULL), 0);
    assert_int_equal(weir_redis_reply_len(NULL), 0);
    assert_null(weir_redis_reply_at(NULL, 0));
}

/* The shape of a pub/sub message that was cut: two elements instead of three. */
static void a_short_array_has_no_further_elements(void **state)
{
    (void)state;
    char kind[] = "message";
    char channel[] = "c";
    redisReply a = {.type = REDIS_REPLY_STRING, .str = kind, .len = 7};
    redisReply b = {.type = REDIS_REPLY_STRING, .str = channel, .len = 1};
    redisReply *both[] = {&a, &b};
    redisReply r = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = both};
    const weir_redis_reply *reply = as_reply(&r);
    assert_true(weir_slice_eqz(weir_redis_reply_str(weir_redis_reply_at(reply, 1)), "c"));
    assert_null(weir_redis_reply_at(reply, 2));
    assert_null(weir_redis_reply_str(weir_redis_reply_at(reply, 2)).p);
    assert_int_equal(weir_redis_reply_type(weir_redis_reply_at(reply, 9)), WEIR_REDIS_NIL);
}

static void scalars_have_no_elements(void **state)
{
    (void)state;
    redisReply r = {.type = REDIS_REPLY_INTEGER, .integer = 5};
    assert_int_equal(weir_redis_reply_int(as_reply(&r)), 5);
    assert_int_equal(weir_redis_reply_len(as_reply(&r)), 0);
    assert_null(weir_redis_reply_at(as_reply(&r), 0));
    assert_null(weir_redis_reply_str(weir_redis_reply_at(as_reply(&r), 0)).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_reads_as_nil),
        cmocka_unit_test(a_short_array_has_no_further_elements),
        cmocka_unit_test(scalars_have_no_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
