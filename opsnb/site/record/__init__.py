"""The page of each record."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from opsnb.site.context import Site
from opsnb.site.digests import code, digest
from opsnb.site.output import File
from opsnb.site.record.page import content
from opsnb.site.record.trails import trails


def pages(site: Site) -> Iterator[File]:
    """Yield the page of each record."""
    for entry, trail in trails(site.entries, site.runbook_ids):
        result = site.store.result(entry.run_id)
        shown = digest([code("site", "view"), result.model_dump_json(), trail])
        yield File(f"records/{entry.page}", shown, partial(content, site, result, trail))
