-- @key tenant_id, id
SELECT o.tenant_id, o.id, c.name FROM tenants_orders o JOIN tenants_customers c ON c.tenant_id = o.tenant_id AND c.id = o.customer_id WHERE EXISTS (SELECT 1 FROM orders x WHERE x.id = o.id AND x.customer_id = c.id)
