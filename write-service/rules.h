/* rules.h - which rows a command locks, as far as its collisions have told: the fields of its body
 * that name them. Pure.
 *
 * When a command could not get a row in time, PostgreSQL says which row it was. Where the body has
 * a field with the value of one of that row's columns, the field is taken to name the row from then
 * on, for LIFE_MS; a row no field names is taken to be needed by every call of the command; and a
 * collision PostgreSQL says nothing about puts all calls of the command in order for a while.
 *
 * While nothing is known yet (a command's first calls, and those after what was known has run out)
 * it is watched: its groups wait for locks only as long as they must, so that the first collisions
 * teach. Otherwise two lanes that meet at a row would wait for each other in turns for a while, and
 * each group that has once waited leaves row versions with multixacts behind, which PostgreSQL
 * looks up again for every later visit of the row.
 */
#ifndef WEIR_WRITE_RULES_H
#define WEIR_WRITE_RULES_H

#include "libweir/base/slice.h"
#include "write-service/collision.h"
#include "write-service/heat.h"
#include "write-service/key.h"
#include "write-service/walk.h"

enum {
    WSVC_RULE_PATHS_MAX = 8,
    WSVC_RULES_LIFE_MS = 20000,
    WSVC_RULES_WATCH_MS = 1000,
    WSVC_RULES_SETTLE_MS = 20, /* groups that began before a lesson are over by then */
};

typedef struct wsvc_rule {
    char path[WSVC_PATH_BYTES];
    size_t path_n;
    uint64_t domain, column;
    int64_t until_ms; /* INT64_MAX: declared, stays */
} wsvc_rule;

typedef struct wsvc_rules { /* zeroed but for self: nothing known */
    uint64_t self;          /* the domain of the command itself */
    wsvc_rule path[WSVC_RULE_PATHS_MAX];
    size_t npaths;
    wsvc_keys always; /* rows and tables every call needs */
    int64_t always_until_ms;
    wsvc_heat whole;    /* all calls in order */
    int64_t learned_ms; /* the last new lesson; 0: none yet */
    int64_t watch_until_ms,
        watch_from_ms; /* from: the next time to begin, 0: with the first call */
} wsvc_rules;

/* A domain or key of its own for each. */
uint64_t wsvc_domain_of_command(weir_slice name);
wsvc_key wsvc_key_of_idempotency(weir_slice key);
/* Shared by all commands that have collided WSVC_QUARREL_TRIES times. Two that take the same rows
 * in opposite order, and only find out late, would otherwise both give way again and again. */
enum { WSVC_QUARREL_TRIES = 2 };
wsvc_key wsvc_key_of_quarrel(void);
void wsvc_rules_declare(wsvc_rules *r, weir_slice arg); /* empty: nothing is declared any more */

/* true when there is anything to look for in bodies. */
bool wsvc_rules_any(const wsvc_rules *r, int64_t now_ms);
void wsvc_rules_keys(const wsvc_rules *r, weir_slice body, int64_t now_ms, wsvc_keys *out);
/* Asked at each call: is the command watched? */
bool wsvc_rules_watched(wsvc_rules *r, int64_t now_ms);

typedef enum wsvc_lesson {
    WSVC_LESSON_NEW,      /* keys are to be computed anew: of this job, and of those like it */
    WSVC_LESSON_SETTLING, /* it was learned since the job got its keys, or the job held *key, but
                             one that began before may hold the row */
    WSVC_LESSON_KNOWN     /* the job held *key: who holds the row is not one of ours */
} wsvc_lesson;

/* collision: what the wrapper tells of one (collision.h), or NULL. had: what the job held. */
wsvc_lesson wsvc_rules_learn(wsvc_rules *r, weir_slice body, const wsvc_collision *collision,
                             const wsvc_keys *had, int64_t now_ms, wsvc_key *key);

#endif
