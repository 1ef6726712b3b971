-- @model account_view
-- @key   id
SELECT a.id, a.balance, a.version,
       (SELECT count(*) FROM entry e WHERE e.account_id = a.id) AS entries,
       (SELECT coalesce(sum(e.amount), 0.00) FROM entry e WHERE e.account_id = a.id) AS total
  FROM account a
