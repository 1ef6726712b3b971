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
    weir_loop_del(l->sig_source);
    l->sig_source = NULL;
    if (l->sigfd >= 0) {
        (void)close(l->sigfd);
    }
    l->sigfd = -1;
}

weir_rc weir_loop_signals(weir_loop *l, weir_loop_fn *fn, void *arg, weir_error *err)
{
    sigset_t set;
    stop_set(&set);
    errno = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (errno != 0) {
        return weir_fail_errno(err, "cannot block the stop signals");
    }
    l->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (l->sigfd < 0) {
        return weir_fail_errno(err, "cannot open a signal descriptor");
    }
    l->sig_fn = fn;
    l->sig_arg = arg;
    l->sig_source = weir_loop_add(l, l->sigfd, WEIR_LOOP_IN, on_signal, l, err);
    if (!l->sig_source) {
        weir_loop_signals_fini(l);
        return WEIR_E_SYS;
    }
    return WEIR_OK;
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
    weir_loop_del(l->hup_source);
    l->hup_source = NULL;
    if (l->hupfd >= 0) {
        (void)close(l->hupfd);
    }
    l->hupfd = -1;
}

weir_rc weir_loop_on_hangup(weir_loop *l, weir_loop_fn *fn, void *arg, weir_error *err)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGHUP);
    errno = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (errno != 0) {
        return weir_fail_errno(err, "cannot block SIGHUP");
    }
    l->hupfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (l->hupfd < 0) {
        return weir_fail_errno(err, "cannot open a signal descriptor");
    }
    l->hup_fn = fn;
    l->hup_arg = arg;
    l->hup_source = weir_loop_add(l, l->hupfd, WEIR_LOOP_IN, on_hangup, l, err);
    if (!l->hup_source) {
        weir_loop_hangup_fini(l);
        return WEIR_E_SYS;
    }
    return WEIR_OK;
}
