/* pg_writers.c - transactions that are open and have an xid: of sessions, and prepared ones, which
 * have no session. */
#include "libweir/io/pg_writers.h"

#include <stdio.h>

static const char writers_sql[] =
    "SELECT coalesce(string_agg(w, ', ' ORDER BY older DESC), '') FROM ("
    "SELECT * FROM (SELECT format('pid %s (%s%s)', pid, usename, ', open for ' || extract("
    "epoch FROM clock_timestamp() - xact_start)::int || ' s') AS w, age(backend_xid) AS older"
    " FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
    " UNION ALL SELECT format('prepared transaction %L of database %s', gid, database),"
    " age(transaction) FROM pg_prepared_xacts) x"
    " WHERE $1::xid8 IS NULL OR older >= age($1::xid8::xid) ORDER BY older DESC LIMIT 5) y";

weir_rc weir_pg_writers(weir_pg *pg, const char *xid, char text[WEIR_PG_WRITERS_BYTES],
                        weir_error *err)
{
    const char *params[] = {xid};
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(pg, writers_sql, 1, params, &rows, err);
    if (rc == WEIR_OK) {
        const char *names = weir_pg_valuez(rows, 0, 0);
        (void)snprintf(text, WEIR_PG_WRITERS_BYTES, "%s",
                       names[0] ? names : "a transaction that is just ending");
    }
    weir_pg_rows_free(rows);
    return rc;
}
