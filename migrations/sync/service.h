/* service.h - weir-sync as a process: flags, job, health endpoint, signals. */
#ifndef WEIR_MIGRATIONS_SYNC_SERVICE_H
#define WEIR_MIGRATIONS_SYNC_SERVICE_H

/* The exit code: 0 after SIGTERM, 1 a failure, 2 wrong usage. */
int sync_service_main(int argc, char **argv);

#endif
