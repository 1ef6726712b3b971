/* test_pgoutput.c - every message type, truncated at every byte, with leftovers, with counts that
 * lie. */
#include "libweir/codec/pgoutput.h"

#include "libweir/base/buf.h"
#include "tests/support/codec_check.h"

static weir_buf b;
static weir_arena *a;

static int setup(void **state)
{
    (void)state;
    weir_buf_init(&b, 1 << 20);
    a = weir_arena_new(1 << 20);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    weir_buf_fini(&b);
    weir_arena_free(a);
    return 0;
}

static void put_z(const char *z)
{
    weir_buf_put(&b, z, strlen(z) + 1);
}
static void put_text(const char *z)
{
    weir_buf_u8(&b, 't');
    weir_buf_u32(&b, (uint32_t)strlen(z));
    weir_buf_putz(&b, z);
}
static void start(char kind)
{
    weir_buf_reset(&b);
    weir_buf_u8(&b, (uint8_t)kind);
}
/* 42, NULL, unchanged, empty text */
static void put_tuple(char kind)
{
    weir_buf_u8(&b, (uint8_t)kind);
    weir_buf_u16(&b, 4);
    put_text("42");
    weir_buf_u8(&b, 'n');
    weir_buf_u8(&b, 'u');
    put_text("");
}

static weir_rc decode(weir_slice s, weir_pgo *out)
{
    weir_error err;
    weir_arena_reset(a);
    return weir_pgo_decode(s, a, out, &err);
}

/* The message in b decodes, no prefix of it does, and one byte more does not either. */
static void check_edges(weir_pgo *out)
{
    for (size_t n = 0; n < b.n; n++) {
        weir_slice cut = exact_copy(weir_slice_of(b.p, n));
        assert_rc(WEIR_E_PROTO, decode(cut, out));
        free((void *)(uintptr_t)cut.p);
    }
    weir_buf_u8(&b, 0);
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), out));
    b.n--;
    assert_rc(WEIR_OK, decode(weir_buf_slice(&b), out));
}

static void test_begin(void **state)
{
    (void)state;
    weir_pgo m;
    start('B');
    weir_buf_u64(&b, 0x1600000028ULL);
    weir_buf_u64(&b, 812345678901234ULL);
    weir_buf_u32(&b, 4000000001U);
    check_edges(&m);
    assert_int_equal(m.kind, WEIR_PGO_BEGIN);
    assert_true(m.u.begin.final_lsn == 0x1600000028ULL);
    assert_true(m.u.begin.commit_us == 812345678901234LL);
    assert_true(m.u.begin.xid == 4000000001U);
}

static void test_commit(void **state)
{
    (void)state;
    weir_pgo m;
    start('C');
    weir_buf_u8(&b, 0);
    weir_buf_u64(&b, 10);
    weir_buf_u64(&b, 20);
    weir_buf_u64(&b, 30);
    check_edges(&m);
    assert_true(m.u.commit.commit_lsn == 10 && m.u.commit.end_lsn == 20 &&
                m.u.commit.commit_us == 30);
    b.p[1] = 1;
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), &m));
}

static void test_origin_and_type(void **state)
{
    (void)state;
    weir_pgo m;
    start('O');
    weir_buf_u64(&b, 0xABCD);
    put_z("dc2");
    check_edges(&m);
    assert_true(m.u.origin.lsn == 0xABCD);
    assert_slice(WEIR_SLICE_LIT("dc2"), m.u.origin.name);
    start('Y');
    weir_buf_u32(&b, 16414);
    put_z("public");
    put_z("mood");
    check_edges(&m);
    assert_int_equal(m.u.type.oid, 16414);
    assert_slice(WEIR_SLICE_LIT("mood"), m.u.type.name);
}

