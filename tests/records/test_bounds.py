"""What a cell shows without measure is bounded in every form, and said; findings never are."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from opsnb.model import FINDING_MIME, Finding, Status
from opsnb.records.bounds import LARGEST_SEARCHED
from opsnb.records.extract import findings
from opsnb.records.store import Store
from opsnb.redaction import Redactor
from tests.records.test_store import make_result

BIG = 4_000_000
PIXELS = base64.b64encode(os.urandom(BIG)).decode()


def shown(data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": data, **more}


def a_cell(*outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "metadata": {}, "source": "x", "execution_count": 1}
    return {**cell, "outputs": list(outputs), **more}


FORMS: dict[str, dict[str, Any]] = {
    "HTML": a_cell(shown({"text/html": "<p>" * BIG, "text/plain": "<HTML>"})),
    "HTML in lines": a_cell(shown({"text/html": ["<p>\n"] * BIG})),
    "plain text": a_cell(shown({"text/plain": "x" * BIG})),
    "Markdown": a_cell(shown({"text/markdown": "x" * BIG})),
    "LaTeX": a_cell(shown({"text/latex": "x" * BIG})),
    "JSON": a_cell(shown({"application/json": {"a": ["x" * 100] * 40_000}})),
    "a plot": a_cell(shown({"application/vnd.plotly.v1+json": {"data": list(range(10**6))}})),
    "a script": a_cell(shown({"application/javascript": "x" * BIG})),
    "a picture": a_cell(shown({"image/png": PIXELS})),
    "a drawing": a_cell(shown({"image/svg+xml": "<svg>" * BIG})),
    "a stream": a_cell({"output_type": "stream", "name": "stdout", "text": "x" * BIG}),
    "a traceback": a_cell(
        {"output_type": "error", "ename": "E", "evalue": "x" * BIG, "traceback": ["x" * BIG] * 2}
    ),
    "an output's metadata": a_cell(shown({}, metadata={"x": "y" * BIG})),
    "a cell's metadata": a_cell(metadata={"x": "y" * BIG}),
    "many outputs": a_cell(*(shown({"text/plain": "x" * 900}) for _ in range(20_000))),
    "an attachment": {
        "cell_type": "markdown",
        "metadata": {},
        "source": "x",
        "attachments": {"a.png": {"image/png": PIXELS}},
    },
}


def kept(tmp_path: Path, notebook: dict[str, Any]) -> str:
    store, result = Store(str(tmp_path)), make_result()
    location = store.keep(result, notebook, Redactor())
    assert store.result(result.run_id).run_id == result.run_id
    return Path(location, "record.ipynb").read_text()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_bounded_and_what_was_left_out_is_said(tmp_path: Path, form: str) -> None:
    text = kept(tmp_path, {"cells": [json.loads(json.dumps(FORMS[form]))], "metadata": {}})
    assert len(text) < (9_000_000 if form == "many outputs" else 1_000_000)
    assert "[opsnb left out" in text


def test_the_state_of_widgets_is_bounded(tmp_path: Path) -> None:
    metadata = {"widgets": {"application/vnd.jupyter.widget-state+json": {"state": "x" * BIG}}}
    text = kept(tmp_path, {"cells": [a_cell()], "metadata": metadata})
    assert len(text) < 100_000
    assert "of widgets" in text


def test_many_large_cells_are_bounded_together_and_findings_stay(tmp_path: Path) -> None:
    finding = Finding(name="a.b", status=Status.WARN, message="Full.").model_dump(mode="json")
    cells = [a_cell(shown({FINDING_MIME: finding, "text/html": "x" * 200_000})) for _ in range(100)]
    text = kept(tmp_path, {"cells": cells, "metadata": {}})
    assert len(text) < 9_000_000
    assert len(findings(json.loads(text))) == 100


def test_a_reason_without_measure_is_shortened_in_both_files(tmp_path: Path) -> None:
    store, result = Store(str(tmp_path)), make_result(error="x" * BIG)
    location = store.keep(result, {"cells": [], "metadata": {}}, Redactor())
    for name in ("result.json", "record.ipynb"):
        assert Path(location, name).stat().st_size < 50_000


@pytest.mark.parametrize("form", ["stream", "plain", "traceback"])
def test_a_secret_that_stands_where_a_huge_output_is_cut_leaves_no_part(
    tmp_path: Path, form: str
) -> None:
    secret = "pl4nted-s3cret-of-the-shop"
    # Masks are shorter than the secrets: what is kept of the masked text reaches the cut.
    text = f"{secret}\n" * (2 * LARGEST_SEARCHED // len(secret))
    output = {
        "stream": {"output_type": "stream", "name": "stdout", "text": text},
        "plain": shown({"text/plain": text}),
        "traceback": {"output_type": "error", "ename": "E", "evalue": "", "traceback": [text]},
    }[form]
    store, result = Store(str(tmp_path)), make_result()
    notebook = {"cells": [a_cell(output)], "metadata": {}}
    location = store.keep(result, notebook, Redactor({secret}))
    found = Path(location, "record.ipynb").read_text()
    assert len(found) < 1_000_000
    assert "[opsnb" in found
    parts = {secret[start : start + 6] for start in range(len(secret) - 5)}
    assert [part for part in parts if part in found] == []
