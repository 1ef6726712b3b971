-- @model cage_view
-- @key   a, b, c
SELECT g.a, g.b, g.c, g.note,
       (SELECT min(s.rank) FROM zoo.stay s WHERE s.a = g.a AND s.b = g.b AND s.c = g.c) AS lowest,
       (SELECT count(x.id) FROM zoo.stay s LEFT JOIN zoo.animal x ON x.id = s.animal
         WHERE s.a = g.a AND s.b = g.b AND s.c = g.c) AS guests
  FROM zoo.cage g
