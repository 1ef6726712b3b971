/* render.h - one document from the state: nested loops over a plan's blocks, PostgreSQL's jsonb
 * text out.
 *
 * Row texts are borrowed from the state while a document is made: nothing may be written to it
 * meanwhile. Loop thread only.
 */
#ifndef WEIR_PROJECTOR_ENGINE_RENDER_H
#define WEIR_PROJECTOR_ENGINE_RENDER_H

#include "projector/engine/expr.h"
#include "projector/engine/state.h"

typedef enum weir_doc { WEIR_DOC_NONE, WEIR_DOC_MADE, WEIR_DOC_PARKED } weir_doc;

typedef struct weir_render {
    weir_state *st;
    const weir_bound *m; /* of the document being made */
    size_t document_max_bytes;
    weir_arena *a; /* of one document */
    weir_eval ev;
    const weir_tuple **rows; /* ev.rows */
    size_t cap_rows;
    weir_buf *out;
} weir_render;

void weir_render_init(weir_render *r, weir_state *st, size_t document_max_bytes);
void weir_render_fini(weir_render *r);

/* Appends the document of that key to out, which is left as it was unless *made is WEIR_DOC_MADE.
 * NONE: the SELECT has no such row. PARKED: evaluating it fails the way PostgreSQL's SELECT would,
 * or it is too large; why says so (code, SQLSTATE, text). Any other return than WEIR_OK is the
 * state's failure, not the document's. */
WEIR_MUST_CHECK weir_rc weir_render_doc(weir_render *r, const weir_bound *m, weir_slice key,
                                        weir_buf *out, weir_doc *made, weir_error *why,
                                        weir_error *err);

#endif
