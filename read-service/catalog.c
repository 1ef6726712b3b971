/* catalog.c - what is known of the read models. */
#include "read-service/catalog.h"

#include <stdlib.h>

#include "libweir/base/map.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/json.h"

struct rsvc_catalog {
    weir_map *by_name;
    rsvc_model **models; /* sorted by name */
    size_t n;
    uint64_t reading;
};

static const char *const STATES[] = {"building", "ready", "stalled"};

const char *rsvc_model_state_name(rsvc_model_state state)
{
    return STATES[state];
}

rsvc_catalog *rsvc_catalog_new(void)
{
    rsvc_catalog *c = weir_xcalloc(1, sizeof *c);
    c->by_name = weir_map_new();
    return c;
}

void rsvc_catalog_free(rsvc_catalog *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->n; i++) {
        free(c->models[i]->name);
        free(c->models[i]->key_json);
        free(c->models[i]->reason);
        free(c->models[i]->raw);
        free(c->models[i]);
    }
    free(c->models);
    weir_map_free(c->by_name);
    free(c);
}

rsvc_model *rsvc_catalog_get(const rsvc_catalog *c, weir_slice name)
{
    return weir_map_get(c->by_name, name);
}

static char *copy(weir_slice s)
{
    char *z = weir_xmalloc(s.n + 1);
    if (s.n > 0) {
        memcpy(z, s.p, s.n);
    }
    z[s.n] = '\0';
    return z;
}

static rsvc_model *add(rsvc_catalog *c, weir_slice name)
{
    rsvc_model *m = weir_xcalloc(1, sizeof *m);
    m->name = copy(name);
    m->key_json = weir_xstrdup("[]");
    m->reason = weir_xstrdup("");
    *weir_map_slot(c->by_name, name, NULL) = m;
    c->models = weir_xrealloc(c->models, (c->n + 1) * sizeof *c->models);
    size_t i = c->n++;
    for (; i > 0 && strcmp(c->models[i - 1]->name, m->name) > 0; i--) {
        c->models[i] = c->models[i - 1];
    }
    c->models[i] = m;
    return m;
}

static void replace(char **z, char *with)
{
    free(*z);
    *z = with;
}

static bool read_state(const weir_json *j, rsvc_model_state *out)
{
    weir_slice text;
    if (!weir_json_str(j, "state", &text)) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (weir_slice_eqz(text, STATES[i])) {
            *out = (rsvc_model_state)i;
            return true;
        }
    }
    return false;
}

static char *key_names(const weir_json *key)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_buf_u8(&b, '[');
    for (size_t i = 0; i < weir_json_len(key); i++) {
        weir_slice name = {NULL, 0};
        (void)weir_json_text(weir_json_at(key, i), &name);
        weir_buf_putz(&b, i ? "," : "");
        weir_json_quote(&b, name);
    }
    weir_buf_u8(&b, ']');
    char *z = copy(weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

/* An entry that does not say leaves the key's values as they are. */
static void take_types(rsvc_model *m, const weir_json *j)
{
    const weir_json *types = weir_json_get(j, "types");
    for (size_t i = 0; i < m->key_parts; i++) {
        weir_slice name = {NULL, 0};
        (void)weir_json_text(weir_json_at(types, i), &name);
        m->types[i] = rsvc_key_type_of(name);
    }
}

static bool fill(rsvc_model *m, const weir_json *j)
{
    int64_t generation = 0;
    rsvc_model_state state = RSVC_BUILDING;
    const weir_json *key = weir_json_get(j, "key");
    size_t parts = key ? weir_json_len(key) : 0;
    weir_slice reason = {NULL, 0};
    if (!weir_json_i64(j, "generation", &generation) || generation < 0 || generation > UINT32_MAX ||
        !read_state(j, &state) || parts == 0 || parts > RSVC_KEY_PARTS_MAX) {
        return false;
    }
    double progress = 0;
    (void)weir_json_double(j, "progress", &progress);
    (void)weir_json_str(j, "reason", &reason);
    m->generation = (uint32_t)generation;
    m->state = state;
    m->key_parts = parts;
    take_types(m, j);
    m->progress = progress >= 0 && progress <= 1 ? progress : 0;
    replace(&m->key_json, key_names(key));
    replace(&m->reason, copy(reason));
    return true;
}

static bool unusable(rsvc_model *m, weir_error *err)
{
    m->present = false;
    replace(&m->raw, NULL);
    m->raw_n = 0;
    (void)weir_fail(err, WEIR_E_PROTO, 0, "the entry of model %s cannot be read", m->name);
    return false;
}

bool rsvc_catalog_set(rsvc_catalog *c, weir_slice name, weir_slice entry, weir_error *err)
{
    rsvc_model *m = rsvc_catalog_get(c, name);
    if (!m &&
        (!entry.p || name.n == 0 || name.n > RSVC_MODEL_NAME_MAX || c->n >= RSVC_MODELS_MAX)) {
        if (entry.p) {
            (void)weir_fail(err, WEIR_E_LIMIT, 0,
                            "a model's name is empty or too long, or there are more than %d models",
                            RSVC_MODELS_MAX);
        }
        return !entry.p;
    }
    m = m ? m : add(c, name);
    m->seen = c->reading;
    if (!entry.p) {
        m->present = false;
        return true;
    }
    if (m->present && m->raw && weir_slice_eq((weir_slice){m->raw, m->raw_n}, entry)) {
        return true;
    }
    weir_json *j = NULL;
    weir_error why;
    if (weir_json_parse(&j, entry, &why) != WEIR_OK) {
        return unusable(m, err);
    }
    bool ok = fill(m, j);
    weir_json_free(j);
    if (!ok) {
        return unusable(m, err);
    }
    m->present = true;
    replace(&m->raw, copy(entry));
    m->raw_n = entry.n;
    return true;
}

void rsvc_catalog_begin(rsvc_catalog *c)
{
    c->reading++;
}

void rsvc_catalog_end(rsvc_catalog *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->models[i]->seen != c->reading) {
            c->models[i]->present = false;
        }
    }
}

size_t rsvc_catalog_len(const rsvc_catalog *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        n += c->models[i]->present;
    }
    return n;
}

static void put_model(const rsvc_model *m, weir_buf *out)
{
    weir_buf_putz(out, "{\"name\":");
    weir_json_quote(out, weir_slice_z(m->name));
    weir_buf_printf(out, ",\"state\":\"%s\",\"generation\":%u,\"key\":%s,\"progress\":%.3f",
                    rsvc_model_state_name(m->state), m->generation, m->key_json, m->progress);
    if (m->reason[0]) {
        weir_buf_putz(out, ",\"reason\":");
        weir_json_quote(out, weir_slice_z(m->reason));
    }
    weir_buf_u8(out, '}');
}

void rsvc_catalog_json(const rsvc_catalog *c, bool names_only, weir_buf *out)
{
    const char *comma = "";
    weir_buf_u8(out, '[');
    for (size_t i = 0; i < c->n; i++) {
        if (!c->models[i]->present) {
            continue;
        }
        weir_buf_putz(out, comma);
        if (names_only) {
            weir_json_quote(out, weir_slice_z(c->models[i]->name));
        } else {
            put_model(c->models[i], out);
        }
        comma = ",";
    }
    weir_buf_u8(out, ']');
}
