/* proj.h - the projector as a whole: what its files share. One loop thread owns everything here;
 * the catalog thread (PostgreSQL, compiling) and the checkpoint thread (sync) only exchange
 * messages with it.
 *
 *   feed.c        fetch, ack, copy requests           bridge ── replies ──▶ queue of at most two
 *   step_*.c      one bounded piece of work each: one LMDB transaction in, one proj_out out
 *   sink.c        proj_out ── MULTI/EXEC ──▶ Redis; fencing; what Redis has when it comes back
 *   models.c      which builds of which models exist; deploys; readiness
 *   service.c     pump: which step is next
 *
 * Rules the steps keep:
 *  - documents are rendered only from a state that stands at a transaction boundary (open_lsn ==
 * 0);
 *  - a step that ends inside a transaction leaves its dirty keys and unfinished walks in the state,
 * committed with the rows;
 *  - the feed cursor in the state never lies behind an event whose effect is not in the same
 * commit;
 *  - position moves only when nothing dirty is left, in the last MULTI.
 */
#ifndef WEIR_PROJECTOR_PROJ_H
#define WEIR_PROJECTOR_PROJ_H

#include "libweir/base/backoff.h"
#include "libweir/base/metrics.h"
#include "libweir/base/settings.h"
#include "libweir/codec/message.h"
#include "libweir/io/health.h"
#include "libweir/io/loop.h"
#include "libweir/io/redis.h"
#include "libweir/io/sp_client.h"
#include "projector/engine/apply.h"
#include "projector/engine/render.h"
#include "projector/engine/walk.h"

typedef struct proj proj;

/* --- models
 * ------------------------------------------------------------------------------------------- */

typedef enum proj_phase {
    PROJ_BUILDING, /* tables are copied, indexes built, then one pass renders everything */
    PROJ_READY,
    PROJ_STALLED,  /* its tables no longer fit, or it does not compile: documents stay as they were
                    */
    PROJ_GONE,     /* replaced or removed: its documents are being deleted */
    PROJ_CHECKING, /* loaded and maintained, not served: being compared with PostgreSQL */
    PROJ_KEPT,     /* served until its successor was ready; maintained, for a way back */
    PROJ_REFUSED,  /* the comparison found differences: its documents go, its reason stays */
    PROJ_PHASES
} proj_phase;

/* One build of a model: a name and a generation. The state knows it by id. */
typedef struct proj_model {
    uint32_t id;
    uint32_t generation;
    uint64_t fingerprint;
    proj_phase phase;
    bool served;    /* was ready once: readers look at this generation */
    bool fresh_ids; /* scratch */
    char *name;
    char *source;   /* the file's text: an old build is compiled again after a restart */
    char *key_json; /* what follows "key": in its entry: ["id"],"types":["bigint"] */
    char *reason;   /* stalled; or NULL */
    uint64_t documents, parked;
    bool record_dirty; /* to be saved with the next commit */
    weir_arena *a;     /* plan and binding; NULL: not compiled since the start */
    const weir_plan *plan;
    weir_bound bound;
    bool passing; /* the pass over the root's rows runs: live changes are rendered as well */
    bool counted; /* pass_total is known */
    weir_key pass_at;
    uint64_t pass_done, pass_total;
    size_t pass_unit;  /* rows the next unit of the pass takes */
    int told_permille; /* progress last told to Redis */
    int64_t load_ms;   /* monotonic: when this process began with the pass, 0: not yet */
    int64_t load_took_ms, check_took_ms; /* in this process; 0: not known */
    uint64_t load_from;                  /* pass_done then */
    uint64_t order;                      /* weir.rebuild.id that asked for it; 0: a deploy */
    int64_t keep_ms;       /* what becomes of the one it replaces; PROJ_KEEP: until told */
    int64_t kept_until_ms; /* wall clock; PROJ_KEEP: until told */
    uint64_t
        held; /* serves after a rollback: the deployed fingerprint that is not built by itself */
    uint32_t check_every;            /* as projector.verify_every */
    uint64_t checked, check_differs; /* what the comparison found */
    char *verdict;   /* of a comparison that is over: "" good, else why not; or NULL */
    bool read_again; /* a crawl came through one of its tables while it was compared */
} proj_model;

