/* endpoint.h - the NNG door of a service: each message becomes the request it would be over HTTP,
 * each answer a message. There is no second set of rules.
 *
 * ask.h says what the messages are. Loop thread.
 */
#ifndef WEIR_ENDPOINT_ENDPOINT_H
#define WEIR_ENDPOINT_ENDPOINT_H

#include "libweir/io/http.h"

typedef struct weir_endpoint weir_endpoint;

typedef struct weir_endpoint_conf {
    const char *url;    /* borrowed; see weir_sp_url_read */
    const char *option; /* its name in weir.ini, for error texts */
    weir_tls *tls; /* of a tls+tcp:// url; NULL: there is no certificate; outlives the endpoint */
    bool guarded;  /* requests are authenticated: it may listen for other machines */
    bool reuseport;
    unsigned connections_max;
    size_t body_max_bytes;
} weir_endpoint_conf;

/* http handles what arrives and must outlive it, but for weir_http_close, which answers what is
 * still pending and so comes before weir_endpoint_close. WEIR_E_INPUT: no address, or one other
 * machines can reach without being guarded. */
WEIR_MUST_CHECK weir_rc weir_endpoint_open(weir_endpoint **out, weir_loop *l, weir_http *http,
                                           const weir_endpoint_conf *conf, weir_error *err);
void weir_endpoint_stop_accepting(weir_endpoint *e); /* NULL is fine, as below */
void weir_endpoint_close(weir_endpoint *e);
int weir_endpoint_port(const weir_endpoint *e);

#endif
