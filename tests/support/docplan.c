/* docplan.c - plans made by hand. */
#include "tests/support/docplan.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/app.h"

static const char *const names[DP_TABLES] = {"reg", "cust", "prod", "ord", "line", "note"};
static const char *const cols[DP_TABLES][DP_COLS_MAX] = {
    {"id", "name"},         {"id", "reg", "name"},        {"id", "name", "price"},
    {"id", "cust", "note"}, {"id", "ord", "prod", "qty"}, {"id", "line", "txt"},
};
const int dp_ncols[DP_TABLES] = {2, 3, 3, 3, 4, 3};
static const weir_type int4 = {.ty = WEIR_TY_INT4, .oid = 23, .typmod = -1};
static const weir_type int8 = {.ty = WEIR_TY_INT8, .oid = 20, .typmod = -1};
static const weir_type boolean = {.ty = WEIR_TY_BOOL, .oid = 16, .typmod = -1};
static const weir_type jsonb = {.ty = WEIR_TY_JSONB, .oid = 3802, .typmod = -1};

typedef struct builder {
    weir_arena *a;
    weir_plan *p;
    int table_of[DP_TABLES]; /* plan table, -1 not used */
} builder;

static int *ints(builder *b, int n, const int *v)
{
    int *out = WEIR_ARENA_ARRAY(b->a, int, (size_t)n + 1);
    memcpy(out, v, (size_t)n * sizeof *v);
    return out;
}

static void start(builder *b, weir_arena *a, const char *name)
{
    *b = (builder){.a = a, .p = weir_arena_zalloc(a, sizeof(weir_plan))};
    weir_plan *p = b->p;
    p->model = weir_slice_z(name);
    p->tables = WEIR_ARENA_ARRAY(a, weir_plan_table, DP_TABLES);
    p->indexes = WEIR_ARENA_ARRAY(a, weir_plan_index, 16);
    p->occs = WEIR_ARENA_ARRAY(a, weir_occ, 16);
    p->blocks = WEIR_ARENA_ARRAY(a, weir_block, 16);
    p->outputs = WEIR_ARENA_ARRAY(a, weir_output, 16);
    for (int i = 0; i < DP_TABLES; i++) {
        b->table_of[i] = -1;
    }
    p->nkey = 1;
    p->key_cols = ints(b, 1, (int[]){0});
    p->key_names = WEIR_ARENA_ARRAY(a, weir_slice, 1);
    p->key_names[0] = WEIR_SLICE_LIT("id");
    p->key_index = WEIR_BY_ROWKEY;
}

static int table(builder *b, int t)
{
    if (b->table_of[t] >= 0) {
        return b->table_of[t];
    }
    weir_plan_table *pt = &b->p->tables[b->p->ntables];
    *pt = (weir_plan_table){.schema = WEIR_SLICE_LIT("public"),
                            .name = weir_slice_z(names[t]),
                            .oid = 1000u + (uint32_t)t,
                            .ncols = dp_ncols[t],
                            .nkey = 1,
                            .key = ints(b, 1, (int[]){0})};
    pt->cols = WEIR_ARENA_ARRAY(b->a, weir_plan_col, DP_COLS_MAX);
    for (int i = 0; i < pt->ncols; i++) {
        pt->cols[i] = (weir_plan_col){weir_slice_z(cols[t][i]), int4, i == 0};
    }
    return b->table_of[t] = b->p->ntables++;
}

static int index_on(builder *b, int t, int col)
{
    int pt = table(b, t);
    for (int i = 0; i < b->p->nindexes; i++) {
        if (b->p->indexes[i].table == pt && b->p->indexes[i].cols[0] == col) {
            return i;
        }
    }
    b->p->indexes[b->p->nindexes] = (weir_plan_index){pt, 1, ints(b, 1, &col)};
    return b->p->nindexes++;
}

/* Occurrence of t in block, found by its column my from (from_occ, from_col). my 0 is the row key.
 */