enum { PROJ_KEEP = -1, PROJ_WHY_MAX = 2000 };

/* --- what goes to Redis
 * ------------------------------------------------------------------------------------ */

typedef struct proj_item {
    const proj_model *model; /* NULL: key is a whole Redis key (to be deleted) */
    size_t key_off, key_n;   /* in bytes */
    size_t doc_off, doc_n;
    bool del;
    bool tombstone; /* emit holds a tombstone that may go once Redis has this */
} proj_item;

/* One MULTI. */
typedef struct proj_out {
    weir_buf bytes;
    proj_item *items;
    size_t n, cap;
    bool has_position;
    uint64_t position;
    bool models_changed; /* write the whole models hash */
    bool full;           /* waits for the sink */
    int64_t commit_us;   /* of the newest transaction in it, wall clock; 0: none */
} proj_out;

/* --- feed
 * -------------------------------------------------------------------------------------------------
 */

enum { PROJ_REPLIES = 2 };
typedef struct proj_reply {
    weir_buf bytes;
    weir_arena *a;
    weir_feed_reply r;
} proj_reply;

typedef enum proj_feed_state { FEED_OFF, FEED_SUBSCRIBING, FEED_ON } proj_feed_state;

typedef struct proj_feed {
    weir_sp_client *client;
    proj_feed_state state;
    bool busy;          /* subscribe or fetch in flight */
    bool drop;          /* the state was discarded meanwhile: its reply is of no use */
    bool fresh;         /* no cursor yet: forget the old subscription, begin at the earliest */
    weir_feed_pos next; /* where the next fetch starts */
    proj_reply replies[PROJ_REPLIES];
    unsigned head_reply, nreplies;
    weir_buf request;
    weir_backoff backoff;
    weir_loop_timer *retry;
    weir_loop_timer *copy_timer;
    uint32_t known; /* highest relation version known */
    bool lapsed;
    uint64_t head_lsn; /* everything below has been delivered once next == head */
    bool caught_up;
    int64_t heard_ms;
} proj_feed;

/* --- sink
 * ---------------------------------------------------------------------------------------------------
 */

typedef enum proj_sink_state {
    SINK_AWAY,
    SINK_LOOKING, /* WATCH, MGET, HGETALL are on their way */
    SINK_IDLE,
    SINK_BUSY,    /* an EXEC is on its way */
    SINK_WAITING, /* EXEC failed; looks again after a moment */
    SINK_FENCED
} proj_sink_state;

typedef struct proj_sink {
    weir_redis *redis;
    proj_sink_state state;
    bool looked;       /* at least once since the start */
    bool claim;        /* the next MULTI writes epoch and models */
    uint64_t position; /* as Redis has it */
    bool has_position;
    uint64_t flying_position; /* of the EXEC on its way */
    bool flying_has_position;
    int64_t flying_commit_us;
    bool flying_failed;
    bool flying_models;   /* until EXEC says that it has them */
    bool flying_removals; /* deletes of keys that the state has forgotten */
    weir_loop_timer *again;
    weir_arena *a;
    weir_slice *argv;
    size_t argv_cap;
    weir_buf tombstones; /* emit keys of the EXEC on its way: u16 length, key */
    char refusal[200];   /* why Redis took no write; "" since it took one */
    uint64_t evicting;   /* keys that Redis evicted since its start, */
    uint64_t evicted;    /* and those that were made good */
} proj_sink;

/* --- catalog thread
 * ------------------------------------------------------------------------------------------ */

typedef struct proj_catalog proj_catalog;

/* One model as the catalog thread compiled it. */
typedef struct proj_compiled {
    char *name, *source;
    uint32_t build; /* 0: what is deployed; else for that build, from its own source */
    uint64_t fingerprint;
    weir_arena *a; /* holds plan; NULL: it does not compile */
    const weir_plan *plan;
    char *error;
} proj_compiled;

