/* tail_table.h - what `weir tail --table` says when nothing of the table can come (yet). */
#ifndef WEIR_CLI_TAIL_TABLE_H
#define WEIR_CLI_TAIL_TABLE_H

#include "cli/app.h"

/* Is it the table that was asked for: "name" of any schema, or "schema.name"? */
bool cli_tail_matches(const char *asked, weir_slice schema, weir_slice name);
/* Looks into the database, as far as there is one to ask: NULL when changes of the table can come,
 * else a line for the operator, in app's arena. */
const char *cli_tail_table_note(cli_app *app, const char *asked);

#endif
