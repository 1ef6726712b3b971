/* sched.c - what waits for a lane, and which of it a lane may take now. */
#include "write-service/sched.h"

#include <assert.h>
#include <stdlib.h>

#include "libweir/base/xalloc.h"

enum { FORGET_MS = 2000 }; /* a blocked key nobody asks for */

typedef struct blocked {
    wsvc_key key;
    int64_t until_ms, pause_ms;
    bool probing; /* one job is on its way to see */
} blocked;

typedef struct holding {
    size_t n;
    wsvc_key k[WSVC_GROUP_MAX * WSVC_KEYS_MAX];
} holding;

struct wsvc_sched {
    wsvc_sched_conf conf;
    wsvc_job *first, *last;
    size_t n;
    wsvc_keybag *held;   /* by lanes */
    wsvc_keybag *passed; /* by jobs passed over in one scan */
    size_t nblocked;
    blocked block[WSVC_BLOCKED_MAX];
    int64_t due_ms;      /* when to look again at what the last scan passed over; 0: never */
    bool left;           /* the last scan ended before it had seen everything */
    int64_t probe_at_ms; /* of the job judged BLOCKED last */
    holding lane[];
};

typedef enum verdict { FREE, BUSY, BLOCKED, EARLY } verdict;

wsvc_sched *wsvc_sched_new(const wsvc_sched_conf *conf)
{
    wsvc_sched *s = weir_xcalloc(1, sizeof *s + conf->lanes * sizeof s->lane[0]);
    s->conf = *conf;
    s->held = wsvc_keybag_new();
    s->passed = wsvc_keybag_new();
    return s;
}

void wsvc_sched_free(wsvc_sched *s)
{
    if (s) {
        wsvc_keybag_free(s->held);
        wsvc_keybag_free(s->passed);
        free(s);
    }
}

size_t wsvc_sched_waiting(const wsvc_sched *s)
{
    return s->n;
}

/* --- the list ------------------------------------------------------------------------------------
 */

static void insert_after(wsvc_sched *s, wsvc_job *at, wsvc_job *j)
{
    wsvc_job *next = at ? at->next : s->first;
    j->prev = at;
    j->next = next;
    *(at ? &at->next : &s->first) = j;
    *(next ? &next->prev : &s->last) = j;
    j->waits = true;
    s->n++;
}

static void unlink_job(wsvc_sched *s, wsvc_job *j)
{
    *(j->prev ? &j->prev->next : &s->first) = j->next;
    *(j->next ? &j->next->prev : &s->last) = j->prev;
    j->prev = j->next = NULL;
    j->waits = false;
    s->n--;
}

bool wsvc_sched_push(wsvc_sched *s, wsvc_job *j)
{
    if (s->n >= s->conf.waiting_max) {
        return false;
    }
    insert_after(s, s->last, j);
    return true;
}

void wsvc_sched_again(wsvc_sched *s, wsvc_job *j)
{
    /* It is older than nearly all that waits: looked for from the front. */
    wsvc_job *at = NULL;
    for (wsvc_job *w = s->first; w && w->arrived_us <= j->arrived_us; w = w->next) {
        at = w;
    }
    insert_after(s, at, j);
}

bool wsvc_sched_remove(wsvc_sched *s, wsvc_job *j)
{
    if (!j->waits) {
        return false;
    }
    unlink_job(s, j);
    return true;
}

wsvc_job *wsvc_sched_shift(wsvc_sched *s)
{
    wsvc_job *j = s->first;
    if (j) {
        unlink_job(s, j);
    }
    return j;
}

void wsvc_sched_each(wsvc_sched *s, void (*fn)(void *arg, wsvc_job *j), void *arg)
{
    for (wsvc_job *j = s->first; j; j = j->next) {
        fn(arg, j);
    }
}

/* --- blocked keys --------------------------------------------------------------------------------
 */

static bool meets(wsvc_key a, wsvc_key b)
{
    return a.domain == b.domain &&
           (a.value == b.value || a.value == WSVC_KEY_WHOLE || b.value == WSVC_KEY_WHOLE);
}

static blocked *find_block(wsvc_sched *s, wsvc_key k)
{
    for (size_t i = 0; i < s->nblocked; i++) {
        if (wsvc_key_same(s->block[i].key, k)) {
            return &s->block[i];
        }
    }
    return NULL;
}

void wsvc_sched_block(wsvc_sched *s, wsvc_key k, int64_t now_ms)
{
    blocked *b = find_block(s, k);
    if (b) {
        return; /* another of the same group said so already */
    }
    if (s->nblocked < WSVC_BLOCKED_MAX) {
        s->block[s->nblocked++] =
            (blocked){k, now_ms + WSVC_BLOCK_MIN_MS, WSVC_BLOCK_MIN_MS, false};
    }
}

void wsvc_sched_probed(wsvc_sched *s, wsvc_job *j, bool collided, int64_t now_ms)
{
    blocked *b = find_block(s, j->probe_key);
    j->probe = false;
    if (!b) {
        return;
    }
    if (!collided) {
        *b = s->block[--s->nblocked];
        return;
    }
    b->pause_ms = b->pause_ms * 2 > WSVC_BLOCK_MAX_MS ? WSVC_BLOCK_MAX_MS : b->pause_ms * 2;
    b->until_ms = now_ms + b->pause_ms;
    b->probing = false;
}

