/* child.c - fork, exec, reap. */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"

enum { BACKOFF_BASE_MS = 100, BACKOFF_CAP_MS = 5000, STEADY_MS = 10000 };

void cli_child_init(cli_child *c, const char *name, const char *log)
{
    memset(c, 0, sizeof *c);
    c->name = name;
    c->log = log;
    c->stop_signal = SIGTERM;
    c->pidfd = -1;
    weir_backoff_init(&c->backoff, BACKOFF_BASE_MS, BACKOFF_CAP_MS, 0);
}

void cli_child_arg(cli_child *c, const char *arg)
{
    for (int i = 0; i < CLI_CHILD_ARGS_MAX - 1; i++) {
        if (!c->argv[i]) {
            c->argv[i] = arg;
            return;
        }
    }
}

/* Between fork and exec: only async-signal-safe calls. */
static void become(const cli_child *c, int log_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)setsid(); /* Ctrl-C reaches the supervisor only; it decides the order */
    if (c->uid != 0 && (setgroups(0, NULL) != 0 || setgid(c->gid) != 0 || setuid(c->uid) != 0)) {
        _exit(126);
    }
    (void)prctl(PR_SET_PDEATHSIG, c->stop_signal);
    if (getppid() != parent) {
        _exit(126);
    }
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0) {
        _exit(126);
    }
    execvp(c->argv[0], (char *const *)(uintptr_t)c->argv);
    _exit(127);
}

weir_rc cli_child_start(cli_child *c, weir_error *err)
{
    int log_fd = open(c->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log_fd < 0) {
        return weir_fail_errno(err, "cannot write %s", c->log);
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        become(c, log_fd, parent);
    }
    close(log_fd);
    if (pid < 0) {
        return weir_fail_errno(err, "cannot start %s", c->name);
    }
    c->pid = pid;
    c->started_ms = weir_mono_ms();
    c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return WEIR_OK;
}

bool cli_child_ended(cli_child *c)
{
    if (c->pid == 0 || waitpid(c->pid, &c->last_status, WNOHANG) != c->pid) {
        return false;
    }
    int64_t now = weir_mono_ms();
    if (now - c->started_ms > STEADY_MS) {
        weir_backoff_reset(&c->backoff);
    }
    c->pid = 0;
    if (c->pidfd >= 0) {
        close(c->pidfd);
        c->pidfd = -1;
    }
    c->restart_at_ms = now + weir_backoff_next_ms(&c->backoff);
    return true;
}

void cli_child_stop(cli_child *c, int64_t ms)
{
    if (c->pid == 0) {
        return;
    }
    (void)kill(c->pid, c->stop_signal);
    for (int64_t until = weir_mono_ms() + ms; c->pid != 0;) {
        if (cli_child_ended(c)) {
            return;
        }
        if (weir_mono_ms() > until) {
            (void)kill(c->pid, SIGKILL);
            until = weir_mono_ms() + ms;
        }
        struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
        (void)poll(&p, c->pidfd >= 0 ? 1 : 0, 20);
    }
}

const char *cli_child_how(const cli_child *c, weir_arena *a)
{
    if (WIFSIGNALED(c->last_status)) {
        int sig = WTERMSIG(c->last_status);
        const char *abbrev = sigabbrev_np(sig);
        return weir_arena_printf(a, "signal %d (SIG%s)", sig, abbrev ? abbrev : "?");
    }
    int code = WEXITSTATUS(c->last_status);
    return code == 127 ? weir_arena_printf(a, "%s could not be executed", c->argv[0])
                       : weir_arena_printf(a, "exit code %d", code);
}

const char *cli_child_last_line(const cli_child *c, weir_arena *a)
{
    char tail[2048];
    int fd = open(c->log, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return "";
    }
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > (off_t)sizeof tail ? size - (off_t)sizeof tail : 0;
    ssize_t n = pread(fd, tail, sizeof tail, from);
    close(fd);
    weir_slice s = weir_slice_trim(weir_slice_of(tail, n > 0 ? (size_t)n : 0));
    for (size_t i = s.n; i > 0; i--) {
        if (s.p[i - 1] == '\n') {
            s = weir_slice_of(s.p + i, s.n - i);
            break;
        }
    }
    return weir_arena_dupz(a, s);
}
