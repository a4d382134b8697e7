r"""The SQL that opsnb runs: `sql/NAME.sql`, each one statement that you can paste into psql.

Parameters are psql's own variables: `:'name'` is a value, `:"name"` an identifier. The `\set` lines
at the top of a file give them values in psql, and its comment says what the statement costs.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from psycopg import sql

from opsnb.systems.database.cursor import Connection

FOLDER = Path(__file__).parent / "sql"

_VARIABLE = re.compile(r"""(?<![:\w]):(?P<quote>['"])(?P<name>\w+)(?P=quote)""")


def rows(database: Connection, name: str, /, **values: Any) -> list[dict[str, Any]]:
    """Return all rows of the statement `sql/NAME.sql`. Raises psycopg.Error."""
    names = {key: sql.Identifier(value) for key, value in values.items() if isinstance(value, str)}
    return database.execute(_statement(name).format(**names), values).fetchall()


def row(database: Connection, name: str, /, **values: Any) -> dict[str, Any]:
    """Return the one row of a statement that always has one. Raises psycopg.Error."""
    (found,) = rows(database, name, **values)
    return found


@cache
def _statement(name: str) -> sql.SQL:
    """Return a statement as psycopg takes it."""
    lines = (FOLDER / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith(("--", "\\set")))
    text = text.strip().removesuffix(";")
    for special in "%{}":
        text = text.replace(special, 2 * special)
    return sql.SQL(_VARIABLE.sub(_placeholder, text))


def _placeholder(variable: re.Match[str]) -> str:
    name = variable["name"]
    return f"%({name})s" if variable["quote"] == "'" else f"{{{name}}}"
