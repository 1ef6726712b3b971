/* broken_walk.c - the projector with its walk broken to new images only: what the oracle must be
 * able to catch. */
#include "projector/engine/walk.h"

int weir_projector_main(int argc, char **argv);

#define main weir_projector_main
#include "projector/main.c"
#undef main

int main(int argc, char **argv)
{
    weir_walk_set_broken(true);
    return weir_projector_main(argc, argv);
}
