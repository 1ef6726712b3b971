/* loop.c - the epoll loop: descriptors, posted messages, turn hooks.
 *
 * A turn is: wait, descriptor callbacks, due timers, posted messages, hooks, sweep. A removed
 * source is only marked dead and unlinked at once from epoll; its memory goes in the sweep, because
 * later events of the same wait may still point at it.
 */
#include "libweir/io/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/loop_priv.h"

void *weir_loop_grow(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return items;
    }
    size_t want = *cap ? *cap * 2 : 16;
    *cap = want;
    return weir_xrealloc(items, want * size);
}

weir_rc weir_loop_new(weir_loop **out, weir_error *err)
{
    weir_loop *l = weir_xcalloc(1, sizeof *l);
    l->sigfd = -1;
    l->hupfd = -1;
    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    l->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&l->lock, NULL);
    struct epoll_event ev = {.events = EPOLLIN,
                             .data = {.ptr = NULL}}; /* NULL marks the wake descriptor */
    if (l->epfd < 0 || l->wakefd < 0 || epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->wakefd, &ev) != 0) {
        weir_rc rc = weir_fail_errno(err, "cannot create an event loop");
        weir_loop_free(l);
        return rc;
    }
    *out = l;
    return WEIR_OK;
}

static void sweep(weir_loop *l)
{
    while (l->dead_fds) {
        weir_loop_fd *f = l->dead_fds;
        l->dead_fds = f->next;
        free(f);
    }
    weir_loop_timer_sweep(l);
}

static void run_posts(weir_loop *l)
{
    (void)pthread_mutex_lock(&l->lock);
    loop_hook *posts = l->posts;
    size_t n = l->nposts;
    size_t cap = l->posts_cap;
    l->posts = NULL;
    l->nposts = l->posts_cap = 0;
    (void)pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < n; i++) {
        posts[i].fn(posts[i].arg);
    }
    if (!posts) {
        return;
    }
    (void)pthread_mutex_lock(&l->lock);
    if (!l->posts && cap <= 4096) { /* keep the memory for the next turn */
        l->posts = posts;
        l->posts_cap = cap;
        posts = NULL;
    }
    (void)pthread_mutex_unlock(&l->lock);
    free(posts);
}

/* From here on nothing can be posted; what was accepted has run. */
static void close_posts(weir_loop *l)
{
    (void)pthread_mutex_lock(&l->lock);
    l->closed = true;
    (void)pthread_mutex_unlock(&l->lock);
    run_posts(l);
}

void weir_loop_free(weir_loop *l)
{
    if (!l) {
        return;
    }
    close_posts(l);
    weir_loop_signals_fini(l);
    weir_loop_hangup_fini(l);
    while (l->fds) {
        weir_loop_del(l->fds);
    }
    weir_loop_timer_fini(l);
    sweep(l);
    if (l->epfd >= 0) {
        (void)close(l->epfd);
    }
    if (l->wakefd >= 0) {
        (void)close(l->wakefd);
    }
    (void)pthread_mutex_destroy(&l->lock);
    free(l->posts);
    free(l->hooks);
    free(l->heap);
    free(l);
}

static unsigned events_from_epoll(uint32_t e, unsigned wanted)
{
    unsigned out = 0;
    if (e & EPOLLIN) {
        out |= WEIR_LOOP_IN;
    }
    if (e & EPOLLOUT) {
        out |= WEIR_LOOP_OUT;
    }
    out &= wanted; /* interest may have changed since the wait */
    if (e & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
        out |= WEIR_LOOP_HUP;
    }
    return out;
}

static uint32_t events_to_epoll(unsigned events)
{
    uint32_t e = 0;
    if (events & WEIR_LOOP_IN) {
        e |= EPOLLIN;
    }
    if (events & WEIR_LOOP_OUT) {
        e |= EPOLLOUT;
    }
    if (events & WEIR_LOOP_HUP) {
        e |= EPOLLRDHUP;
    }
    return e;
}

static void drain_wake(weir_loop *l)
{
    uint64_t count = 0;
    while (read(l->wakefd, &count, sizeof count) < 0 && errno == EINTR) {
    }
    /* After the read: a wake in between finds the flag set and writes nothing, but its message is
     * seen in this turn. The other way round its byte would be read here and the flag would stay
     * set for ever. */
    (void)atomic_exchange(&l->woken, false);
}

static int wait_timeout(weir_loop *l, int64_t wait_ms)
{
    (void)pthread_mutex_lock(&l->lock);
    bool posted = l->nposts > 0;
    (void)pthread_mutex_unlock(&l->lock);
    if (l->again || l->stopping || posted) {
        return 0;
    }
    int64_t due = weir_loop_timer_next_ms(l, weir_mono_ms());
    if (wait_ms < 0 || (due >= 0 && due < wait_ms)) {
        wait_ms = due;
    }
    return wait_ms < 0 ? -1 : (int)(wait_ms > INT_MAX ? INT_MAX : wait_ms);
}

