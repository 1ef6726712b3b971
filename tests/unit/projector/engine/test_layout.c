/* test_layout.c - plans share tables and indexes, columns are appended, ids survive saving, garbage
 * goes. */
#include "projector/engine/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/docplan.h"

typedef struct fix {
    weir_layout l;
    weir_arena *a;
    weir_error err;
} fix;

static int setup(void **state)
{
    fix *f = calloc(1, sizeof *f);
    weir_layout_init(&f->l);
    f->a = weir_arena_new(0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fix *f = *state;
    weir_layout_fini(&f->l);
    weir_arena_free(f->a);
    free(f);
    return 0;
}

static weir_bound bind(fix *f, weir_plan *p, uint32_t id)
{
    weir_bound b;
    assert_int_equal(weir_layout_bind(&f->l, p, id, f->a, &b, &f->err), WEIR_OK);
    return b;
}

static weir_plan_table *orders(weir_plan *p)
{
    for (int i = 0; i < p->ntables; i++) {
        if (weir_slice_eqz(p->tables[i].name, "ord")) {
            return &p->tables[i];
        }
    }
    return NULL;
}

static void plans_share(void **state)
{
    fix *f = *state;
    weir_bound a = bind(f, dp_order_plan(f->a, true), 1);
    int tables = f->l.ntables;
    int indexes = f->l.nindexes;
    weir_bound b = bind(f, dp_grouped_plan(f->a), 2);
    assert_int_equal(f->l.ntables, tables);
    assert_int_equal(f->l.nindexes, indexes);
    assert_ptr_equal(a.tables[0], b.tables[0]);
    assert_true(f->l.indexes[0]->built); /* its table is new: it grows with it */
}

static void columns_are_appended_and_must_be_copied(void **state)
{
    fix *f = *state;
    weir_plan *small = dp_grouped_plan(f->a);
    orders(small)->ncols = 1;
    weir_bound a = bind(f, small, 1);
    weir_ltable *t = a.tables[0];
    t->ncomplete = t->ncols;
    a.tables[1]->ncomplete = a.tables[1]->ncols;
    assert_true(weir_bound_ready(&a));
    weir_bound b = bind(f, dp_scalar_plan(f->a), 2);
    assert_ptr_equal(b.tables[0], t);
    assert_int_equal(t->ncols, 3);
    assert_true(weir_bound_ready(&a));
    assert_false(weir_bound_ready(&b));
    t->ncomplete = 3;
    assert_true(weir_bound_ready(&b));
}

static void a_new_index_over_rows_must_be_built(void **state)
{
    fix *f = *state;
    (void)bind(f, dp_grouped_plan(f->a), 1);
    int before = f->l.nindexes;
    (void)bind(f, dp_order_plan(f->a, false), 2);
    assert_true(f->l.nindexes > before);
    bool unbuilt = false;
    for (int i = 0; i < f->l.nindexes; i++) {
        unbuilt = unbuilt || !f->l.indexes[i]->built;
    }
    assert_true(unbuilt);
}

static void another_key_or_oid_is_another_table(void **state)
{
    fix *f = *state;
    weir_bound a = bind(f, dp_scalar_plan(f->a), 1);
    weir_plan *p = dp_scalar_plan(f->a);
    orders(p)->oid++;
    weir_bound b = bind(f, p, 2);
    assert_ptr_not_equal(a.tables[0], b.tables[0]);
    weir_plan *q = dp_scalar_plan(f->a);
    static int by_note[1] = {2};
    orders(q)->key = by_note;
    weir_bound c = bind(f, q, 3);
    assert_ptr_not_equal(a.tables[0], c.tables[0]);
    assert_ptr_not_equal(b.tables[0], c.tables[0]);
}

static void it_survives_saving(void **state)
{
    fix *f = *state;
    (void)bind(f, dp_order_plan(f->a, true), 1);
    f->l.tables[1]->ncomplete = 2;
    (void)snprintf(f->l.tables[1]->copy_id, sizeof f->l.tables[1]->copy_id, "0123");
    f->l.tables[1]->copy_cols = 3;
    f->l.indexes[2]->built = false;
    weir_buf b;
    weir_buf c;
    weir_buf_init(&b, 1 << 20);
    weir_buf_init(&c, 1 << 20);
    weir_layout_save(&f->l, &b);
    weir_layout back;
    weir_layout_init(&back);
    assert_int_equal(weir_layout_load(&back, weir_buf_slice(&b), &f->err), WEIR_OK);
    weir_layout_save(&back, &c);
    assert_int_equal(b.n, c.n);
    assert_memory_equal(b.p, c.p, b.n);
    weir_layout_fini(&back);
    for (size_t n = 0; n < b.n; n++) { /* nothing cut off is taken for whole */
        weir_layout_init(&back);
        assert_int_equal(weir_layout_load(&back, (weir_slice){b.p, n}, &f->err), WEIR_E_PROTO);
        weir_layout_fini(&back);
    }
    weir_buf_fini(&b);
    weir_buf_fini(&c);
}

static void garbage_goes(void **state)
{
    fix *f = *state;
    (void)bind(f, dp_order_plan(f->a, true), 1);
    weir_bound b = bind(f, dp_grouped_plan(f->a), 2);
    weir_layout_unmark(&f->l);
    weir_layout_mark(&b);
    assert_true(weir_layout_drop_unmarked(&f->l) > 0);
    for (int i = 0; i < f->l.ntables; i++) {
        bool ours = f->l.tables[i] == b.tables[0] || f->l.tables[i] == b.tables[1];
        assert_int_equal(f->l.tables[i]->dropped, !ours);
    }
    weir_bound c = bind(f, dp_order_plan(f->a, true), 3); /* dropped ones are not taken again */
    for (int i = 0; i < c.plan->ntables; i++) {
        assert_false(c.tables[i]->dropped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plans_share, setup, teardown),
        cmocka_unit_test_setup_teardown(columns_are_appended_and_must_be_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_index_over_rows_must_be_built, setup, teardown),
        cmocka_unit_test_setup_teardown(another_key_or_oid_is_another_table, setup, teardown),
        cmocka_unit_test_setup_teardown(it_survives_saving, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_goes, setup, teardown),
    };
    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
