/* sql_check.h - for the compiler's tests: compile a text against the shop's catalog, look at plan
 * and findings. */
#ifndef WEIR_TESTS_SQL_CHECK_H
#define WEIR_TESTS_SQL_CHECK_H

#include <stdio.h>

#include "projector/sql/compile.h"
#include "tests/support/check.h"
#include "tests/support/sqlcat.h"

typedef struct compiled {
    weir_arena *a;
    weir_catalog cat;
    weir_model_src src;
    weir_diags ds;
    weir_plan *plan;
    weir_rc rc;
    char shown[16384]; /* findings as printed */
} compiled;

static inline void compile_text(compiled *c, const char *text)
{
    weir_error err = {0};
    weir_buf out;
    memset(c, 0, sizeof(*c));
    c->a = weir_arena_new((size_t)64 << 20);
    weir_diags_init(&c->ds, c->a);
    weir_sqlcat_init(&c->cat, weir_sqlcat_shop, c->a);
    c->rc = weir_model_parse(weir_slice_z(text), "m", c->a, &c->src, &c->ds);
    if (c->rc == WEIR_OK) {
        c->rc = weir_plan_compile(&c->src, &c->cat, c->a, &c->plan, &c->ds, &err);
    }
    weir_buf_init(&out, sizeof(c->shown) - 1);
    weir_diags_print(&c->ds, "m.sql", weir_slice_z(text), false, &out);
    snprintf(c->shown, sizeof(c->shown), "%.*s", (int)out.n, out.p ? out.p : "");
    weir_buf_fini(&out);
}

static inline void compiled_free(compiled *c)
{
    weir_arena_free(c->a);
}

static inline const weir_plan *compile_ok(compiled *c, const char *text)
{
    compile_text(c, text);
    if (c->rc != WEIR_OK) {
        print_message("%s", c->shown);
    }
    assert_int_equal(WEIR_OK, c->rc);
    return c->plan;
}

/* The plan as weir explain prints it, in the compile's arena. */
static inline const char *explained(compiled *c)
{
    weir_buf out;
    weir_buf_init(&out, (size_t)1 << 20);
    weir_plan_explain(c->plan, &out);
    const char *z = weir_arena_dupz(c->a, weir_buf_slice(&out));
    weir_buf_fini(&out);
    return z;
}

static inline int occ_of(const weir_plan *p, const char *alias)
{
    for (int i = 0; i < p->nocc; i++) {
        if (weir_slice_eqz(p->occs[i].alias, alias)) {
            return i;
        }
    }
    fail_msg("no occurrence %s", alias);
    return -1;
}

static inline const weir_expr *output_of(const weir_plan *p, const char *name)
{
    for (int i = 0; i < p->noutputs; i++) {
        if (weir_slice_eqz(p->outputs[i].name, name)) {
            return p->outputs[i].expr;
        }
    }
    fail_msg("no output %s", name);
    return NULL;
}

#endif
