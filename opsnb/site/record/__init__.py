"""The page of each record, made again when the record or a run that it names has changed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from opsnb.site.context import Site
from opsnb.site.digests import code, digest
from opsnb.site.output import File
from opsnb.site.record.around import Around, arounds
from opsnb.site.record.page import content, damaged
from opsnb.view import addresses

# What the pages are made by. Others of opsnb's own changes make none of them again.
_TEMPLATES = ("layout", "macros", "record", "notebook", "table", "damaged")
_CODE = (
    "site/record",
    "site/layout.py",
    "site/safe_html.py",
    "site/templates.py",
    *(f"site/templates/{name}.html.j2" for name in _TEMPLATES),
    "records/ending.py",
    "records/members.py",
    "records/verdict.py",
    "model",
    "view",
)


def pages(site: Site) -> Iterator[File]:
    """Yield the page of each record, also of those that cannot be read."""
    made_by = digest([code(*_CODE), *sorted(site.runbook_ids)])
    known = {around.run_id: around for around in arounds(site.store.index)}
    for around in known.values():
        made_from = digest([made_by, site.broken.get(around.run_id, ""), *_shown(around, known)])
        yield File(addresses.record(around.run_id), made_from, partial(content, site, around))
    for run_id in site.broken.keys() - known.keys():
        why = site.broken[run_id]
        yield File(addresses.record(run_id), digest([made_by, why]), partial(damaged, run_id, why))


def _shown(around: Around, known: dict[str, Around]) -> Iterator[str]:
    """Yield what the page of a record depends on: its own version, and the runs that it names."""
    yield around.version
    for name, run_id in around.named:
        yield f"{name} {run_id} {known[run_id].version}"
    yield from around.members
