/* merge.h - statements of the policy that asks a function. */
#ifndef WEIR_MIGRATIONS_SYNC_MERGE_H
#define WEIR_MIGRATIONS_SYNC_MERGE_H

#include "migrations/sync/map.h"

/* Is the map's function there, with as many arguments as it is given? WEIR_E_STATE: no. */
WEIR_MUST_CHECK weir_rc sync_function_check(weir_pg *pg, const sync_map *m, weir_error *err);

/* Both in the arena; NULL: too wide. */

/* Asks the map's function. Parameters: table, kind, the row here as JSON, the one that came as JSON
 * with the texts of the stream, and both times in microseconds. The function gets both rows in the
 * same form, that of to_jsonb. */
const char *sync_sql_ask(const sync_map *m, weir_arena *a);
/* Writes the row that a function returned, parameter `row`. there: it is updated, by the key in the
 * parameters before, and columns the function does not name stay. */
const char *sync_sql_merged(const sync_map *m, weir_arena *a, bool there, int row);

#endif
