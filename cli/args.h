/* args.h - flags of a command: a small table instead of getopt, so that flags may stand anywhere
 * and errors name them. */
#ifndef WEIR_CLI_ARGS_H
#define WEIR_CLI_ARGS_H

#include <stdbool.h>

typedef struct cli_flag {
    const char *name;   /* "--app" */
    const char **value; /* takes the next word (or --name=value); NULL: a switch */
    bool *on;           /* switch */
} cli_flag;

enum { CLI_WORDS_MAX = 64 };

/* Splits argv into flags and words (at most max, each *nwords). A lone "-" is a word; "--" ends
 * flags. false: said what is wrong on stderr, exit with 2. */
__attribute__((warn_unused_result)) bool cli_args(const char *command, int argc, char **argv,
                                                  const cli_flag *flags, int nflags,
                                                  const char **words, int max, int *nwords);

/* Takes every --name VALUE (or --name=VALUE) out of argv, before cli_args. Returns the argc that is
 * left, or -1: said what is wrong. */
int cli_args_repeated(const char *command, int argc, char **argv, const char *name,
                      const char **values, int max, int *nvalues);

#endif
