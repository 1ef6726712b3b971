/* test_retry.c - what may run again, where, and how often; what became of a lost transaction. */
#include "tests/support/check.h"
#include "write-service/heat.h"
#include "write-service/retry.h"

enum { PATIENCE_MS = 5000 };

static wsvc_next next(const char *sqlstate, bool own, int tries, int64_t waited_ms)
{
    wsvc_retry_in in = {sqlstate, own, tries, waited_ms, PATIENCE_MS};
    return wsvc_retry_after_error(&in);
}

static void after_error(void **state)
{
    (void)state;
    /* Its own error is its answer. */
    assert_int_equal(next("23505", true, 1, 0), WSVC_NEXT_ANSWER);
    assert_int_equal(next("57014", true, 1, 0), WSVC_NEXT_ANSWER);
    /* A neighbour's, or COMMIT's: nobody knows whose. */
    assert_int_equal(next("23503", false, 1, 0), WSVC_NEXT_ALONE);
    assert_int_equal(next("40P01", false, 1, 0), WSVC_NEXT_ALONE);
    assert_int_equal(next("57014", false, WSVC_TRIES_MAX, 0), WSVC_NEXT_BUSY);
    /* Collisions wait: for a row as long as patience goes, else so many times. */
    assert_int_equal(next("55P03", true, 100, PATIENCE_MS - 1), WSVC_NEXT_WAIT);
    assert_int_equal(next("55P03", true, WSVC_TRIES_MIN, PATIENCE_MS), WSVC_NEXT_BUSY);
    /* One that waited long for its turn has not been tried long. */
    assert_int_equal(next("55P03", true, 1, PATIENCE_MS), WSVC_NEXT_WAIT);
    assert_int_equal(next("40001", true, 1, 0), WSVC_NEXT_WAIT);
    assert_int_equal(next("40P01", true, WSVC_TRIES_MAX, 0), WSVC_NEXT_BUSY);
}

static void after_loss(void **state)
{
    (void)state;
    assert_int_equal(wsvc_retry_after_loss(1), WSVC_NEXT_ALONE);
    assert_int_equal(wsvc_retry_after_loss(WSVC_LOST_MAX), WSVC_NEXT_BUSY);
}

/* The one wrong answer would be NOT_RUN for what may have committed, or COMMITTED for what may not.
 */
static void fates(void **state)
{
    (void)state;
    assert_int_equal(wsvc_fate_judge("committed", true, true, false), WSVC_FATE_COMMITTED);
    assert_int_equal(wsvc_fate_judge("committed", true, false, false), WSVC_FATE_UNKNOWN);
    assert_int_equal(wsvc_fate_judge("aborted", true, true, false), WSVC_FATE_NOT_RUN);
    assert_int_equal(wsvc_fate_judge("aborted", true, false, false), WSVC_FATE_NOT_RUN);
    assert_int_equal(wsvc_fate_judge("future", true, true, false), WSVC_FATE_NOT_RUN);
    assert_int_equal(wsvc_fate_judge("in progress", true, true, false), WSVC_FATE_WAIT);
    assert_int_equal(wsvc_fate_judge(NULL, true, true, false), WSVC_FATE_UNKNOWN);
    assert_int_equal(wsvc_fate_judge("aborted", false, false, false), WSVC_FATE_UNKNOWN);
    assert_int_equal(wsvc_fate_judge("committed", true, false, true), WSVC_FATE_NOT_RUN);
    assert_int_equal(wsvc_fate_judge("committed", false, false, true), WSVC_FATE_UNKNOWN);
    assert_int_equal(wsvc_fate_judge("something new", true, true, false), WSVC_FATE_UNKNOWN);
}

static void heat(void **state)
{
    (void)state;
    wsvc_heat h = {0};
    assert_false(wsvc_heat_hot(&h, 0));
    wsvc_heat_collided(&h, 100);
    assert_true(wsvc_heat_hot(&h, 100 + WSVC_HEAT_MIN_MS - 1));
    assert_false(wsvc_heat_hot(&h, 100 + WSVC_HEAT_MIN_MS));
    wsvc_heat_collided(&h, 200); /* while hot: no news */
    assert_int_equal(h.until_ms, 100 + WSVC_HEAT_MIN_MS);
    for (int i = 0; i < 20; i++) { /* again and again, as soon as it is back */
        wsvc_heat_collided(&h, h.until_ms + 1);
    }
    assert_int_equal(h.penalty_ms, WSVC_HEAT_MAX_MS);
    wsvc_heat_collided(&h, h.until_ms + 10 * WSVC_HEAT_MAX_MS); /* after a calm while */
    assert_int_equal(h.penalty_ms, WSVC_HEAT_MIN_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_error),
        cmocka_unit_test(after_loss),
        cmocka_unit_test(fates),
        cmocka_unit_test(heat),
    };
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
