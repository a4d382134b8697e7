"""What `records prune` removes and keeps, and that `verify` knows of it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from opsnb.cli.commands import app
from opsnb.config.file import load_config
from opsnb.config.schema import Keep
from opsnb.errors import ConfigError, UsageError
from opsnb.model import RunResult, Status, now
from opsnb.records import prune, removals
from opsnb.records.store import Store
from tests.records.test_seals import at_rest, seal_of, store, verified
from tests.records.test_store import START, keep, make_result

__all__ = ["store"]  # a fixture

AT = START + timedelta(days=100)


def kept_on(store: Store, day: int, **fields: Any) -> RunResult:
    return keep(store, make_result(START + timedelta(days=day), **fields))


def old(store: Store, *rules: Keep) -> set[str]:
    return {each.run_id for each in prune.old(store, rules, AT)}


def test_the_first_rule_that_fits_says_what_is_old(store: Store) -> None:
    ok = [kept_on(store, day).run_id for day in (0, 50, 95)]
    crit = [
        kept_on(store, day, status=Status.CRIT, exit_code=2, trigger="schedule nightly").run_id
        for day in (1, 51, 96)
    ]
    kept_on(store, 99)
    assert old(store) == set()
    assert old(store, Keep(days=60, newest=0)) == {ok[0], crit[0]}
    assert old(store, Keep(days=10, newest=0)) == {*ok[:2], *crit[:2]}
    assert old(store, Keep(newest=5)) == {ok[0], crit[0]}
    assert old(store, Keep(status=("crit",), newest=0)) == set(crit)
    assert old(store, Keep(trigger="schedule*", newest=1)) == set(crit[:2])
    rules = Keep(status=("crit",), days=1000), Keep(days=60, newest=2)
    assert old(store, *rules) == {ok[0]}


def test_each_runbook_and_target_keeps_its_newest(store: Store) -> None:
    first = kept_on(store, 0, runbook="a/b", target="x")
    kept_on(store, 1, runbook="a/b", target="y")
    kept_on(store, 2, runbook="a/b", target="x")
    kept_on(store, 99)
    assert old(store, Keep(days=10)) == {first.run_id}


def test_incidents_open_runs_and_the_newest_seal_are_kept(store: Store) -> None:
    gone = kept_on(store, 0)
    kept_on(store, 1, incident="2026-11-db")
    kept_on(store, 2, open=True)
    kept_on(store, 3)
    assert old(store, Keep(newest=0)) == {gone.run_id}


def test_what_became_part_of_an_incident_meanwhile_is_left_alone(store: Store) -> None:
    run_id = kept_on(store, 0).run_id
    kept_on(store, 1)
    found = list(prune.old(store, [Keep(newest=0)], AT))
    path = store.place.record(run_id, "result.json")
    fields = json.loads(store.place.files.cat_file(path))
    store.place.files.pipe_file(path, json.dumps({**fields, "incident": "db"}).encode())
    assert list(prune.remove(store, found)) == []
    assert store.has(run_id)


def test_verify_knows_what_was_removed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    at_rest(monkeypatch)
    kept = [kept_on(store, day).run_id for day in range(6)]
    found = list(prune.old(store, [Keep(newest=2)], AT))
    assert sorted(prune.remove(store, found)) == kept[:4]
    assert list(store.run_ids()) == [kept[5], kept[4]]
    assert verified(store) == []
    last = kept_on(store, 7)
    (list_id,) = removals.ids(store.place)
    assert list(seal_of(last).previous) == [list_id]
    assert verified(store) == []


def test_a_list_cannot_hide_a_removal(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    at_rest(monkeypatch)
    kept = [kept_on(store, day) for day in range(6)]
    found = list(prune.old(store, [Keep(newest=4)], AT))
    list(prune.remove(store, found))
    kept_on(store, 7)
    (list_id,) = removals.ids(store.place)
    path = store.place.path(removals.name(list_id))
    whole = store.place.files.cat_file(path)
    store.place.files.rm(store.place.record(kept[3].run_id), recursive=True)
    assert verified(store) == [("removed", kept[3].run_id)]
    # Written into the list, the removal is explained, but the list has changed.
    removal = removals.Removal.model_validate_json(whole)
    removal.records[kept[3].run_id] = removals.Removed(
        sha256=seal_of(kept[3]).sha256, at=seal_of(kept[3]).at, previous=seal_of(kept[3]).previous
    )
    store.place.files.pipe_file(path, removal.model_dump_json().encode())
    assert verified(store) == [("changed", list_id)]
    # A list of its own, with a time before the newest record, is found as put in.
    store.place.files.pipe_file(path, whole)
    forged = removal.model_copy(update={"at": seal_of(kept[4]).at + timedelta(microseconds=1)})
    forged_id = "20261124T071500Z-records.prune-store-ffff"
    text = forged.model_dump_json().encode()
    store.place.files.pipe_file(store.place.path(removals.name(forged_id)), text)
    assert verified(store) == [("inserted", forged_id)]


def records(*arguments: str) -> tuple[object, str]:
    done = CliRunner().invoke(app, ["records", *arguments], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.output


def test_the_command_removes_nothing_without_apply() -> None:
    store = Store(load_config().store)
    kept = [keep(store, make_result(now() - timedelta(days=day))).run_id for day in (90, 60, 0)]
    with pytest.raises(UsageError, match="Nothing says"):
        records("prune")
    _, said = records("prune", "--older-than", "30d", "--newest", "0")
    assert "2 records" in said
    assert "Dry run: nothing was removed" in said
    assert len(list(store.run_ids())) == 3
    _, said = records("prune", "--older-than", "30d", "--apply", "--json")
    document = json.loads(said)
    assert (document["removed"], set(document["records"])) == (2, set(kept[:2]))
    assert list(store.run_ids()) == kept[2:]
    code, said = records("verify")
    assert code == 0
    assert "Removed by opsnb records prune: 2 records" in said


def test_the_command_follows_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "opsnb.toml"
    config.write_text(
        '[records]\nstore = "r"\n[[records.keep]]\nstatus = ["ok"]\ndays = 30\nnewest = 2\n'
    )
    monkeypatch.setenv("OPSNB_CONFIG", str(config))
    monkeypatch.delenv("OPSNB_RECORDS", raising=False)
    store = Store(load_config().store)
    kept = [keep(store, make_result(now() - timedelta(days=day))).run_id for day in (90, 60, 50, 0)]
    keep(store, make_result(now() - timedelta(days=99), status=Status.WARN, exit_code=1))
    _, said = records("prune", "--json")
    assert json.loads(said)["records"] == [kept[1], kept[0]]
    config.write_text(config.read_text().replace('"ok"', '"okay"'))
    with pytest.raises(ConfigError, match="'okay' in"):
        records("prune")


def test_verify_says_what_is_wrong_and_what_to_do() -> None:
    store = Store(load_config().store)
    results = [keep(store, make_result(START + timedelta(days=day))) for day in range(3)]
    assert records("verify") == (0, "3 records: 3 sealed.\nAll are as they were written.\n")
    path = Path(store.folder(results[1].run_id), "record.ipynb")
    path.write_text(path.read_text().replace("Fine.", "Bad!."))
    code, said = records("verify")
    assert code == 2
    assert f"CHANGED   record.ipynb of {results[1].run_id} has changed" in said
    assert "Restore it from a backup" in said
    code, said = records("verify", "--json")
    assert code == 2
    ((wrong),) = json.loads(said)["wrong"]
    assert (wrong["kind"], wrong["run_id"]) == ("changed", results[1].run_id)


def test_what_was_done_on_purpose_is_accepted_with_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    at_rest(monkeypatch)
    store = Store(load_config().store)
    kept = [keep(store, make_result(START + timedelta(days=day))).run_id for day in range(5)]
    path = Path(store.folder(kept[1]), "record.ipynb")
    path.write_text(path.read_text().replace("Fine.", "Bad!."))
    store.place.files.rm(store.place.record(kept[3]), recursive=True)
    with pytest.raises(UsageError, match="is not reported"):
        records("verify", "--accept", kept[0])
    assert verified(store) == [("changed", kept[1]), ("removed", kept[3])]
    assert records("verify", "--accept", kept[1], "--accept", kept[3])[0] == 0
    code, said = records("verify")
    assert code == 0
    assert "Accepted: 2 records, the last by" in said
    # Another change is another matter.
    path.write_text(path.read_text().replace("Bad!.", "Fine!"))
    assert verified(store) == [("changed", kept[1])]