/* A row of weir.rebuild that is not done yet. */
typedef enum proj_action { PROJ_REBUILD, PROJ_ROLLBACK, PROJ_DROP_OLD } proj_action;
typedef struct proj_order {
    uint64_t id;
    char *model;
    proj_action action;
    int64_t keep_ms;
    uint32_t check_every;
} proj_order;

/* What became of an order: kept in the state until PostgreSQL has it. */
typedef struct proj_note {
    uint64_t id;
    uint32_t generation;
    const char *state; /* "building", "done", "refused" */
    char *text;
} proj_note;

typedef struct proj_deployed {
    int64_t revision; /* of the deploy, or one before the newest of these */
    size_t n;
    proj_compiled *m;
    size_t norders;
    proj_order *orders; /* by id */
    uint64_t newest_order;
} proj_deployed;

/* --- comparing before a switch
 * --------------------------------------------------------------------------------------- */

typedef struct proj_check proj_check;

/* --- the whole
 * -----------------------------------------------------------------------------------------------
 */

/* Grouped by what belongs together, not by size: there is one of it.
 * NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct proj {
    const weir_settings *settings;
    const char *ns;
    weir_loop *loop;
    weir_health *health;
    weir_http *http;
    weir_metrics *metrics;

    weir_state *st;
    weir_layout layout;
    bool layout_dirty;
    weir_apply ap;
    weir_dirty dirty;
    weir_walk walk;
    weir_render render;
    uint64_t next_task;
    uint64_t tasks;   /* in the state */
    uint64_t backlog; /* dirty keys in the state */

    weir_map *redis_generations; /* model name -> highest generation that Redis was seen with */
    weir_map *redis_serving;     /* model name -> generation its entry in Redis names */
    bool held_back;              /* a switch waits until Redis has every document again */
    proj_model **models;
    size_t nmodels;
    weir_buf removed;        /* names, u16 length each: entries of <ns>:models to be deleted */
    const weir_bound **live; /* bindings that the walk serves */
    size_t nlive;
    proj_deployed *deployed; /* arrived, not applied yet */
    int64_t revision;        /* of what is applied */
    bool catalog_known;
    proj_catalog *catalog;
    uint64_t order_done; /* orders up to here are taken over */
    bool has_order_done, order_done_dirty;
    proj_note *notes;
    size_t nnotes;
    bool notes_asked;
    proj_check *check;

    weir_feed_pos cursor; /* as in the state */
    bool has_cursor;
    uint64_t position;   /* last boundary whose documents are all on their way */
    uint64_t open_lsn;   /* commit LSN of a transaction that is partly in the state; 0: none */
    unsigned emit_ahead; /* 1 while a pass emits: above any position Redis can have, should it get
                            lost on the way */
    uint64_t epoch;
    bool epoch_claimed;
    uint64_t tomb_floor; /* tombstones up to here are gone */
    char *system_id;
    bool system_id_dirty;

    /* the reply being applied */
    size_t frame;
    bool in_frame;
    weir_frame_dec dec;
    weir_frame_head head;
    weir_arena *frame_a;
    weir_ev ev; /* a truncate that is not done */
    bool truncating;
    bool ranging;
    uint32_t trunc_rel;
    uint32_t fit_rel;         /* relation version last looked at, 0: none */
    bool refresh;             /* the catalog has to be read again */
    uint64_t asked, answered; /* readings of the catalog, numbered: equal when none is under way */
    int64_t commit_us;

    proj_feed feed;
    proj_sink sink;
    proj_out out;

    /* everything again after Redis lost something: emit above `from` */
    bool reemit, sweep_after;
    bool reemit_recent; /* from the index by position; else from the whole emit map */
    uint64_t reemit_from;
    uint64_t reemit_tombs; /* Redis has what is above this up to reemit_from: its tombstones go */
    weir_buf reemit_at;
    uint64_t reemit_looked; /* entries looked at */
    uint64_t reemit_of;     /* of so many; 0: not counted yet */
    weir_buf reemit_keys;   /* u16 length, key: where each of the loaded documents stands */
    uint64_t recent_floor;
    bool recent_floor_dirty;
    /* SCAN of Redis for keys that nobody knows */
    bool sweeping, sweep_waits;
    char sweep_cursor[32];
    weir_buf sweep_keys; /* u32 length, key */
    weir_loop_timer *sweep_timer;

    struct weir_lindex *building; /* index being built */
    weir_key build_at;
    bool gone_waits; /* the rate limit of deletions */
    weir_loop_timer *gone_timer;
    unsigned turn; /* live and background work take turns */

    struct weir_thread *checkpoint_thread;
    struct weir_queue *checkpoint_queue;
    bool checkpointing;
    bool changed; /* since the last checkpoint began */
    weir_feed_pos checkpoint_cursor;
    weir_loop_timer *checkpoint_timer;

    int64_t progress_ms; /* when a step last did something */
    bool pump_posted, stopping, failed;
    int stop_tries;
    weir_loop_timer *stop_timer;
    weir_loop_timer *slow_timer; /* once a second: conditions, gauges */
    unsigned slow_ticks;
    struct proj_numbers {
        weir_metric *rows, *transactions, *documents, *deletes, *unchanged, *parked, *execs, *bytes,
            *reemitted;
        weir_metric *position, *head, *lag_bytes, *backlog, *state_bytes, *visible, *steps;
    } num;
    int64_t lag_us; /* commit to confirmed, of the last transaction */
};

