"""A plugin of pytest: fixtures for those who test checks, and each rule of a runbook as a test.

With `--opsnb`, every notebook that pytest collects is checked as `opsnb check` does it, and each
Python file and `opsnb.toml` for the runbooks that its remedies and schedules name. pytest loads
this wherever opsnb is installed, so what takes long is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from opsnb.authoring.rules import Problem
    from opsnb.config.target import Target

_CHECKS, _TARGET, _DEMO = "opsnb", "opsnb_target", "demo"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("opsnb", "runbooks of opsnb")
    group.addoption("--opsnb", action="store_true", help="Check the runbooks that are collected.")
    group.addoption(
        "--opsnb-target",
        metavar="TARGET",
        help="The fixture `target`, on which --opsnb also runs each runbook with its defaults.",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect notebooks, Python files that may name runbooks, and `opsnb.toml`."""
    if not parent.config.getoption(_CHECKS) or file_path.name.startswith("."):
        return None
    kinds: dict[str, type[pytest.File]] = {".ipynb": _Notebook, ".py": _Module}
    kind = _Configuration if file_path.name == "opsnb.toml" else kinds.get(file_path.suffix)
    return kind.from_parent(parent, path=file_path) if kind else None


class ProblemsFound(Exception):
    """What a rule found."""


class _Rule(pytest.Item):
    """One rule, for one file: it passes when it finds no problem."""

    def __init__(self, *, find: Callable[[], Iterable[Problem]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._find = find

    def runtest(self) -> None:
        """Raise ProblemsFound when there are any."""
        if problems := list(self._find()):
            raise ProblemsFound("\n".join(map(str, problems)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what is wrong, a line each; a traceback only where the rule itself broke."""
        if isinstance(excinfo.value, ProblemsFound):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where this is, for the report."""
        return self.path, 0, f"{self.parent.name if self.parent else ''}: {self.name}"


class _Notebook(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test for each rule."""
        from opsnb import catalog  # noqa: PLC0415
        from opsnb.authoring import checking  # noqa: PLC0415
        from opsnb.authoring.rules import RULES  # noqa: PLC0415

        info = catalog.at(self.path)
        for name, rule in RULES.items():
            find = partial(_by_rule, rule, info)
            yield _Rule.from_parent(self, name=name, find=find)
        if target := self.config.getoption(_TARGET):

            def dry_run() -> Iterator[Problem]:
                if target == _DEMO:
                    _bring_up(self.config)
                return checking.dry_runs([info], target)

            yield _Rule.from_parent(self, name="defaults", find=dry_run)


class _Module(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        """Yield the test of its remedies."""
        from opsnb import catalog  # noqa: PLC0415
        from opsnb.authoring.rules import remedies  # noqa: PLC0415

        known = {info.id: info for info in catalog.runbooks()}
        yield _Rule.from_parent(self, name="remedies", find=partial(remedies, self.path, known))


class _Configuration(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        """Yield the test of its schedules."""
        from opsnb import catalog  # noqa: PLC0415
        from opsnb.authoring.rules import schedules  # noqa: PLC0415
        from opsnb.config.file import load_config  # noqa: PLC0415

        def find() -> Iterator[Problem]:
            known = {info.id: info for info in catalog.runbooks()}
            return schedules(load_config(self.path), known)

        yield _Rule.from_parent(self, name="schedules", find=find)


def _by_rule(rule: Any, info: Any) -> Iterator[Problem]:
    from opsnb.authoring import checking  # noqa: PLC0415

    found: Iterator[Problem] = rule(info, checking.known([info]))
    return found


# --- fixtures --------------------------------------------------------------------------------

_STACK = pytest.StashKey[bool]()


def _bring_up(config: pytest.Config) -> None:
    """Bring the demo stack up, once a session, and down at its end if nothing of it ran before."""
    from opsnb.demo import stack  # noqa: PLC0415

    if config.stash.get(_STACK, False):
        return
    before = stack.status().state
    if before != "up":
        stack.up(lambda _: None)
    if before == "down":
        config.add_cleanup(lambda: stack.down(lambda _: None))
    config.stash[_STACK] = True


@pytest.fixture
def demo(request: pytest.FixtureRequest) -> Iterator[Target]:
    """The demo stack, up and healthy; whatever fault a test injects is cleared after it."""
    from opsnb.config.file import load_target  # noqa: PLC0415
    from opsnb.demo import faults  # noqa: PLC0415

    _bring_up(request.config)
    before = set(faults.active())
    yield load_target(_DEMO)
    for name in set(faults.active()) - before:
        faults.clear(name)


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Target:
    """The target that `--opsnb-target` names; the demo stack when it names none."""
    from opsnb.config.file import load_target  # noqa: PLC0415

    named = request.config.getoption(_TARGET) or _DEMO
    if named == _DEMO:
        demo_target: Target = request.getfixturevalue(_DEMO)
        return demo_target
    return load_target(named)
