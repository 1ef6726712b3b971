/* keys.c - `weir keys`: makes, lists and revokes API keys. The file keeps their digests; a key
 * itself is printed once, when it is made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/args.h"
#include "cli/command.h"
#include "libweir/auth/grant.h"
#include "libweir/auth/keyfile.h"
#include "libweir/base/clock.h"
#include "libweir/base/crypt.h"
#include "libweir/base/str.h"

enum { SECOND_US = 1000000, HOUR_S = 3600, DAY_S = 86400, EXPIRES_MAX_S = 3660 * 86400 };

typedef struct wish {
    const char *action, *word; /* add: the name; revoke: the id */
    const char *app, *role, *rate, *expires;
    bool json;
} wish;

static int usage(void)
{
    (void)fprintf(stderr, "usage: weir keys add [--app APP] NAME --role ROLE [--rate N] "
                          "[--expires 90d]\n"
                          "       weir keys list [--app APP] [--json]\n"
                          "       weir keys revoke [--app APP] ID\n");
    return 2;
}

/* One change of the file at a time; the lock goes with the process. */
static weir_rc lock_file(const char *path, weir_arena *a, weir_error *err)
{
    int fd = open(weir_arena_printf(a, "%s.lock", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        return weir_fail_errno(err, "cannot lock %s", path);
    }
    return WEIR_OK;
}

static weir_rc read_keys(cli_app *app, weir_apikeys *keys, size_t more, weir_error *err)
{
    weir_apikeys had = {0, NULL};
    weir_rc rc = weir_apikeys_read(&had, app->s.auth_keys, app->a, err);
    if (rc != WEIR_OK && rc != WEIR_E_NOTFOUND) {
        return rc;
    }
    *keys = (weir_apikeys){had.n, WEIR_ARENA_ARRAY(app->a, weir_apikey, had.n + more)};
    memcpy(keys->k, had.n ? had.k : keys->k, had.n * sizeof *keys->k);
    return WEIR_OK;
}

/* With the rights it had; a new one is its owner's alone. */
static weir_rc write_keys(const cli_app *app, const weir_apikeys *keys, weir_error *err)
{
    struct stat st;
    weir_buf b;
    unsigned mode = stat(app->s.auth_keys, &st) == 0 ? st.st_mode & 0777 : 0600;
    weir_buf_init(&b, WEIR_KEYFILE_MAX_BYTES);
    weir_apikeys_put(&b, keys);
    weir_rc rc = b.failed ? weir_fail(err, WEIR_E_LIMIT, 0, "there are too many keys")
                          : weir_file_write(app->s.auth_keys, weir_buf_slice(&b), mode, err);
    weir_buf_fini(&b);
    return rc;
}

static bool read_duration_s(const char *text, int64_t *out)
{
    size_t n = strlen(text);
    int64_t unit = n > 0 && text[n - 1] == 'd' ? DAY_S : n > 0 && text[n - 1] == 'h' ? HOUR_S : 0;
    return unit && weir_slice_i64(weir_slice_of(text, n - 1), out) && *out > 0 &&
           *out <= EXPIRES_MAX_S / unit && (*out *= unit) > 0;
}

static bool role_listed(const weir_grants *roles, const char *role)
{
    for (size_t i = 0; i < roles->n; i++) {
        if (strcmp(roles->g[i].right, role) == 0) {
            return true;
        }
    }
    return false;
}

static weir_rc fill(const wish *w, const cli_app *app, weir_apikey *k, weir_error *err)
{
    weir_grants roles;
    int64_t lives_s = 0;
    if (!weir_apikey_name_ok(w->word)) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "a name has 1 to %d of the characters A-Z a-z 0-9 _ . : @ / -",
                         WEIR_KEY_NAME_MAX);
    }
    weir_rc rc = weir_grants_roles(&roles, app->s.auth_roles, app->a, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (!role_listed(&roles, w->role)) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "auth.roles does not list %.60s; add it there, and run `weir deploy`",
                         w->role);
    }
    if (w->rate && (!weir_slice_i64(weir_slice_z(w->rate), &k->rate_per_s) || k->rate_per_s < 1 ||
                    k->rate_per_s > 1000000)) {
        return weir_fail(err, WEIR_E_INPUT, 0, "--rate is a number of requests per second");
    }
    if (w->expires && !read_duration_s(w->expires, &lives_s)) {
        return weir_fail(err, WEIR_E_INPUT, 0, "--expires is a time like 90d or 12h");
    }
    k->created_s = weir_wall_us() / SECOND_US;
    k->expires_s = lives_s ? k->created_s + lives_s : 0;
    (void)snprintf(k->name, sizeof k->name, "%s", w->word);
    (void)snprintf(k->role, sizeof k->role, "%s", w->role);
    return WEIR_OK;
}

