-- Table $1 as it is now: snapshot and position; its columns; the files it is kept in (another file: TRUNCATE or a rewrite).
SELECT pg_current_snapshot()::text,
       pg_current_wal_insert_lsn()::text,
       (SELECT md5(string_agg(concat_ws(' ', attnum, quote_ident(attname), atttypid, atttypmod, attgenerated), ',' ORDER BY attnum))
          FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped),
       (SELECT md5(string_agg(concat_ws(' ', r::oid, pg_relation_filenode(r)), ',' ORDER BY r::oid))
          FROM (SELECT $1::regclass UNION SELECT relid FROM pg_partition_tree($1::regclass)) x(r))
