# ruff: noqa: E501 - lines of logs are as long as their writers make them
"""One line of each format that services, loggers, containers and hosts write."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.model import Finding, Status
from opsnb.systems import logs
from opsnb.systems.logs.entries import Finder, signed
from opsnb.systems.logs.levels import says_error
from opsnb.systems.logs.lines import parse
from opsnb.systems.logs.stamps import Clock

TEN = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)
CLOCK = Clock(TEN.timestamp() + 60, UTC)

FORMATS: dict[str, tuple[str, str]] = {
    "winston with colours": (
        r'{"level":"\u001b[31merror\u001b[39m","message":"boom","timestamp":"2026-11-28T10:00:00.000Z"}',
        "boom",
    ),
    "log15": ('t=2026-11-28T10:00:00+0000 lvl=eror msg="boom" logger=context', "boom"),
    "zerolog for people": ("2026-11-28T10:00:00Z FTL boom", "boom"),
    "zap in development": ('{"level":"dpanic","ts":1795860000.0,"msg":"boom"}', "boom"),
    "slog": ('{"time":"2026-11-28T10:00:00Z","level":"ERROR+4","msg":"boom"}', "boom"),
    "roarr": (
        '{"context":{"logLevel":50},"message":"boom","sequence":0,"time":1795860000000,"version":"1.0.0"}',
        "boom",
    ),
    "consola": (
        '{"date":"2026-11-28T10:00:00.000Z","type":"error","level":0,"tag":"","message":"boom"}',
        "boom",
    ),
    "kibana": (
        '{"type":"log","@timestamp":"2026-11-28T10:00:00Z","tags":["error","plugins"],"pid":1,"message":"boom"}',
        "boom",
    ),
    "postgres json": (
        '{"timestamp":"2026-11-28 10:00:00.000 UTC","user":"a","error_severity":"ERROR","message":"boom"}',
        "boom",
    ),
    "pino": (
        '{"level":50,"time":1795860000000,"pid":1,"hostname":"h","err":{"type":"Error","message":"boom","stack":"Error: boom\\n    at x"},"msg":"failed"}',
        "failed: boom",
    ),
    "pino iso": ('{"level":"error","time":"2026-11-28T10:00:00.000Z","msg":"boom"}', "boom"),
    "pino sec": ('{"level":60,"time":1795860000,"msg":"boom"}', "boom"),
    "pino cause": (
        '{"level":50,"time":1795860000000,"err":{"message":"query failed","cause":{"message":"boom"}},"msg":"job"}',
        "job: query failed: boom",
    ),
    "aggregate": (
        '{"level":50,"time":1795860000000,"err":{"type":"AggregateError","message":"","code":"ECONNREFUSED","aggregateErrors":[{"message":"connect ECONNREFUSED ::1:6379"},{"message":"connect ECONNREFUSED 127.0.0.1:6379"}]},"msg":"worker"}',
        "worker: connect ECONNREFUSED ::1:6379: connect ECONNREFUSED 127.0.0.1:6379",
    ),
    "error string": (
        '{"level":50,"time":1795860000000,"error":"boom","msg":"failed"}',
        "failed: boom",
    ),
    "pretty": (
        "\x1b[2m[2026-11-28 10:00:00.000 +0000]\x1b[22m \x1b[31mERROR\x1b[39m (42 on h): \x1b[36mboom\x1b[39m",
        "boom",
    ),
    "winston json": (
        '{"level":"error","message":"boom","service":"x","timestamp":"2026-11-28T10:00:00.000Z"}',
        "boom",
    ),
    "winston simple": (
        'error: boom {"service":"x","timestamp":"2026-11-28T10:00:00.000Z"}',
        'boom {"service":"x","timestamp":"2026-11-28T10:00:00.000Z"}',
    ),
    "winston colour": ("2026-11-28T10:00:00.000Z [\x1b[31merror\x1b[39m]: boom", "boom"),
    "winston printf": ("2026-11-28T10:00:00.000Z [api] error: boom", "boom"),
    "bunyan": (
        '{"name":"a","hostname":"h","pid":1,"level":50,"err":{"message":"boom","name":"Error","stack":"x"},"msg":"boom","time":"2026-11-28T10:00:00.000Z","v":0}',
        "boom",
    ),
    "log4js": ("[2026-11-28T10:00:00.000] [ERROR] default - boom", "default - boom"),
    "gelf": (
        '{"version":"1.1","host":"h","short_message":"boom","timestamp":1795860000.0,"level":3}',
        "boom",
    ),
    "logfmt": (
        'time=2026-11-28T10:00:00Z level=error msg="job failed" err="boom"',
        "job failed: boom",
    ),
    "logfmt late": ('level=error msg="boom" component=x ts=2026-11-28T10:00:00Z', "boom"),
    "ecs": (
        '{"@timestamp":"2026-11-28T10:00:00.000Z","log.level":"error","message":"failed","error.message":"boom","ecs.version":"8.10.0"}',
        "failed: boom",
    ),
    "ecs nested": (
        '{"@timestamp":"2026-11-28T10:00:00.000Z","log":{"level":"error"},"message":"failed","error":{"type":"Error","message":"boom","stack_trace":"x"}}',
        "failed: boom",
    ),
    "rfc3164": ("<11>Nov 28 10:00:00 h app[1]: boom", "boom"),
    "rfc3164 bare": ("Nov 28 10:00:00 h app[1]: Error: boom", "boom"),
    "rfc5424": ('<11>1 2026-11-28T10:00:00.000Z h app 1 ID47 [x@1 a="b"] boom', "boom"),
    "syslog pino": (
        'Nov 28 10:00:00 h app[1]: {"level":50,"time":1795860000000,"msg":"boom"}',
        "boom",
    ),
    "journald": (
        '{"__REALTIME_TIMESTAMP":"1795860000000000","PRIORITY":"3","MESSAGE":"boom","_PID":"1"}',
        "boom",
    ),
    "journald pino": (
        '{"__REALTIME_TIMESTAMP":"1795860000000000","PRIORITY":"6","MESSAGE":"{\\"level\\":50,\\"time\\":1795860000000,\\"msg\\":\\"boom\\"}"}',
        "boom",
    ),
    "journald bytes": (
        '{"__REALTIME_TIMESTAMP":"1795860000000000","PRIORITY":"3","MESSAGE":[98,111,111,109]}',
        "boom",
    ),
    "docker": (
        '{"log":"2026-11-28T10:00:00Z ERROR boom\\n","stream":"stdout","time":"2026-11-28T10:00:00.000000000Z"}',
        "boom",
    ),
    "docker bare": (
        '{"log":"Error: boom\\n","stream":"stderr","time":"2026-11-28T10:00:00.000000000Z"}',
        "boom",
    ),
    "docker compose": ("api-1  | 2026-11-28T10:00:00Z ERROR boom", "boom"),
    "cri": (
        '2026-11-28T10:00:00.000000000Z stderr F {"level":50,"time":1795860000000,"msg":"boom"}',
        "boom",
    ),
    "cri text": ("2026-11-28T10:00:00.000000000+00:00 stdout F ERROR boom", "boom"),
    "pm2": ("0|api  | 2026-11-28T10:00:00: ERROR boom", "boom"),
    "pm2 json": (
        '{"message":"Error: boom\\n","timestamp":"2026-11-28T10:00:00.000Z","type":"err","process_id":0,"app_name":"api"}',
        "boom",
    ),
    "nginx": (
        "2026/11/28 10:00:00 [error] 123#0: *1 connect() failed (111: Connection refused)",
        "123#0: *1 connect() failed (111: Connection refused)",
    ),
    "apache": (
        "[Sat Nov 28 10:00:00.000000 2026] [core:error] [pid 1:tid 2] [client ::1] AH00037: boom",
        "[pid 1:tid 2] [client ::1] AH00037: boom",
    ),
    "nest": ("[Nest] 123  - 11/28/2026, 10:00:00 AM   ERROR [Ctx] boom", "[Ctx] boom"),
    "nest colour": (
        "\x1b[31m[Nest] 123  - \x1b[39m11/28/2026, 10:00:00 AM \x1b[31m  ERROR\x1b[39m \x1b[33m[Ctx] \x1b[39m\x1b[31mboom\x1b[39m",
        "[Ctx] boom",
    ),
    "debug": ("2026-11-28T10:00:00.000Z app:db Error: boom", "app:db Error: boom"),
    "debug utc": ("Sat, 28 Nov 2026 10:00:00 GMT app:db Error: boom", "app:db Error: boom"),
    "python": ("2026-11-28 10:00:00,000 - root - ERROR - boom", "boom"),
    "java": (
        "2026-11-28 10:00:00.000 ERROR 1 --- [main] c.e.App : boom",
        "1 --- [main] c.e.App : boom",
    ),
    "gunicorn": ("[2026-11-28 10:00:00 +0000] [12] [ERROR] boom", "boom"),
    "glog": ("E1128 10:00:00.000000 123 file.go:1] boom", "123 file.go:1] boom"),
    "letter": ("2026-11-28T10:00:00Z E boom", "boom"),
    "letter box": ("2026-11-28T10:00:00Z [E] boom", "boom"),
    "epoch ms": ("1795860000000 ERROR boom", "boom"),
    "epoch s": ("1795860000.000 ERROR boom", "boom"),
    "redis": (
        "123:M 28 Nov 2026 10:00:00.000 # Fatal error loading the DB",
        "# Fatal error loading the DB",
    ),
    "serilog": ('{"@t":"2026-11-28T10:00:00.0000000Z","@mt":"boom","@l":"Error"}', "boom"),
    "otel": ('{"timestamp":"2026-11-28T10:00:00Z","severityNumber":17,"body":"boom"}', "boom"),
    "gcp": ('{"severity":"ERROR","timestamp":"2026-11-28T10:00:00Z","message":"boom"}', "boom"),
    "comma": ("2026-11-28 10:00:00,000 ERROR boom", "boom"),
    "js date": (
        "Sat Nov 28 2026 10:00:00 GMT+0000 (Coordinated Universal Time) ERROR boom",
        "boom",
    ),
    "postgres": ("2026-11-28 10:00:00.000 UTC [77] ERROR:  boom", "boom"),
    "crlf": ("2026-11-28T10:00:00Z ERROR boom\r", "boom"),
    "nul": ("\x00\x00\x002026-11-28T10:00:00Z ERROR boom", "boom"),
    "bom": ("\ufeff2026-11-28T10:00:00Z ERROR boom", "boom"),
    "time us": ('{"level":50,"time":1795860000000000,"msg":"boom"}', "boom"),
    "cut pino": ('{"level":50,"time":1795860000000,"pid":1,"msg":"boom","data":"xxxxxxxx', "boom"),
    "eu": ("28.11.2026 10:00:00 ERROR boom", "boom"),
}
"""By what writes it: a line of 10:00:00 that is an error, and the error's message."""

