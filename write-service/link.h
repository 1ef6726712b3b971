/* link.h - a background thread's own connection to PostgreSQL: opened when it may be, dropped when
 * it failed. Owner thread. */
#ifndef WEIR_WRITE_LINK_H
#define WEIR_WRITE_LINK_H

#include "libweir/base/backoff.h"
#include "libweir/io/pg.h"

typedef struct wsvc_link {
    const char *uri, *application_name; /* borrowed */
    weir_pg *pg;                        /* NULL: away */
    weir_backoff backoff;
    int64_t next_try_ms;
    bool complained;
} wsvc_link;

void wsvc_link_init(wsvc_link *l, const char *uri, const char *application_name);
/* true: there is a connection. Tries to open one when the pause after the last failure is over;
 * *fresh tells that it is a new one. */
WEIR_MUST_CHECK bool wsvc_link_up(wsvc_link *l, bool *fresh);
/* After a failed statement: drops the connection when it is broken; logs once until it works again.
 */
void wsvc_link_failed(wsvc_link *l, const weir_error *err);
void wsvc_link_close(wsvc_link *l);

#endif
