/* docplan.h - plans made by hand, for engine tests that must not depend on the SQL side; and a
 * state in a folder of its own.
 *
 * Tables, all columns integers: reg(id,name) cust(id,reg,name) prod(id,name,price)
 * ord(id,cust,note) line(id,ord,prod,qty) note(id,line,txt); the row key is id.
 */
#ifndef WEIR_TESTS_DOCPLAN_H
#define WEIR_TESTS_DOCPLAN_H

#include "projector/engine/apply.h"
#include "projector/engine/layout.h"
#include "projector/sql/plan.h"

enum { DP_REG, DP_CUST, DP_PROD, DP_ORD, DP_LINE, DP_NOTE, DP_TABLES, DP_COLS_MAX = 4 };
extern const int dp_ncols[DP_TABLES];

/* SELECT o.id, o.note, c.name AS cust, r.name AS reg,
 *        (SELECT jsonb_agg(jsonb_build_object('id', l.id, 'qty', l.qty, 'prod', p.name, 'notes',
 * (SELECT jsonb_agg(n.txt ORDER BY n.txt, n.id) FROM note n WHERE n.line = l.id)) ORDER BY l.id)
 * FROM line l LEFT JOIN prod p ON p.id = l.prod WHERE l.ord = o.id AND l.qty <> 0) AS lines FROM
 * ord o [LEFT] JOIN cust c ON c.id = o.cust LEFT JOIN reg r ON r.id = c.reg inner: WHERE c.name <>
 * 3 AND NOT EXISTS (SELECT FROM line l WHERE l.ord = o.id AND NOT EXISTS (SELECT FROM note n WHERE
 *  n.line = l.id)) */
weir_plan *dp_order_plan(weir_arena *a, bool inner);
/* SELECT o.id, count(l.id) AS n, sum(l.qty) AS total FROM ord o LEFT JOIN line l ON l.ord = o.id
 * GROUP BY o.id */
weir_plan *dp_grouped_plan(weir_arena *a);
/* SELECT o.id, (SELECT l.qty FROM line l WHERE l.ord = o.id) AS qty, 10 / o.note AS share FROM ord
 * o */
weir_plan *dp_scalar_plan(weir_arena *a);

typedef struct dp_env {
    char dir[64];
    weir_state *st;
    weir_layout layout;
    weir_apply ap;
    weir_arena *a;
    weir_error err;
} dp_env;

void dp_env_open(dp_env *e);
void dp_env_close(dp_env *e);
/* The relation of a table as the stream describes it, version = table + 1. */
void dp_describe(dp_env *e);
/* One event in the open transaction; cells: "7", "" for NULL, "~" for unchanged. old NULL: none. */
weir_rc dp_event(dp_env *e, weir_ev_kind kind, int table, const char *const *old_row,
                 const char *const *new_row);

#endif
