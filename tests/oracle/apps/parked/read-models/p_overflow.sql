-- @model p_overflow
-- @key   id
SELECT i.id, i.a * 200000000 AS wide, i.s * 3000::smallint AS narrow, - (i.n + 0.5)::numeric(3,1) AS sized FROM item i
