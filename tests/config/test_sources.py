"""Where runbooks come from: opsnb, installed packages, and the folders of `opsnb.toml`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from opsnb import catalog
from opsnb.authoring.notebooks import notebook
from opsnb.config.sources import sources
from opsnb.errors import ConfigError, UnknownRunbook
from opsnb.model import now

TEXT = """# {title}

```python
from opsnb.params import TargetName
{imports}
target: TargetName = ""  # which system
```
"""


def write(path: Path, title: str, imports: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(notebook(TEXT.format(title=title, imports=imports), now().date()))
    return path


def configure(folder: Path, *lines: str) -> None:
    (folder / "opsnb.toml").write_text("\n".join(("[runbooks]", *lines)))


def titles() -> dict[str, str]:
    return {info.id: info.title for info in catalog.runbooks()}


def test_a_folder_adds_runbooks_and_replaces_those_of_the_same_id(tmp_path: Path) -> None:
    before = titles()
    write(tmp_path / "first/orders/stuck.ipynb", "Stuck orders")
    write(tmp_path / "first/health/daily.ipynb", "Not this one")
    write(tmp_path / "second/health/daily.ipynb", "Our daily check")
    write(tmp_path / "first/.ipynb_checkpoints/stuck-checkpoint.ipynb", "A leftover")
    configure(tmp_path, 'paths = ["first", "second"]')
    ours = {"orders/stuck": "Stuck orders", "health/daily": "Our daily check"}
    assert titles() == before | ours
    sections = [section for section, _ in catalog.by_section(catalog.runbooks())]
    assert sections[-1] == "Orders"


def test_a_readme_beside_the_runbooks_gives_their_section_its_title(tmp_path: Path) -> None:
    write(tmp_path / "ours/rabbitmq/purge.ipynb", "Purge a queue")
    readme = tmp_path / "ours/rabbitmq/README.md"
    configure(tmp_path, 'paths = ["ours"]')

    def title() -> str:
        return catalog.by_section(catalog.runbooks())[-1][0]

    assert title() == "Rabbitmq"
    readme.write_text("# RabbitMQ\n\nOur broker.\n")
    assert title() == "RabbitMQ"
    readme.write_text("Our broker.\n")
    assert title() == "Rabbitmq"


def test_sections_can_be_switched_off_but_not_ones_own(tmp_path: Path) -> None:
    write(tmp_path / "ours/database/vacuum.ipynb", "Vacuum")
    configure(tmp_path, 'paths = ["ours"]', 'off = ["database", "deployment"]')
    found = {name for name in titles() if name.startswith(("database", "deployment"))}
    assert found == {"database/vacuum"}
    with pytest.raises(UnknownRunbook, match=r"database is switched off in .*opsnb\.toml"):
        catalog.runbook("database/backup")


@pytest.mark.parametrize(
    ("line", "reported"),
    [
        ('off = ["databse"]', "'databse', which is no section. Did you mean 'database'?"),
        ('paths = ["gone"]', "gone, which is not a folder"),
        ('paths = "gone"', "runbooks.paths must be a list of texts"),
        ("off = [1]", "runbooks.off must be a list of texts"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path: Path, line: str, reported: str) -> None:
    configure(tmp_path, line)
    with pytest.raises(ConfigError) as caught:
        catalog.runbooks()
    assert reported in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_file_leaves_the_listing_alone(tmp_path: Path) -> None:
    before = titles()
    (tmp_path / "opsnb.toml").write_text("[runbooks\n")
    assert titles() == before


def test_modules_beside_ones_own_come_last_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    configure(tmp_path, 'paths = ["ours"]')
    assert sources().modules == [str(tmp_path), str(tmp_path / "ours")]


def opsnb(folder: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "opsnb", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


TYPES = 'from typing import Literal\nColour = Literal["red", "green"]\n'


@pytest.mark.parametrize("how", [[], ["--cold"]], ids=["forked", "stock"])
def test_a_kernel_imports_the_types_checks_and_actions_beside_it(
    tmp_path: Path, how: list[str]
) -> None:
    (tmp_path / "palette").mkdir()
    (tmp_path / "palette/__init__.py").write_text(TYPES)
    text = TEXT.format(title="Paint", imports="from palette import Colour")
    text = text.replace("which system\n", 'which system\ncolour: Colour = "red"  # of the paint\n')
    cell = """
```python
from opsnb import Runbook
from opsnb.checks.check import check
from opsnb.model import Finding, Status
import palette

@check()
def paint(target):
    "Paint"
    return Finding(status=Status.OK, message=f"{colour} of {palette.Colour}")

Runbook(target).check(paint)
```
"""
    path = tmp_path / "runbooks/walls/paint.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(notebook(text + cell, now().date()))
    (tmp_path / "elsewhere").mkdir()
    configure(tmp_path, 'paths = ["runbooks"]', "[targets.here]")
    done = opsnb(tmp_path / "elsewhere", "run", "walls/paint", "-p", "colour=green", "--json", *how)
    assert done.returncode == 0, done.stderr + done.stdout
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["message"].startswith("green of")
    refused = opsnb(tmp_path, "run", "walls/paint", "-p", "colour=blue")
    assert (refused.returncode, "'green'" in refused.stderr) == (64, True)


def installed(folder: Path, value: str) -> Path:
    """An installed package `acme-ops`, whose runbooks are where `value` says."""
    about = folder / "acme_ops-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-ops\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[opsnb.runbooks]\nacme = {value}\n")
    write(folder / "acme_ops/notebooks/orders/stuck.ipynb", "Stuck orders of the package")
    write(folder / "acme_ops/notebooks/health/daily.ipynb", "The package's daily check")
    (folder / "acme_ops/__init__.py").write_text("raise ImportError('nothing of it is run')")
    return folder


def test_an_installed_package_brings_runbooks_and_ones_own_go_before(tmp_path: Path) -> None:
    site = installed(tmp_path / "site", "acme_ops.notebooks")
    write(tmp_path / "ours/health/daily.ipynb", "Our daily check")
    configure(tmp_path, 'paths = ["ours"]')
    listed = json.loads(opsnb(tmp_path, "list", "--json", path=str(site)).stdout)
    by_id = {each["id"]: each for each in listed}
    assert by_id["orders/stuck"]["title"] == "Stuck orders of the package"
    assert by_id["health/daily"]["title"] == "Our daily check"
    shown = opsnb(tmp_path, "show", "orders/stuck", path=str(site))
    assert "which system" in shown.stdout


def test_a_package_without_the_folder_that_it_names_is_reported(tmp_path: Path) -> None:
    site = installed(tmp_path / "site", "acme_ops.gone")
    done = opsnb(tmp_path, "list", path=str(site))
    assert done.returncode == 64
    assert "acme_ops.gone, which is no folder of it" in done.stderr
    assert done.stderr.count("\n") == 1
