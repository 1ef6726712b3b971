/* test_walk.c - the walk finds every document a batch changes: random schemas of NULLs, moved keys,
 * orphans and swaps, both images through the post-state; and the test of the test: with new images
 * only, documents must be missed. */
#include "projector/engine/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "projector/engine/render.h"
#include "tests/support/docplan.h"

enum { DOMAIN = 5, IDS = DOMAIN + 2, BATCHES = 12, RUNS = 150 };

typedef struct row {
    bool there;
    int v[DP_COLS_MAX]; /* -1: NULL */
} row;

typedef struct sim {
    dp_env env;
    uint64_t rng;
    row db[DP_TABLES][IDS];
    weir_bound bound;
    weir_render render;
    weir_dirty dirty;
    weir_walk walk;
    uint64_t next_task;
    char *before[IDS];
    long missed, found, changed;
    int64_t budget;
} sim;

static uint64_t rnd(sim *s, uint64_t below)
{
    s->rng ^= s->rng << 13;
    s->rng ^= s->rng >> 7;
    s->rng ^= s->rng << 17;
    return s->rng % below;
}

static void cells(const row *r, int t, char text[DP_COLS_MAX][16], const char *out[DP_COLS_MAX])
{
    for (int i = 0; i < dp_ncols[t]; i++) {
        text[i][0] = '\0';
        if (r->v[i] >= 0) {
            (void)snprintf(text[i], 16, "%d", r->v[i]);
        }
        out[i] = text[i];
    }
}

static void event(sim *s, weir_ev_kind kind, int t, const row *was, const row *is)
{
    char a[DP_COLS_MAX][16];
    char b[DP_COLS_MAX][16];
    const char *old_row[DP_COLS_MAX];
    const char *new_row[DP_COLS_MAX];
    if (was) {
        cells(was, t, a, old_row);
        for (int i = 1; i < dp_ncols[t]; i++) {
            old_row[i] = "~"; /* only the key is told, as under REPLICA IDENTITY DEFAULT */
        }
    }
    if (is) {
        cells(is, t, b, new_row);
    }
    assert_int_equal(dp_event(&s->env, kind, t, was ? old_row : NULL, is ? new_row : NULL),
                     WEIR_OK);
}

static void random_cols(sim *s, int t, row *r, unsigned percent)
{
    for (int i = 1; i < dp_ncols[t]; i++) {
        if (rnd(s, 100) < percent) {
            bool fk = !(t == DP_REG || i == dp_ncols[t] - 1);
            r->v[i] = fk ? (int)rnd(s, DOMAIN + 1) - 1 : (int)rnd(s, 4);
        }
    }
}

static void random_update(sim *s, int t, int id)
{
    row old = s->db[t][id];
    row now = old;
    int to = id;
    random_cols(s, t, &now, 50);
    if (rnd(s, 5) == 0) {
        to = (int)rnd(s, IDS);
        to = s->db[t][to].there ? id : to;
    }
    now.v[0] = to;
    event(s, WEIR_EV_UPDATE, t, to == id ? NULL : &old, &now);
    s->db[t][id].there = false;
    s->db[t][to] = now;
}

static void random_change(sim *s)
{
    int t = (int)rnd(s, DP_TABLES);
    int id = (int)rnd(s, IDS);
    row *r = &s->db[t][id];
    if (!r->there) {
        r->there = true;
        r->v[0] = id;
        random_cols(s, t, r, 100);
        event(s, WEIR_EV_INSERT, t, NULL, r);
    } else if (rnd(s, 100) < 40) {
        event(s, WEIR_EV_DELETE, t, r, NULL);
        r->there = false;
    } else {
        random_update(s, t, id);
    }
}

static char *document(sim *s, int id)
{
    weir_buf out;
    weir_doc made = WEIR_DOC_NONE;
    weir_error why;
    char key[16];
    (void)snprintf(key, sizeof key, "%d", id);
    weir_buf_init(&out, 1 << 20);
    weir_rc rc =
        weir_render_doc(&s->render, &s->bound, weir_slice_z(key), &out, &made, &why, &s->env.err);
    assert_int_equal(rc, WEIR_OK);
    if (made == WEIR_DOC_PARKED) {
        fail_msg("parked: %s", why.msg);
    }
    weir_buf_u8(&out, 0);
    size_t n = 0;
    return weir_buf_take(&out, &n);
}

static bool is_dirty(const sim *s, int id)
{
    char key[16];
    (void)snprintf(key, sizeof key, "%d", id);
    for (size_t i = 0; i < s->dirty.n; i++) {
        if (weir_slice_eqz(weir_dirty_text(&s->dirty, i), key)) {
            return true;
        }
    }
    return false;
}

