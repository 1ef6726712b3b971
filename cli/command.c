/* command.c - the table of commands, its help, and finding the one that was meant. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "libweir/base/log.h"
#include "libweir/base/str.h"

static const cli_command COMMANDS[] = {
    {"init", "[APP]", "make an app directory: weir.ini, schema/, commands/, read-models/",
     "Makes what is missing, in APP or here, and changes nothing that is there. An existing "
     "PostgreSQL database needs no schema/: name it in\n"
     "weir.ini, and begin with read-models/.\n",
     cli_init},
    {"up", "[APP] [--detach]",
     "start everything for development: PostgreSQL, Redis, deploy, all services",
     "Starts a private PostgreSQL and Redis where weir.ini names none, deploys the app, starts the "
     "four services and prints their addresses.\n"
     "Data, logs and the log of changes are in APP/.weir. Stays until Ctrl-C; with --detach it "
     "returns once every service is ready\n"
     "(`weir down` stops it). A service that dies is started again.\n",
     cli_up},
    {"down", "[APP]", "stop what `weir up` started", "", cli_down},
    {"env", "[APP]", "print the addresses as exports for a shell",
     "Use it as: eval \"$(weir env APP)\"\n", cli_env},
    {"deploy", "[APP] [--no-wait] [--json]",
     "bring schema, commands, publication and read models into the database",
     "Idempotent. Fails before it changes anything it cannot finish. Waits until new read models "
     "are built, unless --no-wait.\n",
     cli_deploy},
    {"check", "[APP] [--json]",
     "compile everything and say what would be refused, with place, reason and rewrite",
     "A deploy that is rolled back: against the database that weir.ini names or `weir up` runs, "
     "else against an empty private PostgreSQL\n"
     "with schema/ applied. Exit code 1 when something would be refused, or the database cannot be "
     "reached.\n",
     cli_check},
    {"contracts", "check|save [APP] [FILE] [--json]",
     "compare the deployed commands with what clients were promised",
     "save writes the deployed commands, with their fields, types and results, to FILE (default: "
     "APP/contracts.json). check compares the\n"
     "deployed ones with it: exit 1 when a client that keeps to the file would be let down (a "
     "command or field is gone, a new field is\n"
     "required, a type takes less or a result gives other things), 0 when nothing or only more has "
     "come.\n",
     cli_contracts},
    {"explain", "[APP] MODEL", "the plan of a read model: class, state, indexes, edges", "",
     cli_explain},
    {"send", "[--app APP] [--key-file FILE] NAME JSON", "send a command",
     "JSON may be - to read it from standard input.\n", cli_send},
    {"get", "[--app APP] [--key-file FILE] MODEL KEY…", "get a document",
     "--min-position X/Y waits until the model has reached it (--wait-ms N).\n", cli_get},
    {"tail", "[--app APP] [--table T] [--json]",
     "the live change feed, with the command that caused each change", "", cli_tail},
    {"dead", "list|show|retry|discard [APP] [ID… | --all] [--json]",
     "what was given up: commands, callbacks, parked documents",
     "list shows everything dead and counts the parked documents of the projector; show prints it "
     "whole. retry gives commands and\n"
     "callbacks another life, discard removes them. A deadline that has passed does not count for "
     "a retry.\n",
     cli_dead},
    {"keys",
     "add [--app APP] NAME --role ROLE [--rate N] [--expires 90d] | list [--app APP] [--json] | "
     "revoke [--app APP] ID",
     "API keys: make, list, revoke",
     "add prints the key, once; the file that auth.keys names keeps only its digest. ROLE is a "
     "PostgreSQL role that auth.roles lists.\n"
     "Two keys may have one name: add the new one, give it out, revoke the old one.\n"
     "`weir send`, `get` and `status` take a key or token from WEIR_KEY, or from the file named by "
     "--key-file or WEIR_KEY_FILE.\n",
     cli_keys},
    {"status", "[APP] [--key-file FILE] [--json]", "services, positions, lag, slot, log, models",
     "", cli_status},
    {"verify", "[APP] [MODEL] [--repair] [--json]",
     "compare Redis with PostgreSQL, both ways; exit 0 only at zero differences", "",
     cli_verify_run},
    {"rebuild",
     "[APP] MODEL [--yes] [--keep-old TIME] [--verify-every N] [--no-wait] [--json]\n"
     "       weir rebuild [APP] MODEL --rollback | --drop-old [--yes]\n"
     "       weir rebuild [APP] [MODEL] --status [--json]",
     "build a read model anew beside the serving one, compare it with PostgreSQL, switch",
     "A new generation is loaded from the projector's state while the old one goes on serving and "
     "both follow every change. It is\n"
     "compared with PostgreSQL (--verify-every N: one document of N, 0: none) and switched to only "
     "at zero differences.\n"
     "The old generation is kept and maintained for --rollback until --drop-old, or for TIME (30m, "
     "12h, 7d; 0: not at all).\n"
     "--rollback gives up a build that is under way, else switches back to the kept generation. "
     "The "
     "order survives this command.\n"
     "Exit code 0 when it was done, 1 when it was refused.\n",
     cli_rebuild},
    {"sync", "SYNC.ini [start|status|pause|resume|stop|forget] [--detach] [--json]",
     "keep one PostgreSQL database in another, one way or both ways, conflicts included",
     "start (the default) starts a private bridge for the source (and the target, both ways) and "
     "weir-sync; it stays until Ctrl-C,\n"
     "with --detach it returns once the flows run. State and logs are beside the file, in "
     "SYNC.weir/.\n"
     "status shows each flow: where it is, how far behind, what it applied, conflicts. pause holds "
     "the flows (also over restarts)\n"
     "until resume. stop ends it; the replication slot keeps what comes meanwhile. forget drops "
     "slots, publications and positions;\n"
     "the next start begins anew.\n"
     "The file is described in docs/sync.md.\n",
     cli_sync},
    {"migrate",
     "MAPPING.ini [run | --dry-run | status | pause | resume | verify | cutover | abort] [--json]",
     "one PostgreSQL into another with a different schema, while it is written",
     "--dry-run   reports every problem of the mapping with its place; changes nothing\n"
     "run         copies, then follows the source until the cut-over; Ctrl-C and kill lose "
     "nothing, "
     "run again goes on\n"
     "status      phase, position, how far behind, rows and rejects of each table\n"
     "pause       stops reading the source, also over restarts, until resume\n"
     "verify      compares every row by chunk hashes and names the keys that differ; --rate ROWS "
     "per second, --restart\n"
     "cutover     fences the source, waits for zero lag, proves equality, sets sequences, runs "
     "hooks; exit 0 only with proof\n"
     "abort       removes what it made (--yes does not ask)\n"
     "--json      for machines. Without a word it is run. verify and cutover work beside a run, or "
     "follow the source themselves\n"
     "            for as long as they take. docs/migration.md is the runbook.\n",
     cli_migrate},
    {"crawl",
     "[APP] [--table T]… [--where SQL] [--rate ROWS/S] [--parallel N] [--chunk-ms MS] [--load PCT] "
     "[--json]  |  [APP] --status | --pause | --resume | --cancel",
     "read tables that exist again into the change log, beside live traffic",
     "Every published table, or those named. Subscribers get each row as it is now, and drop what "
     "the source no longer has.\n"
     "The bridge does it and goes on after a restart; this command follows until it has ended "
     "(Ctrl-C leaves it running).\n"
     "  --where SQL      only rows of the one --table for which this is true; nothing is dropped "
     "anywhere then\n"
     "  --rate ROWS/S    not faster than this\n"
     "  --parallel N     so many tables at a time (2, at most 8)\n"
     "  --chunk-ms MS    how long one SELECT should take (250)\n"
     "  --load PCT       share of the time in which each of them reads (50)\n",
     cli_crawl},
};
enum { NCOMMANDS = sizeof COMMANDS / sizeof *COMMANDS };

static int usage(FILE *f)
{
    (void)fprintf(f, "weir - one SELECT, always true in Redis, provably equal to "
                     "PostgreSQL\n\nusage: weir COMMAND …\n\n");
    for (int i = 0; i < NCOMMANDS; i++) {
        (void)fprintf(f, "  %-9s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    }
    (void)fprintf(f, "\nAPP is an app directory (default: here, or the nearest folder above with a "
                     "weir.ini).\n`weir COMMAND --help` says more.\n");
    return f == stdout ? 0 : 2;
}

static int help(const cli_command *c)
{
    (void)printf("usage: weir %s %s\n\n%s\n", c->name, c->usage, c->summary);
    if (c->help[0]) {
        (void)printf("\n%s", c->help);
    }
    return 0;
}

static int unknown(const char *word)
{
    const char *names[NCOMMANDS];
    for (int i = 0; i < NCOMMANDS; i++) {
        names[i] = COMMANDS[i].name;
    }
    const char *near = weir_nearest(word, names, NCOMMANDS);
    if (near) {
        (void)fprintf(stderr, "weir: there is no command %s; did you mean %s?\n", word, near);
    } else {
        (void)fprintf(stderr, "weir: there is no command %s; see weir --help\n", word);
    }
    return 2;
}

int cli_main(int argc, char **argv)
{
    weir_log_init("weir");
    if (argc < 2) {
        return usage(stderr);
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        return usage(stdout);
    }
    if (strcmp(word, "--version") == 0) {
        (void)printf("weir %s\n", WEIR_VERSION);
        return 0;
    }
    for (int i = 0; i < NCOMMANDS; i++) {
        if (strcmp(word, COMMANDS[i].name) == 0) {
            for (int k = 2; k < argc; k++) {
                if (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0) {
                    return help(&COMMANDS[i]);
                }
            }
            return COMMANDS[i].run(argc - 2, argv + 2);
        }
    }
    return unknown(word);
}