MILD: dict[str, str] = {
    "consola mild": '{"date":"2026-11-28T10:00:00.000Z","type":"info","level":3,"message":"started"}',
    "monolog mild": '{"message":"x","level":200,"level_name":"INFO","datetime":"2026-11-28T10:00:00Z"}',
    "serilog in short": "2026-11-28 10:00:00.000 +00:00 [INF] 500 error page rendered",
    "postgres csv": '2026-11-28 10:00:00.000 UTC,"u","db",12,"127.0.0.1:5",65,1,"SELECT",2026-11-28 10:00:00 UTC,3/4,0,LOG,00000,"statement: select error from x",,,',
    "gelf mild": '{"version":"1.1","host":"h","short_message":"error page rendered","timestamp":1795860000.0,"level":6}',
    "docker stderr": '{"log":"listening on 3001\\n","stream":"stderr","time":"2026-11-28T10:00:00.000000000Z"}',
    "cri stderr": "2026-11-28T10:00:00.000000000Z stderr F listening",
    "nest log": "[Nest] 123  - 11/28/2026, 10:00:00 AM     LOG [ErrorFilter] error filter loaded",
    "morgan": '10.0.0.1 - - [28/Nov/2026:10:00:00 +0000] "GET /errors HTTP/1.1" 500 12 "-" "curl"',
}
"""The same of lines that are none."""


