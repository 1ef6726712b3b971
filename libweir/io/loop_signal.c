/* loop_signal.c - SIGTERM, SIGINT and SIGHUP as loop events. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "libweir/io/loop_priv.h"

static void stop_set(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
}

/* The set, blocked, becomes a descriptor of the loop; what names it in errors. Nothing is left open
 * on failure. */
static weir_rc watch(weir_loop *l, const sigset_t *set, const char *what, int *fd,
                     weir_loop_fd **source, weir_loop_fd_fn *fn, weir_error *err)
{
    errno = pthread_sigmask(SIG_BLOCK, set, NULL);
    if (errno != 0) {
        return weir_fail_errno(err, "cannot block %s", what);
    }
    *fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (*fd < 0) {
        return weir_fail_errno(err, "cannot open a signal descriptor");
    }
    *source = weir_loop_add(l, *fd, WEIR_LOOP_IN, fn, l, err);
    if (!*source) {
        (void)close(*fd);
        *fd = -1;
        return WEIR_E_SYS;
    }
    return WEIR_OK;
}

static void unwatch(int *fd, weir_loop_fd **source)
{
    weir_loop_del(*source);
    *source = NULL;
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

static void on_signal(void *arg, unsigned events)
{
    weir_loop *l = arg;
    struct signalfd_siginfo info;
    (void)events;
    if (read(l->sigfd, &info, sizeof info) != (ssize_t)sizeof info) {
        return;
    }
    /* From now on the default action holds, so that a second signal ends the process even when the
     * loop is stuck. */
    weir_loop_fn *fn = l->sig_fn;
    void *fn_arg = l->sig_arg;
    weir_loop_signals_fini(l);
    sigset_t set;
    stop_set(&set);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    fn(fn_arg);
}

void weir_loop_signals_fini(weir_loop *l)
{
    unwatch(&l->sigfd, &l->sig_source);
}

weir_rc weir_loop_signals(weir_loop *l, weir_loop_fn *fn, void *arg, weir_error *err)
{
    sigset_t set;
    stop_set(&set);
    l->sig_fn = fn;
    l->sig_arg = arg;
    return watch(l, &set, "the stop signals", &l->sigfd, &l->sig_source, on_signal, err);
}

static void on_hangup(void *arg, unsigned events)
{
    weir_loop *l = arg;
    struct signalfd_siginfo info;
    (void)events;
    if (read(l->hupfd, &info, sizeof info) == (ssize_t)sizeof info) {
        l->hup_fn(l->hup_arg);
    }
}

void weir_loop_hangup_fini(weir_loop *l)
{
    unwatch(&l->hupfd, &l->hup_source);
}

weir_rc weir_loop_on_hangup(weir_loop *l, weir_loop_fn *fn, void *arg, weir_error *err)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGHUP);
    l->hup_fn = fn;
    l->hup_arg = arg;
    return watch(l, &set, "SIGHUP", &l->hupfd, &l->hup_source, on_hangup, err);
}
