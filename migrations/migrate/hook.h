/* hook.h - a program of the user's, run at the cut-over. */
#ifndef WEIR_MIGRATE_HOOK_H
#define WEIR_MIGRATE_HOOK_H

#include "libweir/base/err.h"

/* Runs the words of command (split at blanks; no shell) in the folder dir, with WEIR_MIGRATION and
 * WEIR_POSITION in its environment, output to stderr. WEIR_E_STATE when it does not end with 0. */
WEIR_MUST_CHECK weir_rc mig_hook_run(const char *command, const char *dir, const char *name,
                                     const char *position, weir_error *err);

#endif
