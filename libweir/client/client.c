/* client.c - a client: opened, run, closed; its blocking calls. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"
#include "libweir/client/priv.h"

enum { TIMEOUT_MS = 30000, IN_FLIGHT = 1024 };

static int take_url(weir_cl_line *l, const char *url, weir_client_error *err)
{
    weir_error why = {0};
    if (!url) {
        return WEIR_CLIENT_OK;
    }
    if (strlen(url) >= sizeof l->url_text) {
        return weir_cl_error(err, WEIR_CLIENT_INPUT, "the address is too long");
    }
    (void)snprintf(l->url_text, sizeof l->url_text, "%s", url);
    if (weir_sp_url_read(&l->url, l->url_text, &why) != WEIR_OK) {
        return weir_cl_error(err, WEIR_CLIENT_INPUT, "%s", why.msg);
    }
    return WEIR_CLIENT_OK;
}

static int open_tls(weir_client *c, const weir_client_conf *conf, weir_client_error *err)
{
    weir_error why = {0};
    bool wanted = false;
    for (size_t i = 0; i < WEIR_CL_LINES; i++) {
        wanted |= c->lines[i].url.tls;
    }
    if (wanted && weir_tls_trust_new(&c->trust, conf->tls_ca, &why) != WEIR_OK) {
        return weir_cl_error(err, WEIR_CLIENT_INPUT, "%s", why.msg);
    }
    c->tls_name = conf->tls_name ? weir_xstrdup(conf->tls_name) : NULL;
    return WEIR_CLIENT_OK;
}

static void make_slots(weir_client *c, unsigned n)
{
    c->slots = n == 0 ? IN_FLIGHT : n > WEIR_CL_SLOTS_MAX ? WEIR_CL_SLOTS_MAX : n;
    c->calls = weir_xcalloc(c->slots, sizeof *c->calls);
    for (uint32_t i = 0; i < c->slots; i++) {
        c->calls[i].next_free = i + 1;
        weir_buf_init(&c->calls[i].message, WEIR_CL_MESSAGE_MAX_BYTES);
    }
}

int weir_client_open(weir_client **out, const weir_client_conf *conf, weir_client_error *err)
{
    weir_client *c = weir_xcalloc(1, sizeof *c);
    const char *const urls[WEIR_CL_LINES] = {conf->write_url, conf->read_url, conf->feed_url};
    int rc = WEIR_CLIENT_OK;
    *out = NULL;
    c->timeout_ms = conf->timeout_ms > 0 ? conf->timeout_ms : TIMEOUT_MS;
    c->soonest_ms = INT64_MAX;
    c->keys = conf->keys;
    c->credentials = conf->credentials ? weir_xstrdup(conf->credentials) : NULL;
    make_slots(c, conf->in_flight_max);
    for (size_t i = 0; i < WEIR_CL_LINES; i++) {
        weir_cl_line_init(&c->lines[i]);
    }
    for (size_t i = 0; i < WEIR_CL_LINES && rc == WEIR_CLIENT_OK; i++) {
        rc = take_url(&c->lines[i], urls[i], err);
    }
    if (rc == WEIR_CLIENT_OK) {
        rc = open_tls(c, conf, err);
    }
    if (rc != WEIR_CLIENT_OK) {
        weir_client_close(c);
        return rc;
    }
    *out = c;
    return WEIR_CLIENT_OK;
}

void weir_client_close(weir_client *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < WEIR_CL_LINES; i++) {
        weir_cl_line_fini(&c->lines[i]);
    }
    for (uint32_t i = 0; i < c->slots; i++) {
        weir_buf_fini(&c->calls[i].message);
    }
    free(c->calls);
    weir_tls_trust_free(c->trust);
    free(c->tls_name);
    free(c->credentials);
    free(c);
}

/* --- running --- */

/* Connections that are wanted are begun, attempts that take too long are ended. */
static void tend(weir_client *c, int64_t now_ms)
{
    for (size_t i = 0; i < WEIR_CL_LINES; i++) {
        weir_cl_line *l = &c->lines[i];
        bool trying = l->state == WEIR_CL_CONNECTING || l->state == WEIR_CL_GREETING;
        if (trying && now_ms >= l->give_up_at_ms) {
            weir_cl_line_lost(c, l, "the peer does not answer");
        } else if (l->state == WEIR_CL_DOWN && l->calls > 0 && now_ms >= l->try_at_ms) {
            weir_cl_line_connect(c, l, now_ms);
        }
        if (l->fd >= 0 && l->state != WEIR_CL_CONNECTING) {
            weir_cl_line_send(c, l);
        }
    }
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int wait_for(const weir_client *c, int64_t until_ms, int64_t now_ms)
{
    int64_t due_ms = sooner(until_ms, c->soonest_ms);
    for (size_t i = 0; i < WEIR_CL_LINES; i++) {
        const weir_cl_line *l = &c->lines[i];
        if (l->state == WEIR_CL_DOWN && l->calls > 0) {
            due_ms = sooner(due_ms, l->try_at_ms);
        } else if (l->state == WEIR_CL_CONNECTING || l->state == WEIR_CL_GREETING) {
            due_ms = sooner(due_ms, l->give_up_at_ms);
        }
    }
    int64_t wait_ms = due_ms - now_ms;
    return wait_ms < 0 ? 0 : wait_ms > 60000 ? 60000 : (int)wait_ms;
}

static void poll_once(weir_client *c, int64_t until_ms, int64_t now_ms)
{
    struct pollfd fds[WEIR_CL_LINES];
    for (size_t i = 0; i < WEIR_CL_LINES; i++) {
        weir_cl_line *l = &c->lines[i];
        fds[i] = (struct pollfd){l->fd, weir_cl_line_events(l), 0};
    }
    if (poll(fds, WEIR_CL_LINES, wait_for(c, until_ms, now_ms)) <= 0) {
        return;
    }
    for (size_t i = 0; i < WEIR_CL_LINES; i++) {
        if (fds[i].revents && c->lines[i].fd == fds[i].fd) {
            weir_cl_line_ready(c, &c->lines[i], fds[i].revents);
        }
    }
}

size_t weir_client_run(weir_client *c, int64_t wait_ms)
{
    int64_t now_ms = weir_mono_ms(), until_ms = now_ms + (wait_ms > 0 ? wait_ms : 0);
    c->answered = 0;
    while (c->in_flight > 0) {
        tend(c, now_ms);
        poll_once(c, until_ms, now_ms);
        now_ms = weir_mono_ms();
        weir_cl_calls_expire(c, now_ms);
        if (c->answered > 0 || now_ms >= until_ms) {
            break;
        }
    }
    return c->in_flight;
}
