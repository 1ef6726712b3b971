-- Can the table $1.$2 be a source? One row: NULL, or why not; and what helps.
WITH RECURSIVE tab AS (
    SELECT c.oid, c.relkind, c.relpersistence, c.relreplident, c.relispartition
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
), leaf AS (
    SELECT oid, relkind, relpersistence, relreplident FROM tab
    UNION ALL
    SELECT c.oid, c.relkind, c.relpersistence, c.relreplident
      FROM leaf l JOIN pg_inherits i ON i.inhparent = l.oid JOIN pg_class c ON c.oid = i.inhrelid
     WHERE l.relkind = 'p'
), bad AS (
    SELECT l.*, format('%I.%I', n.nspname, c.relname) AS name
      FROM leaf l JOIN pg_class c ON c.oid = l.oid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE l.relkind IN ('f', 'v', 'm') OR l.relpersistence <> 'p' OR l.relreplident = 'n'
        OR l.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = l.oid AND i.indisprimary AND i.indisvalid AND i.indimmediate)
        OR l.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = l.oid AND i.indisreplident AND i.indisvalid)
     LIMIT 1
)
SELECT CASE WHEN NOT EXISTS (SELECT FROM tab) THEN 'there is no such table'
            WHEN (SELECT relispartition FROM tab) THEN 'it is a partition'
            WHEN b.relkind IN ('v', 'm') THEN 'it is a view'
            WHEN b.relkind = 'f' THEN format('%s is a foreign table: its changes are not in the WAL', b.name)
            WHEN b.relpersistence <> 'p' THEN format('%s is unlogged or temporary: its changes are not in the WAL', b.name)
            WHEN b.relreplident = 'n' THEN format('%s has REPLICA IDENTITY NOTHING: its updates and deletes would not be told', b.name)
            WHEN b.relreplident = 'i' THEN format('%s lost the index of its replica identity', b.name)
            WHEN b.relreplident = 'd' THEN format('%s has no primary key: once published, its UPDATE and DELETE would be refused', b.name) END,
       CASE WHEN (SELECT relispartition FROM tab) THEN 'name the partitioned table instead'
            WHEN b.relkind IN ('r', 'p') AND b.relpersistence = 'p'
            THEN format('ALTER TABLE %1$s ADD PRIMARY KEY (…), or REPLICA IDENTITY USING INDEX …, or (slow) REPLICA IDENTITY FULL', b.name)
            ELSE 'leave it out of the tables' END
  FROM (SELECT) one LEFT JOIN bad b ON true
