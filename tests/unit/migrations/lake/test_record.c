/* test_record.c - migrations/lake/record.c, csv.c, jsonl.c: records, their fields and places. */
#include "migrations/lake/record.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libweir/base/buf.h"
#include "tests/support/check.h"

static int file_of(const char *text, size_t n)
{
    int fd = memfd_create("records", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    return fd;
}

/* "line:field|field…;" per record; NULL as ~, quoted in "", bad records as !reason. */
static void show(weir_buf *out, const lake_record *rec)
{
    weir_buf_printf(out, "%llu:", (unsigned long long)rec->line);
    if (rec->bad) {
        weir_buf_printf(out, "!%s", rec->bad);
    }
    for (size_t i = 0; i < rec->n && !rec->bad; i++) {
        const lake_field *f = &rec->fields[i];
        weir_buf_putz(out, i ? "|" : "");
        if (f->name.n) {
            weir_buf_puts(out, f->name);
            weir_buf_u8(out, '=');
        }
        if (f->kind == LAKE_NULL) {
            weir_buf_u8(out, '~');
        } else {
            weir_buf_putz(out, f->kind == LAKE_QUOTED ? "\"" : "");
            weir_buf_puts(out, f->text);
            weir_buf_putz(out, f->kind == LAKE_QUOTED ? "\"" : "");
        }
    }
    weir_buf_u8(out, ';');
}

static void check_n(lake_format format, const char *text, size_t n, size_t row_max,
                    const char *want)
{
    int fd = file_of(text, n);
    weir_arena *a = weir_arena_new(0);
    weir_buf b;
    weir_error err;
    lake_record rec;
    weir_rc rc;
    weir_buf_init(&b, 1 << 20);
    lake_reader *r = lake_reader_new(fd, format, ',', row_max, 0, 1);
    while ((rc = lake_reader_next(r, a, &rec, &err)) == WEIR_OK) {
        show(&b, &rec);
        /* A reader that begins behind this record reads the same as one that goes on. */
        lake_reader *r2 =
            lake_reader_new(fd, format, ',', row_max, lake_reader_offset(r), lake_reader_line(r));
        lake_record x;
        weir_rc rc2 = lake_reader_next(r2, a, &x, &err);
        assert_true(rc2 == WEIR_OK || rc2 == WEIR_E_EOF);
        assert_true(rc2 == WEIR_E_EOF || x.line >= lake_reader_line(r));
        lake_reader_free(r2);
    }
    assert_rc(WEIR_E_EOF, rc, NULL);
    assert_int_equal(lake_reader_offset(r), n);
    assert_slice(want, weir_buf_slice(&b));
    lake_reader_free(r);
    weir_buf_fini(&b);
    weir_arena_free(a);
    (void)close(fd);
}

static void check(lake_format format, const char *text, const char *want)
{
    check_n(format, text, strlen(text), 1 << 20, want);
}

static void csv_fields(void **state)
{
    (void)state;
    check(LAKE_CSV, "", "");
    check(LAKE_CSV, "a,b\n1,2\n", "1:a|b;2:1|2;");
    check(LAKE_CSV, "a,b\r\n1,2\r\n", "1:a|b;2:1|2;");
    check(LAKE_CSV, "a,b", "1:a|b;");
    check(LAKE_CSV, ",\n\"\",x\n", "1:~|~;2:\"\"|x;");
    check(LAKE_CSV, "\n\na\n\n", "3:a;");
    check(LAKE_CSV, "\"x\"\"y\",\"a,b\",\"l1\nl2\r\nl3\"\nz,,\n",
          "1:\"x\"y\"|\"a,b\"|\"l1\nl2\r\nl3\";4:z|~|~;");
    check(LAKE_CSV, "\xef\xbb\xbf\"a\",b\n", "1:\"a\"|b;");
    check(LAKE_CSV, "\"a\n", "1:!a quote is never closed;");
    check(LAKE_CSV, "a\"b\nc\n", "1:!a quote inside of a field that is not quoted;2:c;");
    check(LAKE_CSV, "\"a\"b,c\nd\n", "1:!something follows a closing quote;2:d;");
    check(LAKE_CSV, "\"a\" \nd\n", "1:!something follows a closing quote;2:d;");
    check(LAKE_CSV, "\xff\nd\n", "1:!not UTF-8, or a byte 0;2:d;");
    check_n(LAKE_CSV, "a\0b\nd\n", 6, 100, "1:!not UTF-8, or a byte 0;2:d;");
}

static void json_members(void **state)
{
    (void)state;
    check(LAKE_JSONL, "{\"a\":1,\"b\":\"x\",\"c\":null}\n\n {}\n", "1:a=1|b=\"x\"|c=~;3:;");
    check(LAKE_JSONL, "{\"n\":12345678901234567890.10e-5,\"t\":true,\"f\":false}",
          "1:n=12345678901234567890.10e-5|t=true|f=false;");
    check(LAKE_JSONL, "{\"o\":{\"x\":[1,{\"y\":\"]}\"}]} , \"l\":[ ]}\r\n",
          "1:o={\"x\":[1,{\"y\":\"]}\"}]}|l=[ ];");
    check(LAKE_JSONL, "{\"s\":\"a\\n\\u00e4\\ud83d\\ude00\\\\\\\"\"}",
          "1:s=\"a\n\xc3\xa4\xf0\x9f\x98\x80\\\"\";");
    static const char *const bad[] = {
        "[1]",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{a:1}",
        "{\"a\":1} x",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"x}",
        "{\"a\":[1,]}",
        "{\"a\":[1}",
        "{\"a\":+1}",
        "{\"a\":NaN}",
        "{\"a\":tru}",
        "{\"a\" 1}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\t\"}",
        "{",
        "{\"a\":{",
        "{\"a\":{\"b\"",
        "{\"a\":-}",
        "{\"a\":1e}",
        "x",
    };
    weir_arena *a = weir_arena_new(0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lake_record rec = {0};
        assert_false(lake_json_split(weir_slice_z(bad[i]), a, &rec));
        assert_non_null(rec.bad);
    }
    char deep[1000] = "{\"a\":";
    memset(deep + 5, '[', sizeof deep - 6);
    lake_record rec = {0};
    assert_false(lake_json_split(weir_slice_z(deep), a, &rec));
    assert_has(rec.bad, "too deep");
    weir_arena_free(a);
}

static void arrays_for_postgres(void **state)
{
    static const struct {
        const char *in, *out;
    } t[] = {
        {"[]", "{}"},
        {"[1,2]", "{\"1\",\"2\"}"},
        {"[[1],[null]]", "{{\"1\"},{NULL}}"},
        {"[\"a\\\"b\",\"\",\"NULL\"]", "{\"a\\\"b\",\"\",\"NULL\"}"},
        {"[ true , {\"x\": \"y\"} ]", "{\"true\",\"{\\\"x\\\": \\\"y\\\"}\"}"},
    };
    (void)state;
    weir_buf b;
    weir_buf_init(&b, 1 << 16);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        weir_buf_reset(&b);
        assert_true(lake_json_array(weir_slice_z(t[i].in), &b));
        assert_slice(t[i].out, weir_buf_slice(&b));
    }
    weir_buf_reset(&b);
    assert_false(lake_json_array(WEIR_SLICE_LIT("[1"), &b));
    assert_false(lake_json_array(WEIR_SLICE_LIT("1"), &b));
    weir_buf_fini(&b);
}

