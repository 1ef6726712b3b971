/* answer.c - jobs that came back from the lanes: answered, or to wait again after a collision. */
#include <stdio.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "write-service/service_priv.h"

void wsvc_refuse(wsvc_service *s, weir_http_req *req, int status, const char *detail)
{
    static const int known[] = {400, 404, 405, 415, 503, 0};
    static const char *const labels[] = {"status=\"400\"", "status=\"404\"", "status=\"405\"",
                                         "status=\"415\"", "status=\"503\"", "status=\"0\""};
    size_t k = 0;
    while (known[k] != 0 && known[k] != status) {
        k++;
    }
    if (!s->m_refused[k]) {
        s->m_refused[k] = weir_counter(
            s->metrics, "weir_write_refused_total",
            "Requests refused before they became a command; status 0: any other.", labels[k]);
    }
    weir_metric_add(s->m_refused[k], 1);
    weir_http_problem(req, status, NULL, detail, NULL);
}

static void untrack(wsvc_service *s, wsvc_ticket *t)
{
    *(t->prev ? &t->prev->next : &s->oldest) = t->next;
    *(t->next ? &t->next->prev : &s->newest) = t->prev;
}

void wsvc_answer(wsvc_service *s, wsvc_job *j)
{
    wsvc_ticket *t = j->ticket;
    if (t->tracked) {
        untrack(s, t);
    }
    if (t->finish) {
        t->finish(s, t);
        return;
    }
    weir_http_req *req = t->req;
    weir_metric_add(s->m_deferred, j->deferred);
    wsvc_registry_count(s->registry, t->command, j->out.status);
    weir_metric_observe_us(s->m_seconds, weir_mono_us() - j->arrived_us);
    if (j->correlation_id != j->id) { /* one of our own is the command_id in the body */
        weir_http_set_header(req, "X-Correlation-Id", j->correlation_id);
    }
    if (j->position[0]) {
        weir_http_set_header(req, "Weir-Position", j->position);
    }
    wsvc_reply(req, &j->out);
}

void wsvc_reply(weir_http_req *req, wsvc_outcome *out)
{
    wsvc_outcome had = *out; /* the reply ends the request's arena, and perhaps out with it */
    char path[64];
    *out = (wsvc_outcome){0};
    if (had.replayed) {
        weir_http_set_header(req, "Idempotency-Replayed", "true");
    }
    if (had.retry_after) {
        weir_http_set_header(req, "Retry-After", "1");
    }
    if (had.stored_id[0]) {
        (void)snprintf(path, sizeof path, "/commands/%s", had.stored_id);
        weir_http_set_header(req, "Location", path);
    }
    if (had.status < 300 && had.text) {
        weir_http_reply(req, had.status, "application/json",
                        weir_slice_of(had.text, had.text_bytes));
    } else {
        weir_http_problem(req, had.status < 300 ? 500 : had.status, had.type,
                          had.text ? had.text : "the answer is too long to be told", had.members);
    }
    wsvc_outcome_fini(&had);
}

/* A first collision without a word of which row says little: the row may just have been changed. */
enum { VAGUE_TRIES = 2, AGAIN_BASE_MS = 2, AGAIN_MAX_MS = 100 };

typedef struct like {
    const wsvc_command *command;
    int64_t now_ms;
} like;

static void compute_keys(void *arg, wsvc_job *j)
{
    const like *l = arg;
    const wsvc_ticket *t = j->ticket;
    if (t->command == l->command) {
        wsvc_rules_keys(&l->command->rules, j->body, l->now_ms, &j->keys);
        if (j->has_key) {
            wsvc_keys_add(&j->keys, j->idempotency_key);
        }
        if (j->tries >= WSVC_QUARREL_TRIES) {
            wsvc_keys_add(&j->keys, wsvc_key_of_quarrel());
        }
    }
}

static int64_t again_after_ms(const wsvc_job *j)
{
    int64_t ms = AGAIN_BASE_MS;
    for (int i = 1; i < j->tries && ms < AGAIN_MAX_MS; i++) {
        ms *= 2;
    }
    return ms;
}

/* Once for a while: what is kept in order from now on, and by what. */
static void tell(const wsvc_command *c, const wsvc_collision *collision)
{
    const wsvc_rules *r = &c->rules;
    if (r->npaths > 0 && collision) {
        const wsvc_rule *u = &r->path[r->npaths - 1];
        WEIR_INFO("WSVC-CONTENDED", "command=%s kept in order by field=%.*s", c->call.name,
                  (int)u->path_n, u->path);
    } else {
        WEIR_INFO("WSVC-CONTENDED", "command=%s all of its calls are kept in order", c->call.name);
    }
}

/* What it teaches: which rows it and its like need, or that a stranger holds one of them. */
static void on_collision(wsvc_service *s, wsvc_job *j)
{
    wsvc_ticket *t = j->ticket;
    wsvc_rules *rules = &t->command->rules;
    like all = {t->command, weir_mono_ms()};
    wsvc_key key, *block = NULL;
    bool lock = strcmp(j->out.sqlstate, "55P03") == 0;
    /* So short a wait may have been for something else than a row. */
    int tries = j->watched ? VAGUE_TRIES + 1 : VAGUE_TRIES;
    bool vague = !j->out.collision && (lock ? j->tries < tries : !j->serializable);
    j->watched = j->watched && !vague;
    if (!vague) {
        wsvc_collision *had = wsvc_collision_new(j->out.collision);
        wsvc_lesson lesson = wsvc_rules_learn(rules, j->body, had, &j->keys, all.now_ms, &key);
        if (lesson == WSVC_LESSON_NEW) {
            tell(t->command, had);
            wsvc_pool_each(s->pool, compute_keys, &all);
        } else if (lesson == WSVC_LESSON_KNOWN && lock) {
            block = &key;
        }
        if (had) { /* groups that waited for the row have left versions that are dear to pass */
            wsvc_watch_tidy(s->watch, had->table);
        }
        wsvc_collision_free(had);
    }
    compute_keys(&all, j);
    if (!block && !(lock && j->tries < VAGUE_TRIES)) {
        j->not_before_ms = all.now_ms + again_after_ms(j);
    }
    weir_metric_add(s->m_collisions, 1);
    wsvc_outcome_fini(&j->out);
    j->collided = false;
    wsvc_pool_again(s->pool, j, block);
}

void wsvc_answer_list(void *service, wsvc_job *list)
{
    wsvc_service *s = service;
    wsvc_job *next;
    for (wsvc_job *j = list; j; j = next) {
        next = j->next;
        if (j->collided) {
            on_collision(s, j);
        } else {
            if (j->probe) {
                wsvc_pool_probed(s->pool, j);
            }
            wsvc_answer(s, j);
        }
    }
}
