"""What docs/ tells people to type is literally true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from opsnb import catalog
from opsnb.actions.guard import Guard
from opsnb.actions.journal import Continued
from opsnb.cli.commands import app
from opsnb.config.file import load_config
from opsnb.config.settings import Settings, Table
from opsnb.config.target import Target
from opsnb.model import ActionRecord, ActionState, now
from opsnb.site.docs.reference import tables
from opsnb.systems import cache

DOCS = catalog.share("docs")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_the_action_of_the_guide_finishes_what_was_interrupted(demo: Target) -> None:
    names: dict[str, Any] = {"__name__": "cache"}
    exec(blocks(DOCS / "extend/action.md", "python")[0], names)
    told: list[ActionRecord] = []
    with cache.connection(demo) as client:
        client.mset({f"drill:forget:{number}": 1 for number in range(3)})
        Guard(demo, False, "", told.append).act(names["forget_all"], "drill:forget:*")
        client.unlink("drill:forget:0")
        client.set("drill:forget:later", 1)
        former = told[-1].model_copy(update={"state": ActionState.APPLYING, "started": now()})
        continued = Continued(run_id="r", command="", actions=[former])
        ours = Guard(demo, True, "", told.append, continued=continued)
        ours.act(names["forget_all"], "drill:forget:*")
        assert (told[-1].planned, told[-1].verified) == (2, True)
        assert client.unlink("drill:forget:later") == 1


@pytest.mark.parametrize(
    "page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS))
)
def test_configuration_in_the_docs_is_accepted(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in blocks(page, "toml"):
        for name in re.findall(r"\$\{(\w+)\}", block):
            scheme = "redis" if "REDIS" in name else "postgresql"
            monkeypatch.setenv(name, f"{scheme}://localhost/0")
        path = tmp_path / "opsnb.toml"
        path.write_text(block, encoding="utf-8")
        config = load_config(path)
        for target in tomllib.loads(block).get("targets", {}):
            config.target(target)


@pytest.mark.parametrize(
    "page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS))
)
def test_commands_in_the_docs_exist(page: Path) -> None:
    root = typer.main.get_command(app)
    shown = re.sub(r"^opsnb --config \S+ ", "opsnb ", "\n".join(blocks(page, "bash")), flags=re.M)
    typed = re.findall(r"^opsnb ([a-z -]+)", shown, re.MULTILINE)
    typed += re.findall(r"`opsnb ([a-z ]+)`", page.read_text(encoding="utf-8"))
    for line in typed:
        command: Any = root
        for word in line.split():
            if not hasattr(command, "commands"):
                break
            if word.startswith("--"):
                assert any(word in option.opts for option in command.params), line
                continue
            assert word in command.commands, f"{page.name}: opsnb {line}"
            command = command.commands[word]


def test_every_table_of_the_configuration_has_its_section() -> None:
    kinds = {*Table.__subclasses__(), *Settings.__subclasses__()}
    documented = {kind for kind in kinds if (kind.__doc__ or "").startswith("`")}
    assert documented == set(tables())
