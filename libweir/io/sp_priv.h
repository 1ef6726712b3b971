/* sp_priv.h - what the server and its connections share: sp_server.c and sp_conn.c only. */
#ifndef WEIR_IO_SP_PRIV_H
#define WEIR_IO_SP_PRIV_H

#include "libweir/base/buf.h"
#include "libweir/base/sp.h"
#include "libweir/io/sp.h"

enum {
    SP_READ_BYTES = 32 * 1024,
    SP_READS_MAX = 4,    /* then others have their turn */
    SP_WRITES_MAX = 16,  /* the same */
    SP_RECORDS_MAX = 16, /* the same, in TLS: a read has one record */
    SP_KEEP_BYTES = 64 * 1024,
    SP_UNSENT_PAUSE_BYTES = 4 << 20,
    SP_UNSENT_MAX_BYTES = 2000 << 20, /* one answer may have 1 GiB */
    SP_POOL_MAX = 4096,
    SP_TICK_MS = 1000,
    SP_GREETING_MAX_MS = 10000, /* until the greeting is there */
    SP_ARRIVE_MAX_MS = 30000,   /* until a message that has begun is there */
    SP_SEND_MAX_MS = 60000,     /* without a byte taken of what waits to be sent */
};

typedef struct sp_conn sp_conn;

struct weir_sp_req {
    weir_sp_server *s;
    sp_conn *conn; /* NULL: its connection is gone */
    char ids[4 * WEIR_SP_IDS_MAX];
    size_t ids_n;
    weir_loop_fn *gone_fn;
    void *gone_arg;
    weir_sp_req *prev,
        *next; /* of the connection, or of those without; next chains the pool, too */
};

struct sp_conn {
    weir_sp_server *s;
    int fd;
    weir_loop_fd *source;
    weir_tls_stream *tls; /* NULL: bare */
    weir_tls_pair *pair;  /* its certificate */
    bool greeted, dirty;
    int64_t arrive_since_ms, send_since_ms; /* 0: nothing has begun, nothing waits */
    weir_buf in, out;
    size_t out_at; /* sent of out */
    weir_sp_req *reqs;
    unsigned nreqs;
    sp_conn *prev, *next, *next_dirty; /* dirty: its turn to send comes at the end of this one's */
};

struct weir_sp_server {
    weir_loop *l;
    weir_sp_conf conf;
    weir_sp_url url;
    char *path; /* of a local socket, to be removed */
    int fd, port;
    weir_loop_fd *source;
    weir_loop_timer *tick;
    bool paused; /* accepting failed; tried again by the tick */
    sp_conn *conns, *dirty, *last_dirty;
    unsigned nconns, ndirty;
    weir_sp_req *orphans; /* to be answered, their connections are gone */
    weir_sp_req *pool;
    unsigned npool;
};

/* sp_conn.c: takes fd. NULL: it cannot be watched; fd is closed. */
sp_conn *weir_sp_conn_new(weir_sp_server *s, int fd);
void weir_sp_conn_close(sp_conn *c);
void weir_sp_conn_tick(sp_conn *c, int64_t now_ms); /* may close it */
/* Sends what this turn produced, for all that are dirty. */
void weir_sp_conn_flush_all(void *server);

#endif
