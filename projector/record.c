/* record.c - what the state keeps of the service itself, in `meta`: cursor, layout, model builds,
 * epoch, marks.
 *
 *   cursor     lsn:u64 sub:u32 part:u32 position:u64 open:u64 next_task:u64
 *   epoch      u64        floor  u64 (tombstones up to here are gone)        system_id  text layout
 * see layout.h model\0id  generation:u32 fingerprint:u64 phase:u8 served:u8 documents:u64
 * parked:u64 then name, key, reason, source (u32 length each), then what a rebuild needs
 * (put_rebuild; absent in older records) order  u64 (orders up to here are taken over) note\0id see
 * notes.c Beside it in the folder the file `mark`: the boot id, and " clean" after an orderly stop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/log.h"
#include "libweir/base/rd.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "projector/proj.h"

enum { BOOT_ID_MAX = 64, MODEL_KEY = 10 };

static weir_rc put(proj *p, const char *name, weir_slice value, weir_error *err)
{
    return weir_state_put(p->st, WEIR_DB_META, weir_slice_z(name), value, err);
}

static weir_rc put_u64(proj *p, const char *name, uint64_t v, weir_error *err)
{
    char b[8];
    for (int i = 7; i >= 0; i--) {
        b[i] = (char)v;
        v >>= 8;
    }
    return put(p, name, (weir_slice){b, 8}, err);
}

static void put_text(weir_buf *b, const char *s)
{
    weir_slice t = weir_slice_z(s);
    weir_buf_u32(b, (uint32_t)t.n);
    weir_buf_puts(b, t);
}

static weir_slice model_key(char buf[MODEL_KEY], uint32_t id)
{
    memcpy(buf, "model", 6);
    for (int i = 3; i >= 0; i--) {
        buf[6 + i] = (char)id;
        id >>= 8;
    }
    return (weir_slice){buf, MODEL_KEY};
}

/* Where the pass stands, and what becomes of the generation before. */
static void put_rebuild(weir_buf *b, const proj_model *m)
{
    weir_buf_u8(b, m->passing);
    weir_buf_u8(b, m->counted);
    weir_buf_u64(b, m->pass_done);
    weir_buf_u64(b, m->pass_total);
    weir_buf_u16(b, m->pass_at.n);
    weir_buf_puts(b, weir_key_slice(&m->pass_at));
    weir_buf_u64(b, m->order);
    weir_buf_u64(b, (uint64_t)m->keep_ms);
    weir_buf_u64(b, (uint64_t)m->kept_until_ms);
    weir_buf_u64(b, m->held);
    weir_buf_u32(b, m->check_every);
    weir_buf_u64(b, m->checked);
    weir_buf_u64(b, m->check_differs);
}

static void get_rebuild(weir_rd *rd, proj_model *m)
{
    m->passing = weir_rd_u8(rd) != 0;
    m->counted = weir_rd_u8(rd) != 0;
    m->pass_done = weir_rd_u64(rd);
    m->pass_total = weir_rd_u64(rd);
    weir_slice at = weir_rd_bytes(rd, weir_rd_u16(rd));
    m->pass_at.n = (uint16_t)(at.n <= sizeof m->pass_at.b ? at.n : 0);
    memcpy(m->pass_at.b, m->pass_at.n ? at.p : "", m->pass_at.n);
    m->order = weir_rd_u64(rd);
    m->keep_ms = (int64_t)weir_rd_u64(rd);
    m->kept_until_ms = (int64_t)weir_rd_u64(rd);
    m->held = weir_rd_u64(rd);
    m->check_every = weir_rd_u32(rd);
    m->checked = weir_rd_u64(rd);
    m->check_differs = weir_rd_u64(rd);
}

static weir_rc save_model(proj *p, proj_model *m, weir_error *err)
{
    weir_buf b;
    char key[MODEL_KEY];
    weir_buf_init(&b, 1 << 26);
    weir_buf_u32(&b, m->generation);
    weir_buf_u64(&b, m->fingerprint);
    weir_buf_u8(&b, (uint8_t)m->phase);
    weir_buf_u8(&b, m->served);
    weir_buf_u64(&b, m->documents);
    weir_buf_u64(&b, m->parked);
    put_text(&b, m->name);
    put_text(&b, m->key_json);
    put_text(&b, m->reason);
    put_text(&b, m->source);
    put_rebuild(&b, m);
    weir_rc rc =
        weir_state_put(p->st, WEIR_DB_META, model_key(key, m->id), weir_buf_slice(&b), err);
    weir_buf_fini(&b);
    m->record_dirty = false;
    return rc;
}

