"""Whom to call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from opsnb.redaction import Redactor, environment_secrets
from opsnb.site.context import Page, Site
from opsnb.site.layout import page

PATH = "contacts.html"

# In the international form, or at least seven digits that signs may divide.
_PHONE = re.compile(r"(?<![\w.@:/-])(?:\+\d[\d ()./-]{5,}\d|\d[\d ()-]{5,}\d)(?![\w@])")


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
            {
                "role": redact(each.role),
                "name": redact(each.name),
                "contact": redact(each.contact),
                "availability": redact(each.availability),
                "phone": _phone(redact(each.contact)),
            }
            for each in found
        ],
    )


def _phone(contact: str) -> str:
    """Return the first telephone number in `contact`, to be dialled; empty where there is none."""
    found = _PHONE.search(contact)
    return re.sub(r"[^+\d]", "", found[0]) if found else ""
