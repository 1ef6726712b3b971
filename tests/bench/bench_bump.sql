-- What the contention benchmarks call: two rows of a small table, in the order of the call.
CREATE OR REPLACE FUNCTION command.bench_bump(a integer, b integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE bench_counter SET n = n + 1 WHERE id = a;
    UPDATE bench_counter SET n = n + 1 WHERE id = b;
END $$;
