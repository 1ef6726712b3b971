/* send.c - `weir send` and `weir get`: a command and a query from the shell. */
#include <stdio.h>
#include <string.h>

#include "cli/app.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/credential.h"
#include "libweir/base/buf.h"
#include "libweir/codec/dockey.h"
#include "libweir/codec/json_pretty.h"
#include "libweir/io/curl.h"

enum { TIMEOUT_MS = 60000, BODY_MAX = 64 << 20, KEY_PARTS_MAX = 32 };

/* Indented for people; the tokens stay as they came. */
static void print_body(weir_slice body, FILE *to)
{
    weir_buf b;
    weir_buf_init(&b, BODY_MAX);
    weir_json_pretty(&b, weir_slice_trim(body));
    weir_slice text = weir_buf_slice(&b);
    (void)fprintf(to, WEIR_SLICE_FMT "\n", WEIR_SLICE_ARG(text));
    weir_buf_fini(&b);
}

static int answer(const char *command, const weir_curl_response *r)
{
    if (r->status >= 200 && r->status < 300) {
        print_body(r->body, stdout);
        return 0;
    }
    (void)fprintf(stderr, "weir %s: %d\n", command, r->status);
    print_body(r->body, stderr);
    return 1;
}

static int call(const char *command, cli_app *app, const char *key_file, const char *method,
                const char *url, weir_slice body)
{
    weir_error err = {0};
    weir_curl_response r;
    const char *credential = NULL;
    if (cli_credential(&credential, key_file, app->a, &err) != WEIR_OK) {
        return cli_fail(command, &err);
    }
    const char *const headers[] = {credential ? credential : "Content-Type: application/json",
                                   credential ? "Content-Type: application/json" : NULL, NULL};
    if (weir_curl(method, url, headers, body, TIMEOUT_MS, app->a, &r, &err) != WEIR_OK) {
        (void)fprintf(stderr, "weir %s: %s\n  is it running? `weir status %s` looks\n", command,
                      err.msg, app->dir_word);
        return 1;
    }
    return answer(command, &r);
}

static bool read_stdin(weir_arena *a, weir_slice *out)
{
    weir_buf b;
    weir_buf_init(&b, BODY_MAX);
    for (;;) {
        char *room = weir_buf_reserve(&b, 65536);
        size_t n = room ? fread(room, 1, 65536, stdin) : 0;
        if (n == 0) {
            break;
        }
        b.n += n;
    }
    bool ok = !b.failed;
    *out = weir_arena_dup(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return ok;
}

int cli_send(int argc, char **argv)
{
    const char *dir = NULL, *key_file = NULL, *words[2];
    int n = 0;
    const cli_flag flags[] = {{"--app", &dir, NULL}, {"--key-file", &key_file, NULL}};
    cli_app app;
    weir_error err = {0};
    if (!cli_args("send", argc, argv, flags, 2, words, 2, &n)) {
        return 2;
    }
    if (n == 0) {
        (void)fprintf(stderr, "usage: weir send [--app APP] [--key-file FILE] NAME JSON\n");
        return 2;
    }
    if (cli_app_open_running(&app, dir, &err) != WEIR_OK) {
        return cli_fail("send", &err);
    }
    weir_slice body = n == 2 ? weir_slice_z(words[1]) : WEIR_SLICE_LIT("{}");
    if (weir_slice_eqz(body, "-") && !read_stdin(app.a, &body)) {
        (void)fprintf(stderr, "weir send: standard input is too long\n");
        return 1;
    }
    weir_buf path;
    weir_buf_init(&path, 1 << 16);
    weir_slice name = weir_slice_z(words[0]);
    weir_dockey_text(&path, &name, 1);
    const char *url =
        weir_arena_printf(app.a, "%s/commands/" WEIR_SLICE_FMT, cli_app_write_url(&app),
                          WEIR_SLICE_ARG(weir_buf_slice(&path)));
    weir_buf_fini(&path);
    int rc = call("send", &app, key_file, "POST", url, body);
    cli_app_close(&app);
    return rc;
}

int cli_get(int argc, char **argv)
{
    const char *dir = NULL, *key_file = NULL, *min_position = NULL, *wait_ms = NULL;
    const char *words[1 + KEY_PARTS_MAX];
    int n = 0;
    const cli_flag flags[] = {{"--app", &dir, NULL},
                              {"--key-file", &key_file, NULL},
                              {"--min-position", &min_position, NULL},
                              {"--wait-ms", &wait_ms, NULL}};
    cli_app app;
    weir_error err = {0};
    if (!cli_args("get", argc, argv, flags, 4, words, 1 + KEY_PARTS_MAX, &n)) {
        return 2;
    }
    if (n < 2) {
        (void)fprintf(
            stderr, "usage: weir get [--app APP] [--key-file FILE] MODEL KEY… [--min-position X/Y] "
                    "[--wait-ms N]\n");
        return 2;
    }
    if (cli_app_open_running(&app, dir, &err) != WEIR_OK) {
        return cli_fail("get", &err);
    }
    weir_slice parts[1 + KEY_PARTS_MAX]; /* the model is escaped as the key is */
    weir_buf key;
    weir_buf_init(&key, 1 << 20);
    for (int i = 0; i < n; i++) {
        parts[i] = weir_slice_z(words[i]);
    }
    weir_dockey_text(&key, parts, (size_t)n);
    const char *url = weir_arena_printf(
        app.a, "%s/queries/" WEIR_SLICE_FMT "%s%s%s%s", cli_app_read_url(&app),
        WEIR_SLICE_ARG(weir_buf_slice(&key)), min_position ? "?min_position=" : "",
        min_position ? min_position : "", wait_ms ? (min_position ? "&wait_ms=" : "?wait_ms=") : "",
        wait_ms ? wait_ms : "");
    weir_buf_fini(&key);
    int rc = call("get", &app, key_file, "GET", url, (weir_slice){0});
    cli_app_close(&app);
    return rc;
}
