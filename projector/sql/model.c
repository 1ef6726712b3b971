/* model.c - a model file: its annotations, its one SELECT. */
#include "projector/sql/model.h"

#include "libweir/base/str.h"
#include "projector/sql/ast.h"
#include "projector/sql/scan.h"

enum { KEY_COLUMNS_MAX = 32 };

typedef struct reader {
    weir_mem m;
    weir_toks toks;
    weir_diags *ds;
    weir_model_src *out;
} reader;

static bool word_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static bool name_ok(weir_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!word_char(s.p[i], i == 0)) {
            return false;
        }
    }
    return s.n > 0 && s.n <= 63;
}

static int offset_in(const reader *r, weir_slice s)
{
    return (int)(s.p - r->out->file_text.p);
}

static void take_model(reader *r, weir_slice value)
{
    if (r->out->name.n) {
        weir_diag_add(r->ds, false, offset_in(r, value), "keep one of them",
                      "@model is given twice");
        return;
    }
    if (!name_ok(value)) {
        weir_diag_add(r->ds, false, offset_in(r, value),
                      "a name is a-z, 0-9 and _, at most 63 characters, and starts with no digit",
                      "@model needs one name");
        return;
    }
    r->out->name = value;
}

/* One output name, perhaps in double quotes. */
static weir_slice key_name(reader *r, weir_slice s)
{
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"') {
        char *p = WEIR_MEM_ARRAY(&r->m, char, s.n);
        size_t n = 0;
        for (size_t i = 1; i + 1 < s.n; i++) {
            p[n++] = s.p[i];
            i += s.p[i] == '"' && i + 2 < s.n && s.p[i + 1] == '"';
        }
        return weir_slice_of(p, n);
    }
    return s;
}

static void take_key(reader *r, weir_slice value)
{
    if (r->out->nkey) {
        weir_diag_add(r->ds, false, offset_in(r, value), "name all columns in one @key: @key a, b",
                      "@key is given twice");
        return;
    }
    r->out->key = WEIR_MEM_ARRAY(&r->m, weir_slice, KEY_COLUMNS_MAX);
    size_t from = 0;
    for (size_t i = 0; i <= value.n; i++) {
        if (i < value.n && value.p[i] != ',') {
            continue;
        }
        weir_slice part = weir_slice_trim(weir_slice_of(value.p + from, i - from));
        from = i + 1;
        if (part.n == 0 || r->out->nkey == KEY_COLUMNS_MAX) {
            weir_diag_add(r->ds, false, offset_in(r, value), "@key id, or @key tenant_id, id",
                          "@key needs output column names, separated by commas");
            return;
        }
        r->out->key[r->out->nkey++] = key_name(r, part);
    }
}

static void unknown_annotation(reader *r, weir_slice name)
{
    static const char *const known[] = {"model", "key"};
    const char *near = weir_nearest(weir_mem_dup(&r->m, name).p, known, 2);
    bool later = weir_slice_eqz(name, "index") || weir_slice_eqz(name, "as") ||
                 weir_slice_eqz(name, "order") || weir_slice_eqz(name, "ref");
    if (later) {
        weir_diag_add(r->ds, false, offset_in(r, name) - 1, "remove the line for now",
                      "@" WEIR_SLICE_FMT " is reserved: it is designed and not built",
                      WEIR_SLICE_ARG(name));
        return;
    }
    weir_diag_add(r->ds, false, offset_in(r, name) - 1,
                  near ? weir_mem_printf(&r->m, "did you mean @%s?", near)
                       : "annotations are @model and @key",
                  "unknown annotation @" WEIR_SLICE_FMT, WEIR_SLICE_ARG(name));
}

static void take_comment(reader *r, weir_slice text)
{
    if (!weir_slice_starts(text, WEIR_SLICE_LIT("--"))) {
        return;
    }
    weir_slice s = weir_slice_trim(weir_slice_of(text.p + 2, text.n - 2));
    if (s.n == 0 || s.p[0] != '@') {
        return;
    }
    size_t n = 1;
    while (n < s.n && word_char(s.p[n], false)) {
        n++;
    }
    weir_slice name = weir_slice_of(s.p + 1, n - 1);
    weir_slice value = weir_slice_trim(weir_slice_of(s.p + n, s.n - n));
    if (!value.p) {
        value = weir_slice_of(s.p + s.n, 0);
    }
    if (weir_slice_eqz(name, "model")) {
        take_model(r, value);
    } else if (weir_slice_eqz(name, "key")) {
        take_key(r, value);
    } else {
        unknown_annotation(r, name);
    }
}

/* From the first word to the last one before a final semicolon. */
static bool take_select(reader *r)
{
    const weir_toks *ts = &r->toks;
    int first = -1;
    int last = -1;
    int semi = -1;
    for (int i = 0; i < ts->n; i++) {
        if (ts->t[i].comment) {
            continue;
        }
        if (weir_tok_is(ts, i, ";")) {
            semi = semi < 0 && first >= 0 ? i : semi;
            continue;
        }
        if (semi >= 0) {
            weir_diag_add(r->ds, false, ts->t[i].start, "one file, one SELECT",
                          "the file has more than one statement");
            return false;
        }
        first = first < 0 ? i : first;
        last = i;
    }
    if (first < 0) {
        weir_diag_add(r->ds, false, -1, "write one SELECT", "the file has no SELECT");
        return false;
    }
    r->out->select_offset = ts->t[first].start;
    r->out->select = weir_slice_of(ts->text.p + ts->t[first].start,
                                   (size_t)(ts->t[last].end - ts->t[first].start));
    return true;
}

static void read_file(reader *r, const char *default_name)
{
    if (!weir_scan(r->out->file_text, &r->m, &r->toks, r->ds)) {
        return;
    }
    for (int i = 0; i < r->toks.n; i++) {
        if (r->toks.t[i].comment) {
            take_comment(r, weir_tok_text(&r->toks, i));
        }
    }
    if (!r->out->name.n && default_name) {
        r->out->name = weir_mem_dupz(&r->m, default_name);
        if (!name_ok(r->out->name)) {
            weir_diag_add(r->ds, false, -1, "add a line: -- @model name",
                          "the file's name cannot be a model's name");
        }
    }
    if (!r->out->name.n && !r->ds->errors) {
        weir_diag_add(r->ds, false, -1, "add a line: -- @model name", "the model has no name");
    }
    if (take_select(r)) {
        (void)weir_ast_parse(r->out->select, r->out->select_offset, &r->m, r->ds);
    }
}

weir_rc weir_model_parse(weir_slice file_text, const char *default_name, weir_arena *a,
                         weir_model_src *out, weir_diags *ds)
{
    reader r = {.ds = ds, .out = out};
    weir_mem_init(&r.m, a);
    *out = (weir_model_src){.file_text = file_text};
    int before = ds->errors;
    read_file(&r, default_name);
    weir_rc rc = ds->errors > before ? WEIR_E_INPUT : WEIR_OK;
    if (rc == WEIR_OK && r.m.failed) {
        rc = WEIR_E_LIMIT;
    }
    weir_mem_fini(&r.m);
    return rc;
}
