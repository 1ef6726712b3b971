/* test_mapping.c - the mapping file: what is read, and where its problems are shown. */
#include <stdlib.h>

#include "migrations/migrate/mapping.h"
#include "tests/support/check.h"

static weir_arena *a;

static int up(void **state)
{
    (void)state;
    a = weir_arena_new(0);
    return 0;
}

static int down(void **state)
{
    (void)state;
    weir_arena_free(a);
    return 0;
}

#define HEAD "[source]\nuri = s\n[target]\nuri = t\n"

static mig_mapping *parse(const char *text)
{
    return mig_mapping_parse(a, "/x/Shop-2.ini", weir_slice_z(text));
}

static const char *printed(const mig_mapping *m)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    mig_problems_print(m, &b);
    const char *z = weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

static void reads_everything(void **state)
{
    (void)state;
    mig_mapping *m = parse("# a comment\n[migration]\nname = shop\nworkers=4\n\n" HEAD
                           "[table crm.\"Customer\"]\nfrom = customers\nwhere = a = 1\n    AND b\n"
                           "key = code, x\ncreate = yes\ncolumns = *\nskip = y\n"
                           "column code varchar(5) = upper(id)\ncolumn \"N\"=n\n"
                           "index = (n)\nunique = (code)\nforeign_key = (x) REFERENCES y (z)\n"
                           "[table t]\nfrom = s.u\ncolumn a = b\n"
                           "[cutover]\nfence = none\nrejects = accept\nafter = ./go now\n"
                           "[sequences]\na.b = c.d\n");
    assert_string_equal("", printed(m));
    assert_string_equal("shop", m->name.z);
    assert_int_equal(4, m->workers);
    assert_int_equal(2, m->ntables);
    const mig_table *t = &m->tables[0];
    assert_string_equal("crm", t->schema.z);
    assert_string_equal("Customer", t->name.z);
    assert_string_equal("a = 1\n    AND b", t->where.z);
    assert_true(t->create && t->star);
    assert_int_equal(2, t->ncolumns);
    assert_string_equal("code", t->columns[0].name.z);
    assert_string_equal("varchar(5)", t->columns[0].type.z);
    assert_string_equal("upper(id)", t->columns[0].expr.z);
    assert_string_equal("N", t->columns[1].name.z);
    assert_int_equal(MIG_INDEX, t->extras->kind);
    assert_int_equal(MIG_FOREIGN_KEY, t->extras->next->next->kind);
    assert_string_equal("public", m->tables[1].schema.z);
    assert_int_equal(MIG_FENCE_NONE, m->fence);
    assert_true(m->rejects_accepted);
    assert_string_equal("c.d", m->sequences[0].source.z);
}

static void name_comes_from_the_file(void **state)
{
    (void)state;
    assert_string_equal("shop_2", parse(HEAD)->name.z);
}

static void shows_the_place(void **state)
{
    (void)state;
    mig_mapping *m = parse(HEAD "[table t]\nfrom = u\ncolunm a = b\ncolumn x = y\n");
    assert_string_equal(printed(m), "/x/Shop-2.ini:7:1: error: there is no option colunm a in "
                                    "[table]\n    7 | colunm a = b\n      | ^~~~~~~~\n      = did "
                                    "you mean column?\n");
}

static void finds_a_place_in_a_continued_value(void **state)
{
    (void)state;
    mig_mapping *m = parse(HEAD "[table t]\nfrom = u\ncolumn a = one +\n   twö + three\n");
    const mig_text *e = &m->tables[0].columns[0].expr;
    mig_place at = mig_place_in(m, e, (int)(strstr(e->z, "three") - e->z));
    assert_int_equal(8, at.line);
    assert_int_equal(5, at.len);
    mig_problem_add(m, at, false, NULL, "%s", "here");
    assert_string_equal(printed(m), "/x/Shop-2.ini:8:11: error: here\n    8 |    twö + "
                                    "three\n      |          ^~~~~\n");
}

static void a_uri_is_never_shown(void **state)
{
    (void)state;
    mig_mapping *m = parse("[source]\nuri = postgresql://u:secret@h/d\n[target]\nuri = t\n");
    mig_problem_add(m, m->source_uri.at, false, NULL, "%s", "unreachable");
    assert_null(strstr(printed(m), "secret"));
    assert_has(printed(m), ":2:7: error: unreachable");
}

