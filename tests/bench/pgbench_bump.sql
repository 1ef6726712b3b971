\set a random(1, :rows)
\set b random(1, :rows)
SELECT command.bench_bump(:a, :b);
