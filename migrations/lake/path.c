/* path.c - how things are called in a lake. */
#include "migrations/lake/path.h"

#include <inttypes.h>
#include <stdio.h>

#include "libweir/base/clock.h"
#include "libweir/base/hash.h"

enum { DAY_US_PER_S = 1000000, NAME_KEEP = 160 };
#define DAY_US  INT64_C(86400000000)
#define DAY_MIN INT64_C(-719162) /* 0001-01-01 */
#define DAY_MAX INT64_C(2932896) /* 9999-12-31 */

static void put_name(weir_buf *out, weir_slice s, bool first)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c > 0x7f || (c == '_' && !(first && i == 0));
        if (plain) {
            weir_buf_u8(out, c);
        } else {
            weir_buf_printf(out, "%%%02X", c);
        }
    }
}

void lake_folder_name(weir_buf *out, weir_slice schema, weir_slice name)
{
    weir_buf b;
    char hex[33];
    weir_buf_init(&b, 4096);
    put_name(&b, schema, true);
    weir_buf_u8(&b, '.');
    put_name(&b, name, false);
    if (b.n <= LAKE_FOLDER_MAX) {
        weir_buf_puts(out, weir_buf_slice(&b));
    } else {
        weir_hash128_hex(weir_hash128_of(weir_buf_slice(&b)), hex);
        size_t keep = NAME_KEEP;
        while (keep > 0 && ((unsigned char)b.p[keep] & 0xc0) == 0x80) {
            keep--; /* not inside of a character */
        }
        weir_buf_put(out, b.p, keep);
        weir_buf_printf(out, "~%.32s", hex);
    }
    weir_buf_fini(&b);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b < 0 ? q - 1 : q;
}

int64_t lake_day_of(int64_t pg_us)
{
    return floor_div(pg_us, DAY_US) + WEIR_PG_EPOCH_US / DAY_US;
}

typedef struct civil {
    int year;
    unsigned month, day;
} civil;

/* H. Hinnant, "chrono-compatible low-level date algorithms": eras of 400 years from 0000-03-01. */
static civil civil_of(int64_t day)
{
    day = day < DAY_MIN ? DAY_MIN : day > DAY_MAX ? DAY_MAX : day;
    int64_t z = day + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    civil c;
    c.day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    c.month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    c.year = (int)(yoe + era * 400 + (c.month <= 2 ? 1 : 0));
    return c;
}

static int64_t days_of(civil c)
{
    int64_t y = c.year - (c.month <= 2 ? 1 : 0);
    int64_t era = floor_div(y, 400);
    int64_t yoe = y - era * 400;
    int64_t m = c.month;
    int64_t doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + (int64_t)c.day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

const char *lake_day_print(int64_t day, char out[LAKE_DAY_TEXT])
{
    civil c = civil_of(day);
    (void)snprintf(out, LAKE_DAY_TEXT, "%04u-%02u-%02u", (unsigned)c.year % 10000U, c.month % 100U,
                   c.day % 100U);
    return out;
}

bool lake_day_parse(weir_slice s, int64_t *day)
{
    char back[LAKE_DAY_TEXT];
    int64_t y, m, d;
    if (s.n != LAKE_DAY_TEXT - 1 || s.p[4] != '-' || s.p[7] != '-' ||
        !weir_slice_i64(weir_slice_of(s.p, 4), &y) ||
        !weir_slice_i64(weir_slice_of(s.p + 5, 2), &m) ||
        !weir_slice_i64(weir_slice_of(s.p + 8, 2), &d) || y < 1 || m < 1 || m > 12 || d < 1 ||
        d > 31) {
        return false;
    }
    *day = days_of((civil){(int)y, (unsigned)m, (unsigned)d});
    return weir_slice_eqz(s, lake_day_print(*day, back)); /* refuses 2026-02-30 */
}

const char *lake_time_print(int64_t pg_us, char out[LAKE_TIME_TEXT])
{
    char day[LAKE_DAY_TEXT];
    int64_t us = pg_us - floor_div(pg_us, DAY_US) * DAY_US;
    int64_t s = us / DAY_US_PER_S;
    (void)snprintf(
        out, LAKE_TIME_TEXT, "%sT%02" PRId64 ":%02" PRId64 ":%02" PRId64 ".%06" PRId64 "Z",
        lake_day_print(lake_day_of(pg_us), day), s / 3600, s / 60 % 60, s % 60, us % DAY_US_PER_S);
    return out;
}

const char *lake_part_name(uint64_t lsn, uint64_t commit, size_t nth, char out[LAKE_PART_TEXT])
{
    (void)snprintf(out, LAKE_PART_TEXT, "part-%016" PRIX64 "-%010" PRIu64 "-%05zu.jsonl", lsn,
                   commit, nth);
    return out;
}

const char *lake_position_print(uint64_t lsn, char out[18])
{
    (void)snprintf(out, 18, "%08" PRIX32 "/%08" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
    return out;
}
