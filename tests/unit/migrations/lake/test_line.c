/* test_line.c - migrations/lake/line.c: changes as lines, numbers digit by digit. */
#include "migrations/lake/line.h"

#include "libweir/codec/json.h"
#include "libweir/codec/lsn.h"
#include "tests/support/check.h"

static weir_column cols[] = {
    {WEIR_SLICE_LIT("id"), 20, -1, true},
    {WEIR_SLICE_LIT("price"), 1700, -1, false},
    {WEIR_SLICE_LIT("no\"te"), 25, -1, false},
};
static weir_relation rel = {.version = 3,
                            .oid = 16400,
                            .schema = WEIR_SLICE_LIT("public"),
                            .name = WEIR_SLICE_LIT("item"),
                            .identity = 'd',
                            .n = 3,
                            .cols = cols};
static const lake_stamp stamp = {
    .lsn = 0x16B3748, .sub = WEIR_SUB_TX, .xid = 9, .at_us = 0, .seq = 2};
#define HEAD                                                                                       \
    "\"table\":\"public.item\",\"position\":\"00000000/016B3748\",\"sub\":4294967295,\"seq\":2,"   \
    "\"at\":\"2000-01-01T00:00:00.000000Z\",\"xid\":9"

static weir_val text(const char *z)
{
    return (weir_val){WEIR_VAL_TEXT, weir_slice_z(z)};
}

static void check(const lake_stamp *st, const weir_ev *ev, const char *want)
{
    weir_buf b;
    weir_json *j = NULL;
    weir_error err;
    weir_buf_init(&b, 1 << 20);
    lake_line(&b, st, &rel, ev);
    assert_slice(want, weir_buf_slice(&b));
    assert_rc(WEIR_OK, weir_json_parse(&j, weir_buf_slice(&b), &err), &err);
    weir_json_free(j);
    weir_buf_fini(&b);
}

static void inserts_updates_and_deletes(void **state)
{
    (void)state;
    weir_val nv[] = {
        text("9007199254740993"), text("12345678901234567890.50"), {WEIR_VAL_UNCHANGED, {NULL, 0}}};
    weir_val ov[] = {text("7"), {WEIR_VAL_NULL, {NULL, 0}}, {WEIR_VAL_NULL, {NULL, 0}}};
    weir_tuple n = {3, nv}, o = {3, ov};
    weir_ev ev = {
        .kind = WEIR_EV_UPDATE, .rel = 3, .old_kind = WEIR_OLD_KEY, .old_row = o, .new_row = n};
    check(&stamp, &ev,
          "{\"op\":\"update\"," HEAD ",\"key\":{\"id\":9007199254740993},"
          "\"row\":{\"id\":9007199254740993,\"price\":\"12345678901234567890.50\"},"
          "\"unchanged\":[\"no\\\"te\"],\"old_key\":{\"id\":7}}\n");
    nv[1] = (weir_val){WEIR_VAL_NULL, {NULL, 0}};
    nv[2] = text("a\nb");
    ev = (weir_ev){.kind = WEIR_EV_INSERT, .rel = 3, .new_row = n};
    lake_stamp st = stamp;
    st.command = WEIR_SLICE_LIT("place_order");
    st.command_id = WEIR_SLICE_LIT("c1");
    st.origin = WEIR_SLICE_LIT("o");
    check(&st, &ev,
          "{\"op\":\"insert\"," HEAD
          ",\"command\":\"place_order\",\"command_id\":\"c1\",\"origin\":\"o\","
          "\"key\":{\"id\":9007199254740993},"
          "\"row\":{\"id\":9007199254740993,\"price\":null,\"no\\\"te\":\"a\\nb\"}}\n");
    ev = (weir_ev){.kind = WEIR_EV_DELETE, .rel = 3, .old_kind = WEIR_OLD_KEY, .old_row = o};
    check(&stamp, &ev, "{\"op\":\"delete\"," HEAD ",\"key\":{\"id\":7}}\n");
    ev.old_kind = WEIR_OLD_ROW;
    rel.identity = 'f';
    check(&stamp, &ev,
          "{\"op\":\"delete\"," HEAD ",\"old\":{\"id\":7,\"price\":null,\"no\\\"te\":null}}\n");
    rel.identity = 'd';
}

static void other_events(void **state)
{
    (void)state;
    weir_val hv[] = {text("7")};
    weir_tuple hi = {1, hv};
    weir_ev ev = {.kind = WEIR_EV_TRUNCATE, .flags = 2};
    check(&stamp, &ev,
          "{\"op\":\"truncate\"," HEAD ",\"cascade\":false,\"restart_identity\":true}\n");
    lake_stamp st = stamp;
    st.copied = true;
    st.sub = 4;
    ev = (weir_ev){.kind = WEIR_EV_RANGE, .rel = 3, .copy_id = WEIR_SLICE_LIT("k"), .new_row = hi};
    check(
        &st, &ev,
        "{\"op\":\"range\",\"table\":\"public.item\",\"position\":\"00000000/016B3748\",\"sub\":4,"
        "\"seq\":2,\"at\":\"2000-01-01T00:00:00.000000Z\",\"copy\":\"k\",\"after\":null,\"to\":["
        "\"7\"]}\n");
}

static void values_by_type(void **state)
{
    static const struct {
        uint32_t oid;
        const char *in, *out;
    } t[] = {
        {16, "t", "true"},
        {16, "f", "false"},
        {21, "-1", "-1"},
        {23, "007", "\"007\""}, /* not what an int4 prints: never as a number */
        {20, "9223372036854775807", "9223372036854775807"},
        {701, "1e+20", "1e+20"},
        {701, "1.5", "1.5"},
        {701, "NaN", "\"NaN\""},
        {701, "-Infinity", "\"-Infinity\""},
        {700, "0.1", "0.1"},
        {1700, "0.10", "\"0.10\""},
        {1700, "NaN", "\"NaN\""},
        {3802, "{\"a\": [1, 2.50]}", "{\"a\": [1, 2.50]}"},
        {114, "{\"a\":\r\n1}", "{\"a\":  1}"},
        {114, "", "\"\""},
        {17, "\\x00ff", "\"\\\\x00ff\""},
        {1184, "2024-05-06 07:08:09+00", "\"2024-05-06 07:08:09+00\""},
        {1007, "{1,2}", "\"{1,2}\""},
        {25, "", "\"\""},
    };
    (void)state;
    weir_buf b;
    weir_buf_init(&b, 1 << 16);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        weir_buf_reset(&b);
        lake_value(&b, t[i].oid, weir_slice_z(t[i].in));
        assert_slice(t[i].out, weir_buf_slice(&b));
    }
    weir_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inserts_updates_and_deletes),
        cmocka_unit_test(other_events),
        cmocka_unit_test(values_by_type),
    };
    return cmocka_run_group_tests_name("lake line", tests, NULL, NULL);
}
