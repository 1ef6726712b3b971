/* args.c - flags and words of a command line. */
#include "cli/args.h"

#include <stdio.h>
#include <string.h>

/* 1: a flag was taken, 0: no flag, -1: wrong. *i moves on when the value is the next word. */
static int take_flag(const char *command, int argc, char **argv, int *i, const cli_flag *flags,
                     int nflags)
{
    const char *arg = argv[*i];
    for (int k = 0; k < nflags; k++) {
        size_t n = strlen(flags[k].name);
        if (strncmp(arg, flags[k].name, n) != 0 || (arg[n] != '\0' && arg[n] != '=')) {
            continue;
        }
        if (!flags[k].value && arg[n] == '=') {
            (void)fprintf(stderr, "weir %s: %s takes no value\n", command, flags[k].name);
            return -1;
        }
        if (!flags[k].value) {
            *flags[k].on = true;
            return 1;
        }
        const char *next = *i + 1 < argc ? argv[*i + 1] : "";
        *flags[k].value = arg[n] == '=' ? arg + n + 1 : next;
        *i += arg[n] != '=';
        if ((*flags[k].value)[0] == '\0') {
            (void)fprintf(stderr, "weir %s: %s needs a value\n", command, flags[k].name);
            return -1;
        }
        return 1;
    }
    (void)fprintf(stderr, "weir %s: there is no flag %s; see weir %s --help\n", command, arg,
                  command);
    return -1;
}

bool cli_args(const char *command, int argc, char **argv, const cli_flag *flags, int nflags,
              const char **words, int max, int *nwords)
{
    bool only_words = false;
    *nwords = 0;
    for (int i = 0; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (take_flag(command, argc, argv, &i, flags, nflags) < 0) {
                return false;
            }
        } else if (*nwords == max) {
            (void)fprintf(stderr, "weir %s: unexpected %s; see weir %s --help\n", command, argv[i],
                          command);
            return false;
        } else {
            words[(*nwords)++] = argv[i];
        }
    }
    return true;
}

int cli_args_repeated(const char *command, int argc, char **argv, const char *name,
                      const char **values, int max, int *nvalues)
{
    size_t len = strlen(name);
    int left = 0;
    *nvalues = 0;
    for (int i = 0; i < argc; i++) {
        bool same = strncmp(argv[i], name, len) == 0;
        if (!same || (argv[i][len] != '\0' && argv[i][len] != '=')) {
            argv[left++] = argv[i];
            continue;
        }
        const char *value = argv[i][len] == '=' ? argv[i] + len + 1 : NULL;
        value = !value && i + 1 < argc ? argv[++i] : value;
        if (!value || value[0] == '\0' || *nvalues == max) {
            (void)fprintf(stderr,
                          value && value[0] ? "weir %s: %s at most %d times\n"
                                            : "weir %s: %s needs a value\n",
                          command, name, max);
            return -1;
        }
        values[(*nvalues)++] = value;
    }
    return left;
}