static int occ(builder *b, int t, int block, weir_join join, int my, int from_occ, int from_col)
{
    weir_plan *p = b->p;
    int n = p->nocc++;
    weir_occ *o = &p->occs[n];
    *o = (weir_occ){
        .table = table(b, t), .block = block, .alias = weir_slice_z(names[t]), .join = join};
    weir_block *bl = &p->blocks[block];
    if (!bl->occs) {
        bl->occs = ints(b, 8, (int[8]){0});
    }
    bl->occs[bl->nocc++] = n;
    if (join == WEIR_JOIN_ROOT) {
        o->up = -1;
        o->access = WEIR_BY_ROWKEY;
        return n;
    }
    int up_table = -1;
    for (int i = 0; i < DP_TABLES; i++) {
        up_table = b->table_of[i] == p->occs[from_occ].table ? i : up_table;
    }
    o->access = my == 0 ? WEIR_BY_ROWKEY : index_on(b, t, my);
    o->nfrom = 1;
    o->from = WEIR_ARENA_ARRAY(b->a, weir_colref, 1);
    o->from[0] = (weir_colref){from_occ, from_col};
    o->up = from_occ;
    o->up_index = from_col == 0 ? WEIR_BY_ROWKEY : index_on(b, up_table, from_col);
    o->nup = 1;
    o->my_cols = ints(b, 1, &my);
    o->unique = my == 0;
    return n;
}

static weir_expr *expr(builder *b, weir_op op, weir_type type, int nargs, weir_expr *x,
                       weir_expr *y)
{
    weir_expr *e = weir_arena_zalloc(b->a, sizeof *e);
    e->op = op;
    e->type = type;
    e->location = -1;
    e->nargs = nargs;
    e->args = WEIR_ARENA_ARRAY(b->a, weir_expr *, 4);
    e->args[0] = x;
    e->args[1] = y;
    return e;
}

static weir_expr *col(builder *b, int occ_no, int c)
{
    weir_expr *e = expr(b, WEIR_OP_COL, int4, 0, NULL, NULL);
    e->occ = occ_no;
    e->col = c;
    return e;
}

static weir_expr *num(builder *b, const char *text)
{
    weir_expr *e = expr(b, WEIR_OP_CONST, int4, 0, NULL, NULL);
    e->text = weir_slice_z(text);
    return e;
}

static weir_expr *sub(builder *b, weir_op op, weir_type type, int block)
{
    weir_expr *e = expr(b, op, type, 0, NULL, NULL);
    e->block = block;
    return e;
}

static void output(builder *b, const char *name, weir_expr *e)
{
    b->p->outputs[b->p->noutputs++] = (weir_output){weir_slice_z(name), e};
}

static weir_agg *aggregate(builder *b, int block, weir_agg_kind kind, weir_type type,
                           weir_expr *arg)
{
    weir_block *bl = &b->p->blocks[block];
    if (!bl->aggs) {
        bl->aggs = WEIR_ARENA_ARRAY(b->a, weir_agg, 4);
    }
    weir_agg *g = &bl->aggs[bl->naggs++];
    *g = (weir_agg){.kind = kind, .type = type, .arg = arg};
    g->sort = WEIR_ARENA_ARRAY(b->a, weir_sort, 2);
    return g;
}

static weir_expr *result(builder *b, weir_type type, int agg)
{
    weir_expr *e = expr(b, WEIR_OP_AGG, type, 0, NULL, NULL);
    e->agg = agg;
    return e;
}

