/* nng_priv.h - what the NNG server and client share: error mapping and the way from NNG's threads
 * to the loop. */
#ifndef WEIR_IO_NNG_PRIV_H
#define WEIR_IO_NNG_PRIV_H

#include <nng/nng.h>
#include <pthread.h>

#include "libweir/io/loop.h"
#include "libweir/io/nng.h"

weir_rc weir_nng_fail(int nng_error, weir_error *err, const char *what, const char *url);

/* nng_close with a bounded wait. Every aio and context of ours is closed before. */
void weir_nng_close(nng_socket sock);

/* A mailbox: NNG's threads put nodes in, the loop takes them all out in order, unlocked. The
 * mailbox outlives its owner while a message to it is still in the loop's queue; the owner's close
 * only marks it. */
typedef struct nng_node {
    struct nng_node *next;
} nng_node;

typedef void nng_take_fn(void *owner, nng_node *node);

typedef struct nng_box {
    weir_loop *l;
    pthread_mutex_t lock;
    nng_node *first, **last;
    bool posted;   /* a message to the loop is under way */
    bool closed;   /* written by the loop thread under lock */
    bool draining; /* loop thread */
    nng_take_fn *take;
    void *owner;
} nng_box;

nng_box *weir_nng_box_new(weir_loop *l, nng_take_fn *take, void *owner);
/* Any thread. After close nodes are ignored. */
void weir_nng_box_put(nng_box *b, nng_node *node);
/* Loop thread, after every aio has been stopped. */
void weir_nng_box_close(nng_box *b);

#endif
