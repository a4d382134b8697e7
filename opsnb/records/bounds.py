"""What a record's notebook holds at most: a page of more is slow to load and read by nobody.

Each output is bounded in every form that it has, and so is the whole notebook. What is left out is
said where it stood. Findings, actions and tables are never left out: the record is made of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from opsnb.model import ACTION_MIME, FINDING_MIME, TABLE_MIME

LONGEST = 262_144
"""Characters of what one output says in one form."""
LARGEST_PICTURE = 1_000_000
LONGEST_ERROR = 65_536
LONGEST_SENTENCE = 10_000
LARGEST = 8_000_000
"""Characters of all outputs of a notebook."""
DEEPEST = 64
"""Levels of lists and objects within each other; readers of JSON give up at 200."""
_KEPT = frozenset({FINDING_MIME, ACTION_MIME, TABLE_MIME})
_TOO_DEEP = f"[opsnb left out what is nested deeper than {DEEPEST} levels here]"
_PLAIN, _HTML = "text/plain", "text/html"
_OWN_METADATA = frozenset({"opsnb", "papermill", "kernelspec", "language_info"})


def bound(notebook: dict[str, Any]) -> None:
    """Leave out of `notebook`, which is redacted, what is too much, and say so in its place.

    To be called last, so that no secret is cut in two.
    """
    room = LARGEST
    cells = notebook.get("cells", [])
    for cell in cells:
        said = _bound_entries(cell.get("attachments", {}), LARGEST_PICTURE)
        said |= _bound_entries(cell.get("metadata", {}), LONGEST)
        if "outputs" in cell:
            cell["outputs"], room = _bounded(cell["outputs"], room)
            cell["outputs"] += _notes(said)
        elif said:
            cell["source"] = "".join(cell["source"]) + f"\n\n{_words(said)}"
    said = _bound_entries(notebook.get("metadata", {}), LARGEST_PICTURE, _OWN_METADATA)
    with_outputs = [cell for cell in cells if "outputs" in cell]
    if with_outputs:
        with_outputs[-1]["outputs"] += _notes(said)


def shallow(value: Any, levels: int = DEEPEST) -> Any:
    """Return a copy of `value`, which is JSON, without what is nested deeper than `levels`.

    To be called first: what else is done to a notebook goes down into it level by level.
    """
    if isinstance(value, dict):
        if not levels:
            return _TOO_DEEP
        return {str(key): shallow(item, levels - 1) for key, item in list(value.items())}
    if isinstance(value, list | tuple):
        return [shallow(item, levels - 1) for item in list(value)] if levels else _TOO_DEEP
    return value


def shortened(text: str, limit: int = LONGEST_SENTENCE) -> str:
    """Return the beginning and the end of `text`, with what was left out between them in words."""
    if len(text) <= limit:
        return text
    half = limit // 2
    left_out = _megabytes(len(text) - 2 * half)
    return (
        f"{text[:half]}\n[opsnb left out {left_out} of output here; print less, or to a file]\n"
        f"{text[-half:]}"
    )


def _bounded(outputs: list[dict[str, Any]], room: int) -> tuple[list[dict[str, Any]], int]:
    """Return what is kept of the outputs of a cell, and how much room is left for others."""
    kept, dropped, size_dropped = [], 0, 0
    for output in outputs:
        said = _bound_output(output)
        size = _size({**output, "data": _others(output)})
        if size > room:
            dropped += 1
            size_dropped += size
            data = {mime: value for mime, value in output.get("data", {}).items() if mime in _KEPT}
            if data:
                kept.append({**output, "data": data, "metadata": {}})
        else:
            room -= size
            kept += [output, *_notes(said)]
    if dropped:
        noun = "output" if dropped == 1 else "outputs"
        kept.append(_note(f"{dropped:,} {noun}, {_megabytes(size_dropped)}"))
    return kept, room


def _bound_output(output: dict[str, Any]) -> dict[str, int]:
    """Bound what an output says; return what was left out of its metadata."""
    if output.get("output_type") == "stream":
        output["text"] = shortened("".join(output.get("text", "")), LONGEST)
    elif output.get("output_type") == "error":
        output["ename"] = shortened(str(output.get("ename", "")))
        output["evalue"] = shortened(str(output.get("evalue", "")))
        trace = "\n".join(map(str, output.get("traceback", [])))
        if len(trace) > LONGEST_ERROR:
            output["traceback"] = shortened(trace, LONGEST_ERROR).split("\n")
    elif isinstance(data := output.get("data"), dict):
        _bound_data(data)
    return _bound_entries(output.get("metadata", {}), LONGEST_ERROR)


def _bound_data(data: dict[str, Any]) -> None:
    """Bound what one output says, in each of its forms."""
    left_out = {
        mime: size
        for mime, value in data.items()
        if mime not in _KEPT and mime != _PLAIN and (size := _size(value)) > _limit(mime)
    }
    if _PLAIN in data:
        data[_PLAIN] = shortened(_text(data[_PLAIN]), LONGEST)
    if not left_out:
        return
    note = _words(left_out)
    plain = _text(data.get(_PLAIN, ""))
    for mime in left_out:
        del data[mime]
    if _HTML in left_out:
        data[_HTML] = f"<pre>{escape(plain)}</pre><p>{escape(note)}</p>"
    elif _HTML in data:
        data[_HTML] = f"{_text(data[_HTML])}<p>{escape(note)}</p>"
    data[_PLAIN] = f"{plain}\n{note}".strip()


def _bound_entries(
    entries: dict[str, Any], limit: int, keep: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Remove what is larger than `limit` in `entries`; return the size of each by its name."""
    left_out = {
        name: size
        for name, value in entries.items()
        if name not in keep and (size := _size(value)) > limit
    }
    for name in left_out:
        del entries[name]
    return left_out


def _limit(mime: str) -> int:
    return LARGEST_PICTURE if mime.startswith("image/") else LONGEST


def _others(output: dict[str, Any]) -> dict[str, Any]:
    data = output.get("data", {})
    return {mime: value for mime, value in data.items() if mime not in _KEPT}


def _text(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _size(value: Any) -> int:
    """Return about how many characters `value` takes in a notebook's file."""
    return len(value) if isinstance(value, str) else len(json.dumps(value, ensure_ascii=False))


def _notes(left_out: dict[str, int]) -> Iterator[dict[str, Any]]:
    for name, size in left_out.items():
        yield _note(f"{_megabytes(size)} of {name[:80]}")


def _note(what: str) -> dict[str, Any]:
    text = f"[opsnb left out {what} here; show less, or write it to a file]\n"
    return {"output_type": "stream", "name": "stderr", "text": text}


def _words(left_out: dict[str, int]) -> str:
    what = ", ".join(f"{_megabytes(size)} of {name[:80]}" for name, size in left_out.items())
    return f"[opsnb left out {what} here; show less, or write it to a file]"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
