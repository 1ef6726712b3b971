/* notes.c - what PostgreSQL is still to be told of orders: committed with what was done, kept until
 * the catalog thread has written it to weir.rebuild. Telling it twice changes nothing.
 *
 *   note\0id:u64    generation:u32 state:u8 text
 */
#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/rd.h"
#include "libweir/base/xalloc.h"
#include "projector/proj.h"

enum { KEY = 13 };

static const char *const states[] = {"building", "done", "refused"};
enum { NSTATES = sizeof states / sizeof states[0] };

static weir_slice key_of(char buf[KEY], uint64_t id)
{
    memcpy(buf, "note", 5);
    for (int i = 7; i >= 0; i--) {
        buf[5 + i] = (char)id;
        id >>= 8;
    }
    return (weir_slice){buf, KEY};
}

static uint8_t number_of(const char *state)
{
    for (uint8_t i = 0; i < NSTATES; i++) {
        if (strcmp(states[i], state) == 0) {
            return i;
        }
    }
    abort(); /* a state of ours that is none */
}

static proj_note *find(proj *p, uint64_t id)
{
    for (size_t i = 0; i < p->nnotes; i++) {
        if (p->notes[i].id == id) {
            return &p->notes[i];
        }
    }
    return NULL;
}

/* The newest word on an order counts. */
static void remember(proj *p, uint64_t id, const char *state, uint32_t generation, char *text)
{
    proj_note *n = find(p, id);
    if (!n) {
        p->notes = weir_xrealloc(p->notes, (p->nnotes + 1) * sizeof *p->notes);
        n = &p->notes[p->nnotes++];
        n->text = NULL;
    }
    free(n->text);
    *n = (proj_note){.id = id, .generation = generation, .state = state, .text = text};
}

weir_rc proj_note_add(proj *p, uint64_t id, const char *state, uint32_t generation,
                      const char *text, weir_error *err)
{
    char key[KEY];
    weir_buf b;
    uint8_t number = number_of(state);
    weir_buf_init(&b, 1 << 16);
    weir_buf_u32(&b, generation);
    weir_buf_u8(&b, number);
    weir_buf_putz(&b, text);
    weir_rc rc = weir_state_put(p->st, WEIR_DB_META, key_of(key, id), weir_buf_slice(&b), err);
    weir_buf_fini(&b);
    remember(p, id, states[number], generation, weir_xstrdup(text));
    p->notes_asked = false;
    return rc;
}

static bool take(proj *p, weir_slice rest, weir_slice value)
{
    weir_rd rd = weir_rd_of(rest);
    uint64_t id = weir_rd_u64(&rd);
    bool ok = weir_rd_finish(&rd);
    rd = weir_rd_of(value);
    uint32_t generation = weir_rd_u32(&rd);
    uint8_t state = weir_rd_u8(&rd);
    weir_slice text = weir_rd_bytes(&rd, weir_rd_left(&rd));
    if (!ok || !weir_rd_ok(&rd) || state >= NSTATES) {
        return false;
    }
    char *z = weir_xmalloc(text.n + 1);
    memcpy(z, text.n ? text.p : "", text.n);
    z[text.n] = '\0';
    remember(p, id, states[state], generation, z);
    return true;
}

weir_rc proj_notes_load(proj *p, weir_error *err)
{
    weir_scan s;
    weir_slice rest;
    weir_slice value;
    weir_rc rc = weir_scan_start(p->st, &s, WEIR_DB_META, (weir_slice){"note", 5},
                                 (weir_slice){NULL, 0}, err);
    while (rc == WEIR_OK) {
        rc = weir_scan_next(&s, &rest, &value, err);
        if (rc == WEIR_OK && !take(p, rest, value)) {
            rc = weir_fail(err, WEIR_E_PROTO, 0, "a note on an order is damaged");
        }
    }
    weir_scan_end(p->st, &s);
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

static weir_rc forget(proj *p, size_t n, const proj_note *told, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < n && rc == WEIR_OK; i++) {
        char key[KEY];
        proj_note *have = find(p, told[i].id);
        if (!have || have->state != told[i].state) {
            continue; /* there is newer word on it */
        }
        rc = weir_state_del(p->st, WEIR_DB_META, key_of(key, told[i].id), err);
        free(have->text);
        *have = p->notes[--p->nnotes];
    }
    return rc;
}

void proj_notes_confirmed(proj *p, size_t n, const proj_note *notes)
{
    weir_error err = {0};
    weir_rc rc = weir_state_begin(p->st, &err);
    if (rc == WEIR_OK) {
        rc = forget(p, n, notes, &err);
    }
    if (rc == WEIR_OK) {
        rc = weir_state_commit(p->st, &err);
    }
    if (rc != WEIR_OK) {
        weir_state_abort(p->st);
        proj_fail(p, "PROJ-STATE", &err);
    }
}

/* Handed over once; the thread tries until PostgreSQL has them. What came meanwhile goes with the
 * next. */
void proj_notes_tick(proj *p)
{
    if (p->nnotes > 0 && !p->notes_asked && proj_catalog_notes(p)) {
        p->notes_asked = true;
    }
}

proj_note *proj_notes_copy(size_t n, const proj_note *notes)
{
    proj_note *c = weir_xcalloc(n + 1, sizeof *c);
    for (size_t i = 0; i < n; i++) {
        c[i] = notes[i];
        c[i].text = weir_xstrdup(notes[i].text);
    }
    return c;
}

void proj_notes_free(size_t n, proj_note *notes)
{
    for (size_t i = 0; i < n; i++) {
        free(notes[i].text);
    }
    free(notes);
}
