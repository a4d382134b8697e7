"""`records verify`, `prune` and `diff`: what changed, and what may go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opsnb.cli import completion, output
from opsnb.cli.application import Json, records_app
from opsnb.cli.context import config_in_force, store_in_force
from opsnb.cli.records import ByTrigger, Outcome, result_of

if TYPE_CHECKING:
    from opsnb.config.schema import Keep
    from opsnb.model import RunResult
    from opsnb.records.prune import Old
    from opsnb.records.store import Store
    from opsnb.records.verify import Verification, Wrong

_MOST_WRONG = 10_000  # in the JSON document


@records_app.command("verify")
def verify_records(
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN_ID",
            help="Note that this record, which was changed, removed or put in on purpose, may stay "
            "so; repeatable.",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Verify that no record was changed, removed or put in since it was written.

    Exit code 0: all records are as they were written; 2: some are not.
    """
    from opsnb.errors import ExitCode
    from opsnb.records.verify import Verification

    store = store_in_force()
    with Verification(store) as verification, output.progress() as (_, show):
        verification.read(lambda count: show(f"{count:,} records") if count % 100 == 0 else None)
        if accept:
            verification.accept(store, accept)
            output.note(f"Accepted, with your name: {', '.join(accept)}")
            return ExitCode.OK
        found = verification.wrong()
        if as_json:
            some = [asdict(each) for each in islice(found, _MOST_WRONG)]
            is_whole = not some
            output.json_document(
                {
                    "records": verification.counts,
                    "pruned": [
                        {**asdict(each), "at": each.at.isoformat()} for each in verification.pruned
                    ],
                    "wrong": some,
                    "more_wrong": sum(1 for _ in found),
                }
            )
        else:
            is_whole = not _say_wrong(found)
            _say_verified(verification, is_whole=is_whole)
    return ExitCode.OK if is_whole else ExitCode.CRIT


def _say_wrong(found: Iterator[Wrong]) -> bool:
    """Print what is wrong, each as it comes; return whether anything is."""
    is_any = False
    for each in found:
        output.say(f"{each.kind.upper():<8}  {each.sentence} {each.next}".rstrip())
        is_any = True
    return is_any


def _say_verified(verification: Verification, *, is_whole: bool) -> None:
    from opsnb.records.verify import BY_HAND
    from opsnb.view.formats import counted, utc

    counts = verification.counts
    words = [
        f"{counts['sealed']:,} sealed",
        *([f"{counts['unsealed']:,} without a seal, by an older opsnb"] * (counts["unsealed"] > 0)),
        *([f"{counts['open']:,} not sealed yet, open in JupyterLab"] * (counts["open"] > 0)),
    ]
    output.say(f"{counted(sum(counts.values()), 'record')}: {'; '.join(words)}.")
    by_hand = [each for each in verification.pruned if each.reason == BY_HAND]
    pruned = [each for each in verification.pruned if each not in by_hand]
    for doing, lists in (("Removed by opsnb records prune", pruned), ("Accepted", by_hand)):
        if lists:
            records = sum(each.records + each.accepted for each in lists)
            output.say(
                f"{doing}: {counted(records, 'record')}, the last by {lists[-1].operator} on "
                f"{lists[-1].host}, {utc(lists[-1].at)}."
            )
    output.say(
        "All are as they were written."
        if is_whole
        else "Some are not as they were written: see above."
    )


@records_app.command("prune")
def prune_records(
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Remove records that are older: `90d`, `36h`."),
    ] = None,
    newest: Annotated[
        int | None,
        typer.Option(min=0, help="Keep so many of each runbook on each target; default 1."),
    ] = None,
    status: Annotated[
        list[Outcome] | None,
        typer.Option("--status", metavar="STATUS", help="Only runs that ended so; repeatable."),
    ] = None,
    trigger: ByTrigger = None,
    apply: Annotated[bool, typer.Option("--apply", help="Remove them.")] = False,
    as_json: Json = False,
) -> None:
    """Remove old records, by the [[records.keep]] tables of opsnb.toml or by these options.

    Without --apply, nothing is removed: it shows what would be. Records of incidents, of open runs
    and the newest one of all are kept.
    """
    from opsnb.records import prune

    store = store_in_force()
    rules = _rules(older_than, newest, status, trigger)
    found = list(prune.old(store, rules))
    gone = sum(1 for _ in prune.remove(store, found)) if apply else 0
    if as_json:
        output.json_document(
            {"applied": apply, "removed": gone, "records": [each.run_id for each in found]}
        )
        return
    for rule in rules:
        output.say(_pruned_line(rule, [each for each in found if each.rule == rule]))
    if apply:
        output.say(f"Removed: {gone:,}. opsnb records verify knows of it.")
    elif found:
        output.say("Dry run: nothing was removed. To remove them, add --apply.")


