/* nng_box.c - the way from NNG's threads to the loop, and NNG's errors as ours. */
#include <stdlib.h>

#include "libweir/base/xalloc.h"
#include "libweir/io/nng_priv.h"

weir_rc weir_nng_fail(int nng_error, weir_error *err, const char *what, const char *url)
{
    weir_rc rc = WEIR_E_SYS;
    unsigned flags = 0;
    switch (nng_error) {
    case NNG_ETIMEDOUT: rc = WEIR_E_TIMEOUT; break;
    case NNG_ECONNREFUSED:
    case NNG_ECONNABORTED:
    case NNG_ECONNRESET:
    case NNG_ECONNSHUT:
    case NNG_EUNREACHABLE:
    case NNG_ECLOSED: rc = WEIR_E_CONN; break;
    case NNG_EADDRINUSE: rc = WEIR_E_CONFLICT; break;
    case NNG_EADDRINVAL:
    case NNG_EINVAL:
    case NNG_ENOTSUP: rc = WEIR_E_INPUT; break;
    case NNG_EPERM: rc = WEIR_E_DENIED; break;
    default: break;
    }
    if (rc == WEIR_E_TIMEOUT || rc == WEIR_E_CONN) {
        flags = WEIR_EF_RETRY;
    }
    return weir_fail(err, rc, flags, "%s %s: %s", what, url, nng_strerror(nng_error));
}

static void box_free(nng_box *b)
{
    (void)pthread_mutex_destroy(&b->lock);
    free(b);
}

/* Frees a closed box, unless a message with its address is still in the loop's queue; that one
 * comes here again. */
static void end_if_last(nng_box *b)
{
    (void)pthread_mutex_lock(&b->lock);
    bool posted = b->posted;
    (void)pthread_mutex_unlock(&b->lock);
    if (!posted) {
        box_free(b);
    }
}

static void drain(void *arg)
{
    nng_box *b = arg;
    (void)pthread_mutex_lock(&b->lock);
    nng_node *node = b->first;
    b->first = NULL;
    b->last = &b->first;
    b->posted = false;
    (void)pthread_mutex_unlock(&b->lock);
    b->draining = true;
    while (node && !b->closed) { /* a callback may close the owner, and with it the nodes */
        nng_node *next = node->next;
        b->take(b->owner, node);
        node = next;
    }
    b->draining = false;
    if (b->closed) {
        end_if_last(b);
    }
}

nng_box *weir_nng_box_new(weir_loop *l, nng_take_fn *take, void *owner)
{
    nng_box *b = weir_xcalloc(1, sizeof *b);
    b->l = l;
    b->take = take;
    b->owner = owner;
    b->last = &b->first;
    (void)pthread_mutex_init(&b->lock, NULL);
    return b;
}

void weir_nng_box_put(nng_box *b, nng_node *node)
{
    (void)pthread_mutex_lock(&b->lock);
    if (!b->closed) {
        node->next = NULL;
        *b->last = node;
        b->last = &node->next;
        if (!b->posted) {
            b->posted = weir_loop_post(b->l, drain, b);
        }
    }
    (void)pthread_mutex_unlock(&b->lock);
}

void weir_nng_box_close(nng_box *b)
{
    if (!b) {
        return;
    }
    (void)pthread_mutex_lock(&b->lock);
    b->closed = true;
    (void)pthread_mutex_unlock(&b->lock);
    if (!b->draining) {
        end_if_last(b);
    }
}
