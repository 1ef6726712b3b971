-- @model p_where
-- @key   id
SELECT i.id, i.t FROM item i WHERE 12 / i.b > 1