@pytest.mark.parametrize("name", FORMATS)
def test_an_error_of_each_format(name: str) -> None:
    line, message = FORMATS[name]
    head = parse(line, CLOCK)
    assert head is not None
    assert head.at == TEN.timestamp()
    assert [each.message for each in Finder(CLOCK, 0).errors(signed([line]))] == [message]


@pytest.mark.parametrize("name", MILD)
def test_no_error_of_each_format(name: str) -> None:
    head = parse(MILD[name], CLOCK)
    assert head is not None
    assert head.at == TEN.timestamp()
    assert list(Finder(CLOCK, 0).errors(signed([MILD[name]]))) == []


@pytest.mark.parametrize(
    "words",
    [
        *("0 errors", "errors: 0", "errors=0 warnings=0", "errors 0", "error: null", "error=null"),
        *("error=false", '{"error":""}', 'done "error":"" in 3 ms', "errorCount=0", "failed=0"),
        *("GET /a?level=error 200", "GET /errors/ 200", "loaded error_pages.html", "Errors: none"),
        *("no error", "without any error", "ErrorBoundary mounted", "error-handler registered"),
        *("onError hook set", "handleError attached", "using errorFormatter v2", "lastError=null"),
        *("error rate 0.00 % over 1200 requests", "rows where status = 'ERROR': 0", "0 error(s)"),
        *("sync finished { rows: 250, errors: 0 }", "result { ok: true, error: null }"),
        *("error logging enabled", "max_errors=10 allowed", "wrote /var/log/error.log", "err=-"),
    ],
)
def test_harmless_words(words: str) -> None:
    assert not says_error(words)
    assert list(Finder(CLOCK, 0).errors(signed([f"{TEN.isoformat()} {words}"]))) == []


