/* test_settings.c - settings: precedence, bad values, unknown names, secrets. */
#include "libweir/base/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/str.h"
#include "tests/support/check.h"

typedef struct home {
    char dir[64], ini[128], overlay[128];
    weir_arena *a;
    weir_settings s;
    weir_error err;
} home;

static int set_up(void **state)
{
    home *h = calloc(1, sizeof *h);
    if (!h) {
        return -1;
    }
    (void)snprintf(h->dir, sizeof h->dir, "/tmp/Weir-Set.XXXXXX");
    if (!mkdtemp(h->dir)) {
        free(h);
        return -1;
    }
    (void)snprintf(h->ini, sizeof h->ini, "%s/weir.ini", h->dir);
    (void)snprintf(h->overlay, sizeof h->overlay, "%s/overlay.ini", h->dir);
    h->a = weir_arena_new(0);
    *state = h;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const set[] = {"WEIR_WRITE_PORT", "WEIR_WRITE_PROT", "WEIR_POSTGRES_URI",
                                      "WEIR_WRITE_URL",  "WEIR_WRIET_PORT", "WEIR_ELSEWHERE",
                                      "WEIR_PG_BINDIR",  "WEIR_NAMESPACE"};
    home *h = *state;
    for (size_t i = 0; i < sizeof set / sizeof set[0]; i++) {
        (void)unsetenv(set[i]);
    }
    (void)unlink(h->ini);
    (void)unlink(h->overlay);
    (void)rmdir(h->dir);
    weir_arena_free(h->a);
    free(h);
    return 0;
}

static weir_rc load(home *h, const char *text)
{
    assert_rc(WEIR_OK, weir_file_write(h->ini, weir_slice_z(text), 0600, &h->err), &h->err);
    memset(&h->err, 0, sizeof h->err);
    return weir_settings_load(&h->s, h->dir, h->ini, h->overlay, h->a, &h->err);
}

static void refused(home *h, const char *text, const char *why)
{
    assert_rc(WEIR_E_INPUT, load(h, text), &h->err);
    assert_int_equal(h->err.code, WEIR_E_INPUT);
    assert_has(h->err.msg, why);
}

static void defaults_need_nothing(void **state)
{
    home *h = *state;
    char want[200];
    assert_rc(WEIR_OK, load(h, ""), &h->err);
    assert_int_equal(h->s.write_port, 7701);
    assert_int_equal(h->s.read_port, 7702);
    assert_string_equal(h->s.bridge_feed, "tcp://127.0.0.1:7703");
    assert_int_equal(h->s.bridge_port, 7704);
    assert_int_equal(h->s.projector_port, 7705);
    assert_int_equal(h->s.write_group_max, 48);
    assert_int_equal(h->s.write_body_max_bytes, 1 << 20);
    assert_int_equal(h->s.bridge_log_keep_ms, 60000);
    assert_true(h->s.bridge_log_max_bytes == INT64_C(16) << 30);
    assert_string_equal(h->s.postgres_uri, "");
    assert_memory_equal(h->s.app_name, "weir_set_", 9);
    assert_string_equal(h->s.redis_namespace, h->s.app_name);
    (void)snprintf(want, sizeof want, "weir_%s", h->s.app_name);
    assert_string_equal(h->s.bridge_slot, want);
    assert_string_equal(h->s.bridge_publication, want);
    (void)snprintf(want, sizeof want, "%s/.weir/bridge", h->dir);
    assert_string_equal(h->s.bridge_data_dir, want);
    assert_rc(WEIR_OK, weir_settings_load(&h->s, NULL, NULL, NULL, h->a, &h->err), &h->err);
    assert_string_equal(h->s.app_name, "weir");
    assert_string_equal(h->s.bridge_data_dir, ".weir/bridge");
}

static void overlay_beats_file_and_environment_beats_both(void **state)
{
    home *h = *state;
    assert_rc(
        WEIR_OK,
        weir_file_write(h->overlay, weir_slice_z("[write]\nport = 2\nlanes = 3\n"), 0600, &h->err),
        &h->err);
    assert_rc(WEIR_OK, load(h, "[write]\nport=1\nlanes=1\nqueue_max=9\n"), &h->err);
    assert_int_equal(h->s.write_port, 2);
    assert_int_equal(h->s.write_lanes, 3);
    assert_int_equal(h->s.write_queue_max, 9);
    (void)setenv("WEIR_WRITE_PORT", "4", 1);
    assert_rc(WEIR_OK, load(h, "[write]\nport=1\n"), &h->err);
    assert_int_equal(h->s.write_port, 4);
    assert_int_equal(h->s.write_lanes, 3);
}