/* service.c */
WEIR_MUST_CHECK weir_rc proj_open(proj **out, const weir_settings *s, weir_loop *l,
                                  weir_error *err);
void proj_stop(proj *p); /* finishes, checkpoints, stops the loop */
void proj_close(proj *p);
void proj_pump_soon(proj *p);
/* The state cannot be used any more (full map, broken file): says so and stops the process with
 * exit code 1. */
void proj_fail(proj *p, const char *id, const weir_error *err);
bool proj_failed(const proj *p);

/* record.c: what the state keeps of the service itself */
/* Before the state is opened: removes one that an operating system's crash left untrustworthy. */
WEIR_MUST_CHECK weir_rc proj_record_prepare(const char *dir, weir_error *err);
WEIR_MUST_CHECK weir_rc proj_record_load(proj *p, weir_error *err);
WEIR_MUST_CHECK weir_rc
proj_record_save(proj *p, weir_error *err); /* in the open transaction: cursor, position, models… */
WEIR_MUST_CHECK weir_rc proj_record_discard(proj *p, const char *why, weir_error *err);
WEIR_MUST_CHECK weir_rc proj_record_mark(proj *p, bool clean, weir_error *err);
WEIR_MUST_CHECK weir_rc proj_record_gone(
    proj *p, const proj_model *m, weir_error *err); /* removes its record; open transaction */

/* emit.c */
void proj_out_reset(proj_out *o);
void proj_out_delete_key(proj_out *o, weir_slice redis_key);
/* Renders one document and puts what changed into out and the emit map; force: also when it did not
 * change. */
WEIR_MUST_CHECK weir_rc proj_emit(proj *p, proj_model *m, weir_slice key, bool force,
                                  weir_error *err);
proj_model *proj_model_of(proj *p, uint32_t id);
/* Is that document in Redis as far as we know? */
WEIR_MUST_CHECK weir_rc proj_emit_live(proj *p, uint32_t id, weir_slice key, bool *live,
                                       weir_error *err);

/* What the emit map says of a document. */
typedef struct proj_emit_value {
    uint64_t lsn;
    bool dead;        /* a tombstone */
    weir_slice whole; /* the document's key when that of the map had to be cut; within v */
} proj_emit_value;
proj_emit_value proj_emit_read(weir_slice v);

