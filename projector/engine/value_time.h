/* value_time.h - dates and times between PostgreSQL's ISO text (time zone UTC) and numbers. */
#ifndef WEIR_PROJECTOR_ENGINE_VALUE_TIME_H
#define WEIR_PROJECTOR_ENGINE_VALUE_TIME_H

#include "projector/engine/value.h"

/* Infinities of every kind. */
#define WEIR_TIME_NINF INT64_MIN
#define WEIR_TIME_PINF INT64_MAX
#define WEIR_DAY_US    INT64_C(86400000000)

/* DATE: days since 2000-01-01. TIMESTAMP and TIMESTAMPTZ: microseconds since then (UTC). TIME:
 * microseconds of the day. TIMETZ: microseconds of the day in UTC, which orders it but for ties,
 * and *zone_s seconds east of UTC. ISO forms only ('2024-02-29', '2024-02-29 12:00:00.5+01',
 * 'infinity', ' BC'): what PostgreSQL prints and what people write in SQL. WEIR_E_INPUT: 22007
 * another form, 22008 a field or the result out of range. zone_s may be NULL. */
WEIR_MUST_CHECK weir_rc weir_time_parse(weir_slice s, weir_ty ty, int64_t *out, int64_t *zone_s,
                                        weir_error *err);
/* The output function's text of a DATE, TIME, TIMESTAMP, TIMESTAMPTZ or (in UTC) TIMETZ. */
WEIR_MUST_CHECK weir_rc weir_time_text(int64_t v, weir_ty ty, weir_arena *a, weir_slice *out,
                                       weir_error *err);
/* v::to with PostgreSQL's range checks; typmod is the number of fraction digits, -1 for all six. */
WEIR_MUST_CHECK weir_rc weir_time_cast(int64_t v, weir_ty from, weir_type to, int64_t *out,
                                       weir_error *err);

#endif
