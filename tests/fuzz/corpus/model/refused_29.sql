-- @key id
SELECT o.id FROM orders o JOIN order_lines l ON l.order_id = o.id