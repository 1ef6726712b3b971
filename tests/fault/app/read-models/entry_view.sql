-- @model entry_view
-- @key   id
SELECT e.id, e.token, e.amount, a.id AS account, a.id AS account_id FROM entry e JOIN account a ON a.id = e.account_id
