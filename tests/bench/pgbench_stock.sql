\set customer random(1, 10000)
\set a random(10001, 10000 + :skus)
\set b random(10001, 10000 + :skus)
\set c random(10001, 10000 + :skus)
SELECT command.place_order(:customer, ARRAY[('SKU-' || substr(:a::text, 2), 1)::line_request, ('SKU-' || substr(:b::text, 2), 1)::line_request, ('SKU-' || substr(:c::text, 2), 1)::line_request]);
