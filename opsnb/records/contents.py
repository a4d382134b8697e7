"""What the files of a record hold: the redacted notebook, and the result beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from opsnb.model import RunResult
from opsnb.records.bounds import bound, shallow, shortened, trim
from opsnb.records.extract import METADATA_KEY, stamp
from opsnb.records.seals import NOT_IN_NOTEBOOK, seal_files
from opsnb.records.stored import NOTEBOOK, RESULT
from opsnb.redaction import Redactor


def record_files(
    result: RunResult, notebook: dict[str, Any], redactor: Redactor
) -> dict[str, bytes]:
    """Return the files of a record by name; the notebook, which holds everything, comes first.

    A seal that `result` has is completed, in it and in the files.
    """
    stamp(notebook, result)
    notebook = joined_streams(notebook)
    fields = redactor.result(result).model_dump(mode="json")
    kept = redactor.tree(notebook)
    bound(kept)  # only now, so that no secret is cut in two
    for noted in (fields, kept["metadata"][METADATA_KEY]):
        noted["error"] = noted["error"] and shortened(noted["error"])
    if result.seal:  # hashes and ids that opsnb made, whatever a secret looks like
        fields["seal"] = result.seal.model_dump(mode="json")
        kept["metadata"][METADATA_KEY]["seal"] = result.seal.model_dump(
            mode="json", exclude=NOT_IN_NOTEBOOK
        )
    files = {NOTEBOOK: as_json(kept), RESULT: as_json(fields)}
    seal_files(files, result)
    return files


def joined_streams(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of `notebook`, not too deep, with consecutive pieces of a stream joined.

    So redaction never sees half of a secret.
    """
    notebook = shallow(notebook)
    cells = [
        {**cell, "outputs": list(_joined(cell["outputs"]))} if cell.get("outputs") else cell
        for cell in notebook.get("cells", [])
    ]
    joined = {**notebook, "cells": cells}
    trim(joined)
    return joined


def _joined(outputs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for stream, pieces in groupby(outputs, _stream):
        if stream is None:
            yield from pieces
        else:
            first, *rest = pieces
            # A piece is a string or a list of lines; both join.
            text = "".join("".join(piece.get("text", "")) for piece in (first, *rest))
            yield {**first, "text": text}


def _stream(output: dict[str, Any]) -> str | None:
    """Return the name of the stream that `output` is a piece of, or None for other outputs."""
    return output.get("name", "stdout") if output.get("output_type") == "stream" else None


def as_json(value: dict[str, Any]) -> bytes:
    """Return `value` as the JSON of a file; NaN and infinity become null.

    Each entry of its lists, such as a cell or a finding, is one line: `json` indents ten times
    slower than it writes.
    """
    try:
        lines = ",\n".join(f"{_compact(key)}: {_lines(item)}" for key, item in value.items())
    except ValueError:
        return as_json(json.loads(json.dumps(value), parse_constant=lambda _: None))
    # A lone surrogate (half a character of a cut log line) is not UTF-8: "?" replaces it.
    return f"{{\n{lines}\n}}\n".encode(errors="replace")


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return _compact(value)
    return "[\n" + ",\n".join(map(_compact, value)) + "\n]"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
