/* main.c - weir-sync: the flows of one SYNC.ini; started by `weir sync`. */
#include <signal.h>
#include <stdio.h>

#include "libweir/base/log.h"
#include "migrations/sync/service.h"

int main(int argc, char **argv)
{
    weir_log_init("sync");
    (void)signal(SIGPIPE, SIG_IGN);
    return sync_service_main(argc, argv);
}
