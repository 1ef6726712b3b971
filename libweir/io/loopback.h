/* loopback.h - is an address one that only this machine can reach? */
#ifndef WEIR_IO_LOOPBACK_H
#define WEIR_IO_LOOPBACK_H

#include <stdbool.h>
#include <sys/socket.h>

/* 127.0.0.0/8, also mapped into IPv6, and ::1. false for any other family. */
bool weir_is_loopback(const struct sockaddr *sa);

#endif
