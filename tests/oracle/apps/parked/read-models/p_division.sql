-- @model p_division
-- @key   id
SELECT i.id, i.a / i.b AS q, i.a % i.b AS r, CASE WHEN i.b <> 0 THEN i.a / i.b END AS guarded FROM item i
