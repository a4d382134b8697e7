"""URLs of PostgreSQL as services have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo, version

from opsnb.config.file import load_config
from opsnb.errors import ConfigError
from opsnb.systems.database.postgres_url import KEYWORDS, usable


def test_the_keywords_are_those_of_the_library() -> None:
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    assert known == KEYWORDS if version() // 10_000 == 18 else known <= KEYWORDS


@pytest.mark.parametrize(
    ("url", "libpq", "left_out"),
    [
        (
            "postgresql://u:p%40@h/d?schema=public&connection_limit=5&sslmode=require",
            {"user": "u", "password": "p@", "host": "h", "dbname": "d", "sslmode": "require"},
            ("schema", "connection_limit"),
        ),
        (
            "postgres://h/d?sslmode=no-verify",
            {"host": "h", "dbname": "d", "sslmode": "prefer"},
            (),
        ),
        ("postgres://h/d?ssl=true", {"host": "h", "dbname": "d", "sslmode": "require"}, ()),
        (
            "postgresql+psycopg2://a:1,b:2/d?target_session_attrs=read-write&pgbouncer=true",
            {"host": "a,b", "port": "1,2", "dbname": "d", "target_session_attrs": "read-write"},
            ("pgbouncer",),
        ),
        (
            "jdbc:postgresql://h/d?user=u&currentSchema=x&prepareThreshold=0",
            {"host": "h", "dbname": "d", "user": "u"},
            ("currentSchema", "prepareThreshold"),
        ),
        ("postgresql:///d?host=/run/pg", {"host": "/run/pg", "dbname": "d"}, ()),
        ("postgres://h/d?socket=/run/pg/.s.PGSQL.5432", {"host": "/run/pg", "dbname": "d"}, ()),
        (
            "host=db dbname='my shop' TimeZone=UTC",
            {"host": "db", "dbname": "my shop"},
            ("TimeZone",),
        ),
        ("service=shop", {"service": "shop"}, ()),
        (
            "postgres://h/d?options=-c%20geqo%3Doff",
            {"host": "h", "dbname": "d", "options": "-c geqo=off"},
            (),
        ),
    ],
)
def test_what_a_service_has_becomes_what_the_library_takes(
    url: str, libpq: dict[str, str], left_out: tuple[str, ...]
) -> None:
    found = usable(url)
    assert (conninfo_to_dict(found.conninfo), found.left_out) == (libpq, left_out)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgres://h/d?sslmod=require", "parameter 'sslmod'.* Did you mean 'sslmode'?"),
        ("postgres://h/d?colour=hunter2", "parameter 'colour'.* Leave it out"),
        ("postgres://h/d?sslmode=hunter2", "unusable sslmode; write one of disable"),
        ("postgres://h/d?connect_timeout=hunter2", "number as its connect_timeout"),
        ("prisma+postgres://h/?api_key=hunter2", "Prisma's own client"),
        ("mysql://u:hunter2@h/d", "must start with postgres"),
        ("postgres://u:hunter2/x@h/d", "percent-encode"),
        ("postgres://u:p@h:hunter2/d", "its port as a number"),
    ],
)
def test_what_it_does_not_take_is_refused_as_the_target_is_loaded(
    tmp_path: Path, url: str, said: str
) -> None:
    path = tmp_path / "opsnb.toml"
    for key in ("database_url", "database.direct_url"):
        path.write_text(f'[targets.a]\n{key} = "{url}"\n')
        with pytest.raises(ConfigError, match=said) as error:
            load_config(path).target("a")
        assert "hunter2" not in str(error.value)
        assert key in str(error.value)
