"""`opsnb.toml`: found, read, and refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from opsnb.errors import ConfigError, UnknownTarget
from opsnb.target import find_config, load_config, load_target

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a configuration nor a demo stack of this machine is seen."""
    for name in ("OPSNB_CONFIG", "OPSNB_RECORDS", "REDIS_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPSNB_DEMO_HOME", str(tmp_path / "demo"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "opsnb.toml"
        path.write_text(text)
        return path

    return write


def test_without_a_file_the_handbook_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2hunter2@h/d")
    target = load_target("local")
    assert target.api_url == "http://localhost:3001"
    assert target.redis_url == "redis://localhost:6379"
    assert target.secrets == {"hunter2hunter2"}
    assert "hunter2" not in repr(target) + str(target.describe())


def test_the_file_is_found_upwards(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_config(tmp_path / "a" / "b") == path
    monkeypatch.setenv("OPSNB_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"none\.toml, which is not a file"):
        find_config()


def test_variables_are_read_for_the_target_that_is_asked_for(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        '[targets.a]\nredis_url = "redis://:${A_PW}@h"\n'
        '[targets.b]\nredis_url = "redis://:${B_PW_MISSING}@h"\n'
    )
    monkeypatch.setenv("A_PW", "hunter2")
    assert load_target("a").secrets == {"hunter2"}
    with pytest.raises(ConfigError, match=r"\[targets\.b\].*\$\{B_PW_MISSING\}.*not set"):
        load_target("b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[targets.a\n", "is not valid TOML"),
        ("[target.a]\n", "Did you mean 'targets'"),
        ('[targets.a]\nredis_ulr = "x"\n', "Did you mean 'redis_url'"),
        ('[targets.a.processes]\nmanger = "pm2"\n', "Did you mean 'manager'"),
        ('[targets.a.processes]\nmanager = "init"\n', "processes.manager"),
        ("[targets.a]\ntime_limit_s = 0\n", "time_limit_s"),
        ('[targets.a]\nhost = "web1"\n', "host"),
        ('[targets.a]\napi_url = "localhost:3001"\n', "must start with http:// or https://"),
        ('[targets."a b"]\n', "targets.a b"),
        ("[thresholds.api_latncy]\nwarn = 1\n", "is no metric"),
        ("[targets.a.thresholds.nothing]\nwarn = 1\n", "is no metric"),
        ("targets = 1\n", "targets"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(write: Write, text: str, says: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as refused:
        load_target("a")
    assert says in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("password", ["hunter#2x", "hunter/2x", "hunter?2x", "hunter:2x", "[hun2x"])
def test_a_password_that_spoils_its_url_is_not_shown(write: Write, password: str) -> None:
    write(f'[targets.a]\nredis_url = "redis://u:{password}@h:port"\n')
    with pytest.raises(ConfigError) as refused:
        load_target("a")
    assert "hun" not in str(refused.value)
    assert "is not a URL" in str(refused.value)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "opsnb.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config()


def test_an_unknown_target_is_told_with_the_nearest(write: Write) -> None:
    write("[targets.production]\n")
    with pytest.raises(UnknownTarget, match="Did you mean 'production'"):
        load_target("prodction")
    with pytest.raises(UnknownTarget, match="opsnb demo up"):
        load_target("demo")


def test_the_demo_is_known_while_its_file_is_there(tmp_path: Path, write: Write) -> None:
    write("[targets.a]\n")
    (tmp_path / "demo").mkdir()
    file = tmp_path / "demo" / "opsnb.toml"
    file.write_text('[targets.demo]\napi_url = "http://127.0.0.1:4000"\n')
    assert load_config().names == ["a", "demo"]
    assert load_target("demo").api_url == "http://127.0.0.1:4000"
    file.write_text("")
    assert load_config().names == ["a"]


def test_limits_of_the_target_go_before_the_files_and_the_handbooks(write: Write) -> None:
    write(
        "[thresholds.api_p95_ms]\nwarn = 10\n[targets.a]\n"
        "[targets.b.thresholds.api_p95_ms]\nwarn = 20\n"
    )
    assert load_target("a").threshold("api_p95_ms").warn == 10
    assert load_target("b").threshold("api_p95_ms").warn == 20


def test_the_store_is_beside_the_file_or_a_url(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_config().store == str(tmp_path / "records")
    write('[records]\nstore = "s3://bucket/ops"\n')
    assert load_config().store == "s3://bucket/ops"
    monkeypatch.setenv("OPSNB_RECORDS", str(tmp_path / "elsewhere"))
    assert load_config().store == str(tmp_path / "elsewhere")
