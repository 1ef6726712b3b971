/* program.h - where the other programs of Weir are: beside this one. */
#ifndef WEIR_CLI_PROGRAM_H
#define WEIR_CLI_PROGRAM_H

#include "libweir/base/arena.h"
#include "libweir/base/err.h"

/* The path of the program `name` ("weir-bridge"), in the arena. Where /proc cannot tell, the bare
 * name, which execv looks for in the current folder. */
const char *cli_program(weir_arena *a, const char *name);
/* The same; WEIR_E_NOTFOUND when it cannot be executed. */
WEIR_MUST_CHECK weir_rc cli_program_find(weir_arena *a, const char *name, const char **path,
                                         weir_error *err);

#endif