static void drain_tasks(sim *s)
{
    for (;;) {
        weir_scan sc;
        weir_slice key;
        weir_slice task;
        assert_int_equal(weir_scan_start(s->env.st, &sc, WEIR_DB_TASK, (weir_slice){NULL, 0},
                                         (weir_slice){NULL, 0}, &s->env.err),
                         WEIR_OK);
        weir_rc rc = weir_scan_next(&sc, &key, &task, &s->env.err);
        char k[8];
        weir_slice copy = {NULL, 0};
        if (rc == WEIR_OK) {
            memcpy(k, key.p, 8);
            copy = weir_arena_dup(s->env.a, task);
        }
        weir_scan_end(s->env.st, &sc);
        if (rc == WEIR_E_EOF) {
            return;
        }
        assert_int_equal(weir_state_del(s->env.st, WEIR_DB_TASK, (weir_slice){k, 8}, &s->env.err),
                         WEIR_OK);
        const weir_bound *models[1] = {&s->bound};
        s->walk.budget = s->budget;
        assert_int_equal(weir_walk_task(&s->walk, models, 1, copy, &s->env.err), WEIR_OK);
    }
}

static void batch(sim *s)
{
    assert_int_equal(weir_state_begin(s->env.st, &s->env.err), WEIR_OK);
    int n = 1 + (int)rnd(s, 7);
    for (int i = 0; i < n; i++) {
        random_change(s);
    }
    s->walk.budget = s->budget;
    weir_dirty_reset(&s->dirty);
    for (size_t i = 0; i < s->env.ap.n; i++) {
        weir_change *c = &s->env.ap.changes[i];
        assert_int_equal(
            weir_walk_change(&s->walk, &s->bound, c->t, c->old_row, c->new_row, &s->env.err),
            WEIR_OK);
    }
    drain_tasks(s);
    s->found += (long)s->dirty.n;
    for (int id = 0; id < IDS; id++) {
        char *now = document(s, id);
        if (strcmp(now, s->before[id]) != 0) {
            s->changed++;
            s->missed += !is_dirty(s, id);
        }
        free(s->before[id]);
        s->before[id] = now;
    }
    weir_apply_reset(&s->env.ap);
    assert_int_equal(weir_state_commit(s->env.st, &s->env.err), WEIR_OK);
}

static void run(sim *s, bool inner)
{
    weir_plan *plan = dp_order_plan(s->env.a, inner);
    assert_int_equal(weir_layout_bind(&s->env.layout, plan, 1, s->env.a, &s->bound, &s->env.err),
                     WEIR_OK);
    weir_apply_relayout(&s->env.ap);
    assert_int_equal(weir_state_wipe(s->env.st, &s->env.err), WEIR_OK);
    memset(s->db, 0, sizeof s->db);
    for (int i = 0; i < IDS; i++) {
        s->before[i] = calloc(1, 1);
    }
    for (int b = 0; b < BATCHES; b++) {
        batch(s);
    }
    for (int i = 0; i < IDS; i++) {
        free(s->before[i]);
    }
}

static void simulate(sim *s, int64_t budget)
{
    const char *given = getenv("WEIR_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761u;
    *s = (sim){.rng = seed | 1, .budget = budget};
    dp_env_open(&s->env);
    weir_render_init(&s->render, s->env.st, 1 << 20);
    weir_dirty_init(&s->dirty);
    weir_walk_init(&s->walk, s->env.st, &s->dirty, &s->next_task);
    for (int i = 0; i < RUNS; i++) {
        run(s, i % 2 == 0);
    }
    print_message("seed %llu: %d runs, %ld documents changed, %ld dirty, %ld missed, %llu tasks\n",
                  (unsigned long long)seed, RUNS, s->changed, s->found, s->missed,
                  (unsigned long long)s->walk.tasks);
    weir_walk_fini(&s->walk);
    weir_dirty_fini(&s->dirty);
    weir_render_fini(&s->render);
    dp_env_close(&s->env);
}

static void both_images_miss_nothing(void **state)
{
    (void)state;
    sim s;
    simulate(&s, 1 << 20);
    assert_true(s.changed > RUNS);
    assert_int_equal(s.missed, 0);
}

static void a_budget_of_one_misses_nothing(void **state)
{
    (void)state;
    sim s;
    simulate(&s, 1);
    assert_true(s.walk.tasks > 0);
    assert_int_equal(s.missed, 0);
}

static void new_images_only_are_found_out(void **state)
{
    (void)state;
    sim s;
    weir_walk_set_broken(true);
    simulate(&s, 1 << 20);
    weir_walk_set_broken(false);
    assert_true(s.missed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_images_miss_nothing),
        cmocka_unit_test(a_budget_of_one_misses_nothing),
        cmocka_unit_test(new_images_only_are_found_out),
    };
    return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