static void lines_block(builder *b, int o)
{
    weir_plan *p = b->p;
    int l = occ(b, DP_LINE, 1, WEIR_JOIN_INNER, 1, o, 0);
    int pr = occ(b, DP_PROD, 1, WEIR_JOIN_LEFT, 0, l, 2);
    int n = occ(b, DP_NOTE, 2, WEIR_JOIN_INNER, 1, l, 0);
    p->blocks[1].where = expr(b, WEIR_OP_NE, boolean, 2, col(b, l, 3), num(b, "0"));
    weir_agg *g = aggregate(b, 2, WEIR_AGG_JSONB, jsonb, col(b, n, 2));
    g->nsort = 2;
    g->sort[0] = (weir_sort){.expr = col(b, n, 2)};
    g->sort[1] = (weir_sort){.expr = col(b, n, 0)};
    p->blocks[2].value = result(b, jsonb, 0);
    weir_expr *obj = expr(b, WEIR_OP_JSONB_OBJECT, jsonb, 4, col(b, l, 0), col(b, l, 3));
    obj->args[2] = col(b, pr, 1);
    obj->args[3] = sub(b, WEIR_OP_SCALAR, jsonb, 2);
    obj->keys = WEIR_ARENA_ARRAY(b->a, weir_slice, 4);
    const char *keys[4] = {"id", "qty", "prod", "notes"};
    for (int i = 0; i < 4; i++) {
        obj->keys[i] = weir_slice_z(keys[i]);
    }
    g = aggregate(b, 1, WEIR_AGG_JSONB, jsonb, obj);
    g->nsort = 1;
    g->sort[0] = (weir_sort){.expr = col(b, l, 0)};
    p->blocks[1].value = result(b, jsonb, 0);
}

weir_plan *dp_order_plan(weir_arena *a, bool inner)
{
    builder b;
    start(&b, a, "orders");
    weir_plan *p = b.p;
    p->nblocks = inner ? 5 : 3;
    p->blocks[0].parent = -1;
    p->blocks[2].parent = 1;
    p->blocks[4].parent = 3;
    int o = occ(&b, DP_ORD, 0, WEIR_JOIN_ROOT, 0, 0, 0);
    int c = occ(&b, DP_CUST, 0, inner ? WEIR_JOIN_INNER : WEIR_JOIN_LEFT, 0, o, 1);
    int r = occ(&b, DP_REG, 0, WEIR_JOIN_LEFT, 0, c, 1);
    p->root = o;
    lines_block(&b, o);
    if (inner) {
        int l2 = occ(&b, DP_LINE, 3, WEIR_JOIN_INNER, 1, o, 0);
        (void)occ(&b, DP_NOTE, 4, WEIR_JOIN_INNER, 1, l2, 0);
        p->blocks[3].where =
            expr(&b, WEIR_OP_NOT, boolean, 1, sub(&b, WEIR_OP_EXISTS, boolean, 4), NULL);
        weir_expr *none =
            expr(&b, WEIR_OP_NOT, boolean, 1, sub(&b, WEIR_OP_EXISTS, boolean, 3), NULL);
        weir_expr *name = expr(&b, WEIR_OP_NE, boolean, 2, col(&b, c, 2), num(&b, "3"));
        p->blocks[0].where = expr(&b, WEIR_OP_AND, boolean, 2, name, none);
    }
    output(&b, "id", col(&b, o, 0));
    output(&b, "reg", col(&b, r, 1));
    output(&b, "cust", col(&b, c, 2));
    output(&b, "note", col(&b, o, 2));
    output(&b, "lines", sub(&b, WEIR_OP_SCALAR, jsonb, 1));
    return p;
}

weir_plan *dp_grouped_plan(weir_arena *a)
{
    builder b;
    start(&b, a, "grouped");
    weir_plan *p = b.p;
    p->nblocks = 1;
    p->blocks[0].parent = -1;
    p->blocks[0].grouped = true;
    int o = occ(&b, DP_ORD, 0, WEIR_JOIN_ROOT, 0, 0, 0);
    int l = occ(&b, DP_LINE, 0, WEIR_JOIN_LEFT, 1, o, 0);
    (void)aggregate(&b, 0, WEIR_AGG_COUNT, int8, col(&b, l, 0));
    (void)aggregate(&b, 0, WEIR_AGG_SUM, int8, col(&b, l, 3));
    output(&b, "n", result(&b, int8, 0));
    output(&b, "id", col(&b, o, 0));
    output(&b, "total", result(&b, int8, 1));
    return p;
}