weir_rc proj_record_gone(proj *p, const proj_model *m, weir_error *err)
{
    char key[MODEL_KEY];
    return weir_state_del(p->st, WEIR_DB_META, model_key(key, m->id), err);
}

static weir_rc save_layout(proj *p, weir_error *err)
{
    weir_buf b;
    weir_buf_init(&b, (size_t)1 << 28);
    weir_layout_save(&p->layout, &b);
    weir_rc rc = put(p, "layout", weir_buf_slice(&b), err);
    weir_buf_fini(&b);
    p->layout_dirty = false;
    return rc;
}

weir_rc proj_record_save(proj *p, weir_error *err)
{
    weir_buf b;
    char raw[64];
    weir_rc rc = WEIR_OK;
    weir_buf_init(&b, sizeof raw);
    if (p->has_cursor) {
        weir_buf_u64(&b, p->cursor.at.lsn);
        weir_buf_u32(&b, p->cursor.at.sub);
        weir_buf_u32(&b, p->cursor.part);
        weir_buf_u64(&b, p->position);
        weir_buf_u64(&b, p->open_lsn);
        weir_buf_u64(&b, p->next_task);
        rc = put(p, "cursor", weir_buf_slice(&b), err);
    }
    weir_buf_fini(&b);
    if (rc == WEIR_OK && p->layout_dirty) {
        rc = save_layout(p, err);
    }
    for (size_t i = 0; i < p->nmodels && rc == WEIR_OK; i++) {
        if (p->models[i]->record_dirty) {
            rc = save_model(p, p->models[i], err);
        }
    }
    if (rc == WEIR_OK && p->system_id_dirty) {
        p->system_id_dirty = false;
        rc = put(p, "system_id", weir_slice_z(p->system_id), err);
    }
    rc = rc == WEIR_OK ? proj_recent_trim(p, err) : rc;
    if (rc == WEIR_OK && p->recent_floor_dirty) {
        p->recent_floor_dirty = false;
        rc = put_u64(p, "recent", p->recent_floor, err);
    }
    if (rc == WEIR_OK && p->order_done_dirty) {
        p->order_done_dirty = false;
        rc = put_u64(p, "order", p->order_done, err);
    }
    if (rc == WEIR_OK && p->epoch_claimed) {
        p->epoch_claimed = false;
        rc = put_u64(p, "epoch", p->epoch, err);
    }
    p->changed = true;
    return rc;
}

/* --- reading
 * ---------------------------------------------------------------------------------------------------
 */

static weir_rc get(proj *p, const char *name, weir_slice *value, weir_error *err)
{
    weir_rc rc = weir_state_get(p->st, WEIR_DB_META, weir_slice_z(name), value, err);
    if (rc == WEIR_E_NOTFOUND) {
        *value = (weir_slice){NULL, 0};
        return WEIR_OK;
    }
    return rc;
}

static uint64_t u64_of(weir_slice v)
{
    weir_rd rd = weir_rd_of(v);
    return weir_rd_u64(&rd);
}

static char *get_text(weir_rd *rd)
{
    weir_slice s = weir_rd_bytes(rd, weir_rd_u32(rd));
    char *z = weir_xmalloc(s.n + 1);
    memcpy(z, s.n ? s.p : "", s.n);
    z[s.n] = '\0';
    return z;
}

static proj_model *load_model(weir_slice key, weir_slice value)
{
    proj_model *m = weir_xcalloc(1, sizeof *m);
    weir_rd rd = weir_rd_of(key);
    m->id = weir_rd_u32(&rd);
    rd = weir_rd_of(value);
    m->generation = weir_rd_u32(&rd);
    m->fingerprint = weir_rd_u64(&rd);
    m->phase = (proj_phase)weir_rd_u8(&rd);
    m->served = weir_rd_u8(&rd) != 0;
    m->documents = weir_rd_u64(&rd);
    m->parked = weir_rd_u64(&rd);
    m->name = get_text(&rd);
    m->key_json = get_text(&rd);
    m->reason = get_text(&rd);
    m->source = get_text(&rd);
    m->keep_ms = 0;
    m->check_every = 1;
    if (weir_rd_left(&rd) > 0) {
        get_rebuild(&rd, m);
    }
    if (!weir_rd_finish(&rd) || m->phase >= PROJ_PHASES) {
        proj_model_free(m);
        return NULL;
    }
    return m;
}

