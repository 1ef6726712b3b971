/* service.c - what every service's main.c does first: flags, settings, log, stop signals. */
#include "libweir/base/service.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "libweir/base/log.h"

typedef struct flags {
    const char *config, *overlay, *app;
} flags;

/* "weir-bridge" and "bridge" both mean the bridge. */
static const char *short_name(const char *name)
{
    return strncmp(name, "weir-", 5) == 0 ? name + 5 : name;
}

static void print_usage(FILE *f, const char *name)
{
    (void)fprintf(
        f, "usage: weir-%s --config FILE [--overlay FILE] [--app DIR] | --help | --version\n",
        name);
}

static void print_help(const char *name, const char *purpose, const char *sections)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_settings_help(&b, sections);
    (void)printf("weir-%s - %s\n\n", name, purpose);
    print_usage(stdout, name);
    (void)printf(
        "\n  --config FILE    the settings (weir.ini)\n"
        "  --overlay FILE   further settings that win over FILE; may be absent\n"
        "  --app DIR        the app directory; default: the folder of --config's FILE\n"
        "\nSettings, default and meaning (the variable WEIR_<SECTION>_<KEY> wins over the files):\n"
        "%.*s",
        (int)b.n, b.p ? b.p : "");
    weir_buf_fini(&b);
}

static bool bad_usage(const char *name, const char *what, const char *arg)
{
    (void)fprintf(stderr, "weir-%s: %s%s\n", name, what, arg);
    print_usage(stderr, name);
    return false;
}

/* Returns the place for the flag's value, NULL when it is no flag with a value. */
static const char **flag_place(flags *f, const char *arg, size_t *name_len)
{
    static const char *const names[] = {"--config", "--overlay", "--app"};
    const char **const places[] = {&f->config, &f->overlay, &f->app};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(arg, names[i], n) == 0 && (arg[n] == '\0' || arg[n] == '=')) {
            *name_len = n;
            return places[i];
        }
    }
    return NULL;
}

static bool parse_flags(flags *f, const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t n = 0;
        const char **place = flag_place(f, argv[i], &n);
        if (!place) {
            return bad_usage(name, "unknown argument ", argv[i]);
        }
        if (*place) {
            return bad_usage(name, "given twice: ", argv[i]);
        }
        if (argv[i][n] == '=') {
            *place = argv[i] + n + 1;
        } else if (i + 1 < argc) {
            *place = argv[++i];
        } else {
            return bad_usage(name, "a value is missing after ", argv[i]);
        }
        if (**place == '\0') {
            return bad_usage(name, "a value is missing after ", argv[i]);
        }
    }
    return f->config ? true : bad_usage(name, "--config FILE is missing", "");
}

static const char *folder_of(weir_arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) {
        return ".";
    }
    return slash == path ? "/" : weir_arena_dupz(a, weir_slice_of(path, (size_t)(slash - path)));
}

static bool asks_for(int argc, char **argv, const char *long_flag, const char *short_flag)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], long_flag) == 0 || strcmp(argv[i], short_flag) == 0) {
            return true;
        }
    }
    return false;
}

/* As many connections as the administrator lets us have. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* else connections are fewer, and said so */
    }
}

bool weir_service_init(weir_service_args *out, const char *name, const char *purpose,
                       const char *sections, int argc, char **argv)
{
    flags f = {NULL, NULL, NULL};
    name = short_name(name);
    memset(out, 0, sizeof *out);
    weir_log_init(name);
    raise_descriptors();
    if (asks_for(argc, argv, "--help", "-h")) {
        print_help(name, purpose, sections);
        return false;
    }
    if (asks_for(argc, argv, "--version", "-V")) {
        (void)printf("weir-%s %s\n", name, WEIR_VERSION);
        return false;
    }
    if (!parse_flags(&f, name, argc, argv)) {
        out->exit_code = 2;
        return false;
    }
    out->arena = weir_arena_new(0);
    const char *app = f.app ? f.app : folder_of(out->arena, f.config);
    weir_error err;
    weir_rc rc = weir_settings_load(&out->settings, app, f.config, f.overlay, out->arena, &err);
    rc = rc == WEIR_OK ? weir_settings_need_servers(&out->settings, sections, &err) : rc;
    if (rc == WEIR_OK && !weir_log_set_level(out->settings.log_level)) {
        rc = weir_fail(&err, WEIR_E_INPUT, 0, "app.log_level: %s is no level",
                       out->settings.log_level);
    }
    if (rc != WEIR_OK) {
        WEIR_ERROR("CFG-BAD", "%s", err.msg);
        weir_arena_free(out->arena);
        out->arena = NULL;
        out->exit_code = 1;
        return false;
    }
    /* A peer that goes away is an error of one write, not the end of the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    /* "Read your files again": those that have none to read go on; the others take it from their
     * loop. */
    (void)signal(SIGHUP, SIG_IGN);
    return true;
}
