/* retain.c - the retention decision. */
#include "bridge/retain.h"

void brg_ages_add(brg_ages *a, int64_t now_ms, int64_t keep_ms, weir_cursor head)
{
    if (a->n && now_ms - a->s[a->n - 1].ms < keep_ms / 256) {
        return;
    }
    /* Of those that are old enough only the newest says anything. */
    size_t old = 0;
    while (old + 1 < a->n && a->s[old + 1].ms <= now_ms - keep_ms) {
        old++;
    }
    if (a->n == BRG_SAMPLES && old == 0) {
        old = 1; /* keep_ms shrank under way: bounded all the same */
    }
    a->n -= old;
    memmove(a->s, a->s + old, a->n * sizeof a->s[0]);
    a->s[a->n].ms = now_ms;
    a->s[a->n++].head = head;
}

weir_cursor brg_ages_cut(const brg_ages *a, int64_t now_ms, int64_t keep_ms)
{
    weir_cursor cut = {0, 0};
    for (size_t i = 0; i < a->n && a->s[i].ms <= now_ms - keep_ms; i++) {
        cut = a->s[i].head;
    }
    return cut;
}

static weir_cursor lower(weir_cursor a, weir_cursor b)
{
    return weir_cursor_cmp(a, b) < 0 ? a : b;
}

void brg_retain_decide(const brg_retain_in *in, brg_retain_out *out)
{
    *out = (brg_retain_out){.over = in->used_bytes > in->max_bytes};
    weir_cursor acked = in->end;
    for (size_t i = 0; i < in->n; i++) {
        if (i == 0 || weir_cursor_cmp(in->subs[i], in->subs[out->slowest]) < 0) {
            out->slowest = i;
        }
        acked = lower(acked, in->subs[i]);
    }
    /* Over the cap age no longer protects; what all have is let go first, and only then is somebody
     * given up. */
    out->cut = out->over ? acked : lower(acked, in->old_enough);
    out->lapse = out->over && in->n > 0 && weir_cursor_cmp(acked, in->first) <= 0 &&
                 weir_cursor_cmp(acked, in->end) < 0;
}
