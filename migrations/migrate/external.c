/* external.c - slot and publication of a bridge, asked of the bridge and of the source. */
#include "migrations/migrate/external.h"

#include "libweir/codec/json.h"

static const char *text_of(const weir_json *slot, const char *key, weir_arena *a)
{
    weir_slice v;
    return slot && weir_json_str(slot, key, &v) ? weir_arena_dupz(a, v) : "";
}

static weir_rc slot_is_here(mig_session *s, const char *slot, weir_arena *a, weir_error *err)
{
    const char *here = "";
    weir_rc rc = mig_value(s->source, a,
                           "SELECT slot_name FROM pg_replication_slots WHERE slot_name = $1 AND "
                           "database = current_database() AND active",
                           slot, &here, err);
    if (rc == WEIR_OK && !here[0]) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "the bridge at %s reads the slot %s, which is not in use in the database of "
                       "[source] uri: it reads another database",
                       s->feed, slot);
    }
    return rc;
}

/* Row filters and column lists do not matter for columns (rows are read again), but a row that is
 * filtered out is never told. */
static weir_rc is_published(mig_session *s, const mig_ptable *t, const char *publication,
                            weir_error *err)
{
    static const char sql[] =
        "SELECT CASE WHEN p.oid IS NULL THEN 'there is no such publication'"
        " WHEN NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate)"
        "   THEN 'it leaves out kinds of changes'"
        " WHEN t.tablename IS NULL THEN 'the table is not in it (ALTER PUBLICATION … ADD TABLE; a"
        " partitioned table also needs publish_via_partition_root)'"
        " WHEN t.rowfilter IS NOT NULL THEN 'it shows only some of the rows' END"
        " FROM (SELECT) one LEFT JOIN pg_publication p ON p.pubname = $1"
        " LEFT JOIN pg_publication_tables t ON t.pubname = p.pubname AND t.schemaname = $2 AND"
        " t.tablename = $3";
    const char *params[] = {publication, t->src.schema, t->src.name};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(s->source, sql, 3, params, &r, err);
    if (rc == WEIR_OK && !weir_pg_isnull(r, 0, 0)) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "changes of %s would be missed: the bridge at %s reads the publication %s, "
                       "and %s",
                       t->src_sql, s->feed, publication, weir_pg_valuez(r, 0, 0));
    }
    weir_pg_rows_free(r);
    return rc;
}

weir_rc mig_external_check(mig_session *s, mig_feed *f, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_slice status;
    weir_json *j = NULL;
    weir_rc rc = mig_feed_status(f, a, &status, err);
    rc = rc == WEIR_OK ? weir_json_parse(&j, status, err) : rc;
    const weir_json *slot = rc == WEIR_OK ? weir_json_get(j, "slot") : NULL;
    const char *publication = text_of(slot, "publication", a);
    if (rc == WEIR_OK && strcmp(text_of(slot, "state", a), "streaming") != 0) {
        rc = weir_fail(err, WEIR_E_AGAIN, WEIR_EF_RETRY, "the bridge at %s does not stream: %s",
                       s->feed, text_of(slot, "reason", a));
    }
    rc = rc == WEIR_OK ? slot_is_here(s, text_of(slot, "name", a), a, err) : rc;
    for (int i = 0; rc == WEIR_OK && i < s->plan->ntables; i++) {
        rc = is_published(s, &s->plan->tables[i], publication, err);
    }
    weir_json_free(j);
    weir_arena_free(a);
    return rc;
}
