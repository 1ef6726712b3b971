/* test_metrics.c - counters, gauges, histograms and their text. */
#include "libweir/base/metrics.h"

#include <stdlib.h>

#include "libweir/base/thread.h"
#include "tests/support/check.h"

static char *render(weir_metrics *ms)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_metrics_render(ms, &b);
    weir_buf_u8(&b, 0);
    assert_false(b.failed);
    return weir_buf_take(&b, NULL);
}

static void renders_families_together(void **state)
{
    (void)state;
    weir_metrics *ms = weir_metrics_new();
    weir_metric *a = weir_counter(ms, "x_total", "Xs.", "lane=\"0\"");
    weir_metric *g = weir_gauge(ms, "depth", "How deep.", NULL);
    weir_metric *b = weir_counter(ms, "x_total", "Xs.", "lane=\"1\"");
    weir_metric_add(a, 2);
    weir_metric_add(b, 3);
    weir_metric_set(g, -7);
    assert_ptr_equal(a, weir_counter(ms, "x_total", "Xs.", "lane=\"0\""));
    assert_int_equal(weir_metric_value(b), 3);
    char *text = render(ms);
    assert_has(text,
               "# HELP x_total Xs.\n# TYPE x_total counter\nx_total{lane=\"0\"} 2\n"
               "x_total{lane=\"1\"} 3\n# HELP depth How deep.\n# TYPE depth gauge\ndepth -7\n");
    assert_has(text, "weir_build_info{version=");
    assert_has(text, "\nprocess_resident_memory_bytes ");
    assert_has(text, "\nprocess_start_time_seconds ");
    assert_has(text, "\nprocess_open_fds ");
    free(text);
    weir_metrics_free(ms);
    weir_metrics_free(NULL);
}

static void histograms_are_cumulative(void **state)
{
    (void)state;
    weir_metrics *ms = weir_metrics_new();
    weir_metric *h = weir_histogram(ms, "wait_seconds", "Waiting.", "model=\"m\"");
    weir_metric *bare = weir_histogram(ms, "bare_seconds", "Bare.", NULL);
    weir_metric_observe_us(h, 50);
    weir_metric_observe_us(h, 51);
    weir_metric_observe_us(h, 40000000);
    weir_metric_observe_us(bare, 1500000);
    char *text = render(ms);
    assert_has(text, "wait_seconds_bucket{model=\"m\",le=\"5e-05\"} 1\n");
    assert_has(text, "wait_seconds_bucket{model=\"m\",le=\"0.0001\"} 2\n");
    assert_has(text, "wait_seconds_bucket{model=\"m\",le=\"30\"} 2\n");
    assert_has(text, "wait_seconds_bucket{model=\"m\",le=\"+Inf\"} 3\n");
    assert_has(text,
               "wait_seconds_sum{model=\"m\"} 40.000101\nwait_seconds_count{model=\"m\"} 3\n");
    assert_has(text, "bare_seconds_bucket{le=\"1\"} 0\nbare_seconds_bucket{le=\"2.5\"} 1\n");
    assert_has(text, "bare_seconds_sum 1.500000\nbare_seconds_count 1\n");
    free(text);
    weir_metrics_free(ms);
}

static void count_up(void *arg)
{
    for (int i = 0; i < 100000; i++) {
        weir_metric_add(arg, 1);
    }
}

static void threads_lose_no_count(void **state)
{
    (void)state;
    weir_metrics *ms = weir_metrics_new();
    weir_metric *m = weir_counter(ms, "n_total", "N.", NULL);
    weir_thread *t[4];
    weir_error err;
    for (int i = 0; i < 4; i++) {
        assert_rc(WEIR_OK, weir_thread_start(&t[i], "count", count_up, m, &err), &err);
    }
    for (int i = 0; i < 4; i++) {
        weir_thread_join(t[i]);
    }
    assert_int_equal(weir_metric_value(m), 400000);
    weir_metrics_free(ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_families_together),
        cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(threads_lose_no_count),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
