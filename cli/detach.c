/* detach.c - fork, a session of its own, and a pipe that says ready. */
#include "cli/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int cli_detach(int (*fn)(void *arg, int ready_fd), void *arg)
{
    int p[2];

    if (pipe2(p, O_CLOEXEC) != 0) {
        perror("weir");
        return 1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(p[0]);
        (void)setsid();
        int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null_fd >= 0) {
            (void)dup2(null_fd, 0);
        }
        _exit(fn(arg, p[1]));
    }
    close(p[1]);
    char c = 0;
    ssize_t n;
    do {
        n = read(p[0], &c, 1);
    } while (n < 0 && errno == EINTR);
    close(p[0]);
    if (n == 1) {
        return 0;
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1;
}

void cli_detach_ready(int ready_fd, const char *log)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)fflush(stdout);
    if (fd >= 0) {
        (void)dup2(fd, 1);
        (void)dup2(fd, 2);
        close(fd);
    }
    ssize_t told = write(ready_fd, "1", 1);
    (void)told; /* the parent is gone: nobody waits */
    close(ready_fd);
}