static void too_long_records_are_skipped_in_little_memory(void **state)
{
    (void)state;
    size_t n = 3 << 20;
    char *text = malloc(n + 32);
    memset(text, 'x', n + 32);
    memcpy(text, "a\n\"", 3);
    text[1000] = '\n'; /* within the quoted field */
    memcpy(text + n, "\"\nlast\n", 7);
    check_n(LAKE_CSV, text, n + 7, 300000,
            "1:a;2:!the record is longer than row_max_bytes;4:last;");
    text[n + 6] = 'y'; /* without a line end */
    check_n(LAKE_CSV, text, n + 7, 300000,
            "1:a;2:!the record is longer than row_max_bytes;4:lasty;");
    memset(text, 'x', n);
    check_n(LAKE_JSONL, text, n, 300000, "1:!the record is longer than row_max_bytes;");
    free(text);
}

/* Random texts over a small alphabet: the records and what lies between them make up the file, and
 * the parse does not depend on where blocks end. */
static void random_texts_are_read_to_their_end(void **state)
{
    static const char alphabet[] = "a,\"\n\r{}[]:1\\ux ";
    (void)state;
    uint64_t seed = weir_test_seed();
    for (int round = 0; round < 3000; round++) {
        char text[64];
        size_t n = weir_test_random(&seed) % sizeof text;
        for (size_t i = 0; i < n; i++) {
            text[i] = alphabet[weir_test_random(&seed) % (sizeof alphabet - 1)];
        }
        int fd = file_of(text, n);
        for (int format = LAKE_CSV; format <= LAKE_JSONL; format++) {
            lake_reader *r = lake_reader_new(fd, (lake_format)format, ',', 100, 0, 1);
            weir_arena *a = weir_arena_new(0);
            lake_record rec;
            weir_error err;
            uint64_t at = 0, line = 0;
            while (lake_reader_next(r, a, &rec, &err) == WEIR_OK) {
                assert_true(lake_reader_offset(r) > at && rec.line > line);
                at = lake_reader_offset(r);
                line = rec.line;
            }
            assert_int_equal(lake_reader_offset(r), n);
            uint64_t newlines = 1;
            for (size_t i = 0; i < n; i++) {
                newlines += text[i] == '\n';
            }
            assert_int_equal(lake_reader_line(r), newlines);
            lake_reader_free(r);
            weir_arena_free(a);
        }
        (void)close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_fields),
        cmocka_unit_test(json_members),
        cmocka_unit_test(arrays_for_postgres),
        cmocka_unit_test(too_long_records_are_skipped_in_little_memory),
        cmocka_unit_test(random_texts_are_read_to_their_end),
    };
    return cmocka_run_group_tests_name("lake record", tests, NULL, NULL);
}
