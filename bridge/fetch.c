/* fetch.c - assembling a reply to fetch. */
#include "bridge/fetch.h"

void brg_fetch_init(brg_fetch *f, weir_feed_pos after, size_t max_bytes)
{
    f->next = after;
    f->max_bytes = max_bytes;
    f->bytes = 0;
    f->n = 0;
}

bool brg_fetch_take(brg_fetch *f, weir_feed_pos at, bool last, weir_cursor end, weir_slice frame)
{
    if (f->n > 0 && (f->bytes + frame.n > f->max_bytes || f->n == BRG_FETCH_FRAMES_MAX)) {
        return false;
    }
    f->refs[f->n] = NULL;
    f->frames[f->n++] = frame;
    f->bytes += frame.n;
    f->next = last ? (weir_feed_pos){end, 0} : (weir_feed_pos){at.at, at.part + 1};
    return true;
}

void brg_fetch_exhausted(brg_fetch *f, weir_cursor head)
{
    if (weir_cursor_cmp(head, f->next.at) > 0) {
        f->next = (weir_feed_pos){head, 0};
    }
}

void brg_fetch_tail(brg_fetch *f, const brg_tail *t)
{
    size_t i = brg_tail_find(t, f->next.at, f->next.part);
    for (;; i++) {
        brg_frame *fr = brg_tail_get(t, i);
        if (!fr) {
            brg_fetch_exhausted(f, brg_tail_head(t));
            return;
        }
        if (!brg_fetch_take(f, (weir_feed_pos){fr->at, fr->part}, fr->last, fr->end,
                            (weir_slice){fr->p, fr->n})) {
            return;
        }
        f->refs[f->n - 1] = brg_frame_ref(fr);
    }
}

void brg_fetch_release(brg_fetch *f)
{
    for (size_t i = 0; i < f->n; i++) {
        brg_frame_unref(f->refs[i]);
    }
    f->n = 0;
}
