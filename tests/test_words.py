"""What users read is in the field's own words: no private vocabulary, one word for one thing."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import opsnb
from opsnb import catalog
from opsnb.checks.check import Check
from opsnb.cli.commands import app
from tests.runs import ROOT

PACKAGE = Path(opsnb.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
PAGES = sorted([*catalog.share("docs").rglob("*.md"), ROOT / "README.md", ROOT / "mkdocs.yml"])
SCRIPTS = sorted(
    [*PACKAGE.glob("jupyter/**/*.js"), *PACKAGE.rglob("*.j2"), *PACKAGE.rglob("*.html")]
)

INSTEAD = {
    r"mend(s|ed|ing)?": "fix, how to fix it",
    r"anew": "again, rebuild",
    r"(is|are|was|were|be|been|goes|went) away": "is down, does not respond",
    r"(do|does|did) not answer": "is down, does not respond",
    r"(a|another|new) look|look(s|ed|ing)? at": "check, read, sample",
    r"(the|its) course": "the trend, over time",
    r"told|tells?|telling": "report, show, say",
    r"cuts? off|cut-off": "interrupted, truncated",
    r"holes?": "vulnerabilities",
    r"(take|takes|took|taken) (it|them) for": "report as",
    r"hangs? on": "depend on",
    r"plans? without apply": "dry run",
    r"gives? way|lets? (\w+ )?go": "release",
    r"who ha(s|ve) never": "new users",
    r"what (is|was) there": "the current state",
    r"as long as it (may|can) take": "at most N s",
    r"unwell|(is|are|was|were|all) well": "healthy, ok",
    r"which is not many|since a while ago|say it again|merely": "a plain sentence",
}
WORDS = re.compile("|".join(rf"\b(?:{pattern})\b" for pattern in INSTEAD), re.IGNORECASE)
SHOWN = {"action", "callback", "check", "command"}
"""What decorates a function whose docstring users read."""
FINITE = re.compile(
    r"\b(is|are|was|were|has|have|does|do|did|can|cannot|will|hangs|holds|fails|grows|takes|blocks)\b"
)


def private(text: str) -> list[str]:
    """Return the words of `text` that have a plainer one, which stands behind them."""
    found = (match.group() for match in WORDS.finditer(" ".join(text.split())))
    return [f"{word!r}: {_instead(word)}" for word in found]


def _instead(word: str) -> str:
    matching = (to for pattern, to in INSTEAD.items() if re.fullmatch(pattern, word, re.IGNORECASE))
    return next(matching)


_NAMES = re.compile(r"told\.json|repair\.mend")
"""Names that stay as they are: of a file in state folders, of an action in records."""


def test_the_rules_find_what_they_forbid_and_nothing_else() -> None:
    assert private("Look at it: the mend is to make it\nanew.") == [
        "'Look at': check, read, sample",
        "'mend': fix, how to fix it",
        "'anew': again, rebuild",
    ]
    assert private("Of course, look it up: we recommend to respond in due course.") == []


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_docs_use_plain_words(page: Path) -> None:
    assert private(page.read_text(encoding="utf-8")) == []


def test_the_newest_changes_use_plain_words() -> None:
    sections = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    assert private(sections[1]) == []


@pytest.mark.parametrize("info", catalog.runbooks(), ids=lambda info: info.id)
def test_the_runbooks_use_plain_words(info: catalog.RunbookInfo) -> None:
    cells = json.loads(info.path.read_text(encoding="utf-8"))["cells"]
    sources = ("".join(cell["source"]) for cell in cells)
    assert [word for source in sources for word in private(source)] == []


def test_the_command_line_uses_plain_words() -> None:
    assert [word for text in helps(typer.main.get_command(app)) for word in private(text)] == []


def helps(command: Any) -> Iterator[str]:
    """Yield the help of `command`, of its parameters and of those below it."""
    yield command.help or ""
    yield from (getattr(parameter, "help", None) or "" for parameter in command.params)
    for child in getattr(command, "commands", {}).values():
        yield from helps(child)


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_messages_use_plain_words(module: Path) -> None:
    wrong = (
        f"line {line}: {word}"
        for line, text in literals(module)
        for word in private(_NAMES.sub("", text))
    )
    assert list(wrong) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_what_the_browser_shows_uses_plain_words(script: Path) -> None:
    assert private(script.read_text(encoding="utf-8")) == []


def literals(module: Path) -> Iterator[tuple[int, str]]:
    """Yield each string with its line, but of docstrings only those that users read."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    hidden = {id(docstring) for docstring in docstrings(tree, module)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in hidden:
            continue
        if isinstance(node.value, str):
            yield node.lineno, node.value


def docstrings(tree: ast.Module, module: Path) -> Iterator[ast.Constant]:
    """Yield the docstrings that only readers of the code see.

    The reference shows those of attributes in the configuration and of types of parameters.
    """
    described = module.relative_to(PACKAGE).parts[0] in {"config", "params"}
    for node in ast.walk(tree):
        body = getattr(node, "body", [])
        for index, statement in enumerate(body if isinstance(body, list) else []):
            if described if index else shown(node):
                continue
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.value


def shown(node: ast.AST) -> bool:
    """Whether the docstring of a function is a check's title, an action's or a command's help."""
    names = (
        part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "")
        for decorator in getattr(node, "decorator_list", [])
        for part in ast.walk(decorator)
    )
    return not isinstance(node, ast.ClassDef) and not SHOWN.isdisjoint(names)


def causes() -> Iterable[Check[Any]]:
    """Return every check whose title is a cause."""
    for package in ("opsnb.handbook", "opsnb.systems"):
        for module in pkgutil.walk_packages(
            importlib.import_module(package).__path__, f"{package}."
        ):
            for each in vars(importlib.import_module(module.name)).values():
                if isinstance(each, Check) and each.is_cause:
                    yield each


@pytest.mark.parametrize("title", sorted({cause.title for cause in causes()}))
def test_a_cause_is_a_noun_phrase_beside_which_any_status_can_stand(title: str) -> None:
    assert not FINITE.search(re.split(r" (?:that|than|which) ", title)[0])
    assert not title.endswith(".")
