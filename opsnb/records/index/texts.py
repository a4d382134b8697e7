"""The text of an executed notebook's outputs, as the full-text search knows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

from opsnb.view.terminal import HIDDEN

_PLAIN, _HTML = "text/plain", "text/html"
_HIDDEN = re.compile(r"<(style|script)\b.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # the colours of a traceback


def printed(notebook: dict[str, Any]) -> str:
    """Return what the cells of `notebook` printed, one output below the other."""
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", []))
    return "\n".join(filter(None, map(_text, outputs)))


def _text(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "text" in output:
        text = _joined(output["text"])
    elif _PLAIN in data:
        text = _joined(data[_PLAIN])
    elif _HTML in data:
        text = unescape(_TAG.sub(" ", _HIDDEN.sub(" ", _joined(data[_HTML]))))
    else:
        text = "\n".join(_of_error(output))
    return HIDDEN.sub("", _ESCAPE.sub("", text)).strip()


def _of_error(output: dict[str, Any]) -> Iterator[str]:
    if output.get("output_type") == "error":
        yield f"{output.get('ename')}: {output.get('evalue')}"
        trace = output.get("traceback")
        yield from map(str, trace if isinstance(trace, list) else ())


def _joined(text: Any) -> str:
    """Return text that may be a list of lines, as notebooks have it."""
    return "".join(map(str, text)) if isinstance(text, list) else str(text)
