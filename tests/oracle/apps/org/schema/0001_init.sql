-- Composite keys, nullable and self references, a link table, deferrable keys, TOAST, three levels of nesting.
CREATE TABLE region (id int PRIMARY KEY, name text);
ALTER TABLE region ADD CONSTRAINT region_name_len CHECK (length(name) < 400);
CREATE TABLE company (
    id int PRIMARY KEY,
    region_id int,                       -- no foreign key: may dangle
    name text NOT NULL,
    active boolean,
    rating numeric(6, 2)
);
CREATE TABLE dept (
    company_id int NOT NULL REFERENCES company ON UPDATE CASCADE ON DELETE CASCADE,
    code text NOT NULL,
    title text,
    budget numeric(12, 2),
    PRIMARY KEY (company_id, code)
);
CREATE TABLE employee (
    id bigint PRIMARY KEY,
    company_id int,
    dept_code text,
    manager_id bigint,
    name varchar(40),
    hired date,
    salary numeric(10, 2),
    bio text,
    FOREIGN KEY (company_id, dept_code) REFERENCES dept ON UPDATE CASCADE ON DELETE SET NULL
);
ALTER TABLE employee ALTER COLUMN bio SET STORAGE EXTERNAL;
CREATE TABLE tag (id smallint PRIMARY KEY, label text);
CREATE TABLE employee_tag (
    employee_id bigint NOT NULL REFERENCES employee ON UPDATE CASCADE ON DELETE CASCADE,
    tag_id smallint NOT NULL,
    weight int,
    PRIMARY KEY (employee_id, tag_id)
);
CREATE TABLE review (id int PRIMARY KEY, employee_id bigint, score int, at timestamptz, body jsonb, secret boolean);