static void files_are_read_as_people_write_them(void **state)
{
    home *h = *state;
    char text[1200], uri[900];
    memset(uri, 'x', sizeof uri - 1);
    uri[sizeof uri - 1] = '\0';
    (void)snprintf(
        text, sizeof text,
        "; comment\n# another\r\n[postgres]\r\n   uri = %s\r\n\n[write]\n\tport : 5 ; five\n"
        "    lanes = 6\n[app]\nname=my_shop",
        uri);
    assert_rc(WEIR_OK, load(h, text), &h->err);
    assert_string_equal(h->s.postgres_uri, uri);
    assert_int_equal(h->s.write_port, 5);
    assert_int_equal(h->s.write_lanes, 6);
    assert_string_equal(h->s.app_name, "my_shop");
    assert_string_equal(h->s.bridge_slot, "weir_my_shop");
}

static void units_are_understood(void **state)
{
    home *h = *state;
    assert_rc(WEIR_OK,
              load(h, "[write]\nbody_max_bytes = 64k\nstatement_timeout_ms = 2s\n"
                      "[bridge]\nlog_map_bytes = 2G\nlog_max_bytes = "
                      "1M\nlog_keep_ms=1h\nheartbeat_ms=250ms\n"),
              &h->err);
    assert_int_equal(h->s.write_body_max_bytes, 65536);
    assert_int_equal(h->s.write_statement_timeout_ms, 2000);
    assert_true(h->s.bridge_log_map_bytes == INT64_C(2) << 30);
    assert_int_equal(h->s.bridge_log_max_bytes, 1 << 20);
    assert_int_equal(h->s.bridge_log_keep_ms, 3600000);
    assert_int_equal(h->s.bridge_heartbeat_ms, 250);
}

static void bad_values_name_file_line_and_key(void **state)
{
    home *h = *state;
    refused(h, "[write]\n\nport = 70000\n", "weir.ini:3: write.port must be between 0 and 65535");
    refused(h, "[write]\nport = 12x\n", "weir.ini:2: write.port must be a whole number");
    refused(h, "[write]\nport =\n", "write.port must be a whole number");
    refused(h, "[write]\nport = 1k\n", "write.port must be a whole number");
    refused(h, "[write]\ngroup_max = 61\n", "write.group_max must be between 1 and 60");
    refused(h, "[write]\nbody_max_bytes = 1 M\n", "write.body_max_bytes must be bytes");
    refused(h, "[write]\nbody_max_bytes = 9223372036854775807G\n", "write.body_max_bytes");
    refused(h, "[bridge]\nheartbeat_ms = 10d\n", "bridge.heartbeat_ms must be a duration");
    refused(h, "[bridge]\nslot = My-Slot\n", "bridge.slot may have a-z");
    refused(h, "[app]\nlog_level = loud\n", "app.log_level must be debug");
    refused(h, "[write]\nlisten =\n", "write.listen must have 1 to 255 characters");
    refused(h, "[bridge]\nlog_map_bytes = 1G\nlog_max_bytes = 2G\n",
            "must be less than bridge.log_map_bytes");
}

static void unknown_names_get_a_guess(void **state)
{
    home *h = *state;
    refused(h, "[write]\nprot = 1\n",
            "weir.ini:2: there is no option write.prot; did you mean write.port?");
    refused(h, "[wriet]\nport = 1\n", "there is no section [wriet]; did you mean [write]");
    refused(h, "[read]\nlanes = 1\n", "did you mean write.lanes?");
    refused(h, "[zebra]\nx = 1\n", "there is no section [zebra]; there are [app] [postgres]");
    refused(h, "[write]\nzebra = 1\n",
            "there is no option write.zebra; docs/configuration.md lists them");
    refused(h, "port = 1\n", "before the first [section]");
    refused(h, "[write]\nport = 1\nport = 2\n",
            "weir.ini:3: write.port is set for the second time");
    refused(h, "[write]\nwhat is this\n", "weir.ini:2");
    refused(h, "[write\nport = 1\n", "weir.ini:1: the section has no closing ]");
}