static weir_rc add(const wish *w, cli_app *app, weir_error *err)
{
    weir_apikeys keys;
    char text[WEIR_KEY_CHARS + 1];
    weir_rc rc = read_keys(app, &keys, 1, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_apikey *k = &keys.k[keys.n];
    rc = fill(w, app, k, err);
    if (rc == WEIR_OK && keys.n++ == WEIR_KEYS_MAX) {
        rc = weir_fail(err, WEIR_E_LIMIT, 0, "there are %d keys, which is the most", WEIR_KEYS_MAX);
    }
    if (rc == WEIR_OK) {
        rc = weir_apikey_make(k, text, err);
    }
    if (rc == WEIR_OK) {
        rc = write_keys(app, &keys, err);
    }
    if (rc == WEIR_OK) { /* the key alone on stdout, for a pipe into a vault */
        (void)printf("%s\n", text);
        (void)fprintf(stderr, "id %s, name %s, role %s. This is the only time the key is shown.\n",
                      k->id, k->name, k->role);
    }
    weir_wipe(text, sizeof text);
    return rc;
}

static weir_rc drop(const wish *w, cli_app *app, weir_error *err)
{
    weir_apikeys keys;
    weir_rc rc = read_keys(app, &keys, 0, err);
    size_t kept = 0;
    for (size_t i = 0; rc == WEIR_OK && i < keys.n; i++) {
        if (strcmp(keys.k[i].id, w->word) != 0) {
            keys.k[kept++] = keys.k[i];
        }
    }
    if (rc == WEIR_OK && kept == keys.n) {
        return weir_fail(err, WEIR_E_NOTFOUND, 0, "there is no key with the id %.40s", w->word);
    }
    keys.n = kept;
    rc = rc == WEIR_OK ? write_keys(app, &keys, err) : rc;
    if (rc == WEIR_OK) {
        (void)printf("revoked; the services refuse it within a second\n");
    }
    return rc;
}

static const char *day(int64_t s, char out[16])
{
    struct tm tm;
    time_t t = (time_t)s;
    bool ok = s > 0 && gmtime_r(&t, &tm) && strftime(out, 16, "%Y-%m-%d", &tm) > 0;
    return ok ? out : "-";
}

static weir_rc list(const wish *w, cli_app *app, weir_error *err)
{
    weir_apikeys keys;
    char created[16], expires[16];
    weir_rc rc = read_keys(app, &keys, 0, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    (void)printf(w->json ? "[" : "%s", keys.n || w->json ? "" : "there is no key yet\n");
    for (size_t i = 0; i < keys.n; i++) {
        const weir_apikey *k = &keys.k[i];
        if (w->json) {
            (void)printf("%s{\"id\":\"%s\",\"name\":\"%s\",\"role\":\"%s\",\"created_s\":%lld,"
                         "\"expires_s\":%lld,\"rate_per_s\":%lld}",
                         i ? "," : "", k->id, k->name, k->role, (long long)k->created_s,
                         (long long)k->expires_s, (long long)k->rate_per_s);
        } else {
            (void)printf("%s  %-20s %-20s since %s  until %s", k->id, k->name, k->role,
                         day(k->created_s, created), day(k->expires_s, expires));
            (void)printf(k->rate_per_s ? "  %lld/s\n" : "\n", (long long)k->rate_per_s);
        }
    }
    (void)printf("%s", w->json ? "]\n" : "");
    return WEIR_OK;
}

static weir_rc run(const wish *w, cli_app *app, weir_error *err)
{
    if (app->s.auth_keys[0] == '\0') {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "auth.keys is not set: put `keys = keys` under [auth] of weir.ini");
    }
    if (strcmp(w->action, "list") == 0) {
        return list(w, app, err);
    }
    weir_rc rc = lock_file(app->s.auth_keys, app->a, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    return (strcmp(w->action, "add") == 0 ? add : drop)(w, app, err);
}

int cli_keys(int argc, char **argv)
{
    wish w = {0};
    const char *words[2] = {NULL, NULL};
    int n = 0;
    const cli_flag flags[] = {{"--app", &w.app, NULL},
                              {"--role", &w.role, NULL},
                              {"--rate", &w.rate, NULL},
                              {"--expires", &w.expires, NULL},
                              {"--json", NULL, &w.json}};
    cli_app app;
    weir_error err = {0};
    if (!cli_args("keys", argc, argv, flags, 5, words, 2, &n)) {
        return 2;
    }
    w.action = n > 0 ? words[0] : "";
    w.word = words[1];
    bool adds = strcmp(w.action, "add") == 0 && n == 2 && w.role;
    bool lists = strcmp(w.action, "list") == 0 && n == 1;
    bool revokes = strcmp(w.action, "revoke") == 0 && n == 2;
    if (!adds && !lists && !revokes) {
        bool role_missing = strcmp(w.action, "add") == 0 && n == 2;
        (void)fprintf(stderr, role_missing ? "weir keys add: --role ROLE is missing\n" : "");
        return usage();
    }
    if (cli_app_open(&app, w.app, &err) != WEIR_OK || run(&w, &app, &err) != WEIR_OK) {
        return cli_fail("keys", &err);
    }
    cli_app_close(&app);
    return 0;
}
