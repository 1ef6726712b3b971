/* test_rules.c - the small pure rules of the bridge: keepalive timetable, retention, guardian,
 * subscribers, COPY text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bridge/copytext.h"
#include "bridge/guard.h"
#include "bridge/retain.h"
#include "bridge/schedule.h"
#include "bridge/subs.h"
#include "bridge/watch.h"

static int asks_between(brg_schedule *s, int64_t from, int64_t to)
{
    int n = 0;
    for (int64_t now = from; now < to;) {
        bool ask = false;
        if (brg_schedule_due(s, now, &ask)) {
            brg_schedule_sent(s, ask, now);
            n += ask;
        }
        int64_t wait = brg_schedule_wait_ms(s, now);
        now += wait ? wait : 1;
    }
    return n;
}

static void keepalives_are_asked_for_often_after_a_transaction(void **state)
{
    (void)state;
    brg_schedule s;
    brg_schedule_init(&s, 0);
    brg_schedule_arrived(&s, true, 1000);
    assert_in_range(asks_between(&s, 1000, 3000), 195, 200); /* every 10 ms for two seconds */
    assert_in_range(asks_between(&s, 3000, 13000), 9, 11);   /* then every second */
    bool ask = true;
    brg_schedule_init(&s, 0);
    for (int64_t now = 0; now < 990;
         now += 5) { /* a flowing stream needs no questions, but feedback every second */
        brg_schedule_arrived(&s, true, now);
        assert_false(brg_schedule_due(&s, now, &ask));
    }
    brg_schedule_arrived(&s, true, 1000);
    assert_true(brg_schedule_due(&s, 1000, &ask));
    assert_false(ask);
}

static brg_retain_out decide(const weir_cursor *subs, size_t n, weir_cursor old, weir_cursor first,
                             weir_cursor end, uint64_t used)
{
    brg_retain_in in = {.subs = subs,
                        .n = n,
                        .old_enough = old,
                        .first = first,
                        .end = end,
                        .used_bytes = used,
                        .max_bytes = 100};
    brg_retain_out out;
    brg_retain_decide(&in, &out);
    return out;
}

static void retention_decisions(void **state)
{
    (void)state;
    const weir_cursor subs[] = {{50, 0}, {30, 2}, {70, 0}};
    const weir_cursor none = {0, 0};
    brg_retain_out o = decide(subs, 3, (weir_cursor){90, 0}, none, (weir_cursor){100, 0}, 50);
    assert_int_equal(weir_cursor_cmp(o.cut, subs[1]), 0); /* acknowledged by all */
    assert_false(o.over || o.lapse);
    o = decide(subs, 3, (weir_cursor){20, 0}, none, (weir_cursor){100, 0}, 50);
    assert_int_equal(o.cut.lsn, 20); /* and old enough */
    o = decide(NULL, 0, (weir_cursor){20, 0}, none, (weir_cursor){100, 0}, 50);
    assert_int_equal(o.cut.lsn, 20);
    o = decide(NULL, 0, (weir_cursor){200, 0}, none, (weir_cursor){100, 0}, 50);
    assert_int_equal(o.cut.lsn, 100); /* never past the end */
    o = decide(subs, 3, none, none, (weir_cursor){100, 0}, 101);
    assert_true(o.over && !o.lapse); /* over the cap age does not protect */
    assert_int_equal(o.cut.lsn, 30);
    o = decide(subs, 3, none, subs[1], (weir_cursor){100, 0}, 101);
    assert_true(o.lapse); /* nothing left that all have */
    assert_int_equal(o.slowest, 1);
    o = decide(NULL, 0, none, (weir_cursor){10, 0}, (weir_cursor){100, 0}, 101);
    assert_true(o.over && !o.lapse && o.cut.lsn == 100);
}

static void ages_span_any_time_with_bounded_memory(void **state)
{
    (void)state;
    static brg_ages a;
    assert_int_equal(brg_ages_cut(&a, 1000, 10).lsn, 0);
    for (int64_t ms = 0; ms < 100000000; ms += 1000) {
        brg_ages_add(&a, ms, 5000000, (weir_cursor){(uint64_t)ms + 1, 0});
    }
    uint64_t cut = brg_ages_cut(&a, 99999000, 5000000).lsn;
    assert_true(cut <= 94999001 && cut > 94900000);
    assert_int_equal(brg_ages_cut(&a, 99999000, 99999000).lsn, 0);
    a.n = 0;
    for (int64_t ms = 0; ms < 1000000; ms += 1000) {
        brg_ages_add(&a, ms, 0, (weir_cursor){(uint64_t)ms + 1, 0});
        assert_int_equal(brg_ages_cut(&a, ms, 0).lsn, ms + 1);
    }
}

static brg_decision guard(const brg_meta *m, const brg_slot_facts *f, const char *system,
                          int64_t timeline, uint64_t flush)
{
    weir_pgrepl_system sys = {.timeline = timeline, .flush_lsn = flush};
    (void)snprintf(sys.system_id, sizeof sys.system_id, "%s", system);
    brg_decision d;
    brg_guard_decide(m, &sys, f, "s", "me", &d);
    return d;
}

