-- @model employee_view
-- @key   id
SELECT e.id, e.name, d.title AS dept, d.budget, c.name AS company, r.name AS region,
       m.name AS boss, mm.name AS boss_of_boss,
       CASE WHEN e.salary > 1000 THEN 'high' WHEN e.salary > 10.5 THEN 'middle' ELSE 'low' END AS band,
       (SELECT count(*) FROM employee s WHERE s.manager_id = e.id) AS reports,
       (SELECT min(v.score) FROM review v WHERE v.employee_id = e.id AND NOT coalesce(v.secret, false)) AS worst,
       (SELECT max(v.at) FROM review v WHERE v.employee_id = e.id) AS last_review,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('score', v.score, 'at', v.at, 'body', v.body)
                                  ORDER BY v.score DESC NULLS LAST, v.id), '[]'::jsonb)
          FROM review v WHERE v.employee_id = e.id AND v.secret IS NOT TRUE) AS reviews
  FROM employee e
  JOIN dept d ON d.company_id = e.company_id AND d.code = e.dept_code
  JOIN company c ON c.id = d.company_id
  LEFT JOIN region r ON r.id = c.region_id
  LEFT JOIN employee m ON m.id = e.manager_id
  LEFT JOIN employee mm ON mm.id = m.manager_id
 WHERE c.active IS NOT FALSE AND e.name IN ('a', 'b', 'it''s', 'é"\', 'long')
