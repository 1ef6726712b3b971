/* sp_dial.h - non-blocking connections to a URL: the addresses of its name are tried in turn. */
#ifndef WEIR_IO_SP_DIAL_H
#define WEIR_IO_SP_DIAL_H

#include "libweir/base/sp.h"

enum { WEIR_SP_WHY_BYTES = 160 };

typedef struct weir_sp_dial {
    const weir_sp_url *url; /* borrowed */
    struct addrinfo *all, *left;
    bool ipc_left;
    char why[WEIR_SP_WHY_BYTES]; /* of the last failure */
} weir_sp_dial;

/* Resolves the name, which may block; begins anew when one is under way. */
void weir_sp_dial_begin(weir_sp_dial *d, const weir_sp_url *url);
/* A descriptor that is connected, or will be when it can be written to: then weir_sp_dial_failed
 * tells. The caller's. -1: none is left to try, and why says what was wrong. */
int weir_sp_dial_next(weir_sp_dial *d);
/* The attempt of fd has failed, and why says how. */
bool weir_sp_dial_failed(weir_sp_dial *d, int fd);
void weir_sp_dial_end(weir_sp_dial *d);

#endif
