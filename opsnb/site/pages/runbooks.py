"""The list of the runbooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from opsnb.catalog import RunbookInfo, by_section
from opsnb.errors import ConfigError
from opsnb.site.context import Page, Site
from opsnb.site.layout import page
from opsnb.site.runs import Run
from opsnb.site.usage import Usage

PATH = "runbooks/index.html"

_SHOWN = 5  # targets whose newest run a row shows


@dataclass(frozen=True)
class Row:
    """One runbook in a list."""

    info: RunbookInfo
    usage: Usage
    newest: list[Run]
    """Its newest run on each target, the newest first."""

    @property
    def risk(self) -> str:
        """Whether it only reads, or may change something."""
        try:
            return "changes things with --apply" if self.info.acts else "reads only"
        except ConfigError:
            return "cannot be read"

    @property
    def shown(self) -> list[Run]:
        """The runs that are shown."""
        return self.newest[:_SHOWN]


def pages(site: Site) -> Iterator[Page]:
    """Yield the list of the runbooks; the page of each one comes from MkDocs."""
    yield Page(PATH, partial(overview, site))


def listed(site: Site) -> dict[str, Row]:
    """Return what a list shows of each runbook, by its id."""
    newest: dict[str, list[Run]] = {}
    for run in site.newest:
        newest.setdefault(run.runbook, []).append(run)
    return {
        info.id: Row(info, site.usage.get(info.id, Usage()), newest.get(info.id, []))
        for info in site.infos
    }


def overview(site: Site) -> str:
    """Return the runbooks by section with their newest runs."""
    known = listed(site)
    sections = {
        section: [known[info.id] for info in group] for section, group in by_section(site.infos)
    }
    return page("runbooks", path=PATH, title="Runbooks", tab="Runbooks", sections=sections)
