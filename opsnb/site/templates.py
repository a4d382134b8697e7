"""The HTML of the site: templates in `templates/`, which escape whatever they are given."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from opsnb.records.stored import RUN_ID
from opsnb.view.formats import duration
from opsnb.view.html import environment

FOLDER = Path(__file__).with_name("templates")


def render(name: str, **values: Any) -> str:
    """Return the HTML of the template `name`, such as `home`; its `values` are escaped."""
    return _environment().get_template(f"{name}.html.j2").render(values)


def notice(title: str, words: str, kind: str = "failure") -> str:
    """Return a box that stands out, in the theme's own style."""
    macros: Any = _environment().get_template("macros.html.j2").module
    return str(macros.notice(title, words, kind))


@cache
def _environment() -> Environment:
    site = environment(FOLDER)
    site.filters |= {
        "count_of": "{:,}".format,
        "duration": duration,
        "json": json.dumps,
        "setting": setting,
        "utc": _utc,
    }
    site.tests["id_of_run"] = _is_run_id
    return site


def setting(value: Any) -> str:
    """Return the value of a parameter; a long fraction is shortened."""
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _utc(at: datetime, form: str) -> str:
    return f"{at.astimezone(UTC):{form}}"


def _is_run_id(run_id: str | None) -> bool:
    return run_id is not None and RUN_ID.fullmatch(run_id) is not None
