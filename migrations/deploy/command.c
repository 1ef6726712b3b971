/* command.c - command files, the functions they define, and a wrapper for each.
 *
 * Files are run as they are. Which functions a file defined is seen by comparing pg_proc before and
 * after it (CREATE OR REPLACE always writes a new row version). A function that came from a file
 * and is no longer defined by one is dropped; functions nobody's file defined are left alone and
 * are commands too.
 */
#include "libweir/base/map.h"
#include "libweir/base/str.h"
#include "migrations/deploy/run.h"
#include "migrations/deploy/scan.h"

extern const char weir_sql_command_functions[];

typedef struct defined {
    const dep_file *file;
    bool isolated, serializable;
    const char *serialize_by; /* an argument; NULL: none */
    int serialize_by_at;      /* byte in the file */
} defined;

typedef struct commands {
    dep_run *d;
    const dep_appdir *app;
    weir_map *versions; /* identity -> row version before the current file */
    weir_map *defined;  /* identity -> defined, by a file of this run */
} commands;

static void refuse(commands *c, const dep_file *f, const dep_fault *fault)
{
    dep_refuse(c->d, f, fault);
    c->d->refused_commands++;
}

/* --- annotations
 * ------------------------------------------------------------------------------------------------------
 */

/* at: where its word begins in the file. false: *fault says why not. */
static bool annotation(dep_run *d, weir_slice line, int at, defined *out, dep_fault *fault)
{
    static const char *const known[] = {"isolated", "serializable", "serialize_by"};
    char word[32];
    size_t n = 0;
    while (n < line.n && n + 1 < sizeof word && line.p[n] > ' ') {
        word[n] = line.p[n];
        n++;
    }
    word[n] = '\0';
    *fault = (dep_fault){.at = at};
    if (strcmp(word, "isolated") == 0) {
        out->isolated = true;
    } else if (strcmp(word, "serializable") == 0) {
        out->serializable = true;
    } else if (strcmp(word, "serialize_by") == 0) {
        weir_slice arg = weir_slice_trim(weir_slice_of(line.p + n, line.n - n));
        out->serialize_by = weir_arena_dupz(d->a, arg);
        out->serialize_by_at = at;
        if (arg.n == 0 || !out->serialize_by) {
            fault->text = "@serialize_by needs the name of one argument";
            return false;
        }
    } else {
        const char *near = weir_nearest(word, known, 3);
        fault->text =
            weir_arena_printf(d->a, "unknown annotation @%s%s%s%s", word,
                              near ? "; did you mean @" : "", near ? near : "", near ? "?" : "");
        fault->hint = "Known are @isolated, @serializable and @serialize_by.";
        return false;
    }
    return true;
}

/* Lines "-- @word" before the first statement. */
static bool annotations(dep_run *d, const dep_file *f, defined *out, dep_fault *fault)
{
    weir_slice rest = f->text;
    *out = (defined){.file = f};
    while (rest.n) {
        const char *nl = memchr(rest.p, '\n', rest.n);
        size_t n = nl ? (size_t)(nl - rest.p) : rest.n;
        weir_slice line = weir_slice_trim(weir_slice_of(rest.p, n));
        rest = weir_slice_of(rest.p + n + (nl != NULL), rest.n - n - (nl != NULL));
        if (line.n && !weir_slice_starts(line, WEIR_SLICE_LIT("--"))) {
            break;
        }
        weir_slice word = line.n > 2 ? weir_slice_trim(weir_slice_of(line.p + 2, line.n - 2))
                                     : (weir_slice){NULL, 0};
        if (word.n && word.p[0] == '@' &&
            !annotation(d, weir_slice_of(word.p + 1, word.n - 1), (int)(word.p - f->text.p), out,
                        fault)) {
            return false;
        }
    }
    return true;
}

/* --- which file defines what
 * ------------------------------------------------------------------------------------------ */

static weir_rc list_functions(commands *c, weir_pg_rows **rows, weir_error *err)
{
    weir_rc rc = dep_exec(c->d, err, "SET LOCAL search_path = pg_catalog");
    rc = rc == WEIR_OK ? weir_pg_query(c->d->pg, weir_sql_command_functions, 0, NULL, rows, err)
                       : rc;
    return rc == WEIR_OK ? dep_exec(c->d, err, "RESET search_path") : rc;
}

