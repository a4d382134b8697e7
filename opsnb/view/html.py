"""The HTML of findings, plans and causes: templates in `templates/`, which escape their values.

It has its own styles, takes the page's text colour and background, and wraps on a narrow screen, so
that one form serves JupyterLab, light and dark pages, a phone and print.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).with_name("templates")


def render(name: str, **values: Any) -> str:
    """Return the HTML of the template `name`, such as `finding`; its `values` are escaped."""
    return _environment().get_template(f"{name}.html.j2").render(values)


def environment(folder: Path) -> Environment:
    """Return the environment for the templates of a folder, which escapes their values."""
    # Imported late: most commands write no HTML.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _environment() -> Environment:
    return environment(FOLDER)
