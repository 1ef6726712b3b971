-- Every command leaves one entry under its token and moves the account's balance and version in the same transaction:
-- a lost, doubled or half-seen command shows.
CREATE TABLE account (id int PRIMARY KEY, balance numeric(14, 2) NOT NULL, version bigint NOT NULL);
CREATE TABLE entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token text NOT NULL,            -- not unique on purpose: a second execution must be visible
    account_id int NOT NULL REFERENCES account,
    amount numeric(12, 2) NOT NULL
);
CREATE INDEX ON entry (account_id);
CREATE INDEX ON entry (token);
INSERT INTO account SELECT i, 0, 0 FROM generate_series(1, 50) i;
