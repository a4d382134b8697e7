"""Records at the terminal: complete, in words, within 80 columns, without colour too."""

from __future__ import annotations

import io
import json
import shlex
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console, RenderableType

from opsnb.errors import NotConfigured
from opsnb.model import ActionRecord, ActionState, Finding, Remedy, RunResult, Status, Table
from opsnb.records import history, show
from opsnb.records.ending import endings
from opsnb.records.history import Past
from opsnb.records.members import Member
from opsnb.records.store import Store
from opsnb.records.verdict import worst_sentence, worst_sentence_of
from opsnb.view.findings import named
from tests.records.test_store import START, keep, make_result

FINDINGS = [
    Finding(name="api.health", status=Status.OK, message="The API answers 200 in 12 ms."),
    Finding(
        name="database.connection_pool_usage",
        status=Status.CRIT,
        message="PostgreSQL refuses connections at localhost:5432; start it, then look at its log.",
    ),
    Finding(name="host.disk[/]", status=Status.SKIPPED, message="Not read.", caused_by="host.ssh"),
]


def step(name: str, state: ActionState, **journal: Any) -> ActionRecord:
    return ActionRecord(
        id=name, name=name, title=name, target="demo", state=state, unit="jobs", **journal
    )


RESULT = make_result(
    findings=FINDINGS,
    status=Status.CRIT,
    exit_code=2,
    commit="68c54d8+",
    incident="redis-down",
    actions=[
        step("queues.pause", ActionState.APPLIED, applied=1, planned=1, verified=True),
        step("queues.clean", ActionState.APPLIED, applied=3, planned=4, verified=False),
        step("cache.clear", ActionState.PLANNED, planned=9),
    ],
)


def past(result: RunResult) -> Past:
    """Return the entry of `result` in a list, as the index of a store has it."""
    store = Store(f"memory://{uuid.uuid4().hex}")
    keep(store, result)
    (entry,) = history.past(store, history.Filters())
    return entry


def test_in_a_pipe_a_record_is_one_line() -> None:
    forged = make_result(error="Broke.\nOK  20261123T071500Z-x", exit_code=70)
    line = past(forged).line
    assert "\n" not in line
    assert line.startswith(f"OK           {forged.run_id}  Broke.")


