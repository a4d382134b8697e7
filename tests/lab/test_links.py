"""A link opens the next runbook with what it names, and never arms it."""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

import pytest

from opsnb import catalog
from opsnb.config.file import Config, load_config
from opsnb.errors import ParameterError, UnknownTarget, UsageError
from opsnb.lab import links
from opsnb.model import Finding, Remedy, Status
from opsnb.view import findings as view

CARRYING = re.compile(r"\(([\w./-]+)\.ipynb#([^)]*)\)")
RESUME, CLEAN = catalog.runbook("queues/resume"), catalog.runbook("queues/clean_failed")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "opsnb.toml").write_text("[targets.prod]\nprotected = true\n[targets.staging]\n")
    return load_config()


def test_a_link_carries_what_it_names_and_the_target_that_is_shown(config: Config) -> None:
    found = links.values(CLEAN, "#queue=a%26b%20%C3%B6&older_than=90m", {}, "prod", config)
    assert (found["target"], found["queue"], found["older_than"]) == ("prod", "a&b ö", 1.5)
    assert (found["apply"], found["confirm"]) == (False, "")


def test_a_bare_name_is_the_value_of_the_notebook_that_the_link_stands_in(config: Config) -> None:
    here = {"target": "staging", "queue": "emails", "table": "jobs", "apply": True}
    found = links.values(RESUME, "#queue&nothing", here, "", config)
    assert (found["target"], found["queue"], found["apply"]) == ("staging", "emails", False)
    assert links.values(RESUME, "#queue%3Atable", here, "", config)["queue"] == "jobs"


def test_the_target_of_a_finding_counts_more_than_the_one_that_is_shown(config: Config) -> None:
    assert links.values(RESUME, "#target=staging", {}, "prod", config)["target"] == "staging"


@pytest.mark.parametrize(
    ("link", "error", "sentence"),
    [
        ("apply=true", ParameterError, "A link cannot set apply. Nothing was opened."),
        ("confirm=prod", ParameterError, "A link cannot set confirm."),
        ("apply", ParameterError, "A link cannot set apply."),
        ("%61pply=true", ParameterError, "A link cannot set apply."),
        ("queu=x", ParameterError, "has no parameter 'queu'"),
        ("older_than=long", ParameterError, "older_than='long' cannot be used"),
        ("target=nowhere", UnknownTarget, "There is no target 'nowhere'"),
    ],
)
def test_what_a_link_may_not_say_opens_nothing(
    config: Config, link: str, error: type[UsageError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        links.values(CLEAN, link, {"apply": True}, "prod", config)


def test_without_a_target_none_is_guessed_among_several(config: Config) -> None:
    with pytest.raises(UsageError, match=r"several targets; name one of them .*prod, staging"):
        links.values(RESUME, "", {}, "", config)


def test_the_link_of_a_finding_carries_what_its_command_gives(config: Config) -> None:
    given = {"queue": "a b#&=%\"'<ö", "older_than": 2}
    remedy = Remedy(runbook=CLEAN.id, parameters=given, apply=True, target="prod")
    html = view.finding_html(Finding(status=Status.CRIT, message="Full.", remedies=[remedy]))
    href = html.split('href="')[1].split('"')[0]
    assert href.startswith("../queues/clean_failed.ipynb#target=prod&amp;queue=")
    found = links.values(CLEAN, href.split("#", 1)[1].replace("&amp;", "&"), {}, "", config)
    assert (found["queue"], found["older_than"], found["apply"]) == (given["queue"], 2.0, False)


def test_links_in_the_text_carry_what_the_command_beside_them_names() -> None:
    notebook = json.loads(catalog.runbook("queues/pause").path.read_text())
    links.carry_parameters(notebook, catalog.runbook("queues/pause"))
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"])
    assert "[queues/resume](resume.ipynb#queue), `opsnb run queues/resume -t TARGET -p" in text
    assert "[queues/monitor](monitor.ipynb) shows" in text  # its command names no parameter


def test_every_command_beside_a_link_names_parameters_that_the_runbook_has() -> None:
    for info in catalog.runbooks():
        notebook = json.loads(info.path.read_text())
        links.carry_parameters(notebook, info)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                for path, fragment in CARRYING.findall(cell["source"]):
                    linked = posixpath.normpath(posixpath.join(info.section, path))
                    known = {each.name for each in catalog.runbook(linked).parameters}
                    names = [part.split("=")[0].split("%3A")[0] for part in fragment.split("&")]
                    assert set(names) <= known, (info.id, linked)