static void put_relation(const char *second_column)
{
    start('R');
    weir_buf_u32(&b, 16385);
    put_z("public");
    put_z("orders");
    weir_buf_u8(&b, 'd');
    weir_buf_u16(&b, 2);
    weir_buf_u8(&b, 1);
    put_z("id");
    weir_buf_u32(&b, 20);
    weir_buf_u32(&b, 0xffffffffU);
    weir_buf_u8(&b, 0);
    put_z(second_column);
    weir_buf_u32(&b, 1043);
    weir_buf_u32(&b, 54);
}

static void test_relation(void **state)
{
    (void)state;
    weir_pgo m;
    put_relation("name");
    check_edges(&m);
    const weir_relation *r = &m.u.relation;
    assert_int_equal(r->oid, 16385);
    assert_slice(WEIR_SLICE_LIT("orders"), r->name);
    assert_int_equal(r->identity, 'd');
    assert_int_equal(r->n, 2);
    assert_true(r->cols[0].key && r->cols[0].typmod == -1);
    assert_false(r->cols[1].key);
    assert_int_equal(r->cols[1].typmod, 54);
}

/* A description that comes again is decoded again: ALTER TABLE must never be missed because "it is
 * known". */
static void test_relation_again(void **state)
{
    (void)state;
    weir_pgo m;
    put_relation("name");
    assert_rc(WEIR_OK, decode(weir_buf_slice(&b), &m));
    put_relation("title");
    assert_rc(WEIR_OK, decode(weir_buf_slice(&b), &m));
    assert_slice(WEIR_SLICE_LIT("title"), m.u.relation.cols[1].name);
}

static void test_relation_lies(void **state)
{
    (void)state;
    weir_pgo m;
    put_relation("name");
    size_t at_identity = 1 + 4 + sizeof "public" + sizeof "orders";
    b.p[at_identity + 1] = (char)0xff; /* 65,282 columns */
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), &m));
    put_relation("name");
    b.p[at_identity] = 'x';
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), &m));
    put_relation("name");
    b.p[at_identity + 3] = 2; /* unknown column flag */
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), &m));
}

static void check_tuple(const weir_tuple *t)
{
    assert_int_equal(t->n, 4);
    assert_slice(WEIR_SLICE_LIT("42"), t->v[0].text);
    assert_int_equal(t->v[1].kind, WEIR_VAL_NULL);
    assert_int_equal(t->v[2].kind, WEIR_VAL_UNCHANGED);
    assert_int_equal(t->v[3].kind, WEIR_VAL_TEXT);
    assert_int_equal(t->v[3].text.n, 0);
}

static void test_rows(void **state)
{
    (void)state;
    weir_pgo m;
    start('I');
    weir_buf_u32(&b, 16385);
    put_tuple('N');
    check_edges(&m);
    check_tuple(&m.u.row.new_row);
    for (const char *old = "KO"; *old; old++) {
        start('U');
        weir_buf_u32(&b, 16385);
        put_tuple(*old);
        put_tuple('N');
        check_edges(&m);
        assert_int_equal(m.u.row.old_kind, *old);
        check_tuple(&m.u.row.old_row);
        check_tuple(&m.u.row.new_row);
        start('D');
        weir_buf_u32(&b, 16385);
        put_tuple(*old);
        check_edges(&m);
        check_tuple(&m.u.row.old_row);
        assert_int_equal(m.u.row.new_row.n, 0);
    }
    start('U');
    weir_buf_u32(&b, 16385);
    put_tuple('N');
    check_edges(&m);
    assert_int_equal(m.u.row.old_kind, 0);
}

static void refuse_row(char kind, const char *tuples)
{
    weir_pgo m;
    start(kind);
    weir_buf_u32(&b, 16385);
    for (; *tuples; tuples++) {
        put_tuple(*tuples);
    }
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), &m));
}

static void test_rows_out_of_order(void **state)
{
    (void)state;
    refuse_row('I', "O");
    refuse_row('I', "NN");
    refuse_row('U', "K");
    refuse_row('U', "NK");
    refuse_row('U', "KKN");
    refuse_row('D', "N");
    refuse_row('D', "KN");
}

