/* answer.c - jobs that came back from the lanes: answered, or sent to the serial lane. */
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
    weir_http_req *req = t->req;
    wsvc_outcome *out = &j->out;
    untrack(s, t);
    wsvc_registry_count(s->registry, t->command, out->status);
    weir_metric_observe_us(s->m_seconds, weir_mono_us() - j->arrived_us);
    if (j->correlation_id != j->id) { /* one of our own is the command_id in the body */
        weir_http_set_header(req, "X-Correlation-Id", j->correlation_id);
    }
    if (j->position[0]) {
        weir_http_set_header(req, "Weir-Position", j->position);
    }
    if (out->retry_after) {
        weir_http_set_header(req, "Retry-After", "1");
    }
    wsvc_outcome had = *out; /* the reply ends the request's arena, and the job with it */
    *out = (wsvc_outcome){0};
    if (had.status == 200 && had.text) {
        weir_http_reply(req, 200, "application/json", weir_slice_of(had.text, had.text_bytes));
    } else {
        weir_http_problem(req, had.status, had.type,
                          had.text ? had.text : "the error is too long to be told", had.members);
    }
    wsvc_outcome_fini(&had);
}

/* Its like goes to the serial lane too for a while: they will collide with it. */
static void on_collision(wsvc_service *s, wsvc_job *j)
{
    wsvc_ticket *t = j->ticket;
    int64_t now_ms = weir_mono_ms();
    if (!wsvc_heat_hot(&t->command->heat, now_ms)) {
        wsvc_heat_collided(&t->command->heat, now_ms);
        WEIR_INFO("WSVC-SERIAL", "command=%s collides with others, on the serial lane for ms=%lld",
                  j->call->name, (long long)t->command->heat.penalty_ms);
    }
    weir_metric_add(s->m_collisions, 1);
    j->bounced = false;
    j->serial = true;
    if (!wsvc_pool_submit(s->pool, j)) {
        wsvc_outcome_busy(&j->out, j->id,
                          "too many commands are waiting; the command was not executed");
        wsvc_answer(s, j);
    }
}

void wsvc_answer_list(void *service, wsvc_job *list)
{
    wsvc_service *s = service;
    wsvc_job *next;
    for (wsvc_job *j = list; j; j = next) {
        next = j->next;
        if (j->bounced) {
            on_collision(s, j);
        } else {
            wsvc_answer(s, j);
        }
    }
}
