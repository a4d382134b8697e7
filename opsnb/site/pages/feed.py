"""The feed: what was critical and what was done, for a reader of news."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from xml.etree import ElementTree as ET

from opsnb.site.context import Page, Site
from opsnb.site.runs import Run, rows, runs

PATH = "feed.xml"
MOST = 50
"""Entries of the feed, the newest."""
_ATOM = "http://www.w3.org/2005/Atom"
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def pages(site: Site) -> Iterator[Page]:
    """Yield the feed."""
    yield Page(PATH, partial(_feed, site))


def _feed(site: Site) -> str:
    """Return the feed as Atom (RFC 4287).

    Its links lead to where the site is published, as `records.site` says; else they are relative to
    the feed itself, as RFC 4287 allows.
    """
    base = site.config.records.site.rstrip("/")
    found = runs(rows(site.store.index, "news", most=MOST))
    ET.register_namespace("", _ATOM)
    feed = ET.Element(f"{{{_ATOM}}}feed")
    _add(feed, "title", "opsnb: what was critical, and what was done")
    _add(feed, "id", f"{base}/{PATH}" if base else "urn:opsnb:feed")
    _add(feed, "updated", (found[0].started if found else site.built).isoformat())
    _add(feed, "link", rel="self", href=f"{base}/{PATH}" if base else PATH)
    for run in found:
        _entry(feed, run, f"{base}/records/{run.page}" if base else f"records/{run.page}")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(feed, encoding="unicode")}\n'


def _entry(feed: ET.Element, run: Run, address: str) -> None:
    entry = ET.SubElement(feed, f"{{{_ATOM}}}entry")
    done = "acted, " if run.acted else ""
    _add(entry, "title", f"{run.target}: {run.title} ({done}{run.outcome})")
    _add(entry, "id", f"urn:opsnb:{run.run_id}")
    _add(entry, "updated", run.started.isoformat())
    _add(entry, "link", rel="alternate", href=address)
    _add(ET.SubElement(entry, f"{{{_ATOM}}}author"), "name", run.operator)
    _add(entry, "summary", run.sentence)


def _add(parent: ET.Element, name: str, text: str | None = None, **attributes: str) -> None:
    element = ET.SubElement(parent, f"{{{_ATOM}}}{name}", attributes)
    element.text = text and _NOT_IN_XML.sub("\ufffd", text)
