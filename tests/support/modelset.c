/* modelset.c - random models made, compiled, asked of PostgreSQL, counted. */
#include "tests/support/modelset.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "projector/sql/compile.h"
#include "tests/support/genmodel.h"

int64_t ms_env_int(const char *name, int64_t otherwise)
{
    const char *v = getenv(name);
    int64_t n;
    return v && weir_slice_i64(weir_slice_z(v), &n) ? n : otherwise;
}

uint64_t ms_seed(const char *name)
{
    int64_t s = ms_env_int(name, 0);
    return s ? (uint64_t)s : (uint64_t)weir_wall_us() % 1000000007u;
}

void ms_init(modelset *s, const char *label, weir_pg *pg, weir_arena *a)
{
    *s = (modelset){.a = a, .pg = pg, .label = label};
}

/* What docs/read-models.md says is refused and the generator does not avoid. */
static bool may_be_refused(const char *why)
{
    static const char *const known[] = {"multiply each other's rows", "this output has no name",
                                        "two outputs are named", "IN mixes character and text"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strstr(why, known[i])) {
            return true;
        }
    }
    return false;
}

static void count_reason(modelset *s, const char *why)
{
    s->refused++;
    for (int i = 0; i < s->nreasons; i++) {
        if (strcmp(s->reasons[i].text, why) == 0) {
            s->reasons[i].n++;
            return;
        }
    }
    if (s->nreasons < MS_REASONS_MAX) {
        s->reasons[s->nreasons++] = (struct ms_reason){weir_arena_strdup(s->a, why), 1};
    }
}

static void show_refusal(const ms_model *m, const weir_diags *ds)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_diags_print(ds, m->name, weir_slice_z(m->file), false, &b);
    fprintf(stderr, "refused, though docs/read-models.md promises it:\n%s\n" WEIR_SLICE_FMT "\n",
            m->file, WEIR_SLICE_ARG(weir_buf_slice(&b)));
    weir_buf_fini(&b);
}

/* Weir's compiler and PostgreSQL both take it. */
static bool accepted(modelset *s, ms_model *m)
{
    weir_error err = {0};
    weir_diags ds;
    weir_model_src src;
    weir_diags_init(&ds, s->a);
    weir_rc rc = weir_model_parse(weir_slice_z(m->file), m->name, s->a, &src, &ds);
    rc = rc == WEIR_OK ? weir_plan_compile(&src, &s->cat, s->a, &m->plan, &ds, &err) : rc;
    rc = rc == WEIR_OK ? weir_plan_crosscheck(s->pg, &src, m->plan, &ds, &err) : rc;
    if (rc != WEIR_OK) {
        const char *why = err.msg;
        for (int i = ds.n - 1; i >= 0; i--) {
            why = ds.d[i].warning ? why : ds.d[i].msg;
        }
        count_reason(s, why);
        /* SQL that PostgreSQL itself refuses is the generator's slip; the cross-check did its work.
         */
        bool invalid = strncmp(why, "PostgreSQL:", strlen("PostgreSQL:")) == 0;
        if (!invalid && !may_be_refused(why)) {
            s->broken++;
            show_refusal(m, &ds);
        }
    }
    return rc == WEIR_OK;
}

bool ms_make(modelset *s, uint64_t seed, int count)
{
    weir_error err = {0};
    gm *g = NULL;
    int covered, all;
    s->n = 0;
    weir_catalog_pg_init(&s->cat, s->pg, NULL, s->a);
    if (gm_new(&g, s->pg, seed, s->a, &err) != WEIR_OK) {
        fprintf(stderr, "models: %s\n", err.msg);
        return false;
    }
    for (int i = 0; i < count && i < MS_MODELS_MAX; i++) {
        ms_model m = {.name = weir_arena_printf(s->a, "m%03d", i)};
        m.file = gm_next(g, m.name);
        if (m.file && accepted(s, &m)) {
            s->m[s->n++] = m;
        }
    }
    gm_coverage(g, &covered, &all);
    printf("models %-8s %d models, %d of %d pairs of axis values\n", s->label, s->n, covered, all);
    return s->n > 0;
}

void ms_count(modelset *s)
{
    for (int i = 0; i < s->n; i++) {
        s->documents += s->m[i].documents;
        s->empty += s->m[i].documents == 0;
        s->m[i].documents = 0;
    }
    s->n = 0;
}

void ms_report(const modelset *s)
{
    for (int i = 0; i < s->nreasons; i++) {
        printf("models %-8s refused %d: %s\n", s->label, s->reasons[i].n, s->reasons[i].text);
    }
    printf("models %-8s %llu documents compared, %d models had none, %d were refused (%d by "
           "mistake)\n",
           s->label, (unsigned long long)s->documents, s->empty, s->refused, s->broken);
}

/* --- transactions */

void ms_sql(modelset *s, ms_work *w, const char *stmt, bool *ok)
{
    weir_error err = {0};
    weir_buf_printf(&w->history, "%s;\n", stmt);
    bool fine = weir_pg_script(s->pg, stmt, &err) == WEIR_OK;
    if (ok) {
        *ok = fine;
    }
}

void ms_execute(modelset *s, ms_work *w, const orc_tx *tx)
{
    bool alive = true, fine = true;
    ms_sql(s, w, "BEGIN", NULL);
    for (int i = 0; i < tx->n && alive; i++) {
        w->statements++;
        if (tx->guard) {
            ms_sql(s, w, "SAVEPOINT guard", NULL);
        }
        ms_sql(s, w, tx->stmt[i], &fine);
        if (!fine) {
            w->failed++;
            alive = tx->guard;
            ms_sql(s, w, tx->guard ? "ROLLBACK TO SAVEPOINT guard" : "ROLLBACK", NULL);
        }
    }
    if (alive) {
        ms_sql(s, w, tx->rollback ? "ROLLBACK" : "COMMIT", &fine);
        if (!fine) {
            ms_sql(s, w, "ROLLBACK", NULL);
        }
    }
    w->tx++;
}

void ms_fill(modelset *s, ms_work *w, orc_gen *g, int rows)
{
    weir_arena *a = weir_arena_new(0);
    for (int i = 0; i < rows; i++) {
        for (int t = 0; t < orc_gen_tables(g); t++) {
            ms_sql(s, w, orc_gen_fill(g, a, t), NULL);
        }
    }
    weir_arena_free(a);
}

void ms_save(const modelset *s, const ms_work *w, const char *kind, uint64_t seed,
             const ms_model *m)
{
    weir_error err = {0};
    weir_buf b;
    char cwd[120] = ".";
    (void)!getcwd(cwd, sizeof cwd);
    const char *path =
        weir_arena_printf(s->a, "%s/%s-%s-%llu.sql", cwd, kind, s->label, (unsigned long long)seed);
    weir_buf_init(&b, (size_t)1 << 30);
    weir_buf_puts(&b, weir_buf_slice(&w->history));
    weir_buf_printf(&b, "\n%s;\n", m->file);
    if (weir_file_write(path, weir_buf_slice(&b), 0644, &err) == WEIR_OK) {
        fprintf(stderr, "saved the case as %s (psql -v ON_ERROR_ROLLBACK=on -f …)\n", path);
    }
    weir_buf_fini(&b);
}
