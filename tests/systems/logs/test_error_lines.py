"""Errors in logs: every shape of stamp, levels, rotated and packed files, hostile files."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, NotConfigured
from opsnb.model import Finding, Status
from opsnb.redaction.outside import pattern
from opsnb.systems import logs
from opsnb.systems.logs.entries import Finder, signed
from opsnb.systems.logs.lines import parse
from opsnb.systems.logs.rotation import siblings
from opsnb.systems.logs.stamps import Clock

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLOCK = Clock(NOON.timestamp() + 60, UTC)


def at(line: str, clock: Clock = CLOCK) -> datetime | None:
    head = parse(line, clock)
    return datetime.fromtimestamp(head.at, UTC) if head else None


def messages(*lines: str, clock: Clock = CLOCK) -> list[str]:
    return [entry.message for entry in Finder(clock, clock.now - 3600).errors(signed(lines))]


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def write(path: Path, *entries: tuple[datetime, str]) -> Path:
    path.write_text("".join(f"{moment.isoformat()} {text}\n" for moment, text in entries))
    return path


def pack(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


def check(*paths: Path, hours: float = 1) -> Finding:
    return logs.errors(Target(name="t", logs=tuple(map(str, paths))), hours)


def measured(*paths: Path) -> Finding:
    """Return the finding with its evidence, as a run has it."""
    target = Target(name="t", logs=tuple(map(str, paths)))
    found: Finding = Measurement(target).run([logs.errors])[0]
    return found


# ---- stamps -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-23T12:00:00Z ERROR boom",
        "2026-11-23T12:00:00.000Z ERROR boom",
        "2026-11-23 12:00:00,000 ERROR boom",
        "2026-11-23 12:00:00 ERROR boom",
        "2026-11-23 12:00 ERROR boom",
        "2026-11-23T13:00:00+01:00 ERROR boom",
        "2026-11-23T13:00:00+0100 ERROR boom",
        "2026-11-23T13:00:00+01 ERROR boom",
        "2026-11-23 12:00:00.000 UTC [77] ERROR:  boom",
        "[2026-11-23T12:00:00.000000000Z] error: boom",
        "2026/11/23 12:00:00 [error] boom",
        "ERROR 2026-11-23 12:00:00 boom",
        "[ERROR] [2026-11-23 12:00:00] boom",
        'time="2026-11-23T12:00:00Z" level=error msg="boom"',
        "ts=2026-11-23T12:00:00Z level=error msg=boom",
        "level=error ts=2026-11-23T12:00:00Z msg=boom",
        "2026-11-23 12:00:00 +00:00: ERROR boom",
        "0|app  | 2026-11-23T12:00:00: ERROR boom",
        '2026-11-23 12:00:00 +00:00: {"level":50,"msg":"boom"}',
        '0|app  | {"level":60,"time":1795435200000,"msg":"boom"}',
        '{"level":"error","time":"2026-11-23T12:00:00.000Z","msg":"boom"}',
        '{"severity":"CRITICAL","timestamp":1795435200,"message":"boom"}',
        '{"level":"50","ts":1795435200.0,"msg":"boom"}',
        '{"@timestamp":"2026-11-23T13:00:00+01:00","log.level":"fatal","message":"boom"}',
        '{"time":1795435200000000000,"lvl":"err","err":{"message":"boom"}}',
        "Nov 23 12:00:00 host app[1]: ERROR boom",
        "Nov 23 12:00:00 host app[1]: error: boom",
        "<11>Nov 23 12:00:00 host app[1]: boom",
        "<11>1 2026-11-23T12:00:00.000Z host app 1 - - boom",
        '<8>1 2026-11-23T12:00:00Z host app 1 id [meta a="b"] boom',
        "2026-11-23T12:00:00.000000+00:00 host app[1]: error: boom",
        "\x1b[31m2026-11-23T12:00:00Z\x1b[0m \x1b[31mERROR\x1b[0m boom",
    ],
)
def test_every_shape_of_a_line(line: str) -> None:
    assert at(line) == NOON
    assert messages(line) == ["boom"]


@pytest.mark.parametrize(
    "line",
    ["", "    at Foo (app.js:1:2)", "boom", "2026-13-45T12:00:00Z x", "{", '{"msg":"x"}', "[1,2]"],
)
def test_a_line_without_a_stamp(line: str) -> None:
    assert at(line) is None


@given(
    moment=st.datetimes(
        min_value=datetime(2000, 1, 1),
        max_value=datetime(2026, 11, 1),
        timezones=st.integers(-14 * 60, 14 * 60).map(
            lambda minutes: timezone(timedelta(minutes=minutes))
        ),
    ),
    gap=st.sampled_from("T "),
    comma=st.booleans(),
)
def test_iso_stamps_come_back(moment: datetime, gap: str, comma: bool) -> None:
    text = moment.isoformat(gap)
    read = at(f"{text.replace('.', ',') if comma else text} INFO fine")
    assert read is not None
    assert abs(read - moment) < timedelta(milliseconds=1)


@given(moment=st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2026, 11, 23)))
def test_syslog_stamps_come_back(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    assert at(f"{moment:%b} {moment.day:2} {moment:%H:%M:%S} host app[1]: x") == moment


@given(st.text(max_size=200))
def test_no_line_ever_fails(line: str) -> None:
    list(Finder(CLOCK, 0).errors(signed([line, f"{NOON.isoformat()} {line}", line])))


def test_syslog_at_new_year() -> None:
    new_year = Clock(datetime(2027, 1, 1, 0, 10, tzinfo=UTC).timestamp(), UTC)
    assert at("Dec 31 23:55:00 h a[1]: x", new_year) == datetime(2026, 12, 31, 23, 55, tzinfo=UTC)
    eve = Clock(datetime(2026, 12, 31, 23, 59, tzinfo=UTC).timestamp(), UTC)
    # The clock of who wrote it is ahead: it counts as now, not as a year ago.
    assert at("Jan  1 00:01:00 h a[1]: x", eve) == datetime(2026, 12, 31, 23, 59, tzinfo=UTC)


def test_syslog_on_29_february() -> None:
    clock = Clock(datetime(2025, 1, 1, tzinfo=UTC).timestamp(), UTC)
    assert at("Feb 29 12:00:00 h a[1]: x", clock) == datetime(2024, 2, 29, 12, tzinfo=UTC)


def test_a_time_to_come_counts_as_now() -> None:
    assert at("2031-01-01T00:00:00Z x") == datetime.fromtimestamp(CLOCK.now, UTC)


def test_the_hour_that_summer_times_end_repeats() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before = Clock(datetime(2026, 10, 25, 0, 45, tzinfo=UTC).timestamp(), berlin)
    after = Clock(datetime(2026, 10, 25, 1, 45, tzinfo=UTC).timestamp(), berlin)
    assert at("2026-10-25 02:30:00 x", before) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert at("2026-10-25 02:30:00 x", after) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def use(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield use
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", ["Asia/Kolkata", "America/St_Johns", "UTC"])
def test_without_a_zone_it_is_the_hosts(
    name: str, zone: Callable[[str], None], tmp_path: Path
) -> None:
    zone(name)
    log = tmp_path / "app.log"
    stamps = [datetime.now() - timedelta(minutes=minutes) for minutes in (90, 30)]
    log.write_text("".join(f"{stamp:%F %T} ERROR boom\n" for stamp in stamps))
    assert check(log).value == 1


# ---- levels -----------------------------------------------------------------------------------

STAMP = "2026-11-23T12:00:00Z"


@pytest.mark.parametrize(
    "line",
    [
        "INFO 0 errors",
        "INFO GET /errors 200",
        "[info] the last error was yesterday",
        "info: error budget is fine",
        "[app] INFO error page rendered",
        "- root - WARNING - error ahead",
        "level=info msg='no error'",
        "compiled with 0 errors",
        "GET /static/error.png 200",
        '{"level":30,"msg":"error rate is 0"}',
        '{"level":"info","msg":"error","error":null}',
        "host app[1]:     at onError (app.js:1:2)",
        "STATEMENT:  select 'error'",
        "all is well",
    ],
)
def test_not_an_error(line: str) -> None:
    assert messages(f"{STAMP} {line}") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("FATAL out of memory", "out of memory"),
        ("[app] ERROR: boom", "boom"),
        ("- root - ERROR - INFO is missing", "INFO is missing"),
        ("TypeError: x is undefined", "TypeError: x is undefined"),
        ("Unhandled error in job 7", "Unhandled error in job 7"),
        ("ERROR worker[3]: boom", "worker[3]: boom"),
        ("[77] PANIC:  could not write", "could not write"),
        ('{"msg":"failed","err":{"type":"Error"}}', "failed"),
    ],
)
def test_an_error(line: str, message: str) -> None:
    assert messages(f"{STAMP} {line}") == [message]


def test_a_stack_trace_is_one_error() -> None:
    stack = ["Error: boom", *("    at error (app.js:1:2)" for _ in range(20))]
    assert messages(f"{STAMP} ERROR failed", *stack) == ["failed"]
    assert messages(f"{STAMP} ERROR", *stack) == ["Error: boom"]
    assert messages(f"{STAMP} Unhandled rejection", *stack) == ["Unhandled rejection"]
    assert messages(f"{STAMP} job 7 was given up", *stack) == ["Error: boom"]
    assert messages(f"{STAMP} INFO retried", *stack) == []
    assert messages(*stack) == []


def test_alike_messages_have_one_pattern() -> None:
    one = "job 41 of 3f2b8c1e-5d7a-4e0b-9c3d-1a2b3c4d5e6f at 127.0.0.1:6379 failed (0xdeadbeef1)"
    two = "job 7 of 00000000-5d7a-4e0b-9c3d-1a2b3c4d5e6f at 10.0.0.12:6380 failed (0xfeedbeef2)"
    assert pattern(one) == pattern(two) == "job # of # at # failed (#)"
    assert pattern("decade of feedback") == "decade of feedback"


# ---- files ------------------------------------------------------------------------------------


def test_counts_the_last_hour(tmp_path: Path) -> None:
    log = write(
        tmp_path / "app.log",
        (ago(minutes=61), "ERROR too old"),
        (ago(minutes=50), "ERROR job 1 failed"),
        (ago(minutes=40), "INFO fine"),
        (ago(minutes=30), "ERROR job 2 failed"),
        (ago(minutes=1), "ERROR connect ECONNREFUSED 127.0.0.1:6379."),
    )
    finding = check(log)
    assert (finding.value, finding.unit, finding.status) == (3, "lines", Status.OK)
    assert finding.message == "3 error lines in the last hour, 2 of them like: job 2 failed."
    assert [(row["pattern"], row["count"]) for row in finding.rows] == [
        ("connect ECONNREFUSED #.", 1),
        ("job # failed", 2),
    ]
    assert finding.rows[1]["sample"] == "job 2 failed"
    assert finding.rows[1]["first"] < finding.rows[1]["last"]
    assert check(log, hours=2).value == 4
    assert check(log, hours=0.75).value == 2


def test_the_handbooks_limit(tmp_path: Path) -> None:
    nine = [(ago(minutes=1), f"ERROR {n}") for n in range(9)]
    assert check(write(tmp_path / "app.log", *nine)).status is Status.OK
    assert check(write(tmp_path / "app.log", *nine, nine[0])).status is Status.WARN


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_log_is_ok(tmp_path: Path, text: str) -> None:
    log = tmp_path / "app.log"
    log.write_text(text)
    finding = check(log)
    assert (finding.status, finding.value) == (Status.OK, 0)
    assert finding.message == "No error lines in the last hour."


def test_a_missing_log_is_not_ok(tmp_path: Path) -> None:
    with pytest.raises(BadAnswer, match=r"app\.log on this machine cannot be read: No such file"):
        check(tmp_path / "app.log")
    with pytest.raises(BadAnswer, match="not a regular file"):
        check(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadAnswer, match="not a regular file"):
        check(tmp_path / "pipe")


def test_no_logs_named() -> None:
    with pytest.raises(NotConfigured):
        logs.errors(Target(name="t", logs=()))


def test_one_missing_log_does_not_hide_the_others_errors(tmp_path: Path) -> None:
    log = write(tmp_path / "app.log", (ago(minutes=1), "ERROR boom"))
    finding = check(log, tmp_path / "worker.log")
    assert (finding.status, finding.value) == (Status.UNKNOWN, 1)
    assert "boom" in finding.message
    assert "worker.log" in finding.message


def test_a_log_without_any_stamp_is_not_ok(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("Server listens\nError: boom\n")
    with pytest.raises(BadAnswer, match=r"No line of .* begins with a time"):
        check(log)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    stamp = ago(minutes=1).isoformat().encode()
    log.write_bytes(b"\xff\xfe\x00\n" + stamp + b" ERROR \xc3\x28 \x80 boom\r\n\xf0\x28")
    assert check(log).value == 1


@pytest.mark.parametrize(
    "sibling",
    [
        "app.log.1",
        "app.log-20261123",
        "app-20261123.log",
        "app-2026-11-23.log",
        "app__2026-11-23_00-00-00.log",
        "app.log.2026-11-23",
        "app.1.log",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_rotated_siblings_are_read(tmp_path: Path, sibling: str, packed: bool) -> None:
    log = write(tmp_path / "app.log", (ago(minutes=5), "ERROR new"))
    older = write(
        tmp_path / sibling, (ago(minutes=90), "ERROR too old"), (ago(minutes=30), "ERROR older")
    )
    if packed:
        pack(older)
    assert check(log).value == 2


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}


@pytest.mark.parametrize("ending", PACKERS)
def test_a_packed_sibling_is_read_or_named(tmp_path: Path, ending: str) -> None:
    log = write(tmp_path / "app.log", (ago(minutes=5), "INFO new"))
    lines = [(ago(minutes=30), f"INFO {os.urandom(20).hex()}") for _ in range(3000)]
    older = write(tmp_path / "app.log.1", *lines, (ago(minutes=29), "ERROR boom"))
    data = PACKERS[ending](older.read_bytes())
    older.unlink()
    packed = tmp_path / f"app.log.1.{ending}"
    packed.write_bytes(data)
    assert measured(log).value == 1
    for broken in (data[:-300], b"nonsense"):
        packed.write_bytes(broken)
        found = measured(log)
        assert found.status is Status.UNKNOWN
        assert packed.name in found.message


def test_a_kind_of_packing_that_is_not_known_is_named(tmp_path: Path) -> None:
    log = write(tmp_path / "app.log", (ago(minutes=5), "INFO new"))
    (tmp_path / "app.log.1.lz4").write_bytes(b"x")
    found = measured(log)
    assert found.status is Status.UNKNOWN
    assert "app.log.1.lz4, which is packed as .lz4" in found.message


def test_a_file_that_is_just_being_packed_counts_once(tmp_path: Path) -> None:
    log = write(tmp_path / "app.log", (ago(minutes=5), "INFO new"))
    older = write(tmp_path / "app.log.1", (ago(minutes=30), "ERROR boom"))
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress(older.read_bytes()))
    assert check(log).value == 1


def test_a_file_of_several_names_counts_once(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", (ago(minutes=5), "ERROR boom"))
    (tmp_path / "b.log").symlink_to(log)
    (tmp_path / "c.log").hardlink_to(log)
    assert check(log, log, tmp_path / "b.log", tmp_path / "c.log").value == 1
    assert check(tmp_path / "*.log").value == 1


def test_a_link_to_the_file_of_today_has_siblings(tmp_path: Path) -> None:
    write(tmp_path / "app-2026-11-27.log", (ago(minutes=30), "ERROR boom"))
    today = write(tmp_path / "app-2026-11-28.log", (ago(minutes=5), "ERROR boom"))
    (tmp_path / "current.log").symlink_to(today)
    assert check(tmp_path / "current.log").value == 2
    assert check(tmp_path / "app-*.log").value == 2
    # No file of the configured name: winston's daily rotation never writes one.
    found = check(tmp_path / "app.log")
    assert found.value == 2
    assert "app.log does not exist now" in found.message


def test_a_pattern_that_matches_nothing_is_told(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", (ago(minutes=5), "INFO fine"))
    found = measured(log, tmp_path / "x*.log")
    assert found.status is Status.UNKNOWN
    assert "x*.log matches no file" in found.message
    with pytest.raises(BadAnswer, match="matches no file"):
        check(tmp_path / "x*.log")


def test_a_silent_log_says_since_when(tmp_path: Path) -> None:
    log = write(tmp_path / "app.log", (ago(hours=3), "ERROR old"))
    os.utime(log, (time.time() - 10_000,) * 2)
    found = check(log)
    assert found.value == 0
    assert "is silent: its last line was written at" in found.message
    log.write_text("")
    os.utime(log, (time.time() - 10_000,) * 2)
    assert "is empty" in check(log).message


def test_a_big_log_is_read_where_the_window_is(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    padding = "x" * 900
    with log.open("w") as file:
        for number in range(30_000):  # two hours
            moment = ago(seconds=7200 - number * 0.24).isoformat()
            level = "ERROR" if number % 3000 == 1500 else "INFO"
            file.write(f"{moment} {level} {padding}\n")
    assert check(log).value == 5
    with log.open("r+") as file:  # a clock that jumped
        file.write(f"{ago(minutes=1).isoformat()} ERROR jumped")
    assert check(log).value == 6


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finding]:
    """Return what is said of a log behind an `ssh` that runs the words here, after a greeting.

    The host has the programs that are named.
    """

    def check(log: Path, *programs: str) -> Finding:
        folder = tmp_path / "bin"
        folder.mkdir()
        names = "sh env timeout date ls stat readlink dd head tail grep tr cut printf cat rm mktemp"
        for name in (*names.split(), *programs):
            if place := shutil.which(name):
                (folder / name).symlink_to(place)
        script = folder / "ssh"
        script.write_text(
            f'#!/bin/sh\nfor last; do :; done\necho Welcome.\nPATH={folder} exec sh -c "$last"\n'
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        target = Target(name="t", host="ssh://ops@box", logs=(str(log),))
        found: Finding = Measurement(target).run([logs.errors])[0]
        return found

    return check


def test_over_ssh_the_host_reads(tmp_path: Path, far: Callable[..., Finding]) -> None:
    log = write(tmp_path / "app.log", (ago(minutes=5), "ERROR new"))
    pack(write(tmp_path / "app.log.1", (ago(minutes=30), "ERROR older")))
    found = far(log, "gzip")
    assert (found.value, found.evidence.gaps) == (2, [])


def test_a_program_that_is_not_on_the_host_is_named(
    tmp_path: Path, far: Callable[..., Finding]
) -> None:
    log = write(tmp_path / "app.log", (ago(minutes=5), "INFO new"))
    (tmp_path / "app.log.1.zst").write_bytes(zstandard.compress(b"x"))
    found = far(log)
    assert found.status is Status.UNKNOWN
    assert "app.log.1.zst: zstd is not installed" in found.message
    assert "install zstd there" in found.message


def test_siblings_are_the_newest_first() -> None:
    names = ["app.log.10.gz", "app.log.2.gz", "app.log", "app.log.1", "app.log.bak", "app-1.log"]
    assert siblings("app.log", names) == ["app.log.1", "app.log.2.gz", "app.log.10.gz"]
    dated = ["app.log-20261121.gz", "app.log-20261123", "app.log-20261122.gz", "application.log"]
    assert siblings("app.log", dated) == [dated[1], dated[2], dated[0]]
    assert siblings("syslog", ["syslog.1", "syslog.2.gz", "syslog-ng"]) == [
        "syslog.1",
        "syslog.2.gz",
    ]


def test_stops_at_the_file_that_ends_before_the_window(tmp_path: Path) -> None:
    log = write(tmp_path / "app.log", (ago(minutes=5), "ERROR new"))
    write(tmp_path / "app.log.1", (ago(hours=3), "ERROR too old"))
    (tmp_path / "app.log.2").mkdir()  # to open it would be an error
    assert check(log).value == 1


def test_an_entry_that_rotation_has_cut_in_two(tmp_path: Path) -> None:
    write(tmp_path / "app.log.1", (ago(minutes=20), "job 7 was given up"))
    log = tmp_path / "app.log"
    log.write_text("Error: boom\n    at x\n")
    finding = check(log)
    assert (finding.value, finding.rows[0]["sample"]) == (1, "Error: boom")


def test_a_gzip_that_breaks_off(tmp_path: Path) -> None:
    log = write(tmp_path / "app.log", (ago(minutes=5), "ERROR new"))
    lines = [(ago(minutes=30), f"ERROR {os.urandom(20).hex()}") for _ in range(500)]
    packed = pack(write(tmp_path / "app.log.1", *lines))
    packed.write_bytes(packed.read_bytes()[:-2000])
    finding = check(log)
    assert finding.value is not None
    assert 1 < finding.value < 501
    assert "app.log.1.gz: it ends early" in finding.message


def test_a_huge_log_is_read_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    with log.open("wb") as file:
        file.truncate(2**30)  # sparse: a hole, as truncating under a writer leaves one
        file.seek(0, os.SEEK_END)
        for minutes in (90, 30, 20):
            file.write(f"{ago(minutes=minutes).isoformat()} ERROR boom\n".encode())
    finding = check(log)
    assert (finding.value, "MiB" in finding.message) == (2, False)


def test_a_window_bigger_than_the_first_block(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    filling = "x" * 500
    lines = [(ago(minutes=90), "ERROR too old")]
    lines += [(ago(minutes=50, seconds=-n / 10), f"ERROR {n} {filling}") for n in range(5000)]
    assert check(write(log, *lines)).value == 5000


def test_a_huge_line_hides_no_other(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    with log.open("w") as file:
        file.write(f"{ago(minutes=30).isoformat()} ERROR boom\n")
        for _ in range(70):
            file.write("x" * 2**20)  # one huge line
        file.write(f"\n{ago(minutes=5).isoformat()} ERROR boom\n")
    finding = check(log)
    assert (finding.value, finding.evidence.gaps) == (2, [])


def test_pino_lines_in_a_file(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    lines = [
        {"level": level, "time": int(ago(minutes=1).timestamp() * 1000), "msg": f"error {level}"}
        for level in (10, 20, 30, 40, 50, 60)
    ]
    log.write_text("\n".join(map(json.dumps, lines)))
    assert [row["count"] for row in check(log).rows] == [2]


def test_of_a_flood_the_newest_part_is_counted_and_it_is_told(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    stamp = ago(minutes=30).isoformat()
    lines = [f"{stamp} ERROR boom {number:05} {'z' * 1000}\n" for number in range(12_000)]
    log.write_text("".join(lines))
    found = measured(log)
    assert found.status is Status.WARN
    assert found.value is not None
    assert 5000 < found.value < 12_000
    assert found.rows[0]["sample"].startswith("boom 11999")
    assert "all but the newest 10 MiB of the lines" in found.message
