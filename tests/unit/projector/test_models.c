/* test_models.c - what is told of the builds of a model. */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/map.h"
#include "projector/proj.h"

enum { BUILDS = 2 };

static const char *entry_of(const proj *p, char out[600])
{
    weir_buf b;
    weir_buf_init(&b, 10000);
    proj_model_json(p, "m", &b);
    (void)snprintf(out, 600, WEIR_SLICE_FMT, WEIR_SLICE_ARG(weir_buf_slice(&b)));
    weir_buf_fini(&b);
    return out;
}

/* A stalled build that serves says what is to take its place, or why nothing does. */
static void a_stalled_build_and_its_successor(void **state)
{
    (void)state;
    char text[600];
    char name[] = "m", key[] = "[\"id\"]", changed[] = "its tables changed",
         differs[] = "1 differs";
    proj_model old = {.generation = 3,
                      .phase = PROJ_STALLED,
                      .served = true,
                      .name = name,
                      .key_json = key,
                      .reason = changed};
    proj_model new = {.generation = 4, .phase = PROJ_BUILDING, .name = name, .key_json = key};
    proj_model *models[BUILDS] = {&old, &new};
    proj p = {.models = models, .nmodels = BUILDS, .redis_generations = weir_map_new()};
    assert_has(entry_of(&p, text),
               "\"reason\":\"its tables changed; a new version is being built\"");
    new.phase = PROJ_CHECKING;
    assert_has(entry_of(&p, text),
               "\"reason\":\"its tables changed; a new version is being built\"");
    new.phase = PROJ_REFUSED;
    new.reason = differs;
    assert_has(entry_of(&p, text), "\"state\":\"stalled\"");
    assert_has(entry_of(&p, text),
               "\"reason\":\"its tables changed; generation 4, which was to take its place, was "
               "refused: 1 differs\"");
    new.generation = 2; /* an older one is no successor */
    assert_has(entry_of(&p, text), "\"reason\":\"its tables changed\"}");
    p.nmodels = 1;
    assert_has(entry_of(&p, text), "\"reason\":\"its tables changed\"}");
    weir_map_free(p.redis_generations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stalled_build_and_its_successor),
    };
    return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