def _rules(
    older_than: str | None, newest: int | None, status: list[Outcome] | None, trigger: str | None
) -> tuple[Keep, ...]:
    """Return the rules that the options make, else those of the configuration.

    Raises UsageError when there are none.
    """
    from opsnb.config.schema import Keep
    from opsnb.errors import UsageError
    from opsnb.params.spans import span_s

    if older_than is None and newest is None:
        if status or trigger:
            raise UsageError("--status and --trigger need --older-than or --newest with them.")
        if rules := config_in_force().records.keep:
            _demand_outcomes(rules)
            return rules
        raise UsageError(
            "Nothing says which records may be removed. Add --older-than 90d, or "
            "[[records.keep]] tables to opsnb.toml."
        )
    seconds = span_s(older_than) if older_than is not None else 0
    if seconds is None:
        raise UsageError(f"--older-than {older_than!r} is not an age. Write it like 90d or 36h.")
    return (
        Keep(
            status=tuple(status or ()),
            trigger=trigger or "*",
            days=seconds / 86_400,
            newest=1 if newest is None else newest,
        ),
    )


def _demand_outcomes(rules: Sequence[Keep]) -> None:
    """Raise ConfigError when a rule of opsnb.toml is about a status that no run has."""
    from opsnb.errors import ConfigError, did_you_mean

    known = [str(outcome) for outcome in Outcome]
    for status in (status for rule in rules for status in rule.status):
        if status not in known:
            raise ConfigError(
                f"{status!r} in [[records.keep]] is not a status of a run; they are "
                f"{', '.join(known)}.{did_you_mean(status, known)}"
            )


def _pruned_line(rule: Keep, found: Sequence[Old]) -> str:
    from opsnb.records.prune import words
    from opsnb.view.formats import counted

    span = f", {found[-1].run_id[:8]} to {found[0].run_id[:8]}" if found else ""
    return f"{counted(len(found), 'record')}{span}: {words(rule)}"


@records_app.command("diff")
def diff_records(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A run id, the end of one, or `latest`.",
            autocompletion=completion.run_ids,
        ),
    ],
    second: Annotated[
        str | None,
        typer.Argument(
            metavar="B",
            help="The later run; without it, A is compared with the run of its runbook and target "
            "before it.",
            autocompletion=completion.run_ids,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two runs: findings, numbers, parameters, and the runbook's source."""
    from opsnb.errors import UsageError
    from opsnb.records import diff, diff_view

    store = store_in_force()
    before, after = result_of(store, first), result_of(store, second or first)
    if second is None:
        earlier = diff.run_before(store, after)
        if earlier is None:
            raise UsageError(
                f"{after.run_id} is the first run of {after.runbook} on {after.target}. Name the "
                "two runs: opsnb records diff A B"
            )
        before = store.result(earlier)
    found = diff.compare(before, after, _notebook(store, before), _notebook(store, after))
    if as_json:
        output.json_document(found.as_json())
    else:
        output.render(diff_view.difference(found))


def _notebook(store: Store, result: RunResult) -> dict[str, Any] | None:
    """Return the notebook of a run; None, and a note on stderr, when it cannot be read."""
    from opsnb.errors import RunBroke
    from opsnb.records import recovery

    if result.location:
        return recovery.notebook(result)
    try:
        return store.notebook(result.run_id)
    except RunBroke as error:
        output.note(f"opsnb: {error}")
        return None
