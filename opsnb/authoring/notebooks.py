"""Notebooks written from text: Markdown, in which each block of Python is a code cell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_TEMPLATES = Environment(
    loader=PackageLoader("opsnb.authoring"), keep_trailing_newline=True, undefined=StrictUndefined
)
_CODE = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def filled(template: str, **values: Any) -> str:
    """Return the text of a template with `values` filled in."""
    return _TEMPLATES.get_template(template).render(values)


def notebook(text: str, reviewed: date) -> str:
    """Return the notebook that `text` describes, as its file has it; it has no outputs.

    The first code cell is that of the parameters.
    """
    document = {
        "cells": list(_cells(text)),
        "metadata": {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
            "opsnb": {"reviewed": reviewed.isoformat()},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _cells(text: str) -> Iterator[dict[str, Any]]:
    # Between blocks of code stands text: every second piece is a code cell's source.
    is_declared = False
    for number, source in enumerate(_CODE.split(text)):
        if not source.strip():
            continue
        cell: dict[str, Any] = {
            "cell_type": "markdown",
            "id": f"cell-{number + 1}",
            "metadata": {},
            "source": source.strip().splitlines(keepends=True),
        }
        if number % 2:
            tags = {} if is_declared else {"tags": ["parameters"]}
            is_declared = True
            cell |= {
                "cell_type": "code",
                "execution_count": None,
                "metadata": tags,
                "outputs": [],
            }
        yield cell
