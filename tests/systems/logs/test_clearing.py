"""Old logs are removed, and nothing else: whatever their names, links or folders."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.errors import NotConfigured, Refused
from opsnb.model import ActionRecord, Status
from opsnb.systems import logs
from opsnb.systems.host import Host
from opsnb.systems.logs import clearing
from opsnb.systems.logs.clearing import OldLog

DAY_S = 86_400


def aged(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a line\n")
    os.utime(path, (time.time() - days * DAY_S,) * 2)
    return path


def target(folder: Path, *more: str) -> Target:
    return Target(name="own", logs=(str(folder / "app.log"), *more))


def cleared(of: Target) -> ActionRecord:
    record, found = Guard(of, apply=True, confirm="", show=lambda _: None).act(logs.clear)
    assert [finding.status for finding in found] == [Status.OK]
    return record


def test_only_old_logs_under_the_folders_go(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "logs", tmp_path / "elsewhere"
    live = aged(folder / "app.log", 90)
    old = [
        aged(folder / "app.log.1", 40),
        aged(folder / "app.log-20260901.gz", 40),
        aged(folder / "deep/er/other.log", 31),
        aged(folder / "with space; rm -rf $HOME.log", 40),
        aged(folder / "-delete.log", 40),
        aged(folder / "new\nline.log", 40),
    ]
    kept = [
        aged(folder / "young.log", 29),
        aged(folder / "data.db", 400),
        aged(folder / "blog", 400),
        aged(elsewhere / "foreign.log", 400),
    ]
    (folder / "link.log").symlink_to(elsewhere / "foreign.log")
    (folder / "linked").symlink_to(elsewhere)
    record = cleared(target(folder))
    assert record.planned == record.applied == len(old)
    assert {row["file"] for row in record.sample} == {str(path) for path in old}
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in (live, *kept, folder / "link.log"))


def test_of_a_folder_that_is_not_for_logs_only_rotated_files_go() -> None:
    with TemporaryDirectory(prefix="shop") as name:
        folder = Path(name).resolve()
        aged(folder / "app.log", 90)
        old = [aged(folder / "app.log.1", 40), aged(folder / "app-20260901.log", 40)]
        kept = [
            aged(folder / "other.log", 90),
            aged(folder / "data/leveldb/000005.log", 90),
            aged(folder / "kafka/orders-0/00000000000000015056.log", 90),
        ]
        assert cleared(target(folder)).planned == len(old)
        assert not any(map(Path.exists, old))
        assert all(map(Path.exists, kept))


def test_a_live_log_that_is_a_link_keeps_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    real = aged(folder / "app-7.log", 90)
    (folder / "app.log").symlink_to(real)
    assert logs.clear(target(folder)).planned == 0


def test_a_folder_that_is_a_link_is_looked_through(tmp_path: Path) -> None:
    real = tmp_path / "volume"
    old = aged(real / "app.log.7", 90)
    (tmp_path / "logs").symlink_to(real)
    assert cleared(target(tmp_path / "logs")).applied == 1
    assert not old.exists()


def test_what_was_written_to_since_the_plan_stays(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    first, second = aged(folder / "a.log", 90), aged(folder / "b.log", 90)
    plan = logs.clear(target(folder))
    first.write_text("again in use")
    record, _ = Guard(target(folder), apply=True, confirm="", show=lambda _: None).act(logs.clear)
    assert plan.planned == 2
    assert record.planned == 1
    assert first.exists()
    assert not second.exists()


def test_a_quiet_log_that_a_process_holds_open_stays(tmp_path: Path) -> None:
    folder = tmp_path / "logs [x]*?\\"
    quiet = aged(folder / "pm2/app-error.log", 90)
    with held_open(quiet):
        assert logs.clear(target(folder)).summary.endswith(
            "days. 1 stays because a process holds it open."
        )
        old = aged(folder / "a.log", 90)
        plan = logs.clear(target(folder))
        assert "Remove 1 logs" in plan.summary
        assert plan.summary.endswith("MiB. 1 more stays because a process holds it open.")
        assert cleared(target(folder)).applied == 1
        assert quiet.exists()
        assert not old.exists()
    assert cleared(target(folder)).applied == 1
    assert not quiet.exists()


def test_a_log_that_was_opened_since_the_plan_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "logs"
    first, second = aged(folder / "a.log", 90), aged(folder / "b.log", 90)
    remove = clearing._remove

    def opened_before(
        host: Host, folders: Sequence[str], found: Sequence[OldLog], d: float
    ) -> None:
        assert len(found) == 2
        with held_open(first):
            remove(host, folders, found, d)

    monkeypatch.setattr(clearing, "_remove", opened_before)
    Guard(target(folder), apply=True, confirm="", show=lambda _: None).act(logs.clear)
    assert first.exists()
    assert not second.exists()


@contextmanager
def held_open(path: Path) -> Iterator[None]:
    """Have a process of its own append to `path`."""
    holder = ["sh", "-c", 'exec 3>>"$1"; echo; exec sleep 100', "sh", str(path)]
    with subprocess.Popen(holder, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("path", ["/app.log", "/var/app.log", "/etc/../var/app.log"])
def test_folders_of_the_system_are_refused(path: str) -> None:
    with pytest.raises(Refused, match="holds more than logs"):
        logs.clear(Target(name="own", logs=(path,)))


def test_a_target_without_logs_is_told_so() -> None:
    with pytest.raises(NotConfigured, match="names no logs"):
        logs.clear(Target(name="own", logs=()))
