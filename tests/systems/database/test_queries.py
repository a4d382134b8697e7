"""Every SQL statement of opsnb can be pasted into psql as it is, and says what it costs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from opsnb.config.target import Target
from opsnb.systems import database
from opsnb.systems.database import queries
from opsnb.systems.database.connecting import connection
from opsnb.systems.database.programs import environment

FILES = sorted(queries.FOLDER.glob("*.sql"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_statement_runs_in_psql_as_it_is(demo: Target, file: Path) -> None:
    typed = subprocess.run(
        [database.Program(demo, "psql").path, "-X", "-v", "ON_ERROR_STOP=1"],
        stdin=file.open(),
        env={**environment(demo), "PGOPTIONS": "-c default_transaction_read_only=on"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (typed.returncode, typed.stderr) == (0, "")
    assert file.read_text().startswith("-- ")


def test_each_statement_is_used_and_ends_in_the_package(tmp_path: Path) -> None:
    package = queries.FOLDER.parent
    code = "".join(path.read_text() for path in package.rglob("*.py"))
    assert [file.stem for file in FILES if f'"{file.stem}"' not in code] == []
    assert os.path.commonpath([package, *FILES]) == str(package)


def test_values_stay_values_and_names_are_quoted(demo: Target) -> None:
    with connection(demo) as connected:
        none = queries.row(connected, "relation_exists", schema="x'; SELECT 1; --", name="%s {}")
        assert none == {"yes": False}
        known = queries.row(connected, "statement_statistics")
        hidden = queries.row(connected, "hidden_statements", schema=known["schema"])
        assert set(hidden) == {"n", "calls"}