@pytest.mark.parametrize(
    "words",
    [
        *("step failed, errors: 3", "Error: boom", "TypeError: x", "Unhandled promise rejection"),
        *("FATAL x", "panic: y", "connect ECONNREFUSED 127.0.0.1:1", "npm ERR! code 1"),
        *("error: no route to host", "error: none of the servers answered", "ERROR 0 rows"),
        *("java.lang.IllegalStateException: x", "JavaScript heap out of memory"),
    ],
)
def test_words_of_an_error(words: str) -> None:
    assert len(list(Finder(CLOCK, 0).errors(signed([f"{TEN.isoformat()} {words}"])))) == 1


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


@pytest.fixture
def counted(tmp_path: Path) -> Callable[[str | bytes], Finding]:
    """Return what `logs.errors` says of a log."""

    def check(text: str | bytes) -> Finding:
        log = tmp_path / "app.log"
        log.write_bytes(text.encode() if isinstance(text, str) else text)
        found: Finding = Measurement(Target(name="t", logs=(str(log),))).run([logs.errors])[0]
        return found

    return check


Counted = Callable[[str | bytes], Finding]


def docker(*texts: str) -> str:
    """Return lines as Docker's json-file driver keeps what was written to stderr."""
    lines = ({"log": text, "stream": "stderr", "time": ago(60)} for text in texts)
    return "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines)


STACK = ("Error: boom\n", "    at error (x.js:1:2)\n", "    at Foo.fatal (x.js:3:1)\n")


def test_a_stack_in_a_container_is_one_error(counted: Counted) -> None:
    assert counted(docker("listening\n", *STACK, "next\n")).value == 1
    found = counted(docker(f"{ago(60)} ERROR failed\n", *STACK, f"{ago(60)} INFO next\n"))
    assert (found.value, found.rows[0]["sample"]) == (1, "failed")


@pytest.mark.parametrize(("level", "count"), [(50, 1), (30, 0)])
def test_a_line_that_the_container_engine_cut_into_parts(
    counted: Counted, level: int, count: int
) -> None:
    line = json.dumps({"level": level, "time": time.time(), "msg": "boom", "x": "error " * 6000})
    parts = [line[start : start + 16384] for start in range(0, len(line), 16384)]
    assert counted(docker(*parts[:-1], f"{parts[-1]}\n")).value == count
    marks = ["P"] * (len(parts) - 1) + ["F"]
    cri = [f"{ago(60)} stdout {mark} {part}\n" for mark, part in zip(marks, parts, strict=True)]
    assert counted("".join(cri)).value == count


def test_a_crash_after_lines_of_json(counted: Counted) -> None:
    line = json.dumps({"level": 30, "time": time.time(), "msg": "fine"})
    crash = "/srv/x.js:3\n  throw new Error('boom')\n  ^\n\nError: boom\n    at x\n\nNode.js v20\n"
    found = counted(f"{line}\n{crash}")
    assert (found.value, found.rows[0]["sample"]) == (1, "Error: boom")


@pytest.mark.parametrize(
    "trace",
    [
        "java.lang.IllegalStateException: x\n\tat a.b.C(D.java:1)\nCaused by: "
        "java.net.ConnectException: refused\n\tat e.f\n\t... 12 more\n",
        'Traceback (most recent call last):\n  File "x", line 1, in f\nValueError: x\n',
    ],
)
def test_a_trace_of_another_language_is_one_error(counted: Counted, trace: str) -> None:
    found = counted(f"{ago(60)} ERROR failed\n{trace}{ago(50)} INFO fine\n")
    assert (found.value, found.evidence.gaps) == (1, [])


