/* allow.c - where callbacks may go. */
#include "write-service/allow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libweir/base/slice.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/curl_multi.h"

enum { PLACES_MAX = 64 };

struct wsvc_allow {
    bool public_https;
    size_t n;
    weir_curl_url places[PLACES_MAX];
};

static weir_rc add(wsvc_allow *a, weir_slice word, weir_error *err)
{
    char url[2048];
    if (weir_slice_eqz(word, "public")) {
        a->public_https = true;
        return WEIR_OK;
    }
    if (a->n == PLACES_MAX || word.n >= sizeof url) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "write.callback_allow has more than %d places, or one too long",
                         PLACES_MAX);
    }
    memcpy(url, word.p, word.n);
    url[word.n] = '\0';
    if (weir_curl_url_parse(&a->places[a->n], url, err) != WEIR_OK) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "write.callback_allow: \"%.200s\" is neither \"public\" nor an http or "
                         "https URL without user, password and fragment",
                         url);
    }
    a->n++;
    return WEIR_OK;
}

weir_rc wsvc_allow_new(wsvc_allow **out, const char *list, const char *secret, weir_error *err)
{
    wsvc_allow *a = weir_xcalloc(1, sizeof *a);
    weir_rc rc = WEIR_OK;
    for (const char *p = list; rc == WEIR_OK && *p;) {
        size_t n = strcspn(p, " \t,");
        if (n > 0) {
            rc = add(a, weir_slice_of(p, n), err);
        }
        p += n + (p[n] != '\0');
    }
    if (rc == WEIR_OK && (a->n > 0 || a->public_https) && !secret[0]) {
        rc = weir_fail(err, WEIR_E_INPUT, 0,
                       "write.callback_allow needs write.callback_secret: callbacks are signed");
    }
    if (rc != WEIR_OK) {
        wsvc_allow_free(a);
        a = NULL;
    }
    *out = a;
    return rc;
}

void wsvc_allow_free(wsvc_allow *a)
{
    free(a);
}

bool wsvc_allow_any(const wsvc_allow *a)
{
    return a->n > 0 || a->public_https;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* One character of a path as a receiver may take it; *p moves behind it. */
static int decoded(const char **p)
{
    int high = **p == '%' ? hex_digit((*p)[1]) : -1;
    int low = high >= 0 ? hex_digit((*p)[2]) : -1;
    int c = low >= 0 ? high * 16 + low : (unsigned char)**p;
    *p += low >= 0 ? 3 : 1;
    return c;
}

/* Has the path a part "..", be it written "%2e." or cut off by "%2f" or a backslash? Plain ones are
 * gone, resolved by libcurl; receivers resolve the others, behind our look at the prefix. */
static bool climbs(const char *path)
{
    size_t dots = 0, n = 0;
    while (*path && *path != '?') {
        int c = decoded(&path);
        if (c == '/' || c == '\\') {
            if (dots == 2 && n == 2) {
                return true;
            }
            dots = n = 0;
        } else {
            dots += c == '.';
            n++;
        }
    }
    return dots == 2 && n == 2;
}

/* A prefix ends where a part of the path does: /hooks is no place for /hooksmith. */
static bool path_fits(const char *place, const char *path)
{
    size_t n = strlen(place);
    bool whole = n > 0 && place[n - 1] == '/';
    return strncmp(place, path, n) == 0 &&
           (whole || path[n] == '\0' || path[n] == '/' || path[n] == '?');
}

weir_rc wsvc_allow_check(const wsvc_allow *a, const char *url, bool *public_only, weir_error *err)
{
    weir_curl_url u;
    if (public_only) {
        *public_only = false;
    }
    if (!wsvc_allow_any(a)) {
        return weir_fail(err, WEIR_E_DENIED, 0,
                         "callbacks are off; set write.callback_allow and write.callback_secret");
    }
    weir_rc rc = weir_curl_url_parse(&u, url, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "Weir-Callback");
        return rc;
    }
    for (size_t i = 0; i < a->n; i++) {
        const weir_curl_url *p = &a->places[i];
        if (strcmp(p->scheme, u.scheme) == 0 && strcasecmp(p->host, u.host) == 0 &&
            strcmp(p->port, u.port) == 0 && path_fits(p->path, u.path) && !climbs(u.path)) {
            return WEIR_OK;
        }
    }
    if (a->public_https && strcmp(u.scheme, "https") == 0) {
        if (public_only) {
            *public_only = true;
        }
        return WEIR_OK;
    }
    return weir_fail(err, WEIR_E_DENIED, 0, "write.callback_allow does not list this callback URL");
}
