SELECT e.id, e.name, m.name AS manager, mm.name AS grand FROM employees e LEFT JOIN employees m ON m.id = e.manager_id LEFT JOIN employees mm ON mm.id = m.manager_id AND mm.name <> 'boss'
