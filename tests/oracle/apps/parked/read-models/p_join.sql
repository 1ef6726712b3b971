-- @model p_join
-- @key   id
SELECT c.id, i.a, 12 / i.b AS q FROM child c JOIN item i ON i.id = c.item_id AND 12 / (i.a + 1) <> 3