def printed(renderable: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(renderable, crop=False)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in text
    wrapped = [line for line in text.splitlines() if not line.startswith(("  opsnb ", "Notebook"))]
    assert all(len(line) <= width for line in wrapped)
    return str(text)


def test_the_list_says_when_what_and_the_worst() -> None:
    text = printed(show.record_list([past(RESULT)], at=START + timedelta(hours=3)))
    assert "CRIT         health/daily on demo, 2026-11-23 07:15 UTC, 3 h ago" in text
    assert "PostgreSQL refuses" in text
    assert "answers 200" not in text
    assert RESULT.run_id in text


def test_a_record_says_all_of_it_the_worst_first() -> None:
    text = printed(show.record(RESULT, "/srv/records/2026/11/" + RESULT.run_id, at=START))
    for part in ("CRIT, exit 2", "68c54d8+", "ann on ops1, manual", "redis-down", "host.disk[/]",
                 "Applied, verified, 1 of 1 job",
                 "Applied, NOT verified, 3 of 4 jobs", "Planned, nothing changed"):  # fmt: skip
        assert part in text
    assert text.index("PostgreSQL") < text.index("answers 200")
    assert f"{RESULT.run_id}/record.ipynb" in text


def test_a_plan_says_what_and_whether_it_can_be_undone() -> None:
    plan = step(
        "queues.clean",
        ActionState.PLANNED,
        planned=40,
        sample=[{"job": str(number), "reason": "timeout"} for number in range(12)],
        warning="Jobs of others fail for the same reason.",
    )
    text = printed(show.record(make_result(actions=[plan]), "x"))
    for part in ("undo        none", "warning     Jobs of others", "  9    timeout",
                 "... and 30 more", "To apply, add --apply."):  # fmt: skip
        assert part in text
    assert "10   timeout" not in text
    done = step("queues.clean", ActionState.APPLIED, planned=1, applied=1, undo="put it back")
    text = printed(show.record(make_result(actions=[done]), "x"))
    assert "undo        put it back" in text
    assert "--apply" not in text


def test_what_a_runbook_shows_is_a_table_where_it_fits() -> None:
    rows = [{"metric": "Memory [used]", "now": 70 + number} for number in range(15)]
    text = printed(show.record(RESULT, "x", [Table(title="How far", rows=rows, total=31)]))
    assert text.index("How far") < text.index("ACTION")
    assert "metric         now\nMemory [used]   70\n" in text
    assert "... and 21 more" in text
    wide = {f"a_long_name_{number}": f"{'v' * 12}{number}" for number in range(9)}
    text = printed(show.record(RESULT, "x", [Table(title="Wide", rows=[wide] * 5, total=5)]))
    assert text.count("a long name 8  vvvvvvvvvvvv8") == 3
    assert "... and 2 more" in text


def test_a_run_that_broke_says_why_first() -> None:
    broke = make_result(error="The kernel died.", findings=[], status=Status.UNKNOWN, exit_code=70)
    assert worst_sentence(broke) == "The kernel died."
    text = printed(show.record(broke, "x"))
    assert "Broke    The kernel died." in text
    assert "No check ran." in text


MEMBERS = [
    Member("web-1", Status.OK, 0, "13 ok.", "20261123T071500Z-health.daily-web-1-aaaa", START, 1.2),
    Member("web-2", Status.CRIT, 2, "The API refuses.", "20261123T071501Z-x-web-2-bbbb", START, 3),
    Member("web-3", Status.UNKNOWN, 64, "No such variable."),
]


def test_a_summary_tells_of_each_target_and_how_to_run_those_again_that_failed() -> None:
    result = make_result(
        target="web-*",
        findings=[member.finding for member in MEMBERS],
        status=Status.CRIT,
        exit_code=2,
        parameters={"apply": True},
    )
    result.fleet = result.run_id
    assert worst_sentence(result) == "1 crit, 1 unknown, 1 ok. web-2: The API refuses."
    text = printed(show.record(result, "/srv"))
    places = [text.index(name) for name in ("web-2", "web-3", "web-1", "3 targets: 1 crit")]
    assert places == sorted(places)
    for row in ("web-2   2     bbbb    The API", "web-3   64    none    No such", "web-1   0"):
        assert row in text
    assert f"\n  opsnb run health/daily --apply --failed-of {result.run_id}\n" in text
    assert text.endswith("CRIT     web-2: The API refuses.\n")


def test_a_member_names_its_summary() -> None:
    assert "Summary  " in printed(show.record(make_result(fleet="20261123T071500Z-a-b-cccc"), "x"))


def test_progress_counts_what_ended_and_names_what_runs_last() -> None:
    done = [MEMBERS[0], MEMBERS[2], *[replace(MEMBERS[1], target=f"t{n}") for n in range(9)]]
    counts = "11 of 54 done: 9 crit, 1 unknown, 1 ok; 3 running, 40 waiting"
    running = [f"busy-{number}" for number in range(3)]
    assert show.fleet_counts(done, running, 40) == f"{counts}: busy-0, busy-1, busy-2"
    assert show.fleet_counts(done[:1], [], 0) == "1 of 1 done: 1 ok"
    assert printed(show.failed_member(replace(MEMBERS[1], target="t1"))).startswith("CRIT     t1  ")


def test_no_records_says_what_to_do() -> None:
    assert "opsnb run health/daily" in history.no_records(history.Filters())
    assert "Leave out a filter" in history.no_records(history.Filters(target="x"))


def test_json_has_the_place_of_the_record() -> None:
    assert json.loads(show.result_as_json(RESULT, "/x"))["location"] == "/x"


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_worst_finding_and_its_command_stand_last_and_whole(width: int) -> None:
    queue = "mail of 'shop'; rm -rf $HOME"
    remedy = Remedy(
        runbook="queues/resume",
        parameters={"queue": queue},
        apply=True,
        why="resumes it",
        target="prod",
        protected=True,
    )
    paused = Finding(
        name="queues.pauses", status=Status.CRIT, message="Paused: " + "x " * 60, remedies=[remedy]
    )
    result = make_result(findings=[*FINDINGS[::2], paused], status=Status.CRIT, exit_code=2)
    tables = [Table(title="Rows", rows=[{"name": "v" * 60}] * 30, total=30)]
    text = printed(show.record(result, "/srv/" + "deep/" * 30, tables), width)
    assert text.endswith(f"Next:    {remedy.runbook} resumes it\n  {remedy.command}\n")
    assert shlex.split(remedy.command) == [
        *["opsnb", "run", "queues/resume", "-t", "prod", "-p", f"queue={queue}"],
        *["--apply", "--confirm", "prod"],
    ]
    assert "CRIT     Paused: x" in text.partition("Notebook")[2]


def test_a_refusal_says_how_to_confirm_it() -> None:
    refused = step(
        "queues.pause", ActionState.REFUSED, planned=1, protected=True, error="prod is protected."
    )
    text = printed(
        show.record(
            make_result(
                runbook="queues/pause",
                target="prod",
                actions=[refused],
                findings=[FINDINGS[0]],
                error="prod is protected.",
                exit_code=77,
                parameters={"target": "prod", "queue": "a b", "via": "redis", "apply": True},
            ),
            "x",
        )
    )
    assert "Status     Refused, exit 77" in text
    command = "opsnb run queues/pause -t prod -p 'queue=a b' --apply --confirm prod"
    assert text.endswith(f"Refused  prod is protected.\nNext:\n  {command}\n")


def test_a_dry_run_never_leads_to_the_same_dry_run_again() -> None:
    plan = step("processes.scale", ActionState.PLANNED, planned=1, summary="Run 5 workers.")
    again = Remedy(runbook="queues/pause", parameters={"queue": "other"}, target="demo")
    long = Finding(name="x", status=Status.CRIT, message="Too long.", remedies=[again])
    parameters = {"target": "demo", "queue": "emails", "apply": False, "confirm": ""}
    result = make_result(
        runbook="queues/pause", actions=[plan], parameters=parameters, findings=[long]
    )
    command = "opsnb run queues/pause -t demo -p queue=emails --apply"
    assert printed(show.record(result, "x")).endswith(f"apply this dry run\n  {command}\n")


def test_a_dry_run_says_how_to_apply_it() -> None:
    plan = step("queues.pause", ActionState.PLANNED, planned=1, protected=True, summary="Pause.")
    parameters = {"target": "prod", "queue": "emails", "apply": False, "confirm": ""}
    result = make_result(
        runbook="queues/pause", target="prod", actions=[plan], parameters=parameters
    )
    text = printed(show.record(result, "x"))
    assert "  opsnb run queues/pause -t prod -p queue=emails --apply --confirm prod\n" in text


def test_a_line_break_from_outside_begins_no_line() -> None:
    evil = Finding(name="x", status=Status.CRIT, message="a\nNext:\nOK everything", title="t")
    rows = [{"name": "x\nNext: evil", "other": 1}]
    text = printed(
        show.record(make_result(findings=[evil]), "x", [Table(title="T", rows=rows, total=1)])
    )
    assert not [line for line in text.splitlines() if line.startswith(("OK", "Next"))]


@pytest.mark.parametrize(
    ("code", "word"),
    [(64, "NOT RUN"), (70, "BROKE"), (77, "REFUSED"), (124, "TIMED OUT"), (130, "INTERRUPTED")],
)
def test_a_run_that_ended_early_is_shown_as_that(code: int, word: str) -> None:
    result = make_result(status=Status.UNKNOWN, exit_code=code, error="Why it ended.", findings=[])
    listed = printed(show.record_list([past(result)]))
    assert listed.startswith(word)
    assert "UNKNOWN" not in listed
    assert f"{word}, EXIT {code}" in printed(show.record(result, "/there")).upper()


def test_a_critical_finding_counts_for_more_than_how_its_run_ended() -> None:
    result = make_result(status=Status.CRIT, exit_code=130, error="You interrupted the run.")
    assert printed(show.record_list([past(result)])).startswith("CRIT")


def test_the_cause_that_the_last_line_names_is_listed_though_it_was_measured_again() -> None:
    cause = Finding(
        name="slowness.flooded",
        title="Connections exhausted",
        status=Status.WARN,
        message="52 of 57 connections in use.",
        condition="database.connections",
        is_cause=True,
        remedies=[Remedy(runbook="database/connections", target="demo")],
    )
    later = Finding(
        name="database.connections", status=Status.WARN, message="46 of 57 connections in use."
    )
    result = make_result(findings=[cause, later], status=Status.WARN)
    shown = printed(show.record(result, "x"))
    assert shown.count("52 of 57") == 2  # in the list, and as the last line
    assert "46 of 57" not in shown


def test_a_system_that_the_target_lacks_is_not_what_a_run_ends_with() -> None:
    lacks = Finding(
        name="redis.ping",
        status=Status.UNKNOWN,
        message="No redis_url.",
        failure=NotConfigured.__name__,
    )
    other = Finding(name="host.pm2", status=Status.UNKNOWN, message="pm2 cannot be started.")
    assert worst_sentence_of([lacks, other]) == named(other)
    assert worst_sentence_of([lacks]) == named(lacks)


IDLE = [
    step(f"queues.clean_{number}", ActionState.APPLIED, started=START, summary="Nothing to do: x.")
    for number in range(9)
]
ANALYZED = step(
    "database.analyze",
    ActionState.APPLIED,
    started=START,
    planned=3,
    applied=3,
    verified=True,
    summary="ANALYZE 3 tables.",
)


@pytest.mark.parametrize(
    ("actions", "last"),
    [
        ([*IDLE, ANALYZED], "Applied, verified, 3 of 3 jobs: ANALYZE 3 tables. "
                            "Nothing to do in 9 other actions."),
        ([ANALYZED, *IDLE], "Applied, verified, 3 of 3 jobs: ANALYZE 3 tables. "
                            "Nothing to do in 9 other actions."),
        ([ANALYZED] * 4, "Applied, verified, 12 of 12 jobs."),
        ([ANALYZED, *IDLE[:1], ANALYZED, ANALYZED],
         "Applied, verified, 9 of 9 jobs. Nothing to do in 1 other action."),
        (IDLE, "Nothing to do in 9 actions."),
        (IDLE[:1], "Nothing to do: x."),
        ([IDLE[0], ANALYZED],
         "Nothing to do: x. Applied, verified, 3 of 3 jobs: ANALYZE 3 tables."),
    ],
)  # fmt: skip
def test_the_last_line_sums_up_all_actions(actions: list[ActionRecord], last: str) -> None:
    result = make_result(actions=actions)
    assert worst_sentence(result) == last
    (ending,) = endings(result)
    assert ending.sentence == last


def test_the_command_that_applies_a_plan_has_spans_as_people_type_them() -> None:
    plan = step("processes.start", ActionState.PLANNED, planned=1)
    given = {"target": "demo", "minutes": 1 / 60, "apply": False, "confirm": ""}
    result = make_result(runbook="incidents/service_down", parameters=given, actions=[plan])
    (*_, dry_run) = endings(result)
    command = "opsnb run incidents/service_down -t demo -p minutes=1s --apply"
    assert [each.command for each in dry_run.steps] == [command]