weir_plan *dp_scalar_plan(weir_arena *a)
{
    builder b;
    start(&b, a, "scalar");
    weir_plan *p = b.p;
    p->nblocks = 2;
    p->blocks[0].parent = -1;
    int o = occ(&b, DP_ORD, 0, WEIR_JOIN_ROOT, 0, 0, 0);
    int l = occ(&b, DP_LINE, 1, WEIR_JOIN_INNER, 1, o, 0);
    p->blocks[1].value = col(&b, l, 3);
    output(&b, "id", col(&b, o, 0));
    output(&b, "qty", sub(&b, WEIR_OP_SCALAR, int4, 1));
    output(&b, "share", expr(&b, WEIR_OP_DIV, int4, 2, num(&b, "10"), col(&b, o, 2)));
    return p;
}

/* --- a state of its own
 * -------------------------------------------------------------------------------- */

static void must(bool ok, const weir_error *err)
{
    if (!ok) {
        (void)fprintf(stderr, "docplan: %s\n", err->msg);
        abort();
    }
}

void dp_env_open(dp_env *e)
{
    *e = (dp_env){.a = weir_arena_new(0)};
    (void)snprintf(e->dir, sizeof e->dir, "/tmp/weir-state-XXXXXX");
    must(mkdtemp(e->dir) != NULL, &e->err);
    must(weir_state_open(&e->st, e->dir, (size_t)4 << 30, &e->err) == WEIR_OK, &e->err);
    weir_layout_init(&e->layout);
    weir_apply_init(&e->ap, e->st, &e->layout);
    dp_describe(e);
}

void dp_env_close(dp_env *e)
{
    weir_apply_fini(&e->ap);
    weir_layout_fini(&e->layout);
    weir_state_close(e->st);
    weir_arena_free(e->a);
    must(orc_run(false, (const char *const[]){"rm", "-rf", e->dir, NULL}) == 0, &e->err);
}

void dp_describe(dp_env *e)
{
    for (int t = 0; t < DP_TABLES; t++) {
        weir_column c[DP_COLS_MAX];
        for (int i = 0; i < dp_ncols[t]; i++) {
            c[i] = (weir_column){weir_slice_z(cols[t][i]), 23, -1, i == 0};
        }
        weir_relation rel = {.version = (uint32_t)t + 1,
                             .oid = 1000u + (uint32_t)t,
                             .schema = WEIR_SLICE_LIT("public"),
                             .name = weir_slice_z(names[t]),
                             .identity = 'd',
                             .n = (uint16_t)dp_ncols[t],
                             .cols = c};
        (void)weir_apply_relation(&e->ap, &rel);
    }
}

static weir_tuple tuple_of(weir_val *v, int n, const char *const *cells)
{
    for (int i = 0; i < n; i++) {
        v[i].kind = cells[i][0] == '\0'  ? WEIR_VAL_NULL
                    : cells[i][0] == '~' ? WEIR_VAL_UNCHANGED
                                         : WEIR_VAL_TEXT;
        v[i].text = weir_slice_z(cells[i]);
    }
    return (weir_tuple){(uint16_t)n, v};
}

weir_rc dp_event(dp_env *e, weir_ev_kind kind, int t, const char *const *old_row,
                 const char *const *new_row)
{
    weir_val was[DP_COLS_MAX];
    weir_val is[DP_COLS_MAX];
    weir_ev ev = {.kind = kind, .rel = (uint32_t)t + 1};
    if (old_row) {
        ev.old_kind = WEIR_OLD_ROW;
        ev.old_row = tuple_of(was, dp_ncols[t], old_row);
        for (int i = 1; i < dp_ncols[t]; i++) {
            if (was[i].kind == WEIR_VAL_UNCHANGED) {
                ev.old_kind = WEIR_OLD_KEY;
            }
        }
    }
    if (new_row) {
        ev.new_row = tuple_of(is, dp_ncols[t], new_row);
    }
    return weir_apply_event(&e->ap, &ev, &e->err);
}
