-- What the compiler's tests read: the shop, and tables with one oddity each.
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN positive AS numeric(12,2) CHECK (VALUE >= 0);
CREATE DOMAIN price AS positive NOT NULL;
CREATE DOMAIN label AS varchar(40);
CREATE TABLE regions (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE, region_id int REFERENCES regions,
    country char(2), vip boolean NOT NULL DEFAULT false, code text COLLATE "C" NOT NULL UNIQUE, meta jsonb, payload json, tags text[]);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, status text NOT NULL,
    placed_at timestamptz NOT NULL, total numeric(12,2), weight float8, billing_id bigint, mood mood, raw numeric, note varchar,
    day date, num int, small smallint, at timestamp, ref uuid, tall price, lab label,
    cents bigint GENERATED ALWAYS AS (num * 100) STORED, gone int, "Odd ""Name" text, inet inet, p pair);
ALTER TABLE orders DROP COLUMN gone;
CREATE TABLE order_lines (order_id bigint NOT NULL REFERENCES orders, line_no int NOT NULL, sku text NOT NULL, qty int NOT NULL,
    price numeric(12,2) NOT NULL, product_id int, deleted boolean NOT NULL DEFAULT false, PRIMARY KEY (order_id, line_no));
CREATE TABLE products (id int PRIMARY KEY, sku text NOT NULL, name text NOT NULL, price numeric(12,2) NOT NULL);
CREATE UNIQUE INDEX products_sku ON products (sku);
CREATE UNIQUE INDEX products_name ON products (lower(name));
CREATE UNIQUE INDEX products_some ON products (name) WHERE price > 0;
CREATE TABLE order_tags (order_id bigint NOT NULL, tag_id int NOT NULL, pos int NOT NULL, PRIMARY KEY (order_id, tag_id) INCLUDE (pos));
CREATE TABLE tags (id int PRIMARY KEY, label text NOT NULL);
CREATE TABLE by_index (id int PRIMARY KEY, code int NOT NULL, v int);
CREATE UNIQUE INDEX by_index_code ON by_index (code);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code;
CREATE TABLE hidden (id int PRIMARY KEY);
CREATE TABLE parted (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE some_columns (id int PRIMARY KEY, seen int, unseen int);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (x int) INHERITS (parent);
CREATE DOMAIN ints AS int[];
CREATE TYPE tone AS ENUM ('low');
CREATE FUNCTION tone_json(tone) RETURNS json LANGUAGE sql AS $$ SELECT '{}'::json $$;
CREATE CAST (tone AS json) WITH FUNCTION tone_json(tone);
CREATE DOMAIN hue AS tone;
CREATE TABLE arrays (id int PRIMARY KEY, plain int[], positives price[], moods mood[], rows ints[], boxes box[], points point[],
    vec int2vector, oids oidvector, pairs pair[], jsons json[], tone tone, tones tone[], hue hue, hues hue[], whole ints, class regclass, classes regclass[], role regrole);
CREATE VIEW open_orders AS SELECT id FROM orders WHERE status = 'open';
CREATE SCHEMA "Other";
CREATE TABLE "Other"."Things" ("Id" int PRIMARY KEY, "Value" text);
INSERT INTO regions VALUES (1, 'north');
INSERT INTO customers VALUES (1, 'Ann', 'ann@x', 1, 'DE', true, 'a1', '{"k": [1, 2.50]}', '{}', '{x,y}'),
    (2, 'Bob', 'bob@x', NULL, NULL, false, 'b2', NULL, NULL, NULL);
INSERT INTO products VALUES (1, 's1', 'Saw', 10.50), (2, 's2', 'Nail', 0.10);
INSERT INTO orders (id, customer_id, status, placed_at, total, num, tall) VALUES
    (10, 1, 'open', '2024-01-02 03:04:05+00', 12.50, 3, 1), (11, 1, 'paid', '2024-01-02 03:04:05+00', NULL, NULL, 2);
INSERT INTO order_lines VALUES (10, 1, 's1', 1, 10.50, 1), (10, 2, 's2', 20, 0.10, 2), (10, 3, 'x', 20, 0.10, NULL);
CREATE PUBLICATION weir FOR TABLE regions, customers, orders, order_lines, products, order_tags, tags, by_index, parted,
    "Other"."Things", some_columns (id, seen), parent;
ALTER PUBLICATION weir ADD TABLE hidden WHERE (id > 5);
