-- Statements that make the table $1.$2 note the keys that are deleted from it by others than us; key columns in the order of their names.
SELECT format('CREATE OR REPLACE TRIGGER weir_sync_delete AFTER DELETE ON %1$s FOR EACH ROW EXECUTE FUNCTION weir_sync.note_delete(%2$s); '
              'CREATE OR REPLACE TRIGGER weir_sync_move AFTER UPDATE ON %1$s FOR EACH ROW WHEN (%3$s) EXECUTE FUNCTION weir_sync.note_delete(%2$s); '
              'CREATE OR REPLACE TRIGGER weir_sync_truncate BEFORE TRUNCATE ON %1$s FOR EACH STATEMENT EXECUTE FUNCTION weir_sync.note_truncate()',
              format('%I.%I', n.nspname, c.relname),
              string_agg(quote_literal(a.attname), ', ' ORDER BY a.attname::text COLLATE "C"),
              string_agg(format('OLD.%1$I IS DISTINCT FROM NEW.%1$I', a.attname), ' OR ')),
       EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'weir_sync_truncate')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_index i ON i.indrelid = c.oid AND (c.relreplident = 'i' AND i.indisreplident OR c.relreplident <> 'i' AND i.indisprimary)
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
 WHERE n.nspname = $1 AND c.relname = $2
 GROUP BY n.nspname, c.relname, c.oid