def test_a_journal_exported_as_text(counted: Counted) -> None:
    at = int((time.time() - 60) * 1e6)
    entries = [
        f"__CURSOR=s\n__REALTIME_TIMESTAMP={at}\nPRIORITY={level}\n_PID=1\nMESSAGE=boom\n\n"
        for level in (3, 6, 2, 6)
    ]
    found = counted("".join(entries))
    assert (found.value, found.evidence.gaps) == (2, [])


def test_times_without_a_day(counted: Counted) -> None:
    now = datetime.now()
    lines = [
        f"[\x1b[90m{now - timedelta(minutes=minutes):%H:%M:%S}.123\x1b[39m] "
        f"\x1b[31m{level}\x1b[39m (12): boom\n    err: x\n"
        for minutes, level in ((300, "ERROR"), (90, "ERROR"), (30, "ERROR"), (9, "INFO"))
    ]
    assert counted("".join(lines)).value == 1


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8-sig"])
def test_other_encodings(counted: Counted, encoding: str) -> None:
    mark = "" if encoding == "utf-8-sig" else "\ufeff"
    text = mark + "".join(f"{ago(60)} ERROR boom\r\n" for _ in range(10))
    assert counted(text.encode(encoding)).value == 10


def test_huge_lines(counted: Counted) -> None:
    line = json.dumps({"level": 50, "time": time.time(), "msg": "boom", "x": "y" * 10**7})
    assert counted(f"{line}\n{ago(60)} ERROR {'x' * 10**7}\n{ago(50)} ERROR z\n").value == 3


def test_lines_out_of_order(counted: Counted) -> None:
    lines = [f"{ago(age)} ERROR boom\n" for age in (60, 7000, 50, 9000, 40, 8000)]
    assert counted("".join(lines)).value == 3


def test_levels_in_letters_and_syslogs_priorities(counted: Counted) -> None:
    assert counted("".join(f"{ago(60)} {letter} boom\n" for letter in "IEWF")).value == 2
    now = datetime.now()
    stamp = f"{now:%b} {now.day:2} {now - timedelta(seconds=1):%H:%M:%S}"
    assert counted("".join(f"<{8 + n}>{stamp} h a[1]: boom\n" for n in range(8))).value == 4


@pytest.mark.parametrize(("hours", "words"), [(-5, "5 h behind the"), (9, "9 h ahead of the")])
def test_times_of_another_zone_are_not_understood(
    counted: Counted, hours: float, words: str
) -> None:
    now = datetime.now() + timedelta(hours=hours)
    found = counted("".join(f"{now:%Y-%m-%d %H:%M:%S} INFO fine\n" for _ in range(20)))
    assert found.status is Status.UNKNOWN
    assert f"their times are {words} clock of this machine and name no zone" in found.message
    named = datetime.now(UTC) + timedelta(hours=-5)
    found = counted("".join(f"{named:%Y-%m-%dT%H:%M:%S}Z INFO fine\n" for _ in range(20)))
    assert found.status is Status.OK


def test_errors_of_which_none_has_a_time_are_unknown(counted: Counted) -> None:
    found = counted("Error: cannot send mail\n    at x (w.js:1:2)\n" * 50)
    assert found.status is Status.UNKNOWN
    assert "such as this one: Error: cannot send mail" in found.message


def test_errors_without_a_time_behind_an_old_line_are_unknown(counted: Counted) -> None:
    trace = "Error: cannot send mail\n    at x (w.js:1:2)\n"
    found = counted(f"{ago(7200)} INFO started\n" + trace * 50)
    assert found.status is Status.UNKNOWN
    assert "which have no time" in found.message
    assert counted(f"{ago(7200)} ERROR failed\n" + trace * 3).status is Status.OK


def test_a_share_without_a_time_is_unknown(counted: Counted) -> None:
    found = counted("".join(f"{ago(60)} INFO fine\nodd line {n}\n" for n in range(50)))
    assert (found.status, found.value) == (Status.UNKNOWN, 0)
    assert "50% of the lines sampled" in found.message
    assert "such as: odd line" in found.message


def test_harmless_words_in_every_line_of_json_hide_no_error(counted: Counted) -> None:
    fine = {"level": 30, "time": time.time() - 60, "msg": "done", "error": None, "x": "y" * 500}
    line = json.dumps(fine, separators=(",", ":"))
    found = counted(f"{line}\n" * 40_000 + line.replace("30", "50", 1) + "\n")
    assert (found.value, found.evidence.gaps) == (1, [])
