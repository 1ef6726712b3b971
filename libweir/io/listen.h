/* listen.h - listening sockets: non-blocking, closed on exec. */
#ifndef WEIR_IO_LISTEN_H
#define WEIR_IO_LISTEN_H

#include <stdbool.h>

#include "libweir/base/err.h"

typedef struct weir_listen {
    const char *host; /* address or name; "" or NULL: every address */
    int port;         /* 0: any free one */
    bool reuseport;   /* several sockets share the port */
} weir_listen;

/* *fd is the caller's; *port is the one it got. WEIR_E_CONFLICT: another process has it. */
WEIR_MUST_CHECK weir_rc weir_listen_tcp(const weir_listen *at, int *fd, int *port, weir_error *err);
/* For this user's processes only (mode 0600). A file that a killed process left is replaced; the
 * caller removes its own. */
WEIR_MUST_CHECK weir_rc weir_listen_unix(const char *path, int *fd, weir_error *err);

#endif
