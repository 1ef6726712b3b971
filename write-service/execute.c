/* execute.c - a lane's jobs through PostgreSQL: in groups, alone, again, and settled after a lost
 * connection. */
#include <stdio.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "write-service/group.h"
#include "write-service/lane.h"

enum {
    RUN_BYTES_MAX = 4 << 20, /* of bodies in one transaction */
    ANSWER_SLACK_MS = 3000,  /* beyond the statement timeout */
    SETTLE_MAX_MS = 10000,   /* how long a client in doubt waits for the truth */
    SETTLE_PAUSE_MS = 50,
    LEFT_TOLD_MS = 60000,
    SLOW_MS = 10000,   /* so long commands are taken to be slow ones */
    PATIENT_TRIES = 3, /* then a command alone waits longer for a lock */
};

static void finish(wsvc_lane *l, wsvc_job *j)
{
    wsvc_job_list_add(&l->done, j);
}

static void finish_busy(wsvc_lane *l, wsvc_job *j, const char *detail)
{
    wsvc_outcome_fini(&j->out);
    wsvc_outcome_busy(&j->out, j->id, detail);
    finish(l, j);
}

static void count_retry(wsvc_lane *l)
{
    atomic_fetch_add_explicit(&l->retried, 1, memory_order_relaxed);
    weir_metric_add(l->m_retried, 1);
}

static void count_run(wsvc_lane *l, size_t n, int64_t us)
{
    static const size_t up_to[] = {1, 4, 16, 32, WSVC_GROUP_MAX};
    size_t k = 0;
    while (k < 4 && n > up_to[k]) {
        k++;
    }
    weir_metric_add(l->pool->m_size[k], 1);
    weir_metric_observe_us(l->pool->m_exec, us);
    weir_metric_add(l->m_groups, 1);
    weir_metric_add(l->m_executed, (int64_t)n);
    atomic_fetch_add_explicit(&l->groups, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->executed, (int64_t)n, memory_order_relaxed);
}

/* Only an outcome of its own is answered; the rest goes where the decision says. Returns true when
 * j must run alone now. */
static bool decided(wsvc_lane *l, wsvc_job *j, const char *sqlstate, bool own)
{
    wsvc_retry_in in = {sqlstate, own, j->tries, (weir_mono_us() - j->arrived_us) / 1000,
                        l->conf.statement_timeout_ms};
    wsvc_next next = wsvc_retry_after_error(&in);
    if (next == WSVC_NEXT_ANSWER || next == WSVC_NEXT_BUSY) {
        finish(l, j); /* when tried too often, its last error is a 503 by the table */
        return false;
    }
    count_retry(l);
    if (next == WSVC_NEXT_WAIT) {
        j->collided = true;
        finish(l, j);
        return false;
    }
    wsvc_outcome_fini(&j->out);
    j->alone = true;
    return true;
}

/* The wrapper's word of a committed transaction. true: j must run alone now. */
static bool answer_committed(wsvc_lane *l, wsvc_job *j, weir_slice reply, const char *position)
{
    (void)snprintf(j->position, sizeof j->position, "%s", position);
    wsvc_outcome_reply(&j->out, j->id, reply, position);
    if (j->out.status < 300) {
        finish(l, j);
        return false;
    }
    char state[6];
    (void)snprintf(state, sizeof state, "%s", j->out.sqlstate);
    return decided(l, j, state, true);
}

/* Its transaction committed, its wrapper's word was lost. */
static void answer_result_lost(wsvc_lane *l, wsvc_job *j, const char *position)
{
    char members[128];
    (void)snprintf(members, sizeof members, "\"committed\":true,\"position\":\"%s\"", position);
    weir_metric_add(l->pool->m_unknown, 1);
    wsvc_outcome_problem(&j->out, j->id, 503, WSVC_TYPE_UNKNOWN,
                         "the connection to PostgreSQL was lost; the transaction committed, but "
                         "the command's result was lost",
                         members);
    j->out.retry_after = false; /* a repetition could do it twice */
    finish(l, j);
}

static void answer_unknown(wsvc_lane *l, wsvc_job *j)
{
    weir_metric_add(l->pool->m_unknown, 1);
    wsvc_outcome_problem(
        &j->out, j->id, 503, WSVC_TYPE_UNKNOWN,
        "the connection to PostgreSQL was lost while the command committed; look whether it was "
        "executed before you send it again",
        "\"committed\":null");
    j->out.retry_after = false;
    finish(l, j);
}

