/* command.h - the commands of `weir`: one table, one function each; arguments after the command's
 * own name.
 *
 * Exit codes: 0 done (verify: zero differences), 1 failed, 2 wrong usage. Errors go to stderr as
 * "weir <command>: text".
 */
#ifndef WEIR_CLI_COMMAND_H
#define WEIR_CLI_COMMAND_H

typedef struct cli_command {
    const char *name;
    const char *usage;   /* "APP [--detach]" */
    const char *summary; /* one line */
    const char *help;    /* further lines for `weir <command> --help`, or "" */
    int (*run)(int argc, char **argv);
} cli_command;

/* Exit code of `weir deploy --services`, which `weir up` runs: not even what the services need is
 * in the database. */
enum { CLI_NO_DATABASE = 3 };

int cli_init(int argc, char **argv);
int cli_up(int argc, char **argv);
int cli_down(int argc, char **argv);
int cli_env(int argc, char **argv);
int cli_deploy(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_contracts(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_send(int argc, char **argv);
int cli_get(int argc, char **argv);
int cli_tail(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_dead(int argc, char **argv);
int cli_rebuild(int argc, char **argv);
int cli_verify_run(int argc, char **argv);
int cli_sync(int argc, char **argv);
int cli_migrate(int argc, char **argv);
int cli_crawl(int argc, char **argv);
int cli_keys(int argc, char **argv);

/* Finds and runs argv[1]; --help, --version, did-you-mean. */
int cli_main(int argc, char **argv);

#endif