/* recent.c: emitted documents by position */
typedef struct proj_emitted {
    weir_slice skey;  /* key of the emit map, within the entry's */
    weir_slice whole; /* the document's key when skey had to be cut; valid until the next write */
    uint64_t lsn;
    bool current; /* the emit map has it at this very position */
    bool dead;    /* current, and a tombstone */
} proj_emitted;
weir_slice proj_recent_key(char buf[WEIR_IDKEY_MAX], uint64_t lsn, weir_slice skey);
WEIR_MUST_CHECK weir_rc proj_recent_add(proj *p, weir_slice skey, uint64_t lsn, weir_error *err);
void proj_recent_raise(proj *p, uint64_t lsn); /* emissions up to lsn need not be in it */
WEIR_MUST_CHECK weir_rc proj_recent_trim(proj *p, weir_error *err);
/* Is everything emitted above from in it? */
bool proj_recent_covers(const proj *p, uint64_t from);
WEIR_MUST_CHECK weir_rc proj_recent_look(proj *p, weir_slice key, proj_emitted *out,
                                         weir_error *err);

/* step_apply.c */
WEIR_MUST_CHECK weir_rc proj_step_apply(proj *p, weir_error *err);
/* step_drain.c */
WEIR_MUST_CHECK weir_rc proj_step_tasks(proj *p, weir_error *err);
WEIR_MUST_CHECK weir_rc proj_step_dirty(proj *p, weir_error *err);
WEIR_MUST_CHECK weir_rc proj_step_reemit(proj *p, weir_error *err);
WEIR_MUST_CHECK weir_rc proj_spill_dirty(proj *p, size_t from, weir_error *err);
/* Renders p->dirty until out is full or the step has taken its time; what is left goes to the
 * state. */
WEIR_MUST_CHECK weir_rc proj_render_dirty(proj *p, weir_error *err);
bool proj_out_is_full(const proj *p);
/* out goes to Redis; with the position when nothing is left to do for it. */
void proj_out_seal(proj *p);
/* The same at the end of a step that made documents, unless there are more to come and out has room
 * for them: readers see the whole of it at once. */
void proj_out_end_step(proj *p);
/* step_back.c: one unit of background work; *did when there was any. */
WEIR_MUST_CHECK weir_rc proj_step_background(proj *p, bool *did, weir_error *err);
void proj_sweep_start(proj *p);
void proj_sweep_take(proj *p, weir_slice redis_key);

/* models.c */
WEIR_MUST_CHECK weir_rc proj_models_apply(proj *p, proj_deployed *d, weir_error *err);
void proj_models_relive(proj *p);
proj_model *proj_model_serving(const proj *p, const char *name); /* READY, or STALLED and served */
void proj_model_set_phase(proj *p, proj_model *m, proj_phase phase, const char *reason);
/* Takes the compiled plan out of c, into a new build. */
WEIR_MUST_CHECK weir_rc proj_model_new(proj *p, proj_compiled *c, proj_model **out,
                                       weir_error *err);
proj_compiled *proj_deployed_of(proj_deployed *d, const char *name); /* NULL: not deployed */
/* Its documents can be made from the state. */
static inline bool proj_model_renders(const proj_model *m)
{
    return m->plan && (m->phase == PROJ_READY || m->phase == PROJ_BUILDING ||
                       m->phase == PROJ_CHECKING || m->phase == PROJ_KEPT);
}
/* Every one of its documents is there and follows the stream. */
static inline bool proj_model_follows(const proj_model *m)
{
    return proj_model_renders(m) && (m->phase != PROJ_BUILDING || m->passing);
}
/* Names whose entry in Redis has to go. */
void proj_models_removed(proj *p, weir_slice name);
void proj_models_stall(proj *p, const weir_misfit *what);
void proj_models_forget(proj *p, proj_model *m);
void proj_model_free(proj_model *m);
void proj_models_conditions(proj *p);
void proj_model_json(const proj *p, const char *name,
                     weir_buf *out); /* its entry in <ns>:models; empty: none */
const char *proj_phase_name(proj_phase phase);
int proj_model_permille(const proj *p, const proj_model *m);
/* Why it is in its state: of a stalled build also what is to take its place. "" when there is
 * nothing to say; borrowed from m or in buf. */