static void the_guardian_decides(void **state)
{
    (void)state;
    brg_meta m = {.state = ""};
    brg_slot_facts none = {.exists = false};
    brg_slot_facts good = {.exists = true, .ours_plugin = true, .confirmed = 90};
    assert_int_equal(guard(&m, &none, "1", 1, 500).verdict, BRG_GO_COPY);
    assert_int_equal(guard(&m, &good, "1", 1, 500).state, BRG_GAP);
    m = (brg_meta){.state = "copying", .slot = "s", .system_id = "1", .timeline = 1};
    assert_int_equal(guard(&m, &good, "1", 1, 500).verdict, BRG_GO_COPY);
    assert_true(guard(&m, &good, "1", 1, 500).drop_slot);
    m = (brg_meta){
        .state = "streaming", .slot = "s", .system_id = "1", .timeline = 1, .end = {100, 0}};
    assert_int_equal(guard(&m, &good, "1", 1, 500).verdict, BRG_GO_STREAM);
    assert_int_equal(guard(&m, &none, "1", 1, 500).state, BRG_LOST);
    assert_int_equal(guard(&m, &good, "2", 1, 500).state, BRG_GAP);
    assert_int_equal(guard(&m, &good, "1", 2, 500).state, BRG_GAP);
    assert_int_equal(guard(&m, &good, "1", 1, 99).state, BRG_GAP);
    brg_slot_facts f = good;
    f.confirmed = 101;
    assert_int_equal(guard(&m, &f, "1", 1, 500).state, BRG_GAP);
    f = good;
    f.lost = true;
    assert_int_equal(guard(&m, &f, "1", 1, 500).state, BRG_LOST);
    f = good;
    f.ours_plugin = false;
    assert_int_equal(guard(&m, &f, "1", 1, 500).state, BRG_GAP);
    f = good;
    f.active = true;
    (void)snprintf(f.holder, sizeof f.holder, "me");
    assert_true(guard(&m, &f, "1", 1, 500).terminate);
    (void)snprintf(f.holder, sizeof f.holder, "you");
    assert_int_equal(guard(&m, &f, "1", 1, 500).state, BRG_WAITING);
    assert_false(guard(&m, &f, "1", 1, 500).terminate);
    (void)snprintf(m.slot, sizeof m.slot, "other");
    assert_int_equal(guard(&m, &good, "1", 1, 500).state, BRG_GAP);
}

static void subscribers_survive_storage(void **state)
{
    (void)state;
    brg_sub a = {.name = "p",
                 .position = {UINT64_MAX - 1, 7},
                 .lapsed = true,
                 .created_us = 5,
                 .seen_us = 6};
    brg_sub b;
    char v[BRG_SUB_VALUE_MAX];
    size_t n = brg_sub_encode(&a, v);
    assert_true(brg_sub_decode(WEIR_SLICE_LIT("p"), (weir_slice){v, n}, &b));
    assert_int_equal(weir_cursor_cmp(a.position, b.position), 0);
    assert_true(b.lapsed && b.created_us == 5 && b.seen_us == 6 && strcmp(b.name, "p") == 0);
    for (size_t i = 0; i < n; i++) {
        assert_false(brg_sub_decode(WEIR_SLICE_LIT("p"), (weir_slice){v, i}, &b));
    }
    assert_false(brg_sub_decode((weir_slice){NULL, 0}, (weir_slice){v, n}, &b));
    brg_subs subs = {0};
    for (int i = 0; i < BRG_SUBS_MAX; i++) {
        (void)snprintf(a.name, sizeof a.name, "s%d", i);
        assert_non_null(brg_subs_put(&subs, &a));
    }
    (void)snprintf(a.name, sizeof a.name, "one more");
    assert_null(brg_subs_put(&subs, &a));
    brg_subs_del(&subs, WEIR_SLICE_LIT("s5"));
    assert_null(brg_subs_get(&subs, WEIR_SLICE_LIT("s5")));
    assert_non_null(brg_subs_get(&subs, WEIR_SLICE_LIT("s999")));
    brg_subs_fini(&subs);
}

static void copy_text_lines(void **state)
{
    (void)state;
    weir_val v[4];
    weir_tuple row = {0, v};
    weir_error err;
    char a[] = "1\\t\\\\\t\\N\t\t\\x41\\101\\q";
    assert_int_equal(brg_copytext(a, sizeof a - 1, 4, &row, &err), WEIR_OK);
    assert_true(weir_slice_eqz(v[0].text, "1\t\\"));
    assert_int_equal(v[1].kind, WEIR_VAL_NULL);
    assert_true(v[2].kind == WEIR_VAL_TEXT && v[2].text.n == 0);
    assert_true(weir_slice_eqz(v[3].text, "AAq"));
    char b[] = "1\t2";
    assert_int_equal(brg_copytext(b, 3, 3, &row, &err), WEIR_E_PROTO);
    char b2[] = "1\t2";
    assert_int_equal(brg_copytext(b2, 3, 1, &row, &err), WEIR_E_PROTO);
    char c[] = "\\\\N\t\\Nx";
    assert_int_equal(brg_copytext(c, sizeof c - 1, 2, &row, &err), WEIR_OK);
    assert_true(weir_slice_eqz(v[0].text, "\\N") && v[1].kind == WEIR_VAL_TEXT);
    char d[] = "x\\";
    assert_int_equal(brg_copytext(d, 2, 1, &row, &err), WEIR_OK);
    assert_true(weir_slice_eqz(v[0].text, "x\\"));
}

static void time_to_full(void **state)
{
    (void)state;
    assert_int_equal(brg_full_in_s(-1, 10, 10), -1);
    assert_int_equal(brg_full_in_s(1000, 0, 10), -1);
    assert_int_equal(brg_full_in_s(1000, 100, 1000), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keepalives_are_asked_for_often_after_a_transaction),
        cmocka_unit_test(retention_decisions),
        cmocka_unit_test(ages_span_any_time_with_bounded_memory),
        cmocka_unit_test(the_guardian_decides),
        cmocka_unit_test(subscribers_survive_storage),
        cmocka_unit_test(copy_text_lines),
        cmocka_unit_test(time_to_full),
    };
    return cmocka_run_group_tests_name("bridge rules", tests, NULL, NULL);
}
