/* main.c - weir-bridge: the WAL of one database into a durable log, served as a feed. */
#include "bridge/bridge.h"
#include "libweir/base/log.h"
#include "libweir/base/service.h"

int main(int argc, char **argv)
{
    weir_service_args args;
    weir_error err = {.code = WEIR_OK};
    if (!weir_service_init(&args, "bridge",
                           "Turns the WAL into a durable log and serves it as a feed.",
                           "app postgres bridge", argc, argv)) {
        return args.exit_code;
    }
    weir_rc rc = brg_bridge_run(&args.settings, &err);
    if (rc != WEIR_OK) {
        WEIR_ERROR("BRG-FATAL", "%s", err.msg);
    }
    weir_arena_free(args.arena);
    return rc == WEIR_OK ? 0 : 1;
}
