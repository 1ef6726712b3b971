/* detach.h - work that lives on when the command returns (`--detach`). */
#ifndef WEIR_CLI_DETACH_H
#define WEIR_CLI_DETACH_H

/* Runs fn in a process of its own, in a session of its own; returns 0 when fn says it is ready, or
 * fn's exit code (1 for none) when it ends before. The child never returns from here. */
int cli_detach(int (*fn)(void *arg, int ready_fd), void *arg);
/* From fn: lets the parent go; further output is appended to the file log. */
void cli_detach_ready(int ready_fd, const char *log);

#endif