static void test_tuple_lies(void **state)
{
    (void)state;
    weir_pgo m;
    start('I');
    weir_buf_u32(&b, 16385);
    weir_buf_u8(&b, 'N');
    weir_buf_u16(&b, 0xffff);
    weir_buf_u8(&b, 'n');
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), &m));
    start('I');
    weir_buf_u32(&b, 16385);
    weir_buf_u8(&b, 'N');
    weir_buf_u16(&b, 1);
    weir_buf_u8(&b, 't');
    weir_buf_u32(&b, 0xffffffffU);
    weir_buf_putz(&b, "x");
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), &m));
    b.p[8] = 'b';
    b.p[9] = b.p[10] = b.p[11] = 0;
    b.p[12] = 1;
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), &m));
    b.p[8] = 't';
    assert_rc(WEIR_OK, decode(weir_buf_slice(&b), &m));
}

/* All relations of a TRUNCATE are told, and the count is compared with what remains before it is a
 * loop bound. */
static void test_truncate(void **state)
{
    (void)state;
    weir_pgo m;
    start('T');
    weir_buf_u32(&b, 3);
    weir_buf_u8(&b, 3);
    weir_buf_u32(&b, 11);
    weir_buf_u32(&b, 22);
    weir_buf_u32(&b, 33);
    check_edges(&m);
    assert_int_equal(m.u.truncate.n, 3);
    assert_int_equal(m.u.truncate.oids[0], 11);
    assert_int_equal(m.u.truncate.oids[2], 33);
    assert_int_equal(m.u.truncate.flags, 3);
    memset(b.p + 1, 0xff, 4);
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), &m));
    memcpy(b.p + 1, "\0\0\0\2", 4);
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), &m));
}

static void test_message(void **state)
{
    (void)state;
    weir_pgo m;
    start('M');
    weir_buf_u8(&b, 1);
    weir_buf_u64(&b, 99);
    put_z("weir.command");
    weir_buf_u32(&b, 5);
    weir_buf_put(&b, "{\"\0\"}", 5);
    check_edges(&m);
    assert_true(m.u.message.transactional);
    assert_true(m.u.message.lsn == 99);
    assert_slice(WEIR_SLICE_LIT("weir.command"), m.u.message.prefix);
    assert_slice(weir_slice_of("{\"\0\"}", 5), m.u.message.content);
    b.p[1] = 2;
    assert_rc(WEIR_E_PROTO, decode(weir_buf_slice(&b), &m));
}

static void test_unknown(void **state)
{
    (void)state;
    weir_pgo m;
    for (int c = 0; c < 256; c++) {
        char one = (char)(unsigned char)c;
        assert_rc(WEIR_E_PROTO, decode(weir_slice_of(&one, 1), &m));
    }
    assert_rc(WEIR_E_PROTO, decode((weir_slice){NULL, 0}, &m));
}

/* The memory of a message is bounded: a wide tuple in a small arena is an answer, not an abort. */
static void test_limit(void **state)
{
    (void)state;
    weir_pgo m;
    weir_error err;
    weir_arena *small = weir_arena_new(64);
    start('I');
    weir_buf_u32(&b, 16385);
    put_tuple('N');
    weir_rc rc = weir_pgo_decode(weir_buf_slice(&b), small, &m, &err);
    weir_arena_free(small);
    assert_rc(WEIR_E_LIMIT, rc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begin),
        cmocka_unit_test(test_commit),
        cmocka_unit_test(test_origin_and_type),
        cmocka_unit_test(test_relation),
        cmocka_unit_test(test_relation_again),
        cmocka_unit_test(test_relation_lies),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rows_out_of_order),
        cmocka_unit_test(test_tuple_lies),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests_name("pgoutput", tests, setup, teardown);
}