static weir_rc remember_versions(commands *c, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = list_functions(c, &r, err);
    weir_map_clear(c->versions);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        *weir_map_slot(c->versions, weir_pg_value(r, i, 2), NULL) =
            weir_arena_dupz(c->d->a, weir_pg_value(r, i, 3));
    }
    weir_pg_rows_free(r);
    return rc;
}

static weir_rc claim_one(commands *c, const dep_file *f, const defined *notes, weir_slice identity,
                         weir_error *err)
{
    defined **slot = (defined **)weir_map_slot(c->defined, identity, NULL);
    if (*slot && (*slot)->file != f) {
        dep_fault twice = {.at = -1,
                           .text = weir_arena_printf(c->d->a, "%.*s is also defined in %s",
                                                     WEIR_SLICE_ARG(identity), (*slot)->file->path),
                           .hint = "Keep one."};
        refuse(c, f, &twice);
        return WEIR_OK;
    }
    *slot = weir_arena_alloc(c->d->a, sizeof **slot);
    if (!*slot) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "the deploy does not fit into its memory limit");
    }
    **slot = *notes;
    return WEIR_OK;
}

/* What changed since remember_versions belongs to f. */
static weir_rc claim(commands *c, const dep_file *f, weir_error *err)
{
    defined notes;
    dep_fault fault;
    weir_pg_rows *r = NULL;
    int mine = 0;
    if (!annotations(c->d, f, &notes, &fault)) {
        refuse(c, f, &fault);
    }
    weir_rc rc = list_functions(c, &r, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        const char *before = weir_map_get(c->versions, weir_pg_value(r, i, 2));
        if (!before || !weir_slice_eqz(weir_pg_value(r, i, 3), before)) {
            mine++;
            rc = claim_one(c, f, &notes, weir_pg_value(r, i, 2), err);
        }
    }
    weir_pg_rows_free(r);
    if (rc == WEIR_OK && mine == 0) {
        dep_add(c->d->r, DEP_WARNING, f->path,
                "A command file says: CREATE OR REPLACE FUNCTION command.<name>(…) …",
                "defines no function in schema command");
    }
    return rc;
}

/* Functions this file made in an earlier deploy: their signature may change now. */
static weir_rc drop_of_file(commands *c, const dep_file *f, int *dropped, weir_error *err)
{
    const char *params[] = {f->path};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->d->pg,
                               "SELECT identity FROM weir.command_catalog WHERE file = $1 AND "
                               "to_regprocedure(identity) IS NOT NULL",
                               1, params, &r, err);
    *dropped = 0;
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        rc = dep_exec(c->d, err,
                      weir_arena_printf(c->d->a, "DROP FUNCTION %s", weir_pg_valuez(r, i, 0)));
        ++*dropped;
    }
    weir_pg_rows_free(r);
    return rc;
}

/* *runs: it did, and what it defined is there. A file that is refused leaves nothing behind, and
 * the next one is looked at. */
static weir_rc run_command_file(commands *c, const dep_file *f, bool *runs, weir_error *err)
{
    int dropped = 0;
    dep_fault fault = {.at = -1}, second;
    weir_rc rc = dep_exec(c->d, err, "SAVEPOINT weir_command_file");
    rc = rc == WEIR_OK ? dep_run_file(c->d, f, &fault, err) : rc;
    *runs = rc == WEIR_OK;
    if (*runs || !fault.text) {
        return rc;
    }
    bool other_signature =
        strcmp(err->sqlstate, "42P13") == 0 || strcmp(err->sqlstate, "42723") == 0;
    rc = dep_exec(c->d, err, "ROLLBACK TO weir_command_file");
    if (rc == WEIR_OK && other_signature) {
        rc = drop_of_file(c, f, &dropped, err);
    }
    if (rc == WEIR_OK && dropped) {
        rc = dep_run_file(c->d, f, &second, err);
        *runs = rc == WEIR_OK;
        if (*runs || !second.text) {
            return rc;
        }
        fault = second;
        rc = dep_exec(c->d, err, "ROLLBACK TO weir_command_file");
    }
    if (rc == WEIR_OK) {
        refuse(c, f, &fault);
    }
    return rc;
}

static weir_rc run_files(commands *c, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; rc == WEIR_OK && i < c->app->commands.n; i++) {
        const dep_file *f = &c->app->commands.f[i];
        bool runs = false;
        rc = remember_versions(c, err);
        rc = rc == WEIR_OK ? run_command_file(c, f, &runs, err) : rc;
        rc = rc == WEIR_OK && runs ? claim(c, f, err) : rc;
    }
    return rc;
}

