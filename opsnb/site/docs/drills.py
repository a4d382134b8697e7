"""The list of drills: symptom, the runbook that finds its cause, and the last result.

The list is a part of the docs, made only with them, as the faults of the demo stack are slow to
import. The last result of each drill stands in a region of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from opsnb.config.sources import fault_modules
from opsnb.config.systems import systems
from opsnb.site.templates import render
from opsnb.site.usage import Usage

_KIND = "drill/"
"""What the ids of drills begin with in records."""


def table(runbooks: Collection[str]) -> str:
    """Return a row for each drill; `runbooks` are the ids of those that have a page."""
    from opsnb.demo.faults.known import all_drills  # noqa: PLC0415 - see above

    return render("drills", drills=all_drills().values(), runbooks=runbooks)


def sources() -> Iterator[bytes]:
    """Yield the content of the modules that add drills to opsnb's own."""
    of_systems = (each.faults.partition(":")[0] for each in systems().values() if each.faults)
    for module in (*of_systems, *fault_modules()):
        with suppress(ImportError, ValueError):  # the list, which imports it, says what is wrong
            spec = find_spec(module)
            if spec and spec.origin:
                yield Path(spec.origin).read_bytes()


def results(usage: Mapping[str, Usage]) -> dict[str, str]:
    """Return the last result of each drill that was held, by the name of its region."""
    return {
        runbook.replace("/", "-", 1): render("drilled", last=used.runs[0])
        for runbook, used in usage.items()
        if runbook.startswith(_KIND)
    }