const char *proj_model_why(const proj *p, const proj_model *m, char *buf, size_t size);
void proj_redis_generation(proj *p, weir_slice name,
                           uint32_t generation); /* what Redis says is used */
uint32_t proj_next_generation(const proj *p, const char *name);

/* rebuild.c: from one generation to the next */
void proj_loaded(proj *p, proj_model *m); /* the pass is over: compare, or switch at once */
/* A comparison that is over, or a kept generation whose time has come; one at a time, at a boundary
 * with nothing dirty, in the open transaction. */
bool proj_rebuild_due(const proj *p);
WEIR_MUST_CHECK weir_rc proj_rebuild_step(proj *p, weir_error *err);
/* In the open transaction; before the deployed models are looked at. */
WEIR_MUST_CHECK weir_rc proj_orders_apply(proj *p, proj_deployed *d, weir_error *err);
bool proj_model_is_held(const proj *p, const char *name, uint64_t fingerprint);
/* A crawl came through the table: what was missing when builds over it were compared is there. */
void proj_table_read_again(proj *p, const weir_ltable *t);
/* Rows a second of the pass and seconds left; 0: not known. */
void proj_load_rate(const proj_model *m, double *rate, double *eta_s);

/* notes.c: what PostgreSQL is still to be told of orders */
WEIR_MUST_CHECK weir_rc proj_note_add(proj *p, uint64_t id, const char *state, uint32_t generation,
                                      const char *text, weir_error *err); /* open transaction */
WEIR_MUST_CHECK weir_rc proj_notes_load(proj *p, weir_error *err);
void proj_notes_confirmed(proj *p, size_t n, const proj_note *notes); /* own transaction */
void proj_notes_tick(proj *p);
void proj_notes_free(size_t n, proj_note *notes);
proj_note *proj_notes_copy(size_t n, const proj_note *notes);

/* evict.c: looks every few seconds whether Redis evicts */
void proj_evict_tick(proj *p);

/* check.c: the comparing thread */
WEIR_MUST_CHECK weir_rc proj_check_start(proj *p, weir_error *err);
void proj_check_stop(proj *p);
void proj_check_tick(proj *p);    /* hands over the next build that waits for it */
void proj_check_restart(proj *p); /* Redis lost something: what is compared now says nothing */
uint64_t proj_check_documents(const proj *p, const proj_model *m); /* compared so far */

/* catalog.c */
WEIR_MUST_CHECK weir_rc proj_catalog_start(proj *p, weir_error *err);
void proj_catalog_refresh(proj *p);
void proj_catalog_told(proj *p,
                       int64_t revision); /* a deploy message: refresh waits until it is visible */
void proj_catalog_told_order(proj *p, uint64_t id);
bool proj_catalog_notes(proj *p); /* hands p->notes over; false: later */
void proj_catalog_stop(proj *p);
void proj_deployed_free(proj_deployed *d);

/* feed.c */
WEIR_MUST_CHECK weir_rc proj_feed_start(proj *p, weir_error *err);
void proj_feed_stop(proj *p);
void proj_feed_begin(proj *p);   /* models are known: subscribe and fetch */
void proj_feed_restart(proj *p); /* the state was discarded */
proj_reply *proj_feed_peek(proj *p);
void proj_feed_pop(proj *p);
void proj_feed_ack(proj *p, weir_cursor at);

/* sink.c */
WEIR_MUST_CHECK weir_rc proj_sink_start(proj *p, weir_error *err);
void proj_sink_stop(proj *p);
bool proj_sink_idle(const proj *p);
void proj_sink_send(proj *p); /* p->out, which is empty afterwards */
/* Redis has that delete, or will with the EXEC on its way: its emit entry goes when Redis confirms
 * a position. */
void proj_sink_tombstone(proj *p, weir_slice emit_key);
void proj_sink_scan(proj *p);

/* checkpoint.c */
WEIR_MUST_CHECK weir_rc proj_checkpoint_start(proj *p, weir_error *err);
void proj_checkpoint_stop(proj *p);

/* status.c */
void proj_status_start(proj *p);
void proj_status_tick(proj *p);

#endif
