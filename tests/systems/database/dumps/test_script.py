"""A dump's text is split as psql and PostgreSQL split it, wherever its pieces are cut."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsnb.config.target import Target
from opsnb.systems import database
from opsnb.systems.database.dumps import script as scripts
from opsnb.systems.database.dumps.judging import inspect
from opsnb.systems.database.dumps.script import Script
from opsnb.systems.database.dumps.statements import CopyEnd, CopyRows, NotSql, Statement
from opsnb.systems.database.settings import Database
from tests.operate.database import own_database

MARK = b"LEFT-THE-DUMP"
PIECES = [
    b"SELECT ",
    b"1",
    b"a",
    b"e",
    b"U&",
    b"$1",
    b" ",
    b"\n",
    b"\r\n",
    b";",
    b";\n",
    b",",
    b"(",
    b")",
    b"'",
    b"''",
    b"'x'",
    b'"',
    b'"y"',
    b"E'",
    b"E'\\''",
    b"\\'",
    b"--",
    b"-- c\n",
    b"/*",
    b"*/",
    b"/* /* */ */",
    b"$$",
    b"$q$",
    b"$q$;$q$",
    b"a$$",
    b"\\echo " + MARK + b"\n",
    b"\\echo " + MARK + b"\n",
    b"\\;",
    b"BEGIN ATOMIC ",
    b"CREATE FUNCTION f() ",
    b"CASE ",
    b"END ",
    b"END;",
    b"::",
    b"SET standard_conforming_strings = off;\n",
    b"SET standard_conforming_strings = on;\n",
    b"COPY t FROM stdin;\n",
    b"COPY t (n) FROM stdin;\n1\n\\.\n",
    b"\\.\n",
    b"\x80",
]


@pytest.fixture
def own(demo: Target) -> Iterator[Target]:
    with own_database(demo) as target:
        yield target


def said_by_psql(target: Target, text: bytes) -> bytes:
    """Run a text through psql, which goes on after errors."""
    return subprocess.run(
        [database.Program(target, "psql").path, "-qX", "-d", Database.of(target).url],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PGCLIENTENCODING": "UTF8"},
        check=False,
        timeout=60,
    ).stdout


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=st.lists(st.sampled_from(PIECES), min_size=2, max_size=14))
def test_what_psql_would_run_as_a_command_is_refused(own: Target, pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    if MARK not in text:
        return
    try:
        _, refused = inspect([text])
    except NotSql:
        return
    if refused:
        return
    assert MARK not in said_by_psql(own, text)


def split(text: bytes, size: int) -> list[object]:
    """Return what a text is split into when it comes in pieces of a size."""
    found: list[object] = []
    rows: bytes | None = None
    count = 0
    try:
        for item in Script(text[at : at + size] for at in range(0, len(text), size)):
            match item:
                case Statement():
                    found.append((item.text, item.line, tuple(item.tokens)))
                    rows, count = b"", 0
                case CopyRows():
                    rows, count = (rows or b"") + item.data, count + item.count
                case CopyEnd():
                    found.append((rows, count))
    except NotSql as error:
        found.append(("unreadable", str(error)))
    return found


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=30),
    size=st.integers(1, 40),
    kept=st.integers(1, 40),
)
def test_it_does_not_matter_where_the_text_is_cut(
    pieces: list[bytes], size: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"".join(pieces)
    whole = split(text, len(text))
    with monkeypatch.context() as patched:
        patched.setattr(scripts, "_CHUNK", kept)
        assert split(text, size) == whole


DUMP = rb"""-- \connect is a comment
/* so is \! rm -rf, /* and \i this */ */
\restrict Key1
SET standard_conforming_strings = on;
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_$ SELECT '\connect shop; $$' $_$;
CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; END;
COMMENT ON TABLE t IS '\! ; it''s';
COPY public.t (a, b) FROM stdin;
1	\\connect shop
\\.	x
\! touch	\N
two\
lines	\\
\.

INSERT INTO t VALUES (1, 'a),(b'), (2, E'\');'), (-3.5e-7, NULL), (4, '(');
\unrestrict Key1
"""


def test_what_looks_like_a_command_in_data_is_none() -> None:
    contents, refused = inspect([DUMP])
    assert refused == []
    assert contents.rows == {("public", "t"): 8}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(head: bytes, newline: bytes) -> None:
    text = head + DUMP.replace(b"two\\\nlines", b"two lines").replace(b"\n", newline)
    contents, refused = inspect([text])
    assert (refused, contents.rows) == ([], {("public", "t"): 8})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT 1;".encode("utf-16"), "UTF-16"),
        (b"SELECT 'a\0';", "NUL"),
        (b"COPY t FROM stdin;\na\0b\n\\.\n", "NUL"),
        (b"SELECT 'never closed;\n", "no end"),
        (b"SELECT $x$ never closed $y$;\n", "no end"),
        (b"/* never closed\n", "no end"),
        (b"COPY t FROM stdin;\n1\n2\n", "truncated"),
        (b"COPY t FROM stdin; 1\n\\.\n", "next line"),
    ],
)
def test_what_cannot_be_split_is_said(text: bytes, why: str) -> None:
    with pytest.raises(NotSql, match=why):
        inspect([text])


@pytest.mark.parametrize("form", ["on", "off"])
def test_strings_follow_the_dump_s_own_setting(form: str) -> None:
    text = f"SET standard_conforming_strings = {form};\nINSERT INTO t VALUES ('\\', 1);\n".encode()
    if form == "off":
        text = text.replace(b"'\\'", b"'\\''")
    contents, refused = inspect([text])
    assert (refused, contents.rows) == ([], {("public", "t"): 1})


def test_nothing_is_kept_of_what_was_read(tmp_path: Path) -> None:
    """A dump is larger than the memory."""
    sizes = []

    def chunks() -> Iterator[bytes]:
        yield b"COPY t FROM stdin;\n"
        for _ in range(64):
            yield b"a row\n" * (scripts._CHUNK // 6)
            sizes.append(len(script._text))
        yield b"\\.\n"

    script = Script(chunks())
    assert sum(item.count for item in script if isinstance(item, CopyRows)) > 10_000_000
    assert max(sizes) < 4 * scripts._CHUNK
