"""A dump is data: only what pg_dump writes of one database passes, and every row is counted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import ActionState
from opsnb.systems import database
from opsnb.systems.database.dumps.archives import Archive, contents_of
from opsnb.systems.database.dumps.contents import LARGE_OBJECTS
from opsnb.systems.database.dumps.judging import inspect
from tests.operate.database import act, databases_like, own_database, query

HEAD = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.t (n int);\n"
END = "\n--\n-- PostgreSQL database dump complete\n--\n"
SUBSCRIPTION = "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p"

REFUSED = {
    # to psql
    r"\connect shop": r"\connect",
    r"\c - - otherhost": r"\c",
    r"\! touch /tmp/x": r"\!",
    r"\i /etc/passwd": r"\i",
    r"\ir x.sql": r"\ir",
    r"\o /tmp/x": r"\o",
    r"\copy public.t FROM '/etc/passwd'": r"\copy",
    r"SELECT 'DROP TABLE t' \gexec": r"\gexec",
    r"SELECT 1 \g |sh": r"\g",
    r"SELECT 1 \; SELECT 2": "\\",
    r"\set x `id`": r"\set",
    r"\if true": r"\if",
    r"\password": r"\password",
    r"\restrict_me": r"\restrict_me",
    "SELECT :'HOST';": ":'HOST'",
    "SELECT :DBNAME;": ":dbname",
    # to the server
    "COPY public.t FROM PROGRAM 'id';": "PROGRAM",
    "COPY public.t TO PROGRAM 'sh';": "to",
    "COPY public.t FROM '/etc/passwd';": "FROM",
    "COPY public.t TO '/tmp/x';": "to",
    "COPY (SELECT 1) TO STDOUT;": "to",
    "SELECT lo_import('/etc/passwd');": "lo_import",
    "SELECT pg_catalog.lo_export(1, '/tmp/x');": "lo_export",
    "SELECT pg_read_file('/etc/passwd');": "pg_read_file",
    "SELECT \"pg_read_file\"('/etc/passwd');": "pg_read_file",
    "SELECT * FROM pg_ls_dir('/');": "pg_ls_dir",
    "SELECT dblink_connect('dbname=shop');": "dblink_connect",
    "SELECT pg_terminate_backend(1);": "pg_terminate_backend",
    "SELECT nextval('s') FROM shop.x;": "select",
    "CREATE EXTENSION plpython3u;": "CREATE EXTENSION",
    "CREATE EXTENSION IF NOT EXISTS adminpack WITH SCHEMA pg_catalog;": "CREATE EXTENSION",
    'CREATE EXTENSION "file_fdw";': "CREATE EXTENSION",
    "CREATE EXTENSION dblink;": "CREATE EXTENSION",
    "CREATE EXTENSION postgres_fdw;": "CREATE EXTENSION",
    "CREATE SERVER s FOREIGN DATA WRAPPER w;": "CREATE SERVER",
    "CREATE USER MAPPING FOR x SERVER s;": "CREATE USER MAPPING",
    "CREATE FOREIGN TABLE f (n int) SERVER s;": "CREATE FOREIGN TABLE",
    "CREATE FOREIGN DATA WRAPPER w;": "CREATE FOREIGN DATA WRAPPER",
    "IMPORT FOREIGN SCHEMA x FROM SERVER s INTO y;": "import",
    "ALTER SYSTEM SET work_mem = '1MB';": "ALTER SYSTEM",
    "CREATE ROLE x SUPERUSER;": "CREATE ROLE",
    "CREATE USER x;": "CREATE USER",
    "ALTER ROLE postgres PASSWORD 'x';": "ALTER ROLE",
    "DROP ROLE x;": "DROP ROLE",
    "DROP OWNED BY x;": "DROP OWNED",
    "REASSIGN OWNED BY x TO y;": "reassign",
    "GRANT postgres TO x;": "GRANT POSTGRES",
    "GRANT ALL ON DATABASE shop TO x;": "grant",
    "GRANT SET ON PARAMETER work_mem TO x;": "grant",
    "COMMENT ON DATABASE shop IS 'x';": "comment",
    "SECURITY LABEL ON ROLE x IS 'y';": "security",
    "CREATE DATABASE x;": "CREATE DATABASE",
    "DROP DATABASE shop;": "DROP DATABASE",
    "ALTER DATABASE shop SET work_mem = '1MB';": "ALTER DATABASE",
    "CREATE TABLESPACE x LOCATION '/tmp';": "CREATE TABLESPACE",
    "LOAD '/tmp/x.so';": "load",
    "SET SESSION AUTHORIZATION shop;": "SET SESSION AUTHORIZATION",
    "SET ROLE postgres;": "SET ROLE",
    "RESET ROLE;": "reset",
    "SET dynamic_library_path = '/tmp';": "SET dynamic_library_path",
    "SELECT pg_catalog.set_config('role', 'postgres', false);": "SET role",
    "SET client_encoding = 'SJIS';": "client_encoding SJIS",
    "DO $$ BEGIN PERFORM 1; END $$;": "do",
    "CALL x();": "call",
    "CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/tmp/x.so', 'f';": "LANGUAGE c",
    "CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'pg_read_file';": "LANGUAGE internal",
    "CREATE FUNCTION f() RETURNS int AS 'x' LANGUAGE plpython3u;": "LANGUAGE plpython3u",
    "CREATE LANGUAGE plperlu;": "LANGUAGE plperlu",
    SUBSCRIPTION + ";": "CREATE SUBSCRIPTION",
    "ALTER SUBSCRIPTION s ENABLE;": "ALTER SUBSCRIPTION",
    "CREATE EVENT TRIGGER e ON login EXECUTE FUNCTION f();": "CREATE EVENT TRIGGER",
    # rows that are no literals, or that run something of the dump's
    "INSERT INTO t VALUES (pg_read_file('/etc/passwd'));": "pg_read_file",
    "INSERT INTO t VALUES ((SELECT 1));": "select",
    "INSERT INTO t SELECT 1;": "insert",
    "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET n = f();": "ON CONFLICT DO UPDATE",
    "CREATE TABLE x AS SELECT f();": "as",
    "SELECT 1 INTO x;": "select",
    "CREATE MATERIALIZED VIEW m AS SELECT f();": "CREATE MATERIALIZED VIEW",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT f();": "f",
    "CREATE TRIGGER x BEFORE INSERT ON t EXECUTE FUNCTION f(); INSERT INTO t VALUES (1);": "insert",
    "CREATE TABLE x (n text DEFAULT pg_read_file('/etc/passwd'));": "pg_read_file",
    # to what all databases share
    "INSERT INTO pg_catalog.pg_db_role_setting VALUES (1, 0, '{x=y}');": "insert",
    "INSERT INTO pg_authid VALUES (1);": "insert",
    "CREATE VIEW public.v AS SELECT * FROM pg_authid; INSERT INTO public.v VALUES (1);": "insert",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION f() RENAME TO g;": (
        "RENAME TO"
    ),
    "UPDATE pg_catalog.pg_authid SET rolsuper = true;": "update",
    "DELETE FROM t;": "delete",
    "PREPARE TRANSACTION 'x';": "prepare",
    "BEGIN ISOLATION LEVEL SERIALIZABLE;": "begin",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_is_no_data_is_refused_by_line_and_word(statement: str) -> None:
    _, refused = inspect([f"{HEAD}{statement}\n{END}".encode()])
    assert refused, statement
    assert refused[0].line == 6
    assert f"`{REFUSED[statement]}" in str(refused[0])


@pytest.mark.parametrize("statement", REFUSED)
def test_in_data_it_is_none(statement: str) -> None:
    quoted = statement.replace("'", "''")
    text = (
        f"{HEAD}COPY public.t (n) FROM stdin;\n{statement}\n\\.\n\n-- {statement}\n"
        f"/* {statement} */"
        f"INSERT INTO public.t VALUES ('{quoted}');\nCOMMENT ON TABLE t IS $q${statement}$q$;\n"
        f"CREATE FUNCTION g() RETURNS text LANGUAGE sql AS $_${statement}$_$;\n{END}"
    )
    contents, refused = inspect([text.encode()])
    assert [str(each) for each in refused] == []
    assert contents.rows == {("public", "t"): 2}


def test_rows_of_what_all_databases_share_are_refused() -> None:
    for table in ("pg_catalog.pg_shdescription", "pg_authid", '"pg_catalog"."pg_database"'):
        _, refused = inspect([f"{HEAD}COPY {table} (oid) FROM stdin;\n1\n\\.\n{END}".encode()])
        assert "leads out of the database" in str(refused[0])


def test_what_a_program_printed_before_the_dump_is_named() -> None:
    said = 'Defaulted container "postgres" out of: postgres, exporter'
    text = f"{said}\n--\n-- PostgreSQL database dump\n--\n\n\\restrict x1\n\nSELECT 1;\n{END}"
    _, refused = inspect([text.encode()])
    assert (refused[0].line, f"`{said}` is no SQL" in str(refused[0])) == (1, True)


EVIL = (
    "CREATE FUNCTION public.evil() RETURNS int LANGUAGE plpgsql AS"
    " $$ BEGIN COPY t TO PROGRAM 'sh'; RETURN 1; END $$;\n"
)
BY_WAY = "CREATE FUNCTION public.by_way() RETURNS int LANGUAGE sql AS 'SELECT public.evil()';\n"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.x (n int DEFAULT public.evil(), m int);",
        "ALTER TABLE ONLY public.t ALTER COLUMN n SET DEFAULT public.by_way();",
        "ALTER TABLE public.t ADD CONSTRAINT c CHECK ((public.evil() > 0));",
        "CREATE INDEX i ON public.t USING btree (public.by_way());",
        "CREATE MATERIALIZED VIEW m AS SELECT public.by_way() WITH NO DATA;",
        "CREATE VIEW public.w AS SELECT evil();\nCREATE MATERIALIZED VIEW m AS"
        " SELECT * FROM public.w WITH NO DATA;",
        "CREATE DOMAIN public.d AS int CHECK (public.evil() > 0);",
    ],
)
def test_a_function_that_reaches_out_and_would_run_is_refused(statement: str) -> None:
    _, refused = inspect([f"{HEAD}{EVIL}{BY_WAY}{statement}\n{END}".encode()])
    assert "would run" in str(refused[0])


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN ALTER ROLE intern SUPERUSER; RETURN 1; END",
        "BEGIN PERFORM '--'; ALTER/* /* */ */ROLE intern SUPERUSER; RETURN 1; END",
        "BEGIN ALTER DATABASE shop SET work_mem = '1MB'; RETURN 1; END",
        "BEGIN GRANT postgres TO intern; RETURN 1; END",
        "BEGIN UPDATE ONLY pg_catalog.pg_authid SET rolsuper = true; RETURN 1; END",
        "BEGIN DELETE FROM pg_db_role_setting; RETURN 1; END",
        "BEGIN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity; RETURN 1; END",
        'BEGIN PERFORM "pg_reload_conf"(); RETURN 1; END',
        "BEGIN RETURN OTHER(); END",
    ],
)
def test_a_function_that_changes_the_server_and_would_run_is_refused(body: str) -> None:
    other = EVIL.replace("evil", "other")
    head = f"{HEAD}{other}CREATE FUNCTION public.f() RETURNS int LANGUAGE plpgsql AS $${body}$$;\n"
    for statement in (
        "CREATE TABLE public.x (n int CHECK (public.f() > 0));",
        "CREATE STATISTICS public.s ON public.f(), n FROM public.t;",
    ):
        _, refused = inspect([f"{head}{statement}\n{END}".encode()])
        assert refused, body
        assert "would run" in str(refused[0])


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN -- create role names, grant nothing\n RETURN lower(n); END",
        "BEGIN SELECT role INTO n FROM members; RETURN n || '/* '; END",
        "SELECT datname FROM pg_stat_database",
        "SELECT 'alter role ' || $1",
    ],
)
def test_a_function_that_only_computes_may_run(body: str) -> None:
    text = (
        f"{HEAD}CREATE FUNCTION public.f(n text) RETURNS text LANGUAGE plpgsql AS $_${body}$_$;\n"
    )
    text += f"CREATE INDEX i ON public.t USING btree (public.f(n));\n{END}"
    assert [str(each) for each in inspect([text.encode()])[1]] == []


ALLOWED = [
    f"{EVIL}{BY_WAY}ALTER FUNCTION public.evil() OWNER TO x;",
    "\\restrict x1\nSELECT 1;\n\\unrestrict x1",
    "SELECT pg_catalog.set_config('search_path', '', false);",
    "SELECT pg_catalog.setval('public.s', 4, true);",
    "CREATE VIEW v AS SELECT (a)[1:n] AS s, a::text, pg_read_file('x') FROM t;",
    "ALTER TABLE t OWNER TO shop;",
    "CREATE RULE r AS ON INSERT TO v DO INSTEAD (INSERT INTO t VALUES (1); SELECT 1);",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;",
    f"{SUBSCRIPTION} WITH (connect = false, slot_name = 's');",
    "CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;",
    "GRANT SELECT ON TABLE t TO x;",
    "ALTER DEFAULT PRIVILEGES FOR ROLE x IN SCHEMA public GRANT SELECT ON TABLES TO y;",
    "ALTER TABLE t ENABLE ROW LEVEL SECURITY;",
    "CREATE SCHEMA x AUTHORIZATION y;",
    "SELECT no_such_function();",
    "TRUNCATE TABLE ONLY public.t;",
    "DROP TABLE IF EXISTS public.t;",
]


@pytest.mark.parametrize("statement", ALLOWED)
def test_what_pg_dump_writes_passes(statement: str) -> None:
    _, refused = inspect([f"{HEAD}{statement}\n{END}".encode()])
    assert [str(each) for each in refused] == []


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("INSERT INTO public.t VALUES (1);", {("public", "t"): 1}),
        ("INSERT INTO t (a, b) VALUES (1, '),('), (2, 'x'';'), (3, NULL);", {("public", "t"): 3}),
        ("INSERT INTO t VALUES\n\t(1),\n\t(2);\n", {("public", "t"): 2}),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING;", {("public", "t"): 1}),
        ("INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (1);", {("public", "t"): 1}),
        ("INSERT INTO t DEFAULT VALUES;", {("public", "t"): 1}),
        ("insert into t values ( B'101' , - 1.5 , true );", {("public", "t"): 1}),
        ('INSERT INTO "My ""S".";t" VALUES (1);', {('My "S', ";t"): 1}),
        ('INSERT INTO "VALUES"."VALUES (" VALUES (1);', {("VALUES", "VALUES ("): 1}),
        ("SET search_path = old, pg_catalog;\nCOPY t (n) FROM stdin;\n1\n\\.\n", {("old", "t"): 1}),
        ("COPY public.t FROM stdin;\n\\.\n", {("public", "t"): 0}),
        ("COPY public.t FROM stdin;\n1\n\n3\n\\.\n", {("public", "t"): 3}),
        ("SELECT pg_catalog.lo_create('1');\nSELECT lo_create('2');", {LARGE_OBJECTS: 2}),
    ],
)
def test_rows_are_counted(text: str, rows: dict[tuple[str, str], int]) -> None:
    contents, refused = inspect([text.encode()])
    assert (refused, contents.rows) == ([], rows)


def test_a_dump_that_says_more_is_refused_in_the_plan(demo: Target, tmp_path: Path) -> None:
    with own_database(demo) as own:
        query(own, "CREATE TABLE t AS SELECT 1 AS n")
        name = str(query(own, "SELECT current_database()")[0][0])
        dump = tmp_path / "shop.sql"
        dump.write_text(f"{HEAD}\\connect {name}\nINSERT INTO public.t VALUES (2);\n{END}")
        record, found = act(own, database.restore, str(dump))
        assert (record.state, record.applied) == (ActionState.FAILED, 0)
        assert f"{dump}, line 6: `\\connect`" in found[0].message
        assert query(own, "SELECT count(*) FROM t") == [(1,)]
        assert databases_like(own, f"{name}_") == []
        # A function that exists is called by it, and by no dump.
        dump.write_text(f"{HEAD}SELECT upper('x');\n{END}")
        _, found = act(own, database.restore, str(dump))
        assert "line 6: it calls `upper`" in found[0].message


@pytest.mark.parametrize("program", ["gzip", "bzip2", "xz", "zstd", "lz4"])
def test_a_packed_dump_is_read_to_its_end(demo: Target, tmp_path: Path, program: str) -> None:
    dump = tmp_path / "shop.sql"
    dump.write_text(f"{HEAD}INSERT INTO public.t VALUES (1), (2);\n{END}")
    packed = tmp_path / "packed"
    try:
        with packed.open("wb") as file:
            subprocess.run([program, "-c", dump], stdout=file, check=True)
    except OSError:
        pytest.skip(f"{program} is not installed")
    archive = Archive(packed, database.Program(demo, "pg_restore"))
    assert contents_of(archive).total == 2
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(BadAnswer, match=r"damaged|truncated"):
        contents_of(Archive(packed, archive.restorer))
