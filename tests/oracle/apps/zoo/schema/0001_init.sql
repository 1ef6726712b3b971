-- Types, replica identities, keys that swap, references without constraints, joins over unique columns that are no primary key.
CREATE SCHEMA zoo;
CREATE TYPE zoo.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN zoo.small AS int CHECK (VALUE < 1000);
CREATE TABLE zoo.keeper (
    badge text PRIMARY KEY,
    code int UNIQUE DEFERRABLE INITIALLY DEFERRED,
    name char(6),
    mood zoo.mood,
    since timestamp,
    flags int[],
    words text[]
);
CREATE TABLE zoo.animal (
    id int NOT NULL,
    keeper_code int,
    mother int,
    father int,
    weight real,
    price double precision,
    data jsonb,
    raw bytea,
    day date,
    moment time,
    span interval,
    size zoo.small,
    blob text,
    CONSTRAINT animal_pk PRIMARY KEY (id)
);
ALTER TABLE zoo.animal REPLICA IDENTITY FULL;
ALTER TABLE zoo.animal ALTER COLUMN blob SET STORAGE EXTERNAL;
CREATE TABLE zoo.feeding (
    animal int NOT NULL,
    at timestamptz NOT NULL,
    amount numeric,
    unit uuid,
    ok boolean,
    CONSTRAINT feeding_key UNIQUE (animal, at)
);
CREATE UNIQUE INDEX feeding_identity ON zoo.feeding (at, animal);
ALTER TABLE zoo.feeding REPLICA IDENTITY USING INDEX feeding_identity;
CREATE TABLE zoo.cage (a int, b bigint, c text, note text, PRIMARY KEY (b, a, c));
CREATE TABLE zoo.stay (id int PRIMARY KEY, animal int, a smallint, b int, c varchar(20), rank numeric(8, 3));
