-- @model dept_view
-- @key   company_id, code
SELECT d.company_id, d.code, d.title, c.name AS company,
       (SELECT sum(e.salary * 2 - 1) FROM employee e WHERE e.company_id = d.company_id AND e.dept_code = d.code) AS cost,
       (SELECT count(t.label) FROM employee_tag et JOIN tag t ON t.id = et.tag_id JOIN employee e ON e.id = et.employee_id
         WHERE e.company_id = d.company_id AND e.dept_code = d.code) AS labels
  FROM dept d JOIN company c ON c.id = d.company_id
 WHERE d.budget IS NULL OR d.budget <> 0
