"""A record's notebook that no kernel executed, such as the summary of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def notebook(text: str, remark: str, shown: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a notebook with a `text` in Markdown and a cell with a `remark` and outputs.

    `shown` is the data of the outputs, by MIME type.
    """
    return {
        "cells": [_markdown(text), _code(remark, shown)],
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }


def _markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def _code(remark: str, shown: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {},
        "source": f"# {remark}",
        "execution_count": None,
        "outputs": [
            {"output_type": "display_data", "metadata": {}, "data": dict(data)} for data in shown
        ],
    }
