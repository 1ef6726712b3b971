-- Values that break expressions: zeros, texts that are no numbers, numbers that overflow.
CREATE TABLE item (id int PRIMARY KEY, a int, b int, s smallint, n numeric, t text);
CREATE TABLE child (id int PRIMARY KEY, item_id int, x int, t text);
