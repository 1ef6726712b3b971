/* fuzz_mapping.c - any bytes as a mapping file: problems, never harm; each problem can be printed.
 */
#include "migrations/migrate/mapping.h"

#include "tests/fuzz/fuzz.h"

volatile unsigned fuzz_sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_arena *a = weir_arena_new(0);
    weir_buf b;
    weir_buf_init(&b, 64 << 20);
    if (size < 1 << 16) {
        mig_mapping *m = mig_mapping_parse(a, "f.ini", weir_slice_of((const char *)data, size));
        for (int i = 0; i < m->ntables; i++) {
            for (int k = 0; k < m->tables[i].ncolumns; k++) {
                const mig_text *e = &m->tables[i].columns[k].expr;
                mig_place at = mig_place_in(m, e, (int)strlen(e->z));
                mig_problem_add(m, at, true, e->z, "%s", e->z);
            }
        }
        mig_problems_print(m, &b);
        mig_problems_json(m, &b);
        fuzz_touch(weir_buf_slice(&b));
    }
    weir_buf_fini(&b);
    weir_arena_free(a);
    return 0;
}
