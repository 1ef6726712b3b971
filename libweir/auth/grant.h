/* grant.h - lists like "shop_admin customer=shop_customer" from the configuration. Pure. */
#ifndef WEIR_AUTH_GRANT_H
#define WEIR_AUTH_GRANT_H

#include "libweir/base/arena.h"

enum { WEIR_GRANTS_MAX = 256, WEIR_ROLE_MAX = 54 };

typedef struct weir_grant {
    const char *left;
    const char *right; /* of "left=right"; "left" alone means "left=left" */
} weir_grant;

typedef struct weir_grants {
    size_t n;
    weir_grant *g; /* in the order of the text */
} weir_grants;

/* Words separated by spaces; NULL is none. WEIR_E_INPUT names `option` and the word. Texts are in
 * a. */
WEIR_MUST_CHECK weir_rc weir_grants_parse(weir_grants *out, const char *option, const char *text,
                                          weir_arena *a, weir_error *err);
/* A role's name as it may stand in the configuration: a-z 0-9 _, not beginning with a digit, at
 * most WEIR_ROLE_MAX characters (the schema of its commands is named after it). */
bool weir_role_ok(const char *role);
/* auth.roles: value=role, the roles as above; equal ones are the same pointer. */
WEIR_MUST_CHECK weir_rc weir_grants_roles(weir_grants *out, const char *text, weir_arena *a,
                                          weir_error *err);
/* "role=model,model *=model other=*": may role see item? "*" left is every role, right every item.
 */
bool weir_grants_allow(const weir_grants *gs, const char *role, weir_slice item);

#endif
