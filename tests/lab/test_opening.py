"""What a tired engineer sees and can do wrong in JupyterLab: the target, links, arming."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from opsnb.actions.guard import Guard
from opsnb.config.file import load_config
from opsnb.config.places import CONFIG_NAME, demo_home, state_home
from opsnb.config.target import Target
from opsnb.headless.locks import held
from opsnb.lab.run import begin_by_hand
from opsnb.model import ActionState, RunResult
from opsnb.records.store import Store
from opsnb.systems import queues
from tests.lab.jupyterlab import (
    bar,
    front,
    is_open,
    is_run,
    jupyterlab,
    run_all,
    save,
    screenshot,
    shown,
    until,
)
from tests.lab.test_locks import RUNBOOK

RED = "rgb(179, 18, 29)"


@pytest.fixture(autouse=True)
def _two_targets(demo: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the demo stack be there twice, once as a target that is protected."""
    text = (demo_home() / CONFIG_NAME).read_text()
    prod = text.replace("targets.demo", "targets.prod").replace(
        "[targets.prod]", "[targets.prod]\nprotected = true"
    )
    staging = text.replace("targets.demo", "targets.staging")
    (tmp_path / "opsnb.toml").write_text(f"{prod}\n{staging}")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    yield
    Guard(demo, True, "", lambda _: None).act(queues.resume, "exports")  # others use the demo too


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with jupyterlab(tmp_path / "log", "lab") as lab, shown(lab) as page:
        yield page


def store() -> Store:
    return Store(load_config().store)


def records(count: int) -> list[RunResult]:
    """Return the records, the latest first, as soon as there are so many."""

    def found() -> list[RunResult] | None:
        results = list(store().results())
        return results if len(results) >= count else None

    return until(found)


def choose(page: Page, target: str, runbook: str, title: str) -> None:
    """Choose a target and a runbook on the page that JupyterLab begins with."""
    bar(page).get_by_role("combobox").select_option(target)
    front(page).get_by_role("link", name=runbook, exact=True).first.click()
    is_open(page, title)


def copy(name: str) -> str:
    """Return what a working copy holds on the disk."""
    (path,) = (state_home() / "lab").glob(f"*/queues/{name}.ipynb")
    return path.read_text()


def type_parameter(page: Page, line: str, text: str) -> None:
    """Change a line of the parameters cell by hand."""
    editor = front(page).locator(".jp-CodeCell").first.locator(".cm-line", has_text=line)
    editor.dblclick()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    page.keyboard.insert_text(text)


def test_the_target_is_chosen_and_stays_in_sight(page: Page) -> None:
    choice = bar(page).get_by_role("combobox")
    expect(choice).to_have_value("")  # none of the two is guessed
    names = ["Choose a target", "prod (protected)", "staging", "demo (to practise)"]
    expect(choice.get_by_role("option")).to_have_text(names)
    front(page).get_by_role("link", name="Cache health").first.click()
    expect(page.get_by_text("Choose the target first, at the top of the page.")).to_be_visible()
    expect(page.locator(".jp-Notebook")).to_have_count(0)

    choose(page, "prod", "Clean failed jobs", "Clean failed jobs")
    target = bar(page)
    expect(target).to_contain_text("Target: prod (protected)")
    expect(target).to_contain_text("DRY RUN")
    expect(target).to_have_css("background-color", RED)
    front(page).get_by_role("heading", name="If that did not help").scroll_into_view_if_needed()
    expect(target).to_be_in_viewport(ratio=1)
    screenshot(page, "protected.png", height=800)

    type_parameter(page, "target: TargetName", 'target: TargetName = "staging"')
    expect(target).to_contain_text("Target: staging")
    expect(target).not_to_have_css("background-color", RED)
    type_parameter(page, "queue: QueueName", 'queue: QueueName = "exports"')
    run_all(page)
    expect(front(page).locator(".opsnb-action")).to_contain_text("on staging")
    type_parameter(page, "target: TargetName", 'target: TargetName = "prod"')
    expect(target).to_contain_text("Target: staging")  # what cells would use now
    expect(target.get_by_role("alert")).to_contain_text(
        "The parameters were changed, but not run. Until then staging is used, as a dry run."
    )
    target.get_by_role("button", name="Run the parameters").click()
    expect(target).to_contain_text("Target: prod (protected)")
    expect(target.get_by_role("alert")).to_have_count(0)


