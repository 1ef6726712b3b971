/* test_service.c - what every main does first: flags, exit codes, settings; and the log's lines. */
#include "libweir/base/service.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "tests/support/check.h"

typedef struct capture {
    char ini[64];
    char path[64];
    int saved_out, saved_err;
    char text[16384];
} capture;

static int set_up(void **state)
{
    capture *c = calloc(1, sizeof *c);
    weir_error err;
    if (!c) {
        return -1;
    }
    (void)snprintf(c->path, sizeof c->path, "/tmp/weir-service-%d.txt", (int)getpid());
    (void)snprintf(c->ini, sizeof c->ini, "/tmp/weir-service-%d.ini", (int)getpid());
    *state = c;
    return weir_file_write(c->ini, weir_slice_z("[app]\nname = x\n"), 0600, &err) == WEIR_OK ? 0
                                                                                             : -1;
}

static int tear_down(void **state)
{
    capture *c = *state;
    (void)unlink(c->path);
    (void)unlink(c->ini);
    free(c);
    return 0;
}

static void begin(capture *c)
{
    (void)fflush(NULL);
    int fd = open(c->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    c->saved_out = dup(STDOUT_FILENO);
    c->saved_err = dup(STDERR_FILENO);
    (void)dup2(fd, STDOUT_FILENO);
    (void)dup2(fd, STDERR_FILENO);
    (void)close(fd);
}

static void end(capture *c)
{
    (void)fflush(NULL);
    (void)dup2(c->saved_out, STDOUT_FILENO);
    (void)dup2(c->saved_err, STDERR_FILENO);
    (void)close(c->saved_out);
    (void)close(c->saved_err);
    int fd = open(c->path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, c->text, sizeof c->text - 1);
    (void)close(fd);
    c->text[n > 0 ? n : 0] = '\0';
}

/* Runs init with up to three words; the exit code, or -1 when the service may start. */
static int init_with(capture *c, const char *sections, const char *a, const char *b, const char *d)
{
    char *argv[] = {(char *)(uintptr_t) "weir-x", (char *)(uintptr_t)a, (char *)(uintptr_t)b,
                    (char *)(uintptr_t)d, NULL};
    int argc = 1 + (a != NULL) + (b != NULL) + (d != NULL);
    weir_service_args args;
    begin(c);
    bool go = weir_service_init(&args, "weir-x", "does x", sections, argc, argv);
    end(c);
    int code = go ? -1 : args.exit_code;
    if (go) {
        assert_string_equal(args.settings.app_name, "x");
    }
    weir_arena_free(args.arena);
    return code;
}

static int init(capture *c, const char *a, const char *b, const char *d)
{
    return init_with(c, "app write", a, b, d);
}

static void help_and_version_end_well(void **state)
{
    capture *c = *state;
    assert_int_equal(init(c, "--help", NULL, NULL), 0);
    assert_has(c->text, "weir-x - does x");
    assert_has(c->text, "write.port");
    assert_null(strstr(c->text, "bridge.port"));
    assert_int_equal(init(c, "--version", NULL, NULL), 0);
    assert_has(c->text, "weir-x " WEIR_VERSION "\n");
}

static void bad_usage_is_two(void **state)
{
    capture *c = *state;
    assert_int_equal(init(c, NULL, NULL, NULL), 2);
    assert_has(c->text, "--config FILE is missing\nusage: weir-x");
    assert_int_equal(init(c, "--nonsense", NULL, NULL), 2);
    assert_has(c->text, "unknown argument --nonsense");
    assert_int_equal(init(c, "--config", NULL, NULL), 2);
    assert_has(c->text, "a value is missing after --config");
    assert_int_equal(init(c, "--config=", NULL, NULL), 2);
    assert_int_equal(init(c, "--config=a", "--config=b", NULL), 2);
    assert_has(c->text, "given twice");
}

static void settings_decide_the_rest(void **state)
{
    capture *c = *state;
    assert_int_equal(init(c, "--config", c->ini, NULL), -1);
    assert_string_equal(c->text, "");
    assert_int_equal(init(c, "--config", "/tmp/weir-no-such.ini", NULL), 1);
    assert_has(c->text, "level=error component=x id=CFG-BAD cannot open /tmp/weir-no-such.ini");
}

static void servers_must_be_named(void **state)
{
    capture *c = *state;
    assert_int_equal(init_with(c, "app postgres", "--config", c->ini, NULL), 1);
    assert_has(c->text, "id=CFG-BAD postgres.uri is not set");
    assert_int_equal(init_with(c, "app redis read", "--config", c->ini, NULL), 1);
    assert_has(c->text, "id=CFG-BAD redis.uri is not set");
}

static void log_lines_are_one_line_each(void **state)
{
    capture *c = *state;
    weir_log_init("tester");
    assert_true(weir_log_set_level("info"));
    assert_false(weir_log_set_level("loud"));
    begin(c);
    WEIR_DEBUG("T-NO", "never=%d", 1);
    WEIR_INFO("T-YES", "a=%d b=%s", 1, "two\nlines\x1b[0m");
    WEIR_WARN("T-LONG", "%5000d", 7);
    end(c);
    assert_null(strstr(c->text, "T-NO"));
    assert_memory_equal(c->text, "time=20", 7);
    assert_has(c->text, "Z level=info component=tester id=T-YES a=1 b=two lines [0m\n");
    size_t lines = 0;
    for (const char *p = c->text; (p = strchr(p, '\n')) != NULL; p++) {
        lines++;
    }
    assert_int_equal(lines, 2);
    assert_true(strlen(c->text) <= 2 * 4096);
    assert_true(weir_log_set_level("off"));
    assert_false(weir_log_on(WEIR_LOG_ERROR));
    assert_true(weir_log_set_level("info"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(help_and_version_end_well, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_usage_is_two, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settings_decide_the_rest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(servers_must_be_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(log_lines_are_one_line_each, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
