/* test_fixture.c - the test fixture itself: servers start, programs die and come back, nothing is
 * left. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libweir/io/listen.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"

static fixture fx;

static int open_all(void **state)
{
    (void)state;
    return fixture_open(&fx, FIXTURE_PG | FIXTURE_REDIS);
}

static int close_all(void **state)
{
    (void)state;
    fixture_close(&fx);
    return 0;
}

static void postgres_is_set_up_for_decoding(void **state)
{
    (void)state;
    fixture_need(&fx);
    assert_string_equal(fixture_sql_value(&fx, "show wal_level"), "logical");
    assert_string_equal(fixture_sql_value(&fx, "show listen_addresses"), "");
    assert_string_equal(fixture_sql_value(&fx, "show server_encoding"), "UTF8");
    assert_string_equal(
        fixture_sql_value(&fx, "select datcollate from pg_database where datname='postgres'"), "C");
    fixture_sql(&fx, "create table t (a int); insert into t values (1), (2)");
    assert_string_equal(fixture_sql_value(&fx, "select sum(a) from t"), "3");
    assert_string_equal(fixture_sql_value(&fx, "select a from t where a > 9"), "");
}

static bool log_has_two_lines(void *arg)
{
    const fixture_proc *p = arg;
    char text[100] = "";
    FILE *f = fopen(p->log, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f) {
        (void)fclose(f);
    }
    text[n] = '\0';
    return strcmp(text, "hello there\nhello there\n") == 0;
}

static bool has_ended(void *arg)
{
    return !fixture_running(arg);
}

static void programs_are_killed_and_restarted(void **state)
{
    (void)state;
    fixture_need(&fx);
    const char *const argv[] = {"sh", "-c", "echo hello $WHOM; exec tail -f /dev/null", NULL};
    const char *const env[] = {"WHOM=there", NULL};
    fixture_proc *p = fixture_spawn(&fx, "speaker", argv, env);
    assert_non_null(p);
    assert_true(fixture_running(p));
    pid_t first = p->pid;
    fixture_kill9(p);
    assert_false(fixture_running(p));
    assert_int_equal(kill(first, 0), -1);
    (void)remove(p->log);
    assert_true(fixture_restart(p));
    assert_int_equal(fixture_stop(p, 5000), 128 + SIGTERM);
    (void)remove(p->log);
    const char *const quick[] = {"sh", "-c", "echo hello there; exit 3", NULL};
    fixture_proc *q = fixture_spawn(&fx, "quick", quick, NULL);
    assert_non_null(q);
    fixture_wait(&fx, has_ended, q, 5000, "the quick one to end");
    assert_true(fixture_restart(q));
    fixture_wait(&fx, log_has_two_lines, q, 5000, "two greetings");
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void a_wait_that_fails_says_what_for(void **state)
{
    (void)state;
    assert_false(weir_wait_until(never, NULL, 10, "what never comes (this line is expected)"));
}

/* Whether another process could have it. */
static bool others_can_take(int port)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(fixture_take_port(port) ? 0 : 1);
    }
    assert_true(pid > 0);
    assert_int_equal(pid, waitpid(pid, &status, 0));
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 0;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void a_port_is_given_once(void **state)
{
    (void)state;
    enum { N = 200 };
    int ports[N];
    for (int i = 0; i < N; i++) {
        ports[i] = fixture_free_port();
        assert_true(ports[i] > 1023 && ports[i] < 65536);
        assert_false(fixture_take_port(ports[i]));
    }
    assert_false(others_can_take(ports[0]));
    assert_false(others_can_take(ports[N - 1]));
    qsort(ports, N, sizeof *ports, by_number);
    for (int i = 1; i < N; i++) {
        assert_true(ports[i - 1] < ports[i]);
    }
}

static void a_port_in_use_is_not_given(void **state)
{
    (void)state;
    weir_error err;
    int fd = -1, port = 0;
    assert_rc(WEIR_OK, weir_listen_tcp(&(weir_listen){"127.0.0.1", 0, false}, &fd, &port, &err),
              &err);
    assert_false(fixture_take_port(port));
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(postgres_is_set_up_for_decoding),
        cmocka_unit_test(programs_are_killed_and_restarted),
        cmocka_unit_test(a_wait_that_fails_says_what_for),
        cmocka_unit_test(a_port_is_given_once),
        cmocka_unit_test(a_port_in_use_is_not_given),
    };
    return cmocka_run_group_tests_name("fixture", tests, open_all, close_all);
}
