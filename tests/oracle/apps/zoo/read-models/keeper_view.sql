-- @model keeper_view
-- @key   badge
SELECT k.badge, k.code, k.mood::text AS mood, k.name || '!' AS shout,
       (SELECT jsonb_agg(jsonb_build_object('animal', a.id, 'mother', m.id, 'fed', (SELECT max(g.at) FROM zoo.feeding g WHERE g.animal = a.id))
                         ORDER BY a.id)
          FROM zoo.animal a JOIN zoo.animal m ON m.id = a.mother WHERE a.keeper_code = k.code) AS animals
  FROM zoo.keeper k
 WHERE k.mood IS NOT NULL AND (k.mood <> 'sad' OR k.code > 2)
