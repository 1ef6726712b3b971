-- @model tag_view
-- @key   id
SELECT t.id, t.label,
       (SELECT jsonb_agg(jsonb_build_object('employee', e.name, 'company', c.name, 'region', r.name) ORDER BY e.id)
          FROM employee_tag et
          JOIN employee e ON e.id = et.employee_id
          LEFT JOIN company c ON c.id = e.company_id
          LEFT JOIN region r ON r.id = c.region_id
         WHERE et.tag_id = t.id) AS people
  FROM tag t