static weir_rc load_models(proj *p, weir_error *err)
{
    weir_scan s;
    weir_slice key;
    weir_slice value;
    weir_rc rc = weir_scan_start(p->st, &s, WEIR_DB_META, (weir_slice){"model", 6},
                                 (weir_slice){NULL, 0}, err);
    while (rc == WEIR_OK) {
        rc = weir_scan_next(&s, &key, &value, err);
        if (rc != WEIR_OK) {
            break;
        }
        proj_model *m = load_model(key, value);
        if (!m) {
            rc = weir_fail(err, WEIR_E_PROTO, 0, "a model's record is damaged");
            break;
        }
        p->models = weir_xrealloc(p->models, (p->nmodels + 1) * sizeof(proj_model *));
        p->models[p->nmodels++] = m;
    }
    weir_scan_end(p->st, &s);
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

static weir_rc load_all(proj *p, weir_error *err)
{
    weir_slice v;
    weir_rc rc = get(p, "cursor", &v, err);
    if (rc == WEIR_OK && v.n) {
        weir_rd rd = weir_rd_of(v);
        p->cursor.at.lsn = weir_rd_u64(&rd);
        p->cursor.at.sub = weir_rd_u32(&rd);
        p->cursor.part = weir_rd_u32(&rd);
        p->position = weir_rd_u64(&rd);
        p->open_lsn = weir_rd_u64(&rd);
        p->next_task = weir_rd_u64(&rd);
        p->has_cursor = weir_rd_ok(&rd);
    }
    if (rc == WEIR_OK) {
        rc = get(p, "layout", &v, err);
    }
    if (rc == WEIR_OK && v.n) {
        rc = weir_layout_load(&p->layout, v, err);
    }
    if (rc == WEIR_OK) {
        rc = get(p, "epoch", &v, err);
        p->epoch = u64_of(v);
    }
    if (rc == WEIR_OK) {
        rc = get(p, "recent", &v, err);
        /* A state from before there was such an index: nothing is in it yet. */
        p->recent_floor = v.n ? u64_of(v) : p->position + 1;
        p->recent_floor_dirty = v.n == 0;
    }
    if (rc == WEIR_OK) {
        rc = get(p, "order", &v, err);
        p->has_order_done = v.n > 0;
        p->order_done = u64_of(v);
    }
    if (rc == WEIR_OK) {
        rc = proj_notes_load(p, err);
    }
    if (rc == WEIR_OK) {
        rc = get(p, "floor", &v, err);
        p->tomb_floor = u64_of(v);
    }
    if (rc == WEIR_OK) {
        rc = get(p, "system_id", &v, err);
        p->system_id = weir_xmalloc(v.n + 1);
        memcpy(p->system_id, v.n ? v.p : "", v.n);
        p->system_id[v.n] = '\0';
    }
    p->tasks = weir_state_count(p->st, WEIR_DB_TASK);
    p->backlog = weir_state_count(p->st, WEIR_DB_DIRTY);
    return rc == WEIR_OK ? load_models(p, err) : rc;
}

static void boot_id(char out[BOOT_ID_MAX])
{
    out[0] = '\0';
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (f) {
        if (!fgets(out, BOOT_ID_MAX, f)) {
            out[0] = '\0';
        }
        (void)fclose(f);
    }
    out[strcspn(out, "\n")] = '\0';
}

/* The mark is a file of its own: after a crash of the system LMDB's file must not even be opened.
 */
static weir_rc write_mark(const char *dir, bool clean, weir_error *err)
{
    char id[BOOT_ID_MAX];
    char text[BOOT_ID_MAX + 8];
    char path[4200];
    boot_id(id);
    (void)snprintf(text, sizeof text, "%s%s", id, clean ? " clean" : "");
    (void)snprintf(path, sizeof path, "%s/mark", dir);
    return weir_file_write(path, weir_slice_z(text), 0600, err);
}

/* The page cache survives a process but not a system: without LMDB's own syncs its file may then be
 * anything. */
static bool trustworthy(weir_slice mark)
{
    char id[BOOT_ID_MAX];
    boot_id(id);
    weir_slice clean = WEIR_SLICE_LIT(" clean");
    if (mark.n == 0 || weir_slice_eqz(mark, id)) {
        return true;
    }
    return mark.n > clean.n &&
           weir_slice_eq((weir_slice){mark.p + mark.n - clean.n, clean.n}, clean);
}

weir_rc proj_record_prepare(const char *dir, weir_error *err)
{
    char path[4200];
    weir_slice mark = {NULL, 0};
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = weir_mkdirs(dir, 0700, err);
    (void)snprintf(path, sizeof path, "%s/mark", dir);
    if (rc == WEIR_OK) {
        rc = weir_file_read(path, BOOT_ID_MAX + 8, a, &mark, err);
        rc = rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    if (rc == WEIR_OK && !trustworthy(mark)) {
        WEIR_WARN("PROJ-STATE-DISCARDED",
                  "reason=\"the system stopped while the state was open\" "
                  "next=\"the read models are built again from PostgreSQL\"");
        (void)snprintf(path, sizeof path, "%s/data.mdb", dir);
        (void)unlink(path);
        (void)snprintf(path, sizeof path, "%s/lock.mdb", dir);
        (void)unlink(path);
    }
    weir_arena_free(a);
    return rc;
}

weir_rc proj_record_mark(proj *p, bool clean, weir_error *err)
{
    weir_rc rc = clean ? weir_lmdb_sync(weir_state_lmdb(p->st), err) : WEIR_OK;
    return rc == WEIR_OK ? write_mark(p->settings->projector_data_dir, clean, err) : rc;
}

weir_rc proj_record_load(proj *p, weir_error *err)
{
    weir_rc rc = proj_record_mark(p, false, err);
    if (rc == WEIR_OK) {
        rc = weir_state_begin(p->st, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = load_all(p, err);
    weir_state_abort(p->st);
    return rc;
}

static weir_rc forget_meta(proj *p, weir_error *err)
{
    weir_rc rc = weir_state_begin(p->st, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    static const char *const names[] = {"cursor", "layout", "floor", "system_id"};
    for (size_t i = 0; i < sizeof names / sizeof names[0] && rc == WEIR_OK; i++) {
        rc = weir_state_del(p->st, WEIR_DB_META, weir_slice_z(names[i]), err);
    }
    for (size_t i = 0; i < p->nmodels && rc == WEIR_OK; i++) {
        const proj_model *m = p->models[i];
        bool unfinished = m->order && (m->phase == PROJ_BUILDING || m->phase == PROJ_CHECKING);
        rc = proj_record_gone(p, m, err);
        if (rc == WEIR_OK && unfinished) {
            rc = proj_note_add(p, m->order, "refused", m->generation,
                               "the projector's state was built anew meanwhile", err);
        }
    }
    return rc == WEIR_OK ? weir_state_commit(p->st, err) : rc;
}

/* Everything is built anew beside what Redis still serves; generations are taken from what Redis
 * says. */
weir_rc proj_record_discard(proj *p, const char *why, weir_error *err)
{
    WEIR_WARN("PROJ-STATE-DISCARDED",
              "reason=\"%s\" next=\"the read models are built again from PostgreSQL\"", why);
    weir_state_abort(p->st);
    weir_rc rc = weir_state_wipe(p->st, err);
    if (rc == WEIR_OK) {
        rc = forget_meta(p, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_dirty_reset(&p->dirty); /* what the last step left names its models */
    for (size_t i = 0; i < p->nmodels; i++) {
        if (p->models[i]->served) {
            proj_redis_generation(p, weir_slice_z(p->models[i]->name), p->models[i]->generation);
        }
        proj_model_free(p->models[i]);
    }
    p->nmodels = 0;
    proj_models_relive(p);
    weir_layout_fini(&p->layout);
    weir_layout_init(&p->layout);
    weir_apply_reset(&p->ap);
    weir_apply_relayout(&p->ap);
    p->layout_dirty = true;
    p->system_id[0] = '\0';
    p->has_cursor = false;
    p->cursor = (weir_feed_pos){{0, 0}, 0};
    p->position = 0;
    p->open_lsn = 0;
    p->tasks = 0;
    p->backlog = 0;
    p->tomb_floor = 0;
    p->recent_floor = 0;
    p->recent_floor_dirty = true;
    p->frame = 0;
    p->in_frame = false;
    p->truncating = p->ranging = false;
    weir_apply_range_reset(&p->ap);
    p->building = NULL;
    p->reemit = false;
    p->fit_rel = 0;
    weir_buf_reset(&p->sweep_keys);
    proj_out_reset(&p->out); /* its items name builds that are gone */
    return WEIR_OK;
}
