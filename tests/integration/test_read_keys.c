/* test_read_keys.c - how the read-service spells the value of a key, compared with PostgreSQL's own
 * input and output functions. */
#include <stdio.h>

#include "libweir/codec/dockey.h"
#include "read-service/keyval.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"

enum { ROUNDS = 5000 };

static fixture fx;

/* exact: what is not understood is no value to PostgreSQL either. */
static const struct {
    const char *name, *sql;
    bool exact;
    const char *seeds[12];
} types[] = {
    {"smallint", "int2", true, {"7", "-32768", "32767", "0", "+12", "007"}},
    {"integer", "int4", true, {"7", "-2147483648", "2147483647", "0", " 12 "}},
    {"bigint",
     "int8",
     true,
     {"7", "-9223372036854775808", "9223372036854775807", "00000000000000000000000012"}},
    {"boolean", "bool", true, {"t", "true", "FALSE", "yes", "no", "on", "off", "1", "0", "of"}},
    {"uuid",
     "uuid",
     true,
     {"8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11", "{8C1F5A3E0D6B4F579A512F3F0C9A7B11}",
      "8c1f-5a3e-0d6b-4f57-9a51-2f3f-0c9a-7b11"}},
    {"numeric(6,2)",
     "numeric(6,2)",
     true,
     {"1.50", "-9999.99", ".5", "5.", "1e2", "12e-2", "NaN", "0", "-0.00", "0001.5"}},
    {"char(4)", "char(4)", true, {"ab", "abcd", "abcd  ", "\xC3\xA9t\xC3\xA9", " a"}},
    {"date",
     "date",
     false,
     {"2024-02-29", "0001-01-01", "4713-01-01 BC", "infinity", "99999-12-31", "2023-02-28"}},
    {"timestamp",
     "timestamp",
     false,
     {"2024-02-29 12:00:00.5", "1999-12-31T23:59:59.999999", "2024-02-29", "0044-03-15 01:02 BC",
      "2024-01-01 00:00+05"}},
    {"timestamptz",
     "timestamptz",
     false,
     {"2024-02-29T12:00:00.5+00:00", "2024-03-01 01:30:00+0230", "2023-12-31 23:00-02",
      "2000-01-01 00:00Z", "0001-01-01 00:00:00+12 BC", "2024-12-31 24:00:00"}},
};

static int up(void **state)
{
    (void)state;
    return fixture_open(&fx, FIXTURE_PG);
}

static int down(void **state)
{
    (void)state;
    fixture_close(&fx);
    return 0;
}

static uint32_t next(uint64_t *rng)
{
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*rng >> 33);
}

/* A seed with up to three characters changed, put in or left out. */
static size_t mutate(uint64_t *rng, const char *seed, char out[128])
{
    static const char letters[] = "0123456789-+.: eEtTfFbBcCZ{}x";
    size_t n = strlen(seed);
    memcpy(out, seed, n);
    for (uint32_t k = next(rng) % 4; k > 0; k--) {
        size_t at = n ? next(rng) % n : 0;
        char c = letters[next(rng) % (sizeof letters - 1)];
        bool text = n && (unsigned char)out[at] >= 0x80; /* stays UTF-8 */
        uint32_t what = next(rng) % 3;
        if (what == 0 && n && !text) {
            out[at] = c;
        } else if (what == 1 && n < 100 && !text) {
            memmove(out + at + 1, out + at, n - at);
            out[at] = c;
            n++;
        } else if (what == 2 && n && !text) {
            memmove(out + at, out + at + 1, n - at - 1);
            n--;
        }
    }
    out[n] = '\0';
    return n;
}

/* NULL: PostgreSQL refuses it. */
static const char *asked(weir_pg *pg, const char *sql, const char *text, weir_arena *a)
{
    weir_pg_rows *r = NULL;
    weir_error err;
    if (weir_pg_query(pg, sql, 1, &text, &r, &err) != WEIR_OK) {
        return NULL;
    }
    const char *out = weir_arena_dupz(a, weir_pg_value(r, 0, 0));
    weir_pg_rows_free(r);
    return out;
}

static weir_rc ours(size_t i, const char *text, weir_arena *a, weir_slice *out)
{
    weir_buf b;
    weir_slice part = weir_slice_z(text), spelled;
    size_t bad = 0, n = 1;
    rsvc_key_type t = rsvc_key_type_of(weir_slice_z(types[i].name));
    weir_buf_init(&b, 1000);
    weir_dockey_text(&b, &part, 1);
    weir_rc rc = rsvc_key_spell(&t, 1, weir_arena_dup(a, weir_buf_slice(&b)), a, &spelled, &bad);
    weir_buf_fini(&b);
    assert_true(rc != WEIR_OK || weir_dockey_parse(spelled, a, out, &n));
    return rc;
}

static void compare(weir_pg *pg, size_t i, const char *text, weir_arena *a, int *valid)
{
    weir_slice mine = {NULL, 0};
    const char *sql = weir_arena_printf(a, "SELECT $1::text::%s", types[i].sql);
    bool sized = strchr(types[i].sql, '(') != NULL; /* a cast to these rounds, or cuts */
    bool blanks = types[i].sql[0] == 'c';
    sql = blanks  ? "SELECT rpad($1::text, 4) WHERE length(rtrim($1::text, ' ')) <= 4"
          : sized ? "SELECT CASE WHEN round(v, 2) = v THEN v::numeric(6,2) END FROM (SELECT "
                    "$1::text::numeric) x(v)"
                  : sql;
    if (sized && !blanks && strchr(text, ' ')) {
        return; /* PostgreSQL 15 takes "1e 2" */
    }
    weir_rc rc = ours(i, text, a, &mine);
    const char *theirs = asked(pg, sql, text, a);
    if (sized && !blanks && theirs && !theirs[0]) {
        return; /* it has more digits than the column keeps: whatever we say, it equals none */
    }
    if (blanks && theirs && !theirs[0]) {
        theirs = NULL;
    }
    *valid += rc == WEIR_OK;
    bool same = rc == WEIR_OK ? theirs && weir_slice_eqz(mine, theirs)
                              : rc == WEIR_E_INPUT && (!theirs || !types[i].exact);
    if (!same) {
        fail_msg("%s \"%s\": we say %s \"" WEIR_SLICE_FMT "\", PostgreSQL says \"%s\"",
                 types[i].name, text, weir_rc_name(rc), WEIR_SLICE_ARG(mine),
                 theirs ? theirs : "no");
    }
}

static void as_postgresql_spells_it(void **state)
{
    (void)state;
    fixture_need(&fx);
    (void)fixture_sql_value(&fx, "SELECT 1");
    uint64_t rng = 20240229;
    weir_arena *a = weir_arena_new(0);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t seeds = 0;
        int valid = 0;
        for (; seeds < 12 && types[i].seeds[seeds]; seeds++) {
            compare(fx.sql, i, types[i].seeds[seeds], a, &valid);
        }
        assert_int_equal((size_t)valid, seeds);
        for (int k = 0; k < ROUNDS; k++) {
            char text[128];
            weir_arena_reset(a);
            if (mutate(&rng, types[i].seeds[next(&rng) % seeds], text)) {
                compare(fx.sql, i, text, a, &valid);
            }
        }
        print_message("%s: %d of %d are values\n", types[i].name, valid, ROUNDS);
    }
    weir_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_postgresql_spells_it),
    };
    return cmocka_run_group_tests_name("read_keys", tests, up, down);
}
