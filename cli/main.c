/* main.c - weir: the command line. */
#include "cli/app.h"
#include "cli/command.h"

int main(int argc, char **argv)
{
    int rc = cli_main(argc, argv);
    cli_app_leave();
    return rc;
}
