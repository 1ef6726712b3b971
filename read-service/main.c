/* main.c - weir-read: wiring only. */
#include "libweir/base/log.h"
#include "libweir/base/service.h"
#include "read-service/service.h"

static void on_signal(void *service)
{
    rsvc_service **s = service;
    WEIR_INFO("RSVC-STOP", "stopping");
    if (*s) {
        rsvc_service_stop(*s);
    }
}

static void on_reload(void *service)
{
    rsvc_service **s = service;
    if (*s) {
        rsvc_service_reload(*s);
    }
}

int main(int argc, char **argv)
{
    weir_service_args args;
    if (!weir_service_init(&args, "weir-read", "answers queries from the read models in Redis",
                           "app redis read auth tls", argc, argv)) {
        return args.exit_code;
    }
    weir_error err = {0};
    weir_loop *loop = NULL;
    rsvc_service *service = NULL;
    weir_rc rc = weir_loop_new(&loop, &err);
    if (rc == WEIR_OK) {
        rc = weir_loop_signals(loop, on_signal, &service, &err);
    }
    if (rc == WEIR_OK) {
        rc = weir_loop_on_hangup(loop, on_reload, &service, &err);
    }
    if (rc == WEIR_OK) {
        rc = rsvc_service_open(&service, &args.settings, loop, &err);
    }
    if (rc != WEIR_OK) {
        WEIR_ERROR("RSVC-START", "%s", err.msg);
    } else {
        WEIR_INFO("RSVC-LISTEN", "address=%s port=%d threads=%u", args.settings.read_listen,
                  rsvc_service_port(service), rsvc_service_threads(service));
        if (args.settings.read_nng[0]) {
            WEIR_INFO("RSVC-LISTEN", "nng=%s", args.settings.read_nng);
        }
        weir_loop_run(loop);
        rsvc_service_close(service);
    }
    weir_loop_free(loop);
    weir_arena_free(args.arena);
    return rc == WEIR_OK ? 0 : 1;
}
