/* fuzz_model.c - any text as a read model: parsed, compiled against the tests' shop, explained;
 * every slice of the plan read. */
#include "projector/sql/compile.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/sqlcat.h"

volatile unsigned fuzz_sink;

enum { MODEL_BYTES_MAX = 64 << 20 };

static void touch_plan(const weir_plan *p)
{
    weir_buf out;
    weir_buf_init(&out, (size_t)4 << 20);
    weir_plan_explain(p, &out);
    fuzz_touch(weir_buf_slice(&out));
    weir_buf_fini(&out);
    fuzz_touch(p->oracle_sql);
    fuzz_sink += (unsigned)weir_plan_fingerprint(p);
}

/* What the engine relies on: every number in the plan names something. */
static void check_plan(const weir_plan *p)
{
    for (int i = 0; i < p->nocc; i++) {
        const weir_occ *o = &p->occs[i];
        bool root = i == p->root;
        bool ok = root ? o->up == -1
                       : o->up >= 0 && o->up < p->nocc && o->up != i && o->nup > 0 && o->nfrom > 0;
        for (int k = 0; ok && k < o->nfrom; k++) {
            ok = o->from[k].occ < p->nocc &&
                 o->from[k].col < p->tables[p->occs[o->from[k].occ].table].ncols;
        }
        int hops = 0;
        for (int at = i; ok && at != p->root; at = p->occs[at].up) {
            ok = hops++ < p->nocc; /* every walk ends at the root */
        }
        if (!ok) {
            __builtin_trap();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_arena *a = weir_arena_new(MODEL_BYTES_MAX);
    weir_slice text = weir_slice_of((const char *)data, size);
    weir_diags ds;
    weir_model_src src;
    weir_catalog cat;
    weir_plan *plan = NULL;
    weir_error err = {0};
    weir_buf out;
    weir_diags_init(&ds, a);
    weir_sqlcat_init(&cat, weir_sqlcat_shop, a);
    if (weir_model_parse(text, "m", a, &src, &ds) == WEIR_OK &&
        weir_plan_compile(&src, &cat, a, &plan, &ds, &err) == WEIR_OK) {
        check_plan(plan);
        touch_plan(plan);
    }
    weir_buf_init(&out, (size_t)1 << 20);
    weir_diags_print(&ds, "m.sql", text, true, &out);
    fuzz_touch(weir_buf_slice(&out));
    weir_buf_fini(&out);
    weir_arena_free(a);
    return 0;
}
