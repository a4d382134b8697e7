"""The list of the runbooks, by section and by symptom, and a page for each symptom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from opsnb.catalog import RunbookInfo, by_section
from opsnb.config.systems import thresholds
from opsnb.errors import ConfigError
from opsnb.site.context import Page, Site
from opsnb.site.layout import page
from opsnb.site.runs import Run
from opsnb.site.usage import Usage
from opsnb.view import addresses

PATH = "runbooks/index.html"

_FIRST = ("incidents", "troubleshooting")
"""The sections whose symptoms are listed first."""
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
        return risk(self.info)

    @property
    def symptoms(self) -> dict[str, str]:
        """What users see that it is the first to run for, by the name of the symptom."""
        try:
            return self.info.symptoms
        except ConfigError:
            return {}

    @property
    def shown(self) -> list[Run]:
        """The runs that are shown."""
        return self.newest[:_SHOWN]


def risk(info: RunbookInfo) -> str:
    """Return whether a runbook only reads, or may change something."""
    try:
        return "changes things with --apply" if info.acts else "reads only"
    except ConfigError:
        return "cannot be read"


def pages(site: Site) -> Iterator[Page]:
    """Yield the list of the runbooks and a page for each symptom.

    The page of each runbook comes from MkDocs. The address of a symptom's page does not change, so
    that alerts can name it.
    """
    known = listed(site)
    by_symptom: dict[str, list[tuple[str, Row]]] = {}
    for row in sorted(known.values(), key=_generality):
        for name, words in row.symptoms.items():
            by_symptom.setdefault(name, []).append((words, row))
    yield Page(PATH, partial(_overview, site, known, by_symptom))
    for name, found in by_symptom.items():
        yield Page(addresses.symptom(name), partial(_symptom, name, found))


def _generality(row: Row) -> tuple[int, str]:
    """Return what sorts the runbooks of symptoms: those for incidents first."""
    section = row.info.section
    return (_FIRST.index(section) if section in _FIRST else len(_FIRST)), row.info.id


def listed(site: Site) -> dict[str, Row]:
    """Return what a list shows of each runbook, by its id."""
    newest: dict[str, list[Run]] = {}
    for run in site.newest:
        newest.setdefault(run.runbook, []).append(run)
    return {
        info.id: Row(info, site.usage.get(info.id, Usage()), newest.get(info.id, []))
        for info in site.infos
    }


def _overview(
    site: Site, known: dict[str, Row], by_symptom: dict[str, list[tuple[str, Row]]]
) -> str:
    """Return the runbooks by symptom and by section with their newest runs."""
    return page(
        "runbooks",
        path=PATH,
        title="Runbooks",
        tab="Runbooks",
        symptoms=[(addresses.symptom(name), found) for name, found in by_symptom.items()],
        alerts=[(limit.label, addresses.alert(limit.metric)) for limit in thresholds().values()],
        sections={
            section: [known[info.id] for info in group] for section, group in by_section(site.infos)
        },
    )


def _symptom(name: str, found: Sequence[tuple[str, Row]]) -> str:
    return page(
        "symptom",
        path=addresses.symptom(name),
        title=found[0][0],
        tab="Runbooks",
        rows=[row for _, row in found],
    )
