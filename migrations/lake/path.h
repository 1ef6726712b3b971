/* path.h - how things are called in a lake: folders of tables, days, parts. Pure. */
#ifndef WEIR_LAKE_PATH_H
#define WEIR_LAKE_PATH_H

#include "libweir/base/buf.h"

enum { LAKE_FOLDER_MAX = 200, LAKE_DAY_TEXT = 11, LAKE_TIME_TEXT = 40, LAKE_PART_TEXT = 80 };

/* "schema.table"; every byte but letters, digits, '_', '-' and those above 0x7f as %XX, also a
 * leading '_'. A name that would be too long for a file system is cut and ends in "~" and a hash of
 * the whole. */
void lake_folder_name(weir_buf *out, weir_slice schema, weir_slice name);

/* Days since 1970-01-01, from PostgreSQL's microseconds since 2000-01-01. */
int64_t lake_day_of(int64_t pg_us);
/* "2026-11-21"; days outside of the years 1 to 9999 are clamped. Returns out. */
const char *lake_day_print(int64_t day, char out[LAKE_DAY_TEXT]);
bool lake_day_parse(weir_slice s, int64_t *day); /* exactly that form */
/* "2026-11-21T14:05:06.123456Z". Returns out. */
const char *lake_time_print(int64_t pg_us, char out[LAKE_TIME_TEXT]);

/* "part-<position as 16 hex digits>-<commit, 10 digits>-<nth of the commit, 5>.jsonl": the names of
 * a table and day sort as their content, and none is ever used twice. Returns out. */
const char *lake_part_name(uint64_t lsn, uint64_t commit, size_t nth, char out[LAKE_PART_TEXT]);
/* A position as pg_lsn reads it, of fixed width: the order of the texts is that of the positions.
 * Returns out. */
const char *lake_position_print(uint64_t lsn, char out[18]);

#endif
