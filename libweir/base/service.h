/* service.h - what every service's main.c does first: flags, settings, log, stop signals.
 *
 * Usage of all: `weir-<name> --config FILE [--overlay FILE] [--app DIR] | --help | --version`.
 */
#ifndef WEIR_BASE_SERVICE_H
#define WEIR_BASE_SERVICE_H

#include "libweir/base/settings.h"

typedef struct weir_service_args {
    weir_settings settings;
    weir_arena *arena; /* owns the strings of settings; lives as long as the process */
    int exit_code;     /* valid when weir_service_init returned false */
} weir_service_args;

/* Parses argv, loads settings, sets up the log, ignores SIGPIPE and SIGHUP. false: print was done,
 * exit with exit_code (0 after --help/--version, 2 for bad usage, 1 for bad settings). sections:
 * what --help shows; the service needs the servers among them. */
WEIR_MUST_CHECK bool weir_service_init(weir_service_args *out, const char *name,
                                       const char *purpose, const char *sections, int argc,
                                       char **argv);

#endif
