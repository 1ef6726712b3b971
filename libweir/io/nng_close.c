/* nng_close.c - closing a socket without ever hanging in it.
 *
 * NNG up to 1.7 can lose the receive operation of a pipe that is closed in the instant between a
 * message's header and its body (nanomsg/nng #1543, #1827); its reaper, and with it nng_close, then
 * waits for ever. By then listeners and dialers are down and none of our aios is in use, so the
 * close goes on in a thread of its own and we stop waiting for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/nng_priv.h"

enum { CLOSE_WAIT_S = 1 };

typedef struct closing {
    nng_socket sock;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    bool abandoned;
} closing;

static void closing_free(closing *k)
{
    (void)pthread_cond_destroy(&k->cond);
    (void)pthread_mutex_destroy(&k->lock);
    free(k);
}

static void *close_thread(void *arg)
{
    closing *k = arg;
    (void)nng_close(k->sock);
    (void)pthread_mutex_lock(&k->lock);
    k->done = true;
    bool abandoned = k->abandoned;
    (void)pthread_cond_signal(&k->cond);
    (void)pthread_mutex_unlock(&k->lock);
    if (abandoned) {
        closing_free(k);
    }
    return NULL;
}

/* True when the thread is through. */
static bool wait_done(closing *k)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_WAIT_S;
    (void)pthread_mutex_lock(&k->lock);
    while (!k->done && pthread_cond_timedwait(&k->cond, &k->lock, &until) != ETIMEDOUT) {
    }
    k->abandoned = !k->done;
    bool done = k->done;
    (void)pthread_mutex_unlock(&k->lock);
    return done;
}

void weir_nng_close(nng_socket sock)
{
    closing *k = weir_xcalloc(1, sizeof *k);
    pthread_t t;
    k->sock = sock;
    (void)pthread_mutex_init(&k->lock, NULL);
    (void)pthread_cond_init(&k->cond, NULL);
    if (pthread_create(&t, NULL, close_thread, k) != 0) {
        closing_free(k);
        (void)nng_close(sock);
        return;
    }
    if (wait_done(k)) {
        (void)pthread_join(t, NULL);
        closing_free(k);
        return;
    }
    (void)pthread_detach(t);
    WEIR_WARN("NNG-CLOSE-HANG", "closing a socket takes longer than %d s, going on without it",
              CLOSE_WAIT_S);
}
