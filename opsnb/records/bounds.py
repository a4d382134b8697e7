"""Limits on the size of a record's notebook: larger pages are slow to load.

Each form of each output has a limit, and so has the whole notebook. A note replaces what is left
out. Findings, actions and tables are always kept: the record is made of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any

from opsnb.model import ACTION_MIME, FINDING_MIME, TABLE_MIME

LONGEST = 262_144
"""Characters of one output in one form."""
LARGEST_PICTURE = 1_000_000
LONGEST_ERROR = 65_536
LONGEST_SENTENCE = 10_000
LARGEST = 8_000_000
"""Characters of all outputs of a notebook."""
LARGEST_SEARCHED = 2_000_000
"""Characters of one output that are searched for secrets; of a longer text, its two ends are."""
LARGEST_SEARCHED_OF_ALL = 10_000_000
_CUT = re.compile(r"\n\[opsnb cut ([0-9]+) characters here\]\n")
_BESIDE_A_CUT = 65_536
"""Characters beside a cut that are left out as well: the rest of a secret may stand there."""
DEEPEST = 64
"""Levels of lists and objects within each other; readers of JSON give up at 200."""
_KEPT = frozenset({FINDING_MIME, ACTION_MIME, TABLE_MIME})
_TOO_DEEP = f"[opsnb left out what is nested deeper than {DEEPEST} levels here]"
_PLAIN, _HTML = "text/plain", "text/html"
_OWN_METADATA = frozenset({"opsnb", "papermill", "kernelspec", "language_info"})


def bound(notebook: dict[str, Any]) -> None:
    """Cut `notebook`, which is redacted, to the limits, with a note where something is left out.

    Call this last, so that no secret is cut in two.
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
    """Return a copy of `value`, which is JSON, cut at a depth of `levels`.

    Call this first: everything else walks a notebook level by level.
    """
    if isinstance(value, dict):
        if not levels:
            return _TOO_DEEP
        return {str(key): shallow(item, levels - 1) for key, item in list(value.items())}
    if isinstance(value, list | tuple):
        return [shallow(item, levels - 1) for item in list(value)] if levels else _TOO_DEEP
    return value


def trim(notebook: dict[str, Any]) -> None:
    """Leave out of `notebook`, which is not redacted yet, what would take minutes to search.

    Only what `bound` leaves out afterwards in any case.
    """
    room = LARGEST_SEARCHED_OF_ALL
    for cell in notebook.get("cells", []):
        if cell.get("outputs"):
            for output in cell["outputs"]:
                trim_output(output)
            cell["outputs"], room = _within(cell["outputs"], room)


def trim_output(output: dict[str, Any]) -> None:
    """Trim one output, or the message that brings it."""
    if "text" in output:
        output["text"] = _ends("".join(output["text"]))
    if isinstance(output.get("evalue"), str):
        output["evalue"] = _ends(output["evalue"])
    if isinstance(output.get("traceback"), list):
        trace = "\n".join(map(str, output["traceback"]))
        if len(trace) > LARGEST_SEARCHED:
            output["traceback"] = _ends(trace).split("\n")
    data = output.get("data")
    if isinstance(data, dict):
        if _PLAIN in data:
            data[_PLAIN] = _ends(_text(data[_PLAIN]))
        _leave_out(data, dict.fromkeys(data, LARGEST_SEARCHED))


def _ends(text: str) -> str:
    """Return `text`, or its beginning and end with a mark at which a secret may be cut in two."""
    if len(text) <= LARGEST_SEARCHED:
        return text
    half = LARGEST_SEARCHED // 2 - 100  # with the mark it is short enough not to be cut again
    return f"{text[:half]}\n[opsnb cut {len(text) - 2 * half} characters here]\n{text[-half:]}"


def shortened(text: str, limit: int = LONGEST_SENTENCE) -> str:
    """Return the beginning and the end of `text`, with what was left out between them in words."""
    mark = _CUT.search(text)
    if mark is None and len(text) <= limit:
        return text
    half, cut = limit // 2, 0
    begin, end = text[:half], text[-half:]
    if mark:
        begin = text[: max(0, mark.start() - _BESIDE_A_CUT)][:half]
        end = text[mark.end() + _BESIDE_A_CUT :][-half:]
        cut = int(mark[1]) - len(mark[0])
    left_out = _megabytes(len(text) + cut - len(begin) - len(end))
    return f"{begin}\n[opsnb left out {left_out} of output here; print less, or to a file]\n{end}"


def _bounded(outputs: list[dict[str, Any]], room: int) -> tuple[list[dict[str, Any]], int]:
    """Return the bounded outputs of a cell, and the room that is left for other cells."""
    bounded = [entry for output in outputs for entry in (output, *_notes(_bound_output(output)))]
    return _within(bounded, room)


def _within(outputs: list[dict[str, Any]], room: int) -> tuple[list[dict[str, Any]], int]:
    """Return the outputs for which there is room, a note on the others, and the room left."""
    kept, dropped, size_dropped = [], 0, 0
    for output in outputs:
        size = _size({**output, "data": _others(output)})
        if size > room:
            dropped += 1
            size_dropped += size
            data = {mime: value for mime, value in output.get("data", {}).items() if mime in _KEPT}
            if data:
                kept.append({**output, "data": data, "metadata": {}})
        else:
            room -= size
            kept.append(output)
    if dropped:
        noun = "output" if dropped == 1 else "outputs"
        kept.append(_note(f"{dropped:,} {noun}, {_megabytes(size_dropped)}"))
    return kept, room


def _bound_output(output: dict[str, Any]) -> dict[str, int]:
    """Bound an output; return what was left out of its metadata."""
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
    """Bound each form of an output."""
    if _PLAIN in data:
        data[_PLAIN] = shortened(_text(data[_PLAIN]), LONGEST)
    _leave_out(data, {mime: _limit(mime) for mime in data})


def _leave_out(data: dict[str, Any], limits: dict[str, int]) -> None:
    """Remove the forms of an output that are larger than their limits, and say so in the others."""
    left_out = {
        mime: size
        for mime, value in data.items()
        if mime not in _KEPT and mime != _PLAIN and (size := _size(value)) > limits[mime]
    }
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
    """Remove entries that are larger than `limit`; return their sizes by name."""
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
    """Return about how many characters `value` has in a notebook's file."""
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
