-- @model company_view
-- @key   id
SELECT c.id, c.name, c.active, c.rating, r.name AS region,
       coalesce(r.name, 'nowhere') || '/' || c.name AS path,
       (SELECT jsonb_agg(jsonb_build_object(
                 'code', d.code, 'title', d.title, 'budget', d.budget,
                 'staff', (SELECT jsonb_agg(jsonb_build_object(
                              'id', e.id, 'name', e.name, 'hired', e.hired, 'bio', e.bio, 'boss', m.name,
                              'tags', (SELECT jsonb_agg(jsonb_build_object('label', t.label, 'weight', et.weight) ORDER BY et.tag_id)
                                         FROM employee_tag et JOIN tag t ON t.id = et.tag_id
                                        WHERE et.employee_id = e.id AND et.weight IS DISTINCT FROM 3))
                              ORDER BY e.id DESC)
                             FROM employee e LEFT JOIN employee m ON m.id = e.manager_id
                            WHERE e.company_id = d.company_id AND e.dept_code = d.code))
               ORDER BY d.code)
          FROM dept d WHERE d.company_id = c.id) AS depts,
       (SELECT count(*) FROM employee e WHERE e.company_id = c.id) AS headcount,
       (SELECT sum(e.salary) FROM employee e WHERE e.company_id = c.id) AS payroll
  FROM company c LEFT JOIN region r ON r.id = c.region_id