/* Functions an earlier deploy made from a file, which no file makes any more. */
static weir_rc drop_orphans(commands *c, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc =
        weir_pg_query(c->d->pg,
                      "SELECT identity, file FROM weir.command_catalog WHERE file IS NOT NULL "
                      "AND to_regprocedure(identity) IS NOT NULL",
                      0, NULL, &r, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        if (weir_map_has(c->defined, weir_pg_value(r, i, 0))) {
            continue;
        }
        rc = dep_exec(c->d, err,
                      weir_arena_printf(c->d->a, "DROP FUNCTION %s", weir_pg_valuez(r, i, 0)));
        if (rc == WEIR_OK) {
            dep_add(c->d->r, DEP_COMMAND_GONE, weir_pg_valuez(r, i, 0), NULL, "no longer in %s",
                    weir_pg_valuez(r, i, 1));
            c->d->changed = true;
        }
    }
    weir_pg_rows_free(r);
    return rc;
}

/* --- wrappers
 * ---------------------------------------------------------------------------------------------------------
 */

static const char upsert_sql[] =
    "INSERT INTO weir.command_catalog AS c (name, signature, args, result_type, isolated, "
    "serializable, description, openapi, revision,"
    " file, identity, wrapper, serialize_by)"
    " SELECT $2, $3, weir.command_args_json(f.oid), $4, $5::bool OR weir.stays_behind(f.oid), "
    "$6::bool, $7, "
    "weir.command_openapi(f.oid), $8::bigint, $9, $10, $11, $12"
    "   FROM (SELECT $1::oid AS oid) f"
    " ON CONFLICT (name) DO UPDATE SET signature = excluded.signature, args = excluded.args, "
    "result_type = excluded.result_type,"
    " isolated = excluded.isolated, serializable = excluded.serializable, description = "
    "excluded.description,"
    " openapi = excluded.openapi, revision = excluded.revision, file = excluded.file, identity = "
    "excluded.identity,"
    " wrapper = excluded.wrapper, serialize_by = excluded.serialize_by"
    " WHERE (c.signature, c.args, c.result_type, c.isolated, c.serializable, c.description, "
    "c.openapi, c.file, c.identity, c.wrapper, c.serialize_by)"
    " IS DISTINCT FROM (excluded.signature, excluded.args, excluded.result_type, "
    "excluded.isolated, excluded.serializable,"
    " excluded.description, excluded.openapi, excluded.file, excluded.identity, excluded.wrapper, "
    "excluded.serialize_by)"
    " RETURNING true";

static weir_rc check_serialize_by(commands *c, const char *oid, const defined *from,
                                  weir_error *err)
{
    if (!from || !from->serialize_by) {
        return WEIR_OK;
    }
    const char *params[] = {oid, from->serialize_by};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(
        c->d->pg, "SELECT FROM weir.command_args($1::oid) a WHERE a.name = $2", 2, params, &r, err);
    if (rc == WEIR_OK && weir_pg_nrows(r) == 0) {
        dep_fault fault = {
            .at = from->serialize_by_at,
            .text = weir_arena_printf(c->d->a, "@serialize_by %s: the command has no such argument",
                                      from->serialize_by)};
        refuse(c, from->file, &fault);
    }
    weir_pg_rows_free(r);
    return rc;
}

