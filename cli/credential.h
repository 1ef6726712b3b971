/* credential.h - the key or token the command line shows to the services: from WEIR_KEY, or the
 * file that --key-file or WEIR_KEY_FILE names; never from the arguments. */
#ifndef WEIR_CLI_CREDENTIAL_H
#define WEIR_CLI_CREDENTIAL_H

#include "libweir/base/arena.h"

/* *line: "Authorization: Bearer …" in a, or NULL when there is none. file NULL: not given.
 * WEIR_E_INPUT: what was found cannot be one; err does not show it. */
WEIR_MUST_CHECK weir_rc cli_credential(const char **line, const char *file, weir_arena *a,
                                       weir_error *err);

#endif
