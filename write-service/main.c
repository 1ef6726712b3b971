/* main.c - weir-write: wiring only. */
#include <unistd.h>

#include "libweir/base/log.h"
#include "libweir/base/service.h"
#include "write-service/service.h"

static void on_signal(void *service)
{
    wsvc_service **s = service;
    if (*s) {
        wsvc_service_stop(*s);
    }
}

static void on_reload(void *service)
{
    wsvc_service **s = service;
    if (*s) {
        wsvc_service_reload(*s);
    }
}

int main(int argc, char **argv)
{
    weir_service_args args;
    if (!weir_service_init(&args, "weir-write", "executes commands as PostgreSQL transactions",
                           "app postgres write auth tls", argc, argv)) {
        return args.exit_code;
    }
    weir_error err = {0};
    weir_loop *loop = NULL;
    wsvc_service *service = NULL;
    weir_rc rc = weir_loop_new(&loop, &err);
    if (rc == WEIR_OK) {
        rc = weir_loop_signals(loop, on_signal, &service, &err);
    }
    if (rc == WEIR_OK) {
        rc = weir_loop_on_hangup(loop, on_reload, &service, &err);
    }
    if (rc == WEIR_OK) {
        rc = wsvc_service_open(&service, &args.settings, loop, &err);
    }
    if (rc != WEIR_OK) {
        WEIR_ERROR("WSVC-START", "%s", err.msg);
    } else {
        WEIR_INFO("WSVC-LISTEN", "address=%s port=%d", args.settings.write_listen,
                  wsvc_service_port(service));
        if (args.settings.write_nng[0]) {
            WEIR_INFO("WSVC-LISTEN", "nng=%s", args.settings.write_nng);
        }
        weir_loop_run(loop);
        if (!wsvc_service_close(service)) {
            WEIR_WARN("WSVC-STOP-HANG",
                      "a thread hangs in a call to PostgreSQL; leaving without it");
            _exit(0);
        }
    }
    weir_loop_free(loop);
    weir_arena_free(args.arena);
    return rc == WEIR_OK ? 0 : 1;
}