def test_each_link_opens_a_fresh_copy_that_only_plans(page: Page) -> None:
    choose(page, "staging", "Pause a queue", "Pause a queue")
    type_parameter(page, "queue: QueueName", 'queue: QueueName = "exports"')
    bar(page).get_by_role("button", name="Let it act").click()
    expect(bar(page)).to_contain_text("ARMED")
    run_all(page)
    expect(front(page).locator(".opsnb-action", has_text="APPLIED")).to_be_visible()
    is_run(page)
    # What follows "You are done" is the runbook that undoes it, for the same queue.
    done = front(page).get_by_role("listitem").filter(has_text="You are done")
    done.get_by_role("link", name="queues/resume").click()
    is_open(page, "Resume a queue")
    cell = front(page).locator(".jp-CodeCell").first
    for line in ('target: TargetName = "staging"', 'queue: QueueName = "exports"', "apply: Apply"):
        expect(cell).to_contain_text(line)
    expect(bar(page)).to_contain_text("DRY RUN")
    run_all(page)
    expect(front(page).locator(".opsnb-action", has_text="PLANNED")).to_be_visible()
    bar(page).get_by_role("button", name="Let it act").click()
    expect(bar(page)).to_contain_text("ARMED")
    run_all(page)
    expect(front(page).locator(".opsnb-action", has_text="APPLIED")).to_be_visible()
    resumed, paused = records(2)
    assert (resumed.runbook, paused.runbook) == ("queues/resume", "queues/pause")
    assert resumed.parameters["queue"] == paused.parameters["queue"] == "exports"
    page.get_by_role("tab", name="Start.md").click()
    front(page).get_by_role("link", name="Pause a queue", exact=True).first.click()
    expect(page.get_by_role("tab", name="pause-2.ipynb")).to_be_visible()
    is_open(page, "Pause a queue")
    assert "apply: Apply = False" in copy("pause-2")


def test_a_copy_that_is_armed_is_disarmed_by_a_reload_a_restart_and_its_end(page: Page) -> None:
    choose(page, "prod", "Pause a queue", "Pause a queue")
    type_parameter(page, "queue: QueueName", 'queue: QueueName = "exports"')
    target = bar(page)
    target.get_by_role("button", name="Let it act").click()
    arm = target.get_by_role("button", name="Let it act on prod")
    expect(arm).to_be_disabled()
    target.get_by_label("Name of the target").fill("pro")
    expect(arm).to_be_disabled()
    target.get_by_label("Name of the target").fill("prod")
    arm.click()
    expect(target).to_contain_text("ARMED")
    screenshot(page, "armed.png", height=800)
    cell = front(page).locator(".jp-CodeCell").first
    expect(cell).to_contain_text('confirm: Confirm = "prod"')
    page.keyboard.press("Control+s")
    until(lambda: "apply: Apply = True" in copy("pause"))

    page.reload()
    is_open(page, "Pause a queue")
    expect(cell).to_contain_text("apply: Apply = False")
    expect(cell).to_contain_text('confirm: Confirm = ""')
    expect(target).to_contain_text("DRY RUN")
    # The kernel, which is the same, was disarmed too: acting cells only plan.
    front(page).locator(".jp-CodeCell", has_text="rb.act(").locator(".cm-line").first.click()
    page.keyboard.press("Shift+Enter")
    expect(front(page).locator(".opsnb-action", has_text="PLANNED")).to_be_visible()

    target.get_by_role("button", name="Let it act").click()
    target.get_by_label("Name of the target").fill("prod")
    arm.click()
    expect(target).to_contain_text("ARMED")
    front(page).get_by_title("Restart the kernel", exact=False).first.click()
    page.locator(".jp-Dialog .jp-mod-accept").last.click()
    expect(target).to_contain_text("DRY RUN")
    expect(cell).to_contain_text("apply: Apply = False")

    run_all(page)
    is_run(page)
    save(page)
    (first,) = records(1)
    page.get_by_role("tab", name="pause.ipynb").get_by_title("Close").click()
    until(lambda: not store().result(first.run_id).open)
    page.get_by_role("region", name="File Browser Section").get_by_text("queues").dblclick()
    page.locator(".jp-DirListing-item", has_text="pause.ipynb").dblclick()
    is_open(page, "Pause a queue")
    expect(front(page).locator(".opsnb-action")).to_have_count(0)
    run_all(page)
    expect(front(page).locator(".opsnb-action", has_text="PLANNED")).to_be_visible()
    second, former = records(2)
    assert former == store().result(first.run_id)
    assert second.run_id != first.run_id


def test_who_holds_the_lock_is_said_where_it_is_refused(page: Page) -> None:
    choose(page, "staging", "Pause a queue", "Pause a queue")
    type_parameter(page, "queue: QueueName", 'queue: QueueName = "exports"')
    other = begin_by_hand(RUNBOOK, RUNBOOK.path.read_bytes(), {"target": "staging"})
    with held(store(), "staging", other):
        bar(page).get_by_role("button", name="Let it act").click()
        expect(bar(page)).to_contain_text("ARMED")
        run_all(page)
        refused = front(page).locator(".opsnb-action", has_text="REFUSED")
        expect(refused).to_contain_text("Refused, nothing changed: Target staging is locked")
        expect(refused).to_contain_text(other.run_id)
        expect(refused).not_to_contain_text("--wait")
        expect(bar(page).get_by_role("alert")).to_contain_text(other.run_id)
        screenshot(page, "locked.png", height=1000)
    until(lambda: bool(store().result("latest").actions))
    assert not store().result("latest").actions[0].begun
    run_all(page)
    expect(front(page).locator(".opsnb-action", has_text="APPLIED")).to_be_visible()
    expect(bar(page)).to_contain_text("You hold the lock of staging")
    bar(page).get_by_role("button", name="Back to dry run").click()
    expect(bar(page)).to_contain_text("DRY RUN")
    expect(bar(page)).not_to_contain_text("You hold the lock")
    assert records(1)[0].actions[-1].state is ActionState.APPLIED