static void run_hooks(weir_loop *l)
{
    for (int pass = 0; pass < LOOP_HOOK_PASSES_MAX; pass++) {
        l->again = false;
        for (size_t i = 0; i < l->nhooks; i++) {
            if (l->hooks[i].fn) {
                l->hooks[i].fn(l->hooks[i].arg);
            }
        }
        if (!l->again) {
            return;
        }
    }
}

void weir_loop_turn(weir_loop *l, int64_t wait_ms)
{
    struct epoll_event evs[LOOP_EVENTS_MAX];
    int n = epoll_wait(l->epfd, evs, LOOP_EVENTS_MAX, wait_timeout(l, wait_ms));
    for (int i = 0; i < n; i++) {
        weir_loop_fd *f = evs[i].data.ptr;
        if (!f) {
            drain_wake(l);
            continue;
        }
        unsigned got = f->dead ? 0 : events_from_epoll(evs[i].events, f->events);
        if (got) {
            f->fn(f->arg, got);
        }
    }
    if (l->nheap > 0) {
        weir_loop_timer_run(l, weir_mono_ms());
    }
    run_posts(l);
    run_hooks(l);
    sweep(l);
}

void weir_loop_run(weir_loop *l)
{
    while (!l->stopping) {
        weir_loop_turn(l, -1);
    }
    l->stopping = false;
    close_posts(l);
    run_hooks(l);
    sweep(l);
}

void weir_loop_stop(weir_loop *l)
{
    l->stopping = true;
}

weir_loop_fd *weir_loop_add(weir_loop *l, int fd, unsigned events, weir_loop_fd_fn *fn, void *arg,
                            weir_error *err)
{
    weir_loop_fd *f = weir_xcalloc(1, sizeof *f);
    *f = (weir_loop_fd){.l = l, .fd = fd, .events = events, .fn = fn, .arg = arg};
    struct epoll_event ev = {.events = events_to_epoll(events), .data = {.ptr = f}};
    if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) != 0) {
        (void)weir_fail_errno(err, "cannot watch descriptor %d", fd);
        free(f);
        return NULL;
    }
    f->next = l->fds;
    if (f->next) {
        f->next->prev = f;
    }
    l->fds = f;
    return f;
}

void weir_loop_mod(weir_loop_fd *f, unsigned events)
{
    if (f->dead || f->events == events) {
        return;
    }
    f->events = events;
    struct epoll_event ev = {.events = events_to_epoll(events), .data = {.ptr = f}};
    if (epoll_ctl(f->l->epfd, EPOLL_CTL_MOD, f->fd, &ev) != 0) {
        abort(); /* our bug: the descriptor was closed before weir_loop_del */
    }
}

void weir_loop_del(weir_loop_fd *f)
{
    if (!f || f->dead) {
        return;
    }
    weir_loop *l = f->l;
    (void)epoll_ctl(l->epfd, EPOLL_CTL_DEL, f->fd, NULL);
    f->dead = true;
    if (f->prev) {
        f->prev->next = f->next;
    } else {
        l->fds = f->next;
    }
    if (f->next) {
        f->next->prev = f->prev;
    }
    f->next = l->dead_fds;
    l->dead_fds = f;
}

void weir_loop_on_turn(weir_loop *l, weir_loop_fn *fn, void *arg)
{
    l->hooks = weir_loop_grow(l->hooks, l->nhooks, &l->hooks_cap, sizeof *l->hooks);
    l->hooks[l->nhooks++] = (loop_hook){fn, arg};
}

void weir_loop_off_turn(weir_loop *l, weir_loop_fn *fn, void *arg)
{
    for (size_t i = 0; i < l->nhooks; i++) {
        if (l->hooks[i].fn == fn && l->hooks[i].arg == arg) {
            l->hooks[i].fn = NULL; /* the place stays: a hook may remove itself while they run */
        }
    }
}

void weir_loop_again(weir_loop *l)
{
    l->again = true;
}

bool weir_loop_post(weir_loop *l, weir_loop_fn *fn, void *arg)
{
    (void)pthread_mutex_lock(&l->lock);
    bool ok = !l->closed;
    if (ok) {
        l->posts = weir_loop_grow(l->posts, l->nposts, &l->posts_cap, sizeof *l->posts);
        l->posts[l->nposts++] = (loop_hook){fn, arg};
        weir_loop_wake(l); /* under the lock: after closing, nobody touches the loop any more */
    }
    (void)pthread_mutex_unlock(&l->lock);
    return ok;
}

void weir_loop_wake(weir_loop *l)
{
    if (atomic_exchange(&l->woken, true)) {
        return;
    }
    uint64_t one = 1;
    while (write(l->wakefd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}
