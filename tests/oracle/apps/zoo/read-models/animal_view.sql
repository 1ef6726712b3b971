-- @model animal_view
-- @key   id
SELECT a.id, a.weight, a.price, a.data, a.raw, a.day, a.moment, a.span, a.size, a.blob,
       k.badge, k.name AS keeper, k.mood, k.since, k.flags, k.words,
       m.weight AS mother_weight, f.weight AS father_weight, mk.badge AS mother_keeper,
       (SELECT count(*) FROM zoo.animal c WHERE c.mother = a.id) AS borne,
       (SELECT count(*) FROM zoo.animal c WHERE c.father = a.id AND c.mother IS NOT NULL) AS sired,
       (SELECT jsonb_agg(jsonb_build_object('at', g.at, 'amount', g.amount, 'unit', g.unit, 'ok', g.ok) ORDER BY g.at)
          FROM zoo.feeding g WHERE g.animal = a.id) AS feedings,
       (SELECT sum(g.amount) FROM zoo.feeding g WHERE g.animal = a.id AND g.ok) AS eaten,
       (SELECT jsonb_agg(jsonb_build_object('note', c.note, 'rank', s.rank) ORDER BY s.rank, s.id)
          FROM zoo.stay s JOIN zoo.cage c ON c.a = s.a AND c.b = s.b AND c.c = s.c
         WHERE s.animal = a.id) AS stays
  FROM zoo.animal a
  LEFT JOIN zoo.keeper k ON k.code = a.keeper_code
  LEFT JOIN zoo.animal m ON m.id = a.mother
  LEFT JOIN zoo.animal f ON f.id = a.father
  LEFT JOIN zoo.keeper mk ON mk.code = m.keeper_code