static weir_rc install_wrapper(commands *c, const weir_pg_rows *fs, int i, weir_error *err)
{
    const char *oid = weir_pg_valuez(fs, i, 0);
    weir_pg_rows *w = NULL;
    weir_rc rc = weir_pg_query(c->d->pg, "SELECT weir.command_wrapper($1::oid)", 1, &oid, &w, err);
    rc = rc == WEIR_OK ? dep_exec(c->d, err, weir_pg_valuez(w, 0, 0)) : rc;
    if (rc != WEIR_OK) {
        weir_pg_rows_free(w);
        weir_error_wrap(err, "the wrapper of %s", weir_pg_valuez(fs, i, 2));
        return rc;
    }
    const defined *from = weir_map_get(c->defined, weir_pg_value(fs, i, 2));
    rc = check_serialize_by(c, oid, from, err);
    if (rc != WEIR_OK) {
        weir_pg_rows_free(w);
        return rc;
    }
    const char *params[] = {oid,
                            weir_pg_valuez(fs, i, 1),
                            weir_pg_valuez(fs, i, 5),
                            weir_pg_valuez(fs, i, 6),
                            from && from->isolated ? "t" : "f",
                            from && from->serializable ? "t" : "f",
                            weir_pg_isnull(fs, i, 7) ? NULL : weir_pg_valuez(fs, i, 7),
                            weir_arena_printf(c->d->a, "%lld", (long long)c->d->revision),
                            from ? from->file->path : NULL,
                            weir_pg_valuez(fs, i, 2),
                            weir_pg_valuez(w, 0, 0),
                            from ? from->serialize_by : NULL};
    weir_pg_rows *changed = NULL;
    rc = weir_pg_query(c->d->pg, upsert_sql, 12, params, &changed, err);
    if (rc == WEIR_OK && weir_pg_nrows(changed) > 0) {
        dep_add(c->d->r, DEP_COMMAND, weir_pg_valuez(fs, i, 1), NULL, "%s",
                weir_pg_valuez(fs, i, 5));
        c->d->changed = true;
    }
    weir_pg_rows_free(changed);
    weir_pg_rows_free(w);
    return rc;
}

/* Wrappers whose function is gone. */
static weir_rc drop_wrappers(commands *c, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(
        c->d->pg,
        "DELETE FROM weir.command_catalog c WHERE NOT EXISTS (SELECT FROM pg_proc p "
        "WHERE p.pronamespace = 'command'::regnamespace AND p.proname = c.name) RETURNING name",
        0, NULL, &r, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        rc = dep_exec(c->d, err,
                      weir_arena_printf(c->d->a,
                                        "DROP FUNCTION IF EXISTS weir.\"run_%s\"(text, text)",
                                        weir_pg_valuez(r, i, 0)));
        c->d->changed = true;
    }
    weir_pg_rows_free(r);
    return rc;
}

/* Where a file makes a function: what the catalog knows of it has no place. */
static int place_of(const dep_file *f, const char *name)
{
    dep_scan scan = dep_scan_of(f->text);
    dep_stmt stmt;
    while (dep_scan_next(&scan, &stmt)) {
        if (strcmp(stmt.words[0], "CREATE") == 0 &&
            memmem(stmt.text.p, stmt.text.n, name, strlen(name))) {
            return (int)(stmt.text.p - f->text.p);
        }
    }
    return -1;
}

/* A function that cannot be a command: named by the file it came from, if it came from one. */
static void refuse_function(commands *c, const weir_pg_rows *fs, int i)
{
    const defined *from = weir_map_get(c->defined, weir_pg_value(fs, i, 2));
    if (from) {
        dep_fault fault = {.at = place_of(from->file, weir_pg_valuez(fs, i, 1)),
                           .text = weir_arena_dupz(c->d->a, weir_pg_value(fs, i, 4))};
        refuse(c, from->file, &fault);
        return;
    }
    dep_add(c->d->r, DEP_PROBLEM, weir_pg_valuez(fs, i, 2), NULL, "%s", weir_pg_valuez(fs, i, 4));
    c->d->refused_commands++;
}

static weir_rc wrap_all(commands *c, weir_error *err)
{
    weir_pg_rows *fs = NULL;
    weir_rc rc = list_functions(c, &fs, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(fs); i++) {
        if (!weir_pg_isnull(fs, i, 4)) {
            refuse_function(c, fs, i);
        } else {
            rc = install_wrapper(c, fs, i, err);
            c->d->r->commands++;
        }
    }
    weir_pg_rows_free(fs);
    return rc;
}

/* After a refusal nothing is dropped: what a refused file made earlier would seem to be nobody's.
 */
weir_rc dep_commands_apply(dep_run *d, const dep_appdir *app, weir_error *err)
{
    commands c = {.d = d, .app = app, .versions = weir_map_new(), .defined = weir_map_new()};
    weir_rc rc = run_files(&c, err);
    if (d->refused_commands == 0) {
        rc = rc == WEIR_OK ? drop_orphans(&c, err) : rc;
        rc = rc == WEIR_OK ? drop_wrappers(&c, err) : rc;
    }
    rc = rc == WEIR_OK ? wrap_all(&c, err) : rc;
    weir_map_free(c.versions);
    weir_map_free(c.defined);
    return rc;
}