size_t wsvc_sched_blocked(const wsvc_sched *s)
{
    return s->nblocked;
}

/* NULL: free to go. *due: it is, but only to probe the returned key. Else probe_at_ms says when it
 * may be. */
static blocked *blocked_by(wsvc_sched *s, const wsvc_job *j, int64_t now_ms, bool *due)
{
    blocked *found = NULL;
    *due = true;
    for (size_t b = 0; b < s->nblocked && *due; b++) {
        for (size_t i = 0; i < j->keys.n; i++) {
            if (meets(j->keys.k[i], s->block[b].key)) {
                /* Two blocked keys at once: the first is looked at, then the second. */
                *due = !found && !s->block[b].probing && s->block[b].until_ms <= now_ms;
                found = &s->block[b];
                s->probe_at_ms = found->until_ms > now_ms ? found->until_ms : now_ms + 1;
                break;
            }
        }
    }
    return found;
}

/* --- taking --------------------------------------------------------------------------------------
 */

void wsvc_sched_release(wsvc_sched *s, size_t lane)
{
    holding *h = &s->lane[lane];
    for (size_t i = 0; i < h->n; i++) {
        wsvc_keybag_drop(s->held, h->k[i]);
    }
    h->n = 0;
}

static void hold(wsvc_sched *s, size_t lane, wsvc_job **jobs, size_t n)
{
    holding *h = &s->lane[lane];
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < jobs[i]->keys.n; k++) {
            h->k[h->n++] = jobs[i]->keys.k[k];
            wsvc_keybag_add(s->held, jobs[i]->keys.k[k]);
        }
    }
}

static verdict judge(wsvc_sched *s, wsvc_job *j, int64_t now_ms)
{
    bool due = false;
    blocked *b = s->nblocked ? blocked_by(s, j, now_ms, &due) : NULL;
    if (b && !due) {
        return BLOCKED;
    }
    if (j->not_before_ms > now_ms) {
        return EARLY;
    }
    if (wsvc_keybag_meets_any(s->held, &j->keys) || wsvc_keybag_meets_any(s->passed, &j->keys)) {
        return BUSY;
    }
    if (b) {
        b->probing = true;
        j->probe = true;
        j->probe_key = b->key;
    }
    return FREE;
}

static void pass_over(wsvc_sched *s, wsvc_job *j)
{
    j->deferred = true;
    for (size_t i = 0; i < j->keys.n; i++) {
        wsvc_keybag_add(s->passed, j->keys.k[i]);
    }
}

/* true: it goes to the lane, though only to be given up. */
static bool impatient(wsvc_sched *s, wsvc_job *j, int64_t now_ms)
{
    if (j->blocked_ms == 0) {
        j->blocked_ms = now_ms;
    }
    j->expired = now_ms - j->blocked_ms >= s->conf.patience_ms;
    return j->expired;
}

/* Remembers when what is passed over now is worth another look. */
static void look_again(wsvc_sched *s, int64_t at_ms)
{
    if (s->due_ms == 0 || at_ms < s->due_ms) {
        s->due_ms = at_ms;
    }
}

/* Nobody asked for these any more. */
static void forget_blocks(wsvc_sched *s, int64_t now_ms)
{
    for (size_t i = s->nblocked; i-- > 0;) {
        if (!s->block[i].probing && s->block[i].until_ms + FORGET_MS < now_ms) {
            s->block[i] = s->block[--s->nblocked];
        }
    }
}

size_t wsvc_sched_take(wsvc_sched *s, size_t lane, int64_t now_ms, size_t max, wsvc_job **jobs)
{
    assert(max <= WSVC_GROUP_MAX && lane < s->conf.lanes);
    wsvc_sched_release(s, lane);
    wsvc_keybag_clear(s->passed);
    s->due_ms = 0;
    forget_blocks(s, now_ms);
    size_t n = 0, seen = 0;
    bool alone = false;
    wsvc_job *next, *j = s->first;
    s->left = false;
    for (; j && n < max && !alone && seen < WSVC_SCAN_MAX; j = next) {
        next = j->next;
        seen++;
        if (j->alone && n > 0) {
            pass_over(s, j); /* the next turn begins with it */
            s->left = true;
            continue;
        }
        bool gone = atomic_load_explicit(&j->gone, memory_order_relaxed);
        verdict v = gone ? FREE : judge(s, j, now_ms); /* the lane drops who is gone */
        if (v == FREE || (v == BLOCKED && impatient(s, j, now_ms))) {
            unlink_job(s, j);
            jobs[n++] = j;
            alone = j->alone && v == FREE;
        } else if (v == BUSY) {
            pass_over(s, j);
        } else {
            look_again(s, v == EARLY ? j->not_before_ms : s->probe_at_ms);
        }
    }
    s->left |= j != NULL;
    hold(s, lane, jobs, n);
    return n;
}

bool wsvc_sched_left(const wsvc_sched *s)
{
    return s->left;
}

int64_t wsvc_sched_due_ms(const wsvc_sched *s, int64_t now_ms)
{
    if (s->n == 0 || s->due_ms == 0) {
        return -1;
    }
    return s->due_ms > now_ms ? s->due_ms - now_ms : 0;
}
