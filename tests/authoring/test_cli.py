"""`opsnb init`, `new` and `check` at the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from opsnb.config.target import Target


def opsnb(folder: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "opsnb", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    assert opsnb(tmp_path, "init", "acme-ops")[0] == 0
    return tmp_path / "acme-ops"


def test_init_refuses_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file", "."):
        code, said, error = opsnb(tmp_path, "init", name)
        assert (code, said) == (64, "")
        assert "is not an empty folder" in error
        assert error.count("\n") == 1
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


def test_init_takes_an_empty_folder_and_a_name_that_python_has(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    assert opsnb(tmp_path, "init", "json")[0] == 0
    assert (tmp_path / "json/own_json/notices.py").is_file()
    assert opsnb(tmp_path / "json", "check")[0] == 0


def test_new_writes_runbooks_that_are_listed_and_pass_the_check(repository: Path) -> None:
    assert opsnb(repository, "new", "orders/stuck")[0] == 0
    assert opsnb(repository, "new", "orders/lost_ones", "--action")[0] == 0
    listed = {each["id"]: each for each in json.loads(opsnb(repository, "list", "--json")[1])}
    assert not listed["orders/stuck"]["acts"]
    assert listed["orders/lost_ones"]["acts"]
    assert listed["orders/lost_ones"]["title"] == "Lost ones"
    assert opsnb(repository, "check") == (0, "", "3 runbooks checked, nothing to correct.\n")


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (("stuck",), "cannot be a runbook's name"),
        (("Orders/stuck",), "cannot be a runbook's name"),
        (("orders/../stuck",), "cannot be a runbook's name"),
        (("orders/a/b",), "cannot be a runbook's name"),
        (("notices/remove",), "exists already"),
        (("queues/pause",), "There is a runbook queues/pause already"),
        (("orders/stuck", "--check", "--action"), "exclude each other"),
    ],
)
def test_new_refuses_bad_names_and_taken_ones(
    repository: Path, words: tuple[str, ...], reported: str
) -> None:
    before = sorted(repository.rglob("*.ipynb"))
    code, said, error = opsnb(repository, "new", *words)
    assert (code, said) == (64, "")
    assert reported in error
    assert error.count("\n") == 1
    assert sorted(repository.rglob("*.ipynb")) == before


def test_new_needs_a_folder_of_ones_own(tmp_path: Path) -> None:
    code, _, error = opsnb(tmp_path, "new", "orders/stuck")
    assert code == 64
    assert "opsnb init DIR" in error


def test_check_takes_a_file_or_a_folder_and_prints_a_line_for_each_problem(
    repository: Path, tmp_path: Path
) -> None:
    path = repository / "runbooks/notices/remove.ipynb"
    document = json.loads(path.read_text())
    document["cells"][3]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    document["cells"][0]["source"] = "# Remove\n\n## When to use\n"
    path.write_text(json.dumps(document))
    for where in ("acme-ops", "acme-ops/runbooks/notices/remove.ipynb"):
        code, said, error = opsnb(tmp_path, "check", where)
        assert code == 64
        assert said.splitlines() == [
            "acme-ops/runbooks/notices/remove.ipynb: the heading `## Impact` is missing.",
            "acme-ops/runbooks/notices/remove.ipynb: cell 4: it has outputs; clear them before "
            "you commit.",
        ]
        assert error == "opsnb: 1 runbook checked, 2 to correct.\n"
    assert opsnb(tmp_path, "check", "nowhere")[0] == 64
    assert "has no runbooks" in opsnb(tmp_path, "check", "acme-ops/tests")[2]


def test_the_pytest_plugin_reports_the_same_as_failed_tests(repository: Path) -> None:
    path = repository / "runbooks/notices/remove.ipynb"
    path.write_text(path.read_text().replace("## Impact", "## Inpact"))
    module = repository / "acme_ops/notices.py"
    module.write_text(module.read_text().replace('"notices/remove"', '"notices/removed"'))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "runbooks", "acme_ops"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "remove.ipynb: the heading `## Impact` is missing." in done.stdout
    assert "there is no runbook 'notices/removed'. Did you mean 'notices/remove'?" in done.stdout
    assert "Traceback" not in done.stdout
    assert "2 failed, 5 passed" in done.stdout


def test_defaults_that_change_something_are_found_by_running_them(
    demo: Target, repository: Path
) -> None:
    assert opsnb(repository, "check", "-t", "demo")[0] == 0
    path = repository / "runbooks/notices/remove.ipynb"
    text = path.read_text()
    path.write_text(text.replace("apply=apply", "apply=True").replace("notices.remove", "w"))
    code, said, _ = opsnb(repository, "check", "-t", "demo")
    assert code == 64
    assert "it does not run on its defaults. Cell [" in said
    cell = "from opsnb.systems import cache\\n"
    path.write_text(
        text.replace("apply=apply", "apply=True").replace(
            "rb.act(notices.remove)", cell + "rb.act(cache.warm_up)"
        )
    )
    code, said, _ = opsnb(repository, "check", "-t", "demo")
    assert code == 64
    assert "its defaults change something: Warm the cache up." in said