static void missing_and_odd_files_are_told(void **state)
{
    home *h = *state;
    assert_rc(WEIR_E_INPUT,
              weir_settings_load(&h->s, h->dir, "/tmp/weir-none/weir.ini", NULL, h->a, &h->err),
              NULL);
    assert_has(h->err.msg, "/tmp/weir-none/weir.ini");
    assert_rc(WEIR_OK,
              weir_file_write(h->ini, (weir_slice){"[write]\nport\0 = 1\n", 18}, 0600, &h->err),
              &h->err);
    assert_rc(WEIR_E_INPUT, weir_settings_load(&h->s, h->dir, h->ini, NULL, h->a, &h->err), NULL);
    assert_has(h->err.msg, "NUL");
    char *big = malloc(20001);
    assert_non_null(big);
    memset(big, 'x', 20000);
    big[20000] = '\0';
    memcpy(big, "[postgres]\nuri=", 15);
    refused(h, big, "weir.ini:2: the line is longer");
    free(big);
}

static void the_environment_is_checked_too(void **state)
{
    home *h = *state;
    (void)setenv("WEIR_WRITE_URL", "http://127.0.0.1:7701", 1);
    (void)setenv("WEIR_ELSEWHERE", "1", 1);
    (void)setenv("WEIR_PG_BINDIR", "/x", 1);
    (void)setenv("WEIR_NAMESPACE", "x", 1);
    assert_rc(WEIR_OK, load(h, ""), &h->err);
    (void)setenv("WEIR_WRITE_PORT", "x", 1);
    refused(h, "", "environment variable WEIR_WRITE_PORT: write.port must be");
    (void)unsetenv("WEIR_WRITE_PORT");
    (void)setenv("WEIR_WRITE_PROT", "1", 1);
    refused(h, "", "did you mean WEIR_WRITE_PORT?");
    (void)unsetenv("WEIR_WRITE_PROT");
    (void)setenv("WEIR_WRIET_PORT", "1", 1);
    refused(h, "", "did you mean WEIR_WRITE_PORT?");
}

static void secrets_stay_out_of_errors(void **state)
{
    home *h = *state;
    refused(h, "[postgres]\nuri = postgresql://u:s3cret@h/d\001\n",
            "postgres.uri has a control character");
    assert_null(strstr(h->err.msg, "s3cret"));
    refused(h, "[postgres]\nuri = postgresql://u:s3cret@h/d\nuri = postgresql://u:s3cret@h/d\n",
            "second time");
    assert_null(strstr(h->err.msg, "s3cret"));
}

static void uris_lose_their_passwords(void **state)
{
    home *h = *state;
    static const char *const pairs[][2] = {
        {"postgresql://u:pw@h:5432/db", "postgresql://u@h:5432/db"},
        {"postgresql://u@h/db", "postgresql://u@h/db"},
        {"postgresql:///db?host=/tmp&password=pw&user=u", "postgresql:///db?host=/tmp&user=u"},
        {"postgresql://u:p/w?d@x@h/db", "postgresql://u@h/db"},
        {"redis://:pw@h:6379/2", "redis://h:6379/2"},
        {"unix:///tmp/r.sock?db=2", "unix:///tmp/r.sock?db=2"},
        {"host=h user=u password='p w' dbname=d", "host=h user=u dbname=d"},
        {"host = h password = p\\ w sslpassword=x port=1", "host=h port=1"},
        {"", ""},
        {"s3cret", ""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_string_equal(weir_uri_safe(h->a, pairs[i][0]), pairs[i][1]);
    }
}

static void the_texts_list_every_section(void **state)
{
    (void)state;
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_settings_help(&b, "write app");
    weir_buf_u8(&b, 0);
    assert_has(b.p, "write.port");
    assert_has(b.p, "app.log_level");
    assert_null(strstr(b.p, "bridge.port"));
    weir_buf_reset(&b);
    weir_settings_help(&b, NULL);
    weir_buf_u8(&b, 0);
    assert_has(b.p, "bridge.port");
    weir_buf_reset(&b);
    weir_settings_markdown(&b);
    weir_buf_u8(&b, 0);
    assert_false(b.failed);
    assert_has(b.p, "| `group_max` | `48` | 1 to 60 |");
    assert_has(b.p, "`WEIR_BRIDGE_LOG_KEEP_MS`");
    weir_buf_fini(&b);
}

#define WITH_HOME(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(defaults_need_nothing),
        WITH_HOME(overlay_beats_file_and_environment_beats_both),
        WITH_HOME(files_are_read_as_people_write_them),
        WITH_HOME(units_are_understood),
        WITH_HOME(bad_values_name_file_line_and_key),
        WITH_HOME(unknown_names_get_a_guess),
        WITH_HOME(missing_and_odd_files_are_told),
        WITH_HOME(the_environment_is_checked_too),
        WITH_HOME(secrets_stay_out_of_errors),
        WITH_HOME(uris_lose_their_passwords),
        cmocka_unit_test(the_texts_list_every_section),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
