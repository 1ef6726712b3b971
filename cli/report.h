/* report.h - shows what a deploy or a check did. */
#ifndef WEIR_CLI_REPORT_H
#define WEIR_CLI_REPORT_H

#include "migrations/deploy/deploy.h"

/* Diagnostics and problems to stderr, the rest to stdout, aligned. */
void cli_report_print(const dep_report *r);
/* One line of JSON on stdout; err is NULL after success. */
void cli_report_json(const dep_report *r, const weir_error *err);

#endif
