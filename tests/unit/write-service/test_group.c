/* test_group.c - which waiting jobs share one transaction. */
#include "tests/support/check.h"
#include "write-service/group.h"

static wsvc_job store[WSVC_GROUP_MAX];
static wsvc_job *jobs[WSVC_GROUP_MAX];
static wsvc_run runs[WSVC_GROUP_MAX];

static void fill(const char *kinds) /* s share, a alone, z serializable */
{
    memset(store, 0, sizeof store);
    for (size_t i = 0; kinds[i]; i++) {
        jobs[i] = &store[i];
        store[i].alone = kinds[i] == 'a';
        store[i].serializable = kinds[i] == 'z';
        store[i].body = weir_slice_of("", 10);
    }
}

static void all_share(void **state)
{
    (void)state;
    fill("ssss");
    assert_int_equal(wsvc_group_plan(jobs, 4, 48, 1000, runs), 1);
    assert_int_equal(runs[0].n, 4);
    assert_false(runs[0].alone);
    assert_int_equal(wsvc_group_plan(jobs, 0, 48, 1000, runs), 0);
}

static void alone_ones_come_behind_in_order(void **state)
{
    (void)state;
    fill("asasz");
    assert_int_equal(wsvc_group_plan(jobs, 5, 48, 1000, runs), 4);
    assert_int_equal(runs[0].n, 2);
    assert_ptr_equal(jobs[0], &store[1]);
    assert_ptr_equal(jobs[1], &store[3]);
    for (size_t i = 1; i < 4; i++) {
        assert_true(runs[i].alone);
        assert_int_equal(runs[i].n, 1);
    }
    assert_ptr_equal(jobs[runs[1].first], &store[0]);
    assert_ptr_equal(jobs[runs[2].first], &store[2]);
    assert_ptr_equal(jobs[runs[3].first], &store[4]);
}

/* A transaction has commands of one role. */
static void roles_do_not_mix(void **state)
{
    (void)state;
    static const char *const role[] = {"x", "y"};
    fill("ssssas");
    for (size_t i = 0; i < 6; i++) {
        store[i].role = role[i % 2];
    }
    assert_int_equal(wsvc_group_plan(jobs, 6, 48, 1000, runs), 3);
    assert_int_equal(runs[0].n, 2);
    assert_ptr_equal(jobs[0], &store[0]);
    assert_ptr_equal(jobs[1], &store[2]);
    assert_int_equal(runs[1].n, 3);
    assert_ptr_equal(jobs[2], &store[1]);
    assert_ptr_equal(jobs[4], &store[5]);
    assert_true(runs[2].alone);
    /* What may have to keep an order keeps it. */
    fill("ssss");
    for (size_t i = 0; i < 4; i++) {
        store[i].role = role[i % 2];
    }
    wsvc_keys_add(&store[3].keys, (wsvc_key){1, 2});
    assert_int_equal(wsvc_group_plan(jobs, 4, 48, 1000, runs), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_ptr_equal(jobs[i], &store[i]);
    }
}

static void cut_by_count_and_bytes(void **state)
{
    (void)state;
    fill("sssss");
    assert_int_equal(wsvc_group_plan(jobs, 5, 2, 1000, runs), 3);
    assert_int_equal(runs[2].n, 1);
    fill("sssss");
    assert_int_equal(wsvc_group_plan(jobs, 5, 48, 30, runs), 2);
    assert_int_equal(runs[0].n, 3);
    fill("ss");
    store[0].body.n = 5000; /* larger than the bound: a group of its own, never refused */
    assert_int_equal(wsvc_group_plan(jobs, 2, 48, 1000, runs), 2);
}

/* Whatever comes, every job is in exactly one run and the rules hold. */
static void every_job_once(void **state)
{
    (void)state;
    uint64_t rng = weir_test_seed();
    for (int round = 0; round < 500; round++) {
        size_t n = weir_test_random(&rng) % (WSVC_GROUP_MAX + 1);
        size_t max = 1 + weir_test_random(&rng) % 48;
        char kinds[WSVC_GROUP_MAX + 1] = "";
        for (size_t i = 0; i < n; i++) {
            kinds[i] = "sssaz"[weir_test_random(&rng) % 5];
        }
        kinds[n] = '\0';
        fill(kinds);
        size_t k = wsvc_group_plan(jobs, n, max, 200, runs);
        size_t at = 0;
        bool seen[WSVC_GROUP_MAX] = {false};
        for (size_t r = 0; r < k; r++) {
            assert_int_equal(runs[r].first, at);
            assert_in_range(runs[r].n, 1, max);
            for (size_t i = 0; i < runs[r].n; i++, at++) {
                size_t id = (size_t)(jobs[at] - store);
                assert_false(seen[id]);
                seen[id] = true;
                assert_int_equal(runs[r].alone, kinds[id] != 's');
            }
        }
        assert_int_equal(at, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_share),        cmocka_unit_test(alone_ones_come_behind_in_order),
        cmocka_unit_test(roles_do_not_mix), cmocka_unit_test(cut_by_count_and_bytes),
        cmocka_unit_test(every_job_once),
    };
    return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
