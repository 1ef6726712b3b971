-- The same table three times: an employee, the manager, the direct reports; and the territories through their link table.
-- @model employee_view
-- @key   employee_id
SELECT e.employee_id, e.title_of_courtesy || ' ' || e.first_name || ' ' || e.last_name AS name, e.title, e.hire_date,
       m.first_name || ' ' || m.last_name AS reports_to,
       (SELECT jsonb_agg(jsonb_build_object('id', r.employee_id, 'name', r.first_name || ' ' || r.last_name) ORDER BY r.employee_id)
          FROM employees r WHERE r.reports_to = e.employee_id) AS reports,
       (SELECT jsonb_agg(jsonb_build_object('territory', t.territory_description, 'region', g.region_description)
                         ORDER BY x.territory_id COLLATE "C")
          FROM employee_territories x
          JOIN territories t ON t.territory_id = x.territory_id
          JOIN region g ON g.region_id = t.region_id
         WHERE x.employee_id = e.employee_id) AS territories,
       (SELECT count(*) FROM orders o WHERE o.employee_id = e.employee_id) AS orders_taken
  FROM employees e
  LEFT JOIN employees m ON m.employee_id = e.reports_to
