"""Who may start or use a resident: an engineer at a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pexpect
import pytest

from tests.cli.resident.place import OPSNB, RUNBOOK, Place, new_place


@pytest.fixture
def place() -> Iterator[Place]:
    with new_place() as place:
        yield place


def typed(place: Place, *words: str, **changed: str) -> str:
    """Run the runbook on a terminal, and return what it shows."""
    child = pexpect.spawn(
        OPSNB,
        ["run", RUNBOOK, *words],
        encoding="utf-8",
        timeout=240,
        cwd=str(place.folder),
        dimensions=(24, 100),
        env={**place.environment, "OPSNB_RESIDENT": "", "TERM": "xterm-256color", **changed},
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1, child.before
    return str(child.before)


def test_the_first_run_on_a_terminal_starts_one_that_runs_the_second(place: Place) -> None:
    first = typed(place)
    resident = place.resident()
    second = typed(place)
    assert place.resident() == resident
    assert place.parents()[1] in [each.pid for each in resident.children()]
    # With colours, to the width of this terminal, and the same but for the run's id.
    assert "\x1b[" in second
    assert findings(first) == findings(second) != set()


def findings(shown: str) -> set[int]:
    """The lengths of the lines with findings, which may be shown once more while it runs."""
    return {len(line) for line in shown.splitlines() if "WARN" in line}


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ((), {"CI": "true"}),
        ((), {"OPSNB_RESIDENT": "off"}),
        ((), {"OPSNB_STARTED_BY": "a kernel"}),
        ((), {"FSSPEC_S3_SECRET": "secret"}),
        (("--cold",), {}),
    ],
)
def test_a_run_that_may_not_use_one_starts_none(
    place: Place, words: tuple[str, ...], changed: dict[str, str]
) -> None:
    typed(place, *words, **changed)
    assert not place.sockets.exists()
