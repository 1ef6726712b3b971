/* main.c - weir-migrate: one verb on one mapping; `weir migrate` starts it, with the bridge that
 * `run` needs. */
#include <stdio.h>
#include <unistd.h>

#include "libweir/base/log.h"
#include "migrations/migrate/session.h"

static const char HELP[] =
    "usage: weir-migrate MAPPING.ini VERB [--feed URL] [--json] [--yes] [--restart] [--rate ROWS]\n"
    "\n"
    "  dry-run    report every problem; change nothing\n"
    "  check      the same, unless the migration has begun\n"
    "  live       says why not, when it cannot be verified or cut over yet\n"
    "  run        prepare, copy, follow the source until the cut-over (needs --feed)\n"
    "  status     phase, position, rows, rejects\n"
    "  pause      stop reading the source after the current step\n"
    "  resume     go on\n"
    "  verify     compare every row by chunk hashes, while both sides live on\n"
    "  cutover    fence the source, wait for zero lag, prove equality, set sequences, run hooks\n"
    "  abort      remove what the migration made in the target\n"
    "\n"
    "run ends with 0 after the cut-over, with 3 when it was told to stop before.\n"
    "`weir migrate` does the same and runs the bridge that reads the source. See "
    "docs/migration.md.\n";

static bool take_flag(mig_session *s, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    if (strcmp(arg, "--json") == 0) {
        s->json = true;
    } else if (strcmp(arg, "--yes") == 0) {
        s->yes = true;
    } else if (strcmp(arg, "--restart") == 0) {
        s->restart = true;
    } else if (strcmp(arg, "--feed") == 0 && *i + 1 < argc) {
        s->feed = argv[++*i];
    } else if (strcmp(arg, "--rate") == 0 && *i + 1 < argc) {
        return weir_slice_i64(weir_slice_z(argv[++*i]), &s->rate) && s->rate >= 0;
    } else {
        return false;
    }
    return true;
}

static int run_verb(mig_session *s, const char *verb)
{
    if (strcmp(verb, "dry-run") == 0) {
        return mig_dry_run(s);
    }
    if (strcmp(verb, "check") == 0) {
        return mig_check_verb(s);
    }
    if (strcmp(verb, "live") == 0) {
        return mig_live_verb(s);
    }
    if (strcmp(verb, "run") == 0) {
        return mig_run(s);
    }
    if (strcmp(verb, "status") == 0) {
        return mig_status(s);
    }
    if (strcmp(verb, "pause") == 0 || strcmp(verb, "resume") == 0) {
        return mig_set_paused(s, verb[0] == 'p');
    }
    if (strcmp(verb, "verify") == 0) {
        return mig_verify_verb(s);
    }
    if (strcmp(verb, "cutover") == 0) {
        return mig_cutover(s);
    }
    if (strcmp(verb, "abort") == 0) {
        return mig_abort(s);
    }
    (void)fprintf(stderr, "weir-migrate: there is no verb %s\n%s", verb, HELP);
    return 2;
}

int main(int argc, char **argv)
{
    weir_log_init("migrate");
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        (void)printf("%s", HELP);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        (void)printf("weir-migrate %s\n", WEIR_VERSION);
        return 0;
    }
    if (argc < 3) {
        (void)fprintf(stderr, "%s", HELP);
        return 2;
    }
    mig_session s = {.a = weir_arena_new(0), .terminal = isatty(STDOUT_FILENO) == 1};
    int rc = 2;
    bool ok = true;
    for (int i = 3; ok && i < argc; i++) {
        ok = take_flag(&s, argc, argv, &i);
        if (!ok) {
            (void)fprintf(stderr, "weir-migrate: %s is not understood\n%s", argv[i], HELP);
        }
    }
    mig_catch_signals();
    if (ok) {
        rc = mig_session_read(&s, argv[1]) ? run_verb(&s, argv[2]) : 1;
    }
    mig_session_close(&s);
    return rc;
}
