"""Take the pictures of the guide "On call in ten minutes" from a real drill on the demo stack:

    python -m tests.site.on_call docs/assets/on-call

The demo stack has to be up, and Chromium on the PATH.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pexpect
from playwright.sync_api import Page, expect
from rich.console import Console
from rich.text import Text

from opsnb.config.places import demo_home
from tests.browser import chromium
from tests.lab.jupyterlab import jupyterlab, run_all, shown

DRILL = "stuck-job"
DIAGNOSIS = ("troubleshooting/high_queue_length", "-t", "demo", "-p", "queue=exports")
MEND = ("incidents/service_down", "-t", "demo", "-p", "process=worker", "-p", "minutes=10s")
COLUMNS = 84
OPSNB = (sys.executable, "-m", "opsnb")


def main(folder: str) -> None:
    pictures = Path(folder).resolve()
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.environ["OPSNB_RECORDS"] = f"{place}/records"
        told = drill(Path(place, "lab"), pictures / "diagnosis.png")
        subprocess.run([*OPSNB, "site", "build", "--out", f"{place}/site"], check=True)
        with chromium() as browser:
            page = browser.new_page(
                viewport={"width": 1280, "height": 1000}, device_scale_factor=1.5
            )
            for name, text in told.items():
                terminal(page, text, pictures / f"{name}.png")
            (record,) = Path(place, "site/records").glob("*-drill.*.html")
            page.goto(record.as_uri())
            page.screenshot(path=pictures / "record.png", animations="disabled")


def drill(log: Path, picture: Path) -> dict[str, str]:
    """Hold the drill, with a `picture` of the diagnosis; return what terminals told meanwhile."""
    held = pexpect.spawn(OPSNB[0], [*OPSNB[1:], "drill", DRILL, "--hint"], dimensions=(40, COLUMNS))
    held.expect("Ctrl-C gives up.", timeout=180)
    symptom = settled((held.before + held.after).decode())
    diagnosis(log, picture)
    plan, done = run("run", *MEND), run("run", *MEND, "--apply")
    held.expect(pexpect.EOF, timeout=300)
    return {
        "symptom": f"$ opsnb drill {DRILL} --hint\n{symptom}",
        "plan": actions(plan, MEND),
        "applied": actions(done, (*MEND, "--apply")),
        "well": settled(held.before.decode()).partition("Notebook")[0].strip(),
    }


def diagnosis(log: Path, picture: Path) -> None:
    """Take the picture of the diagnosis in JupyterLab, run by hand."""
    with jupyterlab(log, "open", *DIAGNOSIS) as lab, shown(lab) as page:
        notebook = page.locator(".jp-Notebook")
        run_all(page)
        headline = notebook.locator(".opsnb-headline").first
        expect(headline).to_be_visible()
        expect(page.get_by_text("Recorded as")).to_be_visible()
        expect(page.get_by_text("| Idle")).to_be_visible()
        page.keyboard.press("Control+s")
        page.set_viewport_size({"width": 1400, "height": 800})
        headline.scroll_into_view_if_needed()
        headline.evaluate("each => each.scrollIntoView()")
        page.add_style_tag(content=".Toastify { display: none }")
        page.wait_for_timeout(1500)
        page.screenshot(path=picture, animations="disabled")


def run(*arguments: str) -> str:
    """Return what opsnb prints on a terminal."""
    told, _ = pexpect.run(
        " ".join([*OPSNB, *arguments]),
        withexitstatus=True,
        timeout=300,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"},
    )
    # Where the demo is on this machine is nobody's business.
    return str(told).replace("\r", "").replace(f"{demo_home()}/bin/", "")


def actions(told: str, command: tuple[str, ...]) -> str:
    """Return the end of what a run tells: what was planned or done."""
    lines = told.splitlines()
    first = next(i for i, line in enumerate(lines) if "ACTION" in line)
    last = next(i for i, line in enumerate(lines) if line.startswith("Notebook"))
    shown = "\n".join(lines[first:last]).rstrip()
    return f"$ opsnb run {' '.join(command)}\n[...]\n{shown}"


def settled(told: str) -> str:
    """Return the lines that stay on the terminal, without those that were written over."""
    kept = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in told.split("\n"))
    return "\n".join(kept).strip()


def terminal(page: Page, told: str, picture: Path) -> None:
    """Take a picture of a terminal's text."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(Text.from_ansi(told.replace("\r", "") + "\n"), soft_wrap=True)
    page.set_content(
        f'<div id="terminal" style="width:1000px">{console.export_svg(title="")}</div>'
    )
    page.locator("#terminal").screenshot(path=picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