static void txn_init(wsvc_txn *t, wsvc_lane *l, wsvc_job **jobs, size_t n)
{
    memset(t, 0, sizeof *t);
    weir_arena_reset(l->arena);
    t->conn = &l->conn;
    t->jobs = jobs;
    t->n = n;
    t->singly = weir_mono_ms() < l->slow_until_ms;
    t->serializable = n == 1 && jobs[0]->serializable;
    /* One that only looks whether a row is free must not hold others meanwhile. */
    t->patient = n == 1 && !jobs[0]->probe && jobs[0]->tries >= PATIENT_TRIES;
    for (size_t i = 0; i < n && !t->patient; i++) {
        t->watched = t->watched || jobs[i]->watched;
    }
    t->answer_max_ms = l->conf.statement_timeout_ms + ANSWER_SLACK_MS;
    t->abandon = &l->pool->abandon;
    t->arena = l->arena;
}

/* After a loss: what became of it? Reconnects on the way where it can. */
static wsvc_fate settle(wsvc_lane *l, wsvc_txn *t, const wsvc_history *before)
{
    if (t->sure_not_run) {
        return WSVC_FATE_NOT_RUN;
    }
    int64_t until = weir_mono_ms() + SETTLE_MAX_MS;
    wsvc_fate fate = WSVC_FATE_WAIT;
    while (fate == WSVC_FATE_WAIT) {
        weir_error err = {0};
        if ((l->conn.pg || wsvc_lane_connect(l)) &&
            wsvc_conn_ask(&l->conn, t->xid, before, &fate, t->position, &err) != WEIR_OK) {
            wsvc_lane_disconnect(l);
            fate = WSVC_FATE_WAIT;
        }
        if (fate == WSVC_FATE_WAIT &&
            (weir_mono_ms() >= until || !wsvc_lane_pause(l, SETTLE_PAUSE_MS))) {
            return WSVC_FATE_UNKNOWN;
        }
    }
    return fate;
}

/* What a lost transaction means for one of its jobs. true: it must run alone now. */
static bool after_loss(wsvc_lane *l, wsvc_txn *t, size_t i, wsvc_fate fate)
{
    wsvc_job *j = t->jobs[i];
    if (fate == WSVC_FATE_COMMITTED && i < t->got) {
        return answer_committed(l, j, wsvc_txn_word(t, i), t->position);
    }
    if (fate == WSVC_FATE_COMMITTED) {
        answer_result_lost(l, j, t->position);
        return false;
    }
    if (fate != WSVC_FATE_NOT_RUN) {
        answer_unknown(l, j);
        return false;
    }
    j->lost++;
    if (wsvc_retry_after_loss(j->lost) == WSVC_NEXT_BUSY || atomic_load(&l->pool->abandon)) {
        finish_busy(l, j, "the connection to PostgreSQL was lost; the command was not executed");
        return false;
    }
    count_retry(l);
    j->alone = true;
    return true;
}

static void log_loss(const wsvc_txn *t, wsvc_fate fate)
{
    static const char *const names[] = {"not run", "committed", "in progress", "unknown"};
    WEIR_WARN("WSVC-LOST", "a transaction of %zu commands lost its connection, outcome: %s: %s",
              t->n, names[fate], t->err.msg);
}

/* The transaction was rolled back. true: jobs[i] must run alone now. */
static bool after_rollback(wsvc_lane *l, const wsvc_txn *t, wsvc_job *j)
{
    bool own = t->own || t->n == 1;
    if (own && strcmp(t->err.sqlstate, "42883") ==
                   0) { /* what the function itself does ends in its wrapper */
        finish_busy(l, j,
                    "the command's wrapper is not there; the command was removed, or `weir deploy` "
                    "must run again");
        return false;
    }
    wsvc_outcome_failure(&j->out, j->id, &t->texts);
    return decided(l, j, t->err.sqlstate, own);
}

/* Many commands in one statement have its timeout together. So when commands here take so long that
 * a full group would come near it, each gets a statement of its own for a while. */
static void watch_pace(wsvc_lane *l, size_t n, int64_t took_us)
{
    int64_t full_ms = took_us / (int64_t)n * (int64_t)l->pool->conf.group_max / 1000;
    if (full_ms > l->conf.statement_timeout_ms / 4) {
        l->slow_until_ms = weir_mono_ms() + SLOW_MS;
    }
}

/* What a command left in the session must not reach the next one's: it goes with the connection. */
static void begin_anew(wsvc_lane *l, const wsvc_txn *t, const char *first)
{
    int64_t now_ms = weir_mono_ms();
    weir_metric_add(l->pool->m_left, 1);
    if (l->left_ms == 0 || now_ms - l->left_ms >= LEFT_TOLD_MS) {
        l->left_ms = now_ms;
        WEIR_WARN(
            "WSVC-LEFT",
            "commands=%zu first=%s left behind in the session: %s; the connection is made anew",
            t->n, first, t->left);
    }
    wsvc_lane_renew(l);
}

