/* keytime.h - dates and times in a key, as PostgreSQL prints them in a session in UTC. Pure. */
#ifndef READ_SERVICE_KEYTIME_H
#define READ_SERVICE_KEYTIME_H

#include "read-service/keyval.h"

/* s without blanks around it, of kind DATE, TIMESTAMP or TIMESTAMPTZ. Understood: year, month, day;
 * then a blank or T, hours and minutes, seconds with up to six digits of fraction, Z or an offset;
 * " BC"; infinity. WEIR_E_INPUT: it is no such value, WEIR_E_LIMIT: a is full. */
WEIR_MUST_CHECK weir_rc rsvc_keytime_spell(rsvc_key_kind kind, weir_slice s, weir_arena *a,
                                           weir_slice *out);
/* z as *out; NULL, which an arena that is full gives, is WEIR_E_LIMIT. */
WEIR_MUST_CHECK weir_rc rsvc_key_said(const char *z, weir_slice *out);

#endif
