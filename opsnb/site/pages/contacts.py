"""Whom to call."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from opsnb.redaction import Redactor, environment_secrets
from opsnb.site.context import Page, Site
from opsnb.site.layout import page

PATH = "contacts.html"


def pages(site: Site) -> Iterator[Page]:
    """Yield the page of the contacts."""
    yield Page(PATH, partial(contacts, site))


def contacts(site: Site) -> str:
    """Return whom to call, as the configuration says, free of secrets."""
    redact = Redactor(environment_secrets()).text
    found = site.config.contacts
    return page(
        "contacts",
        path=PATH,
        title="Contacts",
        tab="Contacts",
        missing=[each.role for each in found if "TBD" in (each.name, each.contact)],
        contacts=[
            [redact(text) for text in (each.role, each.name, each.contact, each.availability)]
            for each in found
        ],
    )