/* Behind a commit whose clients have been answered: makes the connection fit for the next one. */
static void after_commit(wsvc_lane *l, wsvc_txn *t, const char *first)
{
    if (!wsvc_txn_rest(t)) {
        weir_metric_add(l->pool->m_lost, 1);
        wsvc_lane_disconnect(l);
        log_loss(t, WSVC_FATE_COMMITTED);
    } else if (t->left[0]) {
        begin_anew(l, t, first);
    }
}

/* Runs jobs in one transaction; fills again with those that must run alone now. Returns how many.
 */
static size_t run_txn(wsvc_lane *l, wsvc_job **jobs, size_t n, wsvc_job **again)
{
    size_t k = 0;
    wsvc_txn t;
    txn_init(&t, l, jobs, n);
    int64_t start_us = weir_mono_us();
    wsvc_history before = l->conn.history;
    const char *first = jobs[0]->call->name; /* they may be gone when it is asked for */
    wsvc_txn_end end = wsvc_txn_run(&t);
    count_run(l, n, weir_mono_us() - start_us);
    watch_pace(l, n, t.wrappers_us);
    wsvc_fate fate = WSVC_FATE_COMMITTED;
    if (end == WSVC_TXN_ROLLED_BACK && t.left[0]) {
        begin_anew(l, &t, first);
    }
    if (end == WSVC_TXN_LOST) {
        weir_metric_add(l->pool->m_lost, 1);
        wsvc_lane_disconnect(l);
        fate = settle(l, &t, &before);
        log_loss(&t, fate);
    } else if (end == WSVC_TXN_COMMITTED && !l->conn.async_commit) {
        memcpy(l->conn.history.floor_lsn, t.position, sizeof t.position);
    }
    for (size_t i = 0; i < n; i++) {
        bool more;
        if (end == WSVC_TXN_LOST) {
            more = after_loss(l, &t, i, fate);
        } else if (end == WSVC_TXN_COMMITTED) {
            more = answer_committed(l, jobs[i], wsvc_txn_word(&t, i), t.position);
        } else {
            more = after_rollback(l, &t, jobs[i]);
        }
        if (more) {
            again[k++] = jobs[i];
        }
    }
    if (end == WSVC_TXN_ROLLED_BACK && n > 1) {
        WEIR_DEBUG("WSVC-GROUP-FAILED", "commands=%zu sqlstate=%s", n, t.err.sqlstate);
    }
    if (end == WSVC_TXN_COMMITTED) {
        wsvc_lane_post(l);
        after_commit(l, &t, first);
    }
    wsvc_txn_fini(&t);
    return k;
}

static bool ready(wsvc_lane *l)
{
    return l->conn.pg || wsvc_lane_connect(l);
}

static void run_alone(wsvc_lane *l, wsvc_job *j)
{
    wsvc_job *again[1];
    do {
        if (atomic_load(&l->pool->abandon)) {
            finish_busy(l, j, "the service is stopping; the command was not executed");
            return;
        }
        if (!ready(l)) {
            finish_busy(l, j, "PostgreSQL is away; the command was not executed");
            return;
        }
    } while (run_txn(l, &j, 1, again) > 0);
}

static void run_group(wsvc_lane *l, wsvc_job **jobs, size_t n)
{
    wsvc_job *again[WSVC_GROUP_MAX];
    if (!ready(l)) {
        for (size_t i = 0; i < n; i++) {
            finish_busy(l, jobs[i], "PostgreSQL is away; the command was not executed");
        }
        return;
    }
    size_t k = run_txn(l, jobs, n, again);
    wsvc_lane_post(l); /* the rest may take its time */
    for (size_t i = 0; i < k; i++) {
        run_alone(l, again[i]);
        wsvc_lane_post(l);
    }
}

/* Whose client has gone before anything began is not executed, nor who waited too long. */
static size_t drop_some(wsvc_lane *l, wsvc_job **jobs, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (atomic_load_explicit(&jobs[i]->gone, memory_order_relaxed)) {
            jobs[i]->dropped = true;
            weir_metric_add(l->pool->m_dropped, 1);
            finish_busy(l, jobs[i], "the client went away; the command was not executed");
        } else if (jobs[i]->expired) {
            finish_busy(l, jobs[i],
                        "another session holds what the command needs for too long; the command "
                        "was not executed");
        } else {
            jobs[kept++] = jobs[i];
        }
    }
    return kept;
}

void wsvc_lane_execute(wsvc_lane *l, wsvc_job **jobs, size_t n)
{
    wsvc_run runs[WSVC_GROUP_MAX];
    n = drop_some(l, jobs, n);
    size_t k = wsvc_group_plan(jobs, n, l->pool->conf.group_max, RUN_BYTES_MAX, runs);
    for (size_t i = 0; i < k; i++) {
        if (runs[i].alone) {
            run_alone(l, jobs[runs[i].first]);
        } else {
            run_group(l, jobs + runs[i].first, runs[i].n);
        }
        wsvc_lane_post(l);
    }
}
