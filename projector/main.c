/* main.c - weir-projector: wiring only. */
#include "libweir/base/log.h"
#include "libweir/base/service.h"
#include "projector/proj.h"

static void on_signal(void *arg)
{
    proj **p = arg;
    if (*p) {
        proj_stop(*p);
    }
}

int main(int argc, char **argv)
{
    weir_service_args args;
    if (!weir_service_init(&args, "weir-projector", "keeps read models in Redis up to date",
                           "app postgres redis bridge projector", argc, argv)) {
        return args.exit_code;
    }
    weir_error err = {0};
    weir_loop *loop = NULL;
    proj *p = NULL;
    weir_rc rc = weir_loop_new(&loop, &err);
    if (rc == WEIR_OK) {
        rc = weir_loop_signals(loop, on_signal, &p, &err);
    }
    if (rc == WEIR_OK) {
        rc = proj_open(&p, &args.settings, loop, &err);
    }
    if (rc == WEIR_OK) {
        WEIR_INFO("PROJ-LISTEN", "address=%s port=%lld", args.settings.projector_listen,
                  (long long)args.settings.projector_port);
        weir_loop_run(loop);
    } else {
        WEIR_ERROR("PROJ-START", "%s", err.msg);
    }
    if (rc != WEIR_OK &&
        loop) { /* what threads told meanwhile runs while it can, later is refused */
        weir_loop_stop(loop);
        weir_loop_run(loop);
    }
    bool failed = rc != WEIR_OK || (p && proj_failed(p));
    proj_close(p);
    weir_loop_free(loop);
    weir_arena_free(args.arena);
    return failed ? 1 : 0;
}
