/* hook.c - fork, exec, wait. */
#include "migrations/migrate/hook.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 64, COMMAND_MAX_BYTES = 4096 };

static void become(char **argv, const char *dir, const char *name, const char *position)
{
    (void)signal(SIGPIPE, SIG_DFL);
    if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || chdir(dir) != 0 ||
        setenv("WEIR_MIGRATION", name, 1) != 0 ||    /* NOLINT(concurrency-mt-unsafe): one thread */
        setenv("WEIR_POSITION", position, 1) != 0) { /* NOLINT(concurrency-mt-unsafe) */
        _exit(126);
    }
    execvp(argv[0], argv);
    _exit(127);
}

weir_rc mig_hook_run(const char *command, const char *dir, const char *name, const char *position,
                     weir_error *err)
{
    char text[COMMAND_MAX_BYTES];
    char *argv[WORDS_MAX + 1];
    int n = 0;
    size_t len = strlen(command);
    if (len >= sizeof text) {
        return weir_fail(err, WEIR_E_INPUT, 0, "the hook's command is too long");
    }
    memcpy(text, command, len + 1);
    for (char *save = NULL, *p = strtok_r(text, " \t\n", &save); p && n < WORDS_MAX;
         p = strtok_r(NULL, " \t\n", &save)) {
        argv[n++] = p;
    }
    argv[n] = NULL;
    if (n == 0) {
        return weir_fail(err, WEIR_E_INPUT, 0, "the hook has no command");
    }
    pid_t pid = fork();
    if (pid == 0) {
        become(argv, dir, name, position);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return weir_fail_errno(err, "cannot run the hook %s", argv[0]);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return weir_fail(err, WEIR_E_STATE, 0, "the hook %s ended with %s %d", argv[0],
                         WIFEXITED(status) ? "exit code" : "signal",
                         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    return WEIR_OK;
}