static void reads_the_environment(void **state)
{
    (void)state;
    assert_int_equal(0, setenv("MIG_TEST_HOST", "db1", 1));
    mig_mapping *m =
        parse("[source]\nuri = pg://${MIG_TEST_HOST}/x\n[target]\nuri = ${MIG_TEST_NOT}\n");
    assert_string_equal("pg://db1/x", m->source_uri.z);
    assert_has(printed(m), ":4:7: error: the environment variable MIG_TEST_NOT is not set");
}

/* Each of these has one problem with this text. */
static const struct {
    const char *text, *says;
} BAD[] = {
    {"[tables]\n", "there is no section [tables]"},
    {"[table t\n", "no closing ]"},
    {"[table 9]\n", "name of a target table is expected"},
    {"[table t]\nfrom=u\ncolumn a=b\n[table t]\n", "has a section already, in line 5"},
    {"[table t]\nfrom=u\nfrom=v\ncolumn a=b\n", "from is given twice; first in line 6"},
    {"[table t]\nfrom=u\n", "has no columns"},
    {"[table t]\ncolumn a=b\n", "does not say where its rows come from"},
    {"[table t]\nfrom=u\ncolumn a=b\ncolumn A=c\n", "column a is given twice; first in line 7"},
    {"[table t]\nfrom=u\ncolumn a=\n", "column a has no expression"},
    {"[table t]\nfrom=u\ncolumn =b\ncolumn c=d\n", "name of a target column is expected"},
    {"[table t]\nfrom=u\ncolumn a=b\ncreate=maybe\n", "create must be yes or no"},
    {"[table t]\nfrom=u\ncolumn a=b\nnonsense\n", "no section, no option and no comment"},
    {"[migration]\nworkers = 0\n", "workers must be a number from 1 to 64"},
    {"[migration]\nname = A-b\n", "a name is made of a-z, 0-9 and _"},
    {"[cutover]\nfence = wall\n", "fence must be lock or none"},
};

static void says_what_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        mig_mapping *m = parse(weir_arena_printf(a, HEAD "%s", BAD[i].text));
        assert_has(printed(m), BAD[i].says);
        assert_true(m->nerrors > 0);
    }
    assert_has(printed(parse("  x\n")), "continues a value, but there is none before it");
    assert_has(printed(parse("a = b\n")), "this line stands in no section");
    assert_has(printed(parse("")), "uri in [source] is missing");
}

static void splits_names(void **state)
{
    (void)state;
    const char *s, *n;
    assert_true(mig_name_split(a, "A.\"b\"\"C\"", &s, &n));
    assert_string_equal("a", s);
    assert_string_equal("b\"C", n);
    assert_false(mig_name_split(a, "a.b.c", &s, &n));
    assert_false(mig_name_split(a, "a b", &s, &n));
    assert_false(mig_name_split(a, "\"\"", &s, &n));
    const char *p = "a, \"B\"\n c";
    bool bad = false;
    assert_string_equal("a", mig_list_next(a, &p, &bad));
    assert_string_equal("B", mig_list_next(a, &p, &bad));
    assert_string_equal("c", mig_list_next(a, &p, &bad));
    assert_null(mig_list_next(a, &p, &bad));
    assert_false(bad);
    p = "1";
    assert_null(mig_list_next(a, &p, &bad));
    assert_true(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_everything, up, down),
        cmocka_unit_test_setup_teardown(name_comes_from_the_file, up, down),
        cmocka_unit_test_setup_teardown(shows_the_place, up, down),
        cmocka_unit_test_setup_teardown(finds_a_place_in_a_continued_value, up, down),
        cmocka_unit_test_setup_teardown(a_uri_is_never_shown, up, down),
        cmocka_unit_test_setup_teardown(reads_the_environment, up, down),
        cmocka_unit_test_setup_teardown(says_what_is_wrong, up, down),
        cmocka_unit_test_setup_teardown(splits_names, up, down),
    };
    return cmocka_run_group_tests_name("mapping", tests, NULL, NULL);
}
