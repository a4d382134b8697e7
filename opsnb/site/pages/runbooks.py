"""The list of the runbooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from opsnb.catalog import RunbookInfo, by_section
from opsnb.errors import ConfigError
from opsnb.site.context import Page, Site
from opsnb.site.entries import Entry, latest
from opsnb.site.layout import page

PATH = "runbooks/index.html"


def pages(site: Site) -> Iterator[Page]:
    """Yield the list of the runbooks; the page of each one comes from MkDocs."""
    yield Page(PATH, partial(overview, site))


def overview(site: Site) -> str:
    """Return the runbooks by section with their newest records."""
    newest: dict[str, list[Entry]] = {}
    for entry in sorted(latest(site.entries), key=lambda entry: entry.target):
        newest.setdefault(entry.runbook, []).append(entry)
    sections = {
        section: [_Row(info, newest.get(info.id, [])) for info in group]
        for section, group in by_section(site.infos)
    }
    return page("runbooks", path=PATH, title="Runbooks", tab="Runbooks", sections=sections)


@dataclass(frozen=True)
class _Row:
    """One runbook in the list."""

    info: RunbookInfo
    newest: list[Entry]
    """Its newest record on each target."""

    @property
    def does(self) -> str:
        """Whether it only checks, or also acts."""
        try:
            return "checks, and acts with --apply" if self.info.acts else "checks"
        except ConfigError:
            return "cannot be read"
