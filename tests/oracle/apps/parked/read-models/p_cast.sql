-- @model p_cast
-- @key   id
SELECT i.id, CASE WHEN i.t IN ('a', 'b') THEN 7 ELSE i.t::int END AS t, i.n::int AS n FROM item i
