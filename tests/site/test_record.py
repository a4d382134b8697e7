"""The pages of records: what stands on them, in which order, and when they are made again."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from bs4 import BeautifulSoup
from PIL import Image

from opsnb.catalog import RunbookInfo
from opsnb.config.file import load_config
from opsnb.model import (
    ActionRecord,
    ActionState,
    Finding,
    Remedy,
    RunResult,
    Status,
    now,
    status_of,
)
from opsnb.records.store import Store, new_run_id
from opsnb.redaction import Redactor
from opsnb.site import record
from opsnb.site.context import Site
from opsnb.site.record.pictures import small_drawings
from tests.site import samples

TITLE = "Daily health check"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "kept"))


def made(store: Store) -> tuple[dict[str, str], dict[str, str]]:
    """Return the pages of a store, and what each was made from, by run id."""
    infos = [RunbookInfo(name, Path("none")) for name in ("health/daily", "queues/pause")]
    site = Site(load_config(), infos, Store(store.address), typer.Typer(), now())
    site.store.index.refresh()
    files = list(record.pages(site))
    pages = {Path(file.path).stem: file.content().decode() for file in files}
    return pages, {Path(file.path).stem: file.made_from for file in files}


def pages(store: Store) -> dict[str, str]:
    return made(store)[0]


def page_of(store: Store, *outputs: dict[str, Any]) -> str:
    """Return the page of a record whose only cell has these outputs."""
    return page_with(store, samples.code("rb.show(...)", *outputs))


def page_with(store: Store, *cells: dict[str, Any]) -> str:
    """Return the page of a record with these cells."""
    run_id = samples.keep(store, samples.findings(), cells=samples.notebook(*cells))
    return pages(store)[run_id]


def order(text: str, *words: str) -> None:
    places = [text.index(word) for word in words]
    assert places == sorted(places), dict(zip(words, places, strict=True))


def acted(store: Store, minutes: int) -> str:
    """Keep a record of a run with an action and its effect, and return its id."""
    started = samples.START + timedelta(minutes=minutes)
    action = ActionRecord(
        id="resume",
        name="queues.resume",
        title="Resume a queue",
        target="demo",
        state=ActionState.APPLIED,
        summary="Resume ai-analysis with 140 waiting jobs.",
        planned=1,
        applied=1,
        verified=True,
        unit="queues",
        command="curl -X POST /api/queue/resume-all",
        undo="opsnb run queues/pause -t demo -p queue=ai-analysis --apply",
        sample=[{"queue": f"ai-{number}"} for number in range(25)],
        started=started,
        finished=started,
    )
    effect = Finding(
        name="queues.resume.verify",
        title="Resume: effect",
        status=Status.OK,
        message="ai-analysis works off its jobs.",
        action="resume",
    )
    result = RunResult(
        run_id=new_run_id("queues/pause", "demo", started),
        runbook="queues/pause",
        title="Pause a queue",
        runbook_sha256="5f" * 32,
        target="demo",
        operator="ada",
        host="ops1",
        parameters={"queue": "ai-analysis"},
        status=status_of([effect]),
        exit_code=0,
        findings=[effect],
        actions=[action],
        started=started,
        finished=started,
        seconds=1,
        opsnb_version="0",
    )
    store.keep(result, samples.notebook(samples.code("rb.act(...)")), Redactor())
    return result.run_id


# --- what stands on a page -------------------------------------------------------------------


def test_findings_come_first_the_worst_on_top_then_what_changed(store: Store) -> None:
    green = samples.keep(store, samples.findings(waiting=12))
    samples.keep(store, samples.findings(waiting=140), minutes=30)
    found = [*samples.findings(waiting=640, api=False)[:2], samples.findings()[0]]
    found[2] = found[2].model_copy(update={"name": "api.new", "title": "New check"})
    run_id = samples.keep(store, found, minutes=60)
    page = pages(store)[run_id]
    assert "<h1>Daily health check on demo</h1>" in page
    order(
        page[page.index("Findings</h2>") :],
        "refuses connections",
        "640 jobs wait",
        "New check",
        "Changed since the last run that was ok</h2>",
    )
    changed = page[page.index("Changed since") :]
    order(
        changed,
        f'<a href="{green}.html">',
        "API health",
        "Queue length",
        "12 jobs",
        "640 jobs",
        "+628 jobs",
        "Disk space",
        "Notebook</h2>",
    )
    assert changed.count("not measured") == 2  # the new one then, the disk this time


def test_without_an_earlier_green_run_nothing_is_compared(store: Store) -> None:
    samples.keep(store, samples.findings(waiting=140))
    green_elsewhere = samples.keep(store, samples.findings(), target="staging", minutes=10)
    last = samples.keep(store, samples.findings(waiting=150), minutes=20)
    page = pages(store)[last]
    assert "Changed since" not in page
    assert green_elsewhere not in page


def test_what_the_runs_were_given_is_compared_too(store: Store) -> None:
    samples.keep(store, samples.findings())
    run_id = samples.keep(store, samples.findings(), minutes=60)
    path = Path(store.folder(run_id)) / "result.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    result["parameters"]["lines"], result["runbook_sha256"] = 500, "a0" * 32
    path.write_text(json.dumps(result), encoding="utf-8")
    page = pages(store)[run_id]
    assert "Parameter lines: <code>100</code>, this run <code>500</code>" in page
    assert "<code>5f5f5f5f5f5f</code>, this run <code>a0a0a0a0a0a0</code>" in page


def test_an_action_stands_with_its_effect_and_how_to_undo_it(store: Store) -> None:
    run_id = acted(store, 5)
    page = pages(store)[run_id]
    order(
        page[page.index("Actions</h2>") :],
        "Resume a queue: applied",
        "1 of 1 queues, verified",
        "curl -X POST",
        "opsnb run queues/pause -t demo -p queue=ai-analysis --apply",
        "works off its jobs",
        "ai-19",
        "Notebook</h2>",
    )
    assert "ai-20" not in page


def test_a_table_shows_the_first_rows_and_how_many_more_there_are(store: Store) -> None:
    rows = [{"queue": f"queue-{number}", "waiting": number} for number in range(1020)]
    found = samples.findings(waiting=140)
    found[1] = found[1].model_copy(update={"rows": rows})
    run_id = samples.keep(store, found)
    page = pages(store)[run_id]
    assert "queue-19<" in page
    assert "queue-20<" not in page
    assert "… and 1,000 more" in page


def test_the_command_that_treats_it_links_to_its_runbook(store: Store) -> None:
    remedies = [
        Remedy(runbook=name, parameters={"queue": "emails"}, target="demo", why="stops it")
        for name in ("queues/pause", "queues/gone")
    ]
    found = samples.findings(waiting=640)
    found[1] = found[1].model_copy(update={"remedies": remedies})
    run_id = samples.keep(store, found)
    page = pages(store)[run_id]
    assert '<a href="../runbooks/queues/pause.html">queues/pause</a> stops it' in page
    assert "<b>Next:</b> queues/gone stops it" in page
    assert "opsnb run queues/pause -t demo -p queue=emails</code>" in page


def test_code_is_folded_and_parameters_are_not_shown_as_code(store: Store) -> None:
    page = page_with(
        store,
        samples.code('target = "demo"', tags=("injected-parameters",)),
        samples.markdown(
            "## Check\n\n[Pause](../queues/pause.ipynb#queue=x), [gone](../a/b.ipynb)."
        ),
        samples.code("rb.check(queues.depth)"),
    )
    assert '<details class="quiet"><summary>code</summary><pre><code>' in page
    assert "target</span> <span" not in page
    assert "<h3>Check</h3>" in page
    assert '<a href="../runbooks/queues/pause.html">Pause</a>' in page
    assert "<a>gone</a>" in page.replace("<a >", "<a>")


# --- what others may have written ------------------------------------------------------------


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    "output",
    [
        samples.display(f"<div>{HOSTILE}</div>"),
        samples.display(f'<svg viewBox="0 0 1 1"><g id="a">{HOSTILE}</g></svg>'),
        {"output_type": "stream", "name": "stdout", "text": HOSTILE},
        {"output_type": "error", "ename": "E", "evalue": HOSTILE, "traceback": [HOSTILE]},
        {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": HOSTILE}},
        {"output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": HOSTILE}},
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": HOSTILE}},
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {
                "application/vnd.opsnb.table+json": {"title": HOSTILE, "rows": [{"a": HOSTILE}]}
            },
        },
    ],
)
def test_nothing_that_a_record_holds_runs(store: Store, output: dict[str, Any]) -> None:
    page = page_of(store, output)
    assert "alert(1)" in page or "damaged" in page or "<img src=" in page
    soup = BeautifulSoup(page, "html.parser")
    assert [script.get("src") for script in soup.find_all("script")] == ["../assets/site.js"]
    assert soup.find_all(onerror=True) == []


def test_styles_that_become_rules_cannot_leave_them(store: Store) -> None:
    bad = '<b style="color:red}body{display:none">x</b>' * 9
    page = page_of(store, samples.display(bad + '<i style="color:red">y</i>' * 9))
    (rules,) = re.findall(r"<style>(.*?)</style>", page)
    assert rules == ".style1{color:red}"


# --- records that are not as others ----------------------------------------------------------


def test_a_notebook_of_a_newer_format_or_a_damaged_one_costs_the_notebook_alone(
    store: Store,
) -> None:
    run_id = samples.keep(store, samples.findings())
    path = Path(store.folder(run_id)) / "record.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for wrong in ({"nbformat": 5}, {"cells": [{"cell_type": "hologram", "source": ""}]}):
        path.write_text(json.dumps({**notebook, **wrong}), encoding="utf-8")
        page = pages(store)[run_id]
        order(page, "Disk space", "The notebook of this record cannot be shown")


def test_a_record_that_cannot_be_read_has_a_page_that_says_so(store: Store) -> None:
    samples.keep(store, samples.findings())
    run_id = samples.keep(store, samples.findings(), minutes=10)
    path = Path(store.folder(run_id)) / "result.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"ok"', '"splendid"'))
    page = pages(store)[run_id]
    order(page, "This record cannot be read", "result.json of", run_id)


def test_a_huge_record_has_a_page_of_bounded_size(store: Store) -> None:
    text = {"text/plain": "a long line\n" * 5000}
    line = {"output_type": "display_data", "metadata": {}, "data": text}
    page = page_of(store, *[line] * 60)
    assert len(page) < 800_000
    assert "characters are in the record only" in page
    assert "The page leaves out" in page


def test_a_picture_gets_a_palette_and_a_damaged_one_is_named(store: Store) -> None:
    chosen = random.Random(1)
    picture = Image.frombytes("RGB", (300, 200), chosen.randbytes(300 * 200 * 3))
    written = io.BytesIO()
    picture.save(written, "PNG")
    data = base64.b64encode(written.getvalue()).decode()

    def shown(content: str) -> dict[str, Any]:
        return samples.display("", **{"image/png": content, "text/plain": "<Figure>"})

    page = page_of(store, shown(data), shown(data[: len(data) // 2]))
    (embedded,) = re.findall(r'<img alt="&lt;Figure&gt;" src="data:image/png;base64,([^"]*)"', page)
    with Image.open(io.BytesIO(base64.b64decode(embedded))) as small:
        assert (small.mode, small.size) == ("P", (300, 200))
    assert len(embedded) < len(data) / 2
    assert "A picture is too large for this page, or damaged" in page


def test_a_chart_of_matplotlib_says_the_same_in_less(store: Store) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - it takes long to import

    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([1, 2, 3], [0.123456, 3, 2], label="waiting jobs")
    axes.legend()
    written = io.StringIO()
    figure.savefig(written, format="svg")
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    small = small_drawings(svg)
    assert len(small) < 0.75 * len(svg)
    for name in re.findall(r'(?:href="|url\()#([^")]*)', small):
        assert f'id="{name}"' in small
    assert len(re.findall("<path", small)) > 0
    page = page_of(store, samples.display(svg))
    assert "<svg" in page


# --- when a page is made again ---------------------------------------------------------------


def test_a_new_record_makes_its_own_page_and_those_that_name_it(store: Store) -> None:
    kept = [samples.keep(store, samples.findings(), minutes=10 * n) for n in range(4)]
    age(store)
    _, before = made(store)
    added = samples.keep(store, samples.findings(waiting=140), minutes=60)
    age(store)
    _, after = made(store)
    assert {run_id for run_id in after if before.get(run_id) != after[run_id]} == {added, kept[3]}
    _, again = made(store)
    assert again == after


def test_a_record_that_changes_or_goes_changes_the_pages_around_it(store: Store) -> None:
    kept = [samples.keep(store, samples.findings(), minutes=10 * n) for n in range(5)]
    age(store)
    _, before = made(store)
    folder = Path(store.folder(kept[1]))
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    _, after = made(store)
    assert kept[1] not in after
    assert {run_id for run_id in after if before[run_id] != after[run_id]} == {kept[0], kept[2]}


def age(store: Store) -> None:
    """Let every record be older than what may still be being written."""
    for path in Path(store.address).rglob("result.json"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
