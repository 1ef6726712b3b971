-- The columns of table $1 (regclass text): name, quoted, type, generated, may COPY write it, may it travel in binary.
SELECT attname, quote_ident(attname), atttypid, attgenerated <> '',
       atttypid IN ('bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'float4'::regtype, 'float8'::regtype, 'text'::regtype,
                    'varchar'::regtype, 'bpchar'::regtype, 'bytea'::regtype, 'uuid'::regtype, 'date'::regtype, 'time'::regtype, 'timestamp'::regtype,
                    'timestamptz'::regtype, 'interval'::regtype, 'numeric'::regtype)
  FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
 ORDER BY attnum
