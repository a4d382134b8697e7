"""The command line as a person types it: one sentence for what is wrong, exit codes that hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from opsnb import catalog
from opsnb.config.target import Target


def opsnb(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "opsnb", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=120,
        check=False,
    )


def test_list_names_every_runbook() -> None:
    listed = json.loads(opsnb("list", "--json").stdout)
    assert {"id", "title", "section", "acts", "parameters"} == set(listed[0])
    assert [entry["id"] for entry in listed] == [info.id for info in catalog.runbooks()]
    lines = opsnb("list").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == [info.id for info in catalog.runbooks()]


def test_show_tells_the_parameters() -> None:
    shown = json.loads(opsnb("show", "health/daily", "--json").stdout)
    (hours,) = (entry for entry in shown["parameters"] if entry["name"] == "hours")
    assert hours == {
        "name": "hours",
        "type": "hours",
        "default": 1,
        "required": False,
        "description": "how far back to read the log",
    }
    assert "how far back to read the log" in opsnb("show", "health/daily").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "health/dayly"], "Did you mean 'health/daily'?"),
        (["show", "helth/daily"], "Did you mean 'health/daily'?"),
        (["run", "health/daily", "-p", "hour=2"], "Did you mean 'hours'?"),
        (["run", "health/daily", "-p", "hours=soon"], "hours='soon'"),
        (["run", "health/daily", "-p", "hours=0"], "greater than 0"),
        (["run", "health/daily", "-p", "samples=1.5"], "samples='1.5'"),
        (["run", "health/daily", "-p", "samples=100000"], "1 to 1000"),
        (["run", "health/daily", "-p", "samples"], "is not NAME=VALUE"),
        (["run", "health/daily", "-p", "hours=1", "-p", "hours=2"], "set twice"),
        (["run", "health/daily", "-t", "loca"], "Did you mean 'local'?"),
        (["run", "health/daily", "-t", "demo"], "opsnb demo up"),
        (["run", "health/daily", "-t", "local", "-p", "target=demo"], "Two different targets"),
        (["run", "health/daily", "--timeout", "0"], "--timeout"),
        (["run", "health/daily", "--tiemout", "5"], "--tiemout"),
        (["run"], "runbook"),
        (["rnu", "health/daily"], "rnu"),
        (["doctor", "-t", "nowhere"], "nowhere"),
        (["demo", "fault", "redis-don"], "Did you mean 'redis-down'?"),
    ],
)
def test_unusable_input_is_refused_in_one_sentence(arguments: list[str], said: str) -> None:
    done = opsnb(*arguments)
    assert done.returncode == 64
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not Path("records").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[targets.prod\n", "is not valid TOML"),
        ("[targts.prod]\n", "Did you mean 'targets'?"),
        ('[targets.prod]\nredisurl = "redis://x"\n', "Did you mean 'redis_url'?"),
        ('[targets.prod]\nredis_url = "${REDIS_ULR}"\n', "REDIS_ULR"),
        ('[targets.prod]\nredis_url = "http://x"\n', "must start with redis://"),
        ('[targets.prod]\nprotected = "perhaps"\n', "protected"),
        ('[targets.prod.processes]\nmanager = "pm3"\n', "pm2"),
        (
            "[targets.prod.thresholds]\ndisk_used = {warn = 1}\n",
            "Did you mean 'disk_used_percent'?",
        ),
        ("[targets.prod]\ntime_limit_s = 900\n", "must be at most 60"),
        ('[[contacts]]\nnmae = "x"\n', "contacts"),
        ('[targets."a b"]\n', "targets"),
        ("\x00", "TOML"),
    ],
)
def test_an_unusable_configuration_is_refused_in_one_sentence(text: str, said: str) -> None:
    Path("opsnb.toml").write_text(text)
    done = opsnb("run", "health/daily", "-t", "prod")
    assert done.returncode == 64
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_configuration_that_is_named_but_missing_is_refused(tmp_path: Path) -> None:
    done = opsnb("doctor", OPSNB_CONFIG=str(tmp_path / "nowhere.toml"))
    assert done.returncode == 64
    assert "nowhere.toml" in done.stderr


def test_a_refusal_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['opsnb', 'run', 'health/daily', '-p', 'hour=2']\n"
        "from opsnb.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('papermill', 'pandas', 'matplotlib', 'IPython', 'psycopg',"
        " 'httpx', 'redis', 'bullmq', 'nbformat', 'fsspec') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_without_a_configuration_the_handbook_holds() -> None:
    done = opsnb("run", "health/daily", "--json", "-t", "local", "-p", "samples=1")
    result = json.loads(done.stdout)
    found = {finding["name"]: finding for finding in result["findings"]}
    assert "http://localhost:3001" in found["api.health"]["message"]
    assert done.returncode == result["exit_code"] == 2


def test_the_daily_check_of_the_healthy_demo_is_ok_and_leaves_a_record(demo: Target) -> None:
    done = opsnb("run", "health/daily", "-t", "demo", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert len(result["findings"]) >= 8
    assert {finding["status"] for finding in result["findings"]} == {"ok"}
    assert result["parameters"] == {"target": "demo", "samples": 10, "hours": 1}
    (record,) = json.loads(opsnb("records", "list", "--json").stdout)
    assert record["run_id"] == result["run_id"]
    assert result["run_id"] in opsnb("records", "list").stdout
    assert "cache.ping" in opsnb("records", "show", result["run_id"]).stdout


def test_no_password_appears_anywhere(demo: Target) -> None:
    done = opsnb("run", "health/daily", "-t", "demo")
    doctor = opsnb("doctor", "-t", "demo")
    kept = "".join(
        path.read_text() for path in Path(os.environ["OPSNB_RECORDS"]).rglob("*") if path.is_file()
    )
    assert "health.daily" in kept
    assert demo.secrets
    for secret in demo.secrets:
        for text in (done.stdout, done.stderr, doctor.stdout, doctor.stderr, kept):
            assert secret not in text


def test_the_doctor_tells_what_is_lacking(demo: Target) -> None:
    parts = {entry["name"]: entry for entry in json.loads(opsnb("doctor", "--json").stdout)}
    assert parts["database.statements"]["status"] == "ok"
    assert parts["contacts"]["status"] == "warn"
    assert "On-Call Engineer" in parts["contacts"]["message"]
    assert "[[contacts]]" in parts["contacts"]["fix"]
    assert all(entry["tried"] for entry in parts.values())


def test_the_doctor_says_how_to_mend_what_does_not_answer() -> None:
    Path("opsnb.toml").write_text(
        '[targets.gone]\napi_url = "http://127.0.0.1:9"\nredis_url = "redis://127.0.0.1:9"\n'
        'database_url = "postgresql://127.0.0.1:9/x"\n'
    )
    done = opsnb("doctor", "-t", "gone")
    assert done.returncode == 2
    assert "Connection refused" in done.stdout
    assert "Start Redis, or correct redis_url." in done.stdout


def test_a_run_belongs_to_an_incident_and_so_do_the_commands_that_it_prints() -> None:
    Path("opsnb.toml").write_text('[targets.prod]\nredis_url = "redis://127.0.0.1:9"\n')
    given = opsnb("run", "cache/health", "-t", "prod", "--incident", "inc-42")
    assert given.returncode == 2
    assert given.stdout.rstrip().endswith(
        "opsnb run incidents/service_down -t prod --incident inc-42"
    )
    exported = opsnb("run", "cache/health", "-t", "prod", OPSNB_INCIDENT="inc-43")
    assert exported.stdout.rstrip().endswith("--incident inc-43")
    assert "--incident" not in opsnb("run", "cache/health", "-t", "prod").stdout
    listed = json.loads(opsnb("records", "list", "--incident", "inc-4*", "--json").stdout)
    assert [each["incident"] for each in listed] == ["inc-43", "inc-42"]


@pytest.mark.parametrize("name", ["two words", "a\x1b[2J", "x" * 101, " "])
def test_an_incident_s_id_is_one_word(name: str) -> None:
    refused = opsnb("run", "cache/health", "--incident", name)
    assert (refused.returncode, refused.stderr.count("\n")) == (64, 1)
    assert "one word" in refused.stderr
