/* rawhttp.h - bytes on a socket of our own, for requests no client library would send. */
#ifndef WEIR_TESTS_SUPPORT_RAWHTTP_H
#define WEIR_TESTS_SUPPORT_RAWHTTP_H

#include "libweir/base/arena.h"

/* A connection to 127.0.0.1 that gives up receiving after 20 s; fails the test when nobody listens.
 */
int rawhttp_dial(int64_t port);
/* Sends all, or what the server takes before it has had enough. */
void rawhttp_say(int fd, const char *p, size_t n);
/* What comes until the end, or until `until` was seen (NULL: until the end). */
const char *rawhttp_hear(weir_arena *a, int fd, const char *until);
/* One connection: sends head and fill `times` times, gives what came back. */
const char *rawhttp_ask(weir_arena *a, int64_t port, const char *head, const char *fill,
                        size_t times);

#endif
