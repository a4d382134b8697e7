"""Mask notebooks by their structure, which is never masked itself.

Sources, outputs' texts, tracebacks and the values of metadata are masked; the names of keys and of
types are not. What opsnb itself puts into outputs is masked by its models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from pydantic import BaseModel

from opsnb.model import TARGET_KEY, RunResult
from opsnb.redaction.results import BUNDLES, masked_entries, masked_fields

_RESULT_KEY = "opsnb"  # in a notebook's metadata: the result of its run
_OWN_METADATA = frozenset(
    {"kernelspec", "language_info", "tags", "collapsed", "scrolled", "editable", "deletable"}
    | {"jupyter", "execution", "slideshow", TARGET_KEY}
)
_HTML = ("text/html", "image/svg+xml")


class Masker(Protocol):
    """Masks texts and JSON from outside."""

    def text(self, text: str) -> str:
        """Return `text` masked."""

    def pieces(self, pieces: Sequence[str]) -> list[str]:
        """Return the pieces of one text masked."""

    def shown(self, text: str, own: frozenset[str], *, is_html: bool) -> str:
        """Return `text` masked, except markup and opsnb's `own` words."""

    def known(self, text: str) -> str:
        """Return `text` with only the known secrets masked."""

    def json(self, value: Any) -> Any:
        """Return JSON from outside masked."""

    def fields(
        self, model: type[BaseModel], fields: Mapping[str, Any]
    ) -> tuple[dict[str, Any], frozenset[str]]:
        """Return the fields of a `model` masked, and its own words if nothing was masked."""


def is_notebook(value: Any) -> bool:
    """Whether `value` is a notebook."""
    return isinstance(value, dict) and "nbformat" in value and "cells" in value


def is_outputs(value: Any) -> bool:
    """Whether `value` is a list of a cell's outputs."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and "output_type" in item for item in value)
    )


def masked_notebook(notebook: Mapping[str, Any], masker: Masker) -> dict[str, Any]:
    """Return `notebook` masked."""
    return _items(
        notebook,
        {
            "cells": lambda cells: [_cell(cell, masker) for cell in cells],
            "metadata": lambda metadata: _metadata(metadata, masker),
        },
    )


def _items(part: Mapping[str, Any], masks: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Return a part of a notebook with the fields of `masks` masked, the rest unchanged."""
    return {key: masks[key](item) if key in masks else item for key, item in part.items()}


def _cell(cell: Mapping[str, Any], masker: Masker) -> dict[str, Any]:
    return _items(
        cell,
        {
            "source": lambda source: multiline(source, masker.text),
            "outputs": lambda outputs: masked_outputs(outputs, masker),
            "metadata": lambda metadata: _metadata(metadata, masker),
            "attachments": lambda files: {
                name: masked_bundle(data, masker) for name, data in files.items()
            },
        },
    )


def _metadata(metadata: Mapping[str, Any], masker: Masker) -> dict[str, Any]:
    def masked(key: str, item: Any) -> Any:
        if key in _OWN_METADATA:
            return item
        if key == _RESULT_KEY and isinstance(item, dict):
            return masked_fields(RunResult, item, masker.json)
        if key == "papermill" and isinstance(item, dict):
            return _papermill(item, masker)
        return next(iter(masked_entries({key: item}, masker.json).values()))

    return {key: masked(key, item) for key, item in metadata.items()}


def _papermill(noted: Mapping[str, Any], masker: Masker) -> dict[str, Any]:
    """Return papermill's metadata with parameters and paths masked; times and states stay."""

    def parameters(values: Any) -> Any:
        if not isinstance(values, dict):
            return masker.json(values)
        return masked_entries(values, masker.json)

    masks = dict.fromkeys(("input_path", "output_path", "environment_variables"), masker.json)
    return _items(noted, {**masks, "parameters": parameters})


def masked_outputs(outputs: Sequence[Any], masker: Masker) -> list[Any]:
    """Return the outputs of a cell masked; its printed text is read as a whole.

    A program writes a line in pieces, and to stdout and stderr in turn.
    """
    safe = [_output(output, masker) if isinstance(output, dict) else output for output in outputs]
    streams = [i for i, output in enumerate(safe) if _is_stream(output)]
    runs = groupby(enumerate(streams), key=lambda at: at[1] - at[0])
    groups = [[i for _, i in run] for _, run in runs]
    groups += [[i for i in streams if safe[i].get("name") == name] for name in ("stdout", "stderr")]
    for group in groups:
        pieces = ["".join(safe[i].get("text", "")) for i in group]
        for i, piece in zip(group, masker.pieces(pieces), strict=True):
            safe[i]["text"] = _as_before(safe[i].get("text", ""), piece)
    return safe


def _is_stream(output: Any) -> bool:
    return isinstance(output, dict) and output.get("output_type") == "stream"


def _output(output: Mapping[str, Any], masker: Masker) -> dict[str, Any]:
    return _items(
        output,
        {
            "data": lambda data: masked_bundle(data, masker),
            "metadata": lambda metadata: _metadata(metadata, masker),
            "evalue": lambda text: multiline(text, masker.text),
            "traceback": lambda lines: masker.text("\n".join(map(str, lines))).split("\n"),
        },
    )


def masked_bundle(data: Mapping[str, Any], masker: Masker) -> dict[str, Any]:
    """Return an output's data by MIME type masked."""
    safe, own = {}, frozenset[str]()
    for mime, model in BUNDLES.items():
        if isinstance(fields := data.get(mime), dict):
            safe[mime], words = masker.fields(model, fields)
            own |= words
    return {
        mime: safe[mime] if mime in safe else _shown(mime, item, own, masker)
        for mime, item in data.items()
    }


def _shown(mime: str, item: Any, own: frozenset[str], masker: Masker) -> Any:
    if mime.endswith("json"):
        return masker.json(item)
    if mime in _HTML:
        return multiline(item, lambda text: masker.shown(text, own, is_html=True))
    if mime.startswith(("image/", "audio/", "video/", "font/")) or mime == "application/pdf":
        # Not searched for shapes, which could match in a picture by chance.
        return multiline(item, masker.known)
    if own:
        return multiline(item, lambda text: masker.shown(text, own, is_html=False))
    return multiline(item, masker.text)


def multiline(value: Any, mask: Callable[[str], str]) -> Any:
    """Return a text, or a notebook's list of its lines, masked as a whole."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return mask("".join(value)).splitlines(keepends=True)
    return value


def _as_before(before: Any, text: str) -> Any:
    return text.splitlines(keepends=True) if isinstance(before, list) else text
