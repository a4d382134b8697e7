"""`opsnb.toml`: found, read, and refused in one sentence."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opsnb.config.file import load_config, load_target, read_toml
from opsnb.config.places import find_config
from opsnb.errors import ConfigError, UnknownTarget
from opsnb.redaction import MASK
from opsnb.systems.api.settings import Api
from opsnb.systems.cache.settings import Cache
from opsnb.systems.host.settings import HostSettings

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
    assert Api.of(target).url == "http://localhost:3001"
    assert Cache.of(target).url == "redis://localhost:6379"
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
        ('[targets.a]\napi_url = "localhost:3001"\n', "must start with http:// or https://"),
        ('[targets."a b"]\n', "targets.a b"),
        ('[[targets.a.integrity]]\nname = "n"\nslq = "x"\n', "Did you mean 'sql'"),
        ('[[targets.a.integrity]]\nname = "n"\nsql = ""\n', "sql must not be empty"),
        (
            2 * '[[targets.a.integrity]]\nname = "n"\nsql = "SELECT 1"\n',
            "two integrity checks named 'n'",
        ),
        ('[targets.a.restart]\nrdis = ["x"]\n', "Did you mean 'redis'"),
        ('[targets.a.restart]\nredis = "x"\n', "must be a list"),
        ("[thresholds.api_latncy]\nwarn = 1\n", "is no metric"),
        ("[targets.a.thresholds.nothing]\nwarn = 1\n", "is no metric"),
        ("targets = 1\n", "targets must be a table"),
        ("contacts = 3\n", "contacts must be a list"),
        ('[[contacts]]\nname = "Ada"\n', "contacts.0.role must be set"),
        ("[targets.a]\nthresholds = 3\n", "thresholds must be a table"),
        ("[targets.a.thresholds]\napi_p95_ms = 3\n", "thresholds.api_p95_ms must be a table"),
        ('[thresholds.api_p95_ms]\nwarn = "low"\n', "api_p95_ms.warn must be a number"),
        ("[targets.a]\ntime_limit_s = 0\n", "time_limit_s must be more than 0"),
        ("[targets.a]\ntime_limit_s = 61\n", "time_limit_s must be at most 60"),
        ('[targets.a.processes]\nmanager = "init"\n', "must be 'pm2', 'docker' or 'systemd'"),
        ('[targets.a]\nlogs = "/var/log/x"\n', 'logs must be a list, like ["/var/log/app.log"]'),
        ('[targets.a]\nprotected = "perhaps"\n', "protected must be true or false"),
        ("[targets.a]\napi_url = 3001\n", "api_url must be a text in quotes"),
        ('[targets."größe"]\n', "targets.größe must be named with letters"),
        ('[targets.a]\napi_url = "http://${}"\n', "has a ${} without a name"),
        ('[targets.a]\napi_url = "http://${A"\n', "has a ${ that is not closed"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(write: Write, text: str, says: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as refused:
        load_target("a")
    assert says in str(refused.value)
    assert str(path) in str(refused.value)
    assert "nput should" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "host", ["", "web1", "ssh://", "ssh://u@", "ssh://u@h:99999", "ssh://u@h:x", "ssh://u@h 1"]
)
def test_a_host_is_local_or_an_ssh_address(write: Write, host: str) -> None:
    write(f'[targets.a]\nhost = "{host}"\n[targets.b]\nhost = "ssh://h"\n')
    with pytest.raises(ConfigError, match="host must be `local` or `ssh://user@host:port`"):
        load_target("a")
    assert HostSettings.of(load_target("b")).address == "ssh://h"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://h/abc", "name its database by a number"),
        ("redis://h/1/2", "name its database by a number"),
        ("redis://h?db=x", "name its database by a number"),
        ("redis://h?protocol=4", "2 or 3"),
        ("redis://h?foo=1", "the option 'foo', which is not known"),
        ("redis://h?socket_timeout=abc", "the option 'socket_timeout'"),
        ("redis://h?ssl_cert_reqs=none", "the option 'ssl_cert_reqs'"),
        ("rediss://h?ssl_cert_req=none", "Did you mean 'ssl_cert_reqs'"),
    ],
)
def test_what_redis_would_not_understand_is_refused(write: Write, url: str, says: str) -> None:
    write(f'[targets.a]\nredis_url = "{url}"\n')
    with pytest.raises(ConfigError, match=says):
        load_target("a")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('begins = "02:00+02:00"', r"begins '02:00\+02:00' has an offset; leave the offset out"),
        ('ends = "04:00:30Z"', r"ends '04:00:30\+00:00' has an offset; .* and set timezone\."),
        ('timezone = "Mars/Base"', r"timezone 'Mars/Base' is no time zone; name one such as"),
        ('timezone = ""', r"timezone '' is no time zone; name one such as"),
    ],
)
def test_a_window_that_could_not_be_kept_is_refused(write: Write, line: str, says: str) -> None:
    write(f"[targets.a.maintenance]\n{line}\n")
    with pytest.raises(ConfigError, match=rf"\[targets\.a\].*maintenance\.{says}") as refused:
        load_target("a")
    assert refused.value.exit_code == 64


@pytest.mark.parametrize(
    "url", ["redis://h/", "rediss://h/2?ssl_cert_reqs=none", "unix:///run/redis.sock?db=1"]
)
def test_what_redis_understands_is_accepted(write: Write, url: str) -> None:
    write(f'[targets.a]\nredis_url = "{url}"\n')
    assert Cache.of(load_target("a")).url == url


@pytest.mark.parametrize("password", ["p@ss/w#rd?x", "p@ssw#rd", "p@ssw?rd", "p@ss", "12345/abc"])
@pytest.mark.parametrize("start", ["redis_url = 'redis://:", "database_url = 'postgresql://u:"])
def test_a_password_whose_end_is_open_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch, start: str, password: str
) -> None:
    monkeypatch.setenv("PW", password)
    write(f"[targets.a]\n{start}${{PW}}@localhost:1/0'\n")
    with pytest.raises(ConfigError, match="percent-encode") as refused:
        load_target("a")
    assert not any(part in str(refused.value) for part in ("p@", "ss/", "w#rd", "12345", "abc"))


def test_the_variables_of_a_password_are_secrets_and_those_of_a_host_are_not(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SALT", "hunter2")
    monkeypatch.setenv("HOST", "redis.internal")
    write('[targets.a]\nredis_url = "redis://:app-${SALT}@${HOST}"\n')
    assert load_target("a").secrets == {"app-hunter2", "hunter2"}


def test_a_secret_in_a_query_is_not_described(write: Write) -> None:
    write('[targets.a]\ndatabase_url = "postgresql://h/d?sslpassword=hunter2&sslmode=require"\n')
    target = load_target("a")
    assert target.describe()["database"] == f"postgresql://h/d?sslpassword={MASK}&sslmode=require"
    assert target.secrets == {"hunter2"}


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


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "opsnb.toml").write_text("[targets.a]\n", encoding="utf-8-sig")
    assert load_config().names == ["a"]


def test_a_working_folder_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config()
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for look in (find_config, lambda: config.store):
        with pytest.raises(ConfigError, match="working folder no longer exists"):
            look()
    monkeypatch.setenv("OPSNB_CONFIG", str(tmp_path / "opsnb.toml"))
    (tmp_path / "opsnb.toml").write_text("")
    assert find_config() == tmp_path / "opsnb.toml"


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
    assert Api.of(load_target("demo")).url == "http://127.0.0.1:4000"
    file.write_text("")
    assert load_config().names == ["a"]


def test_what_one_says_of_the_demo_oneself_is_added_to_it(tmp_path: Path, write: Write) -> None:
    (tmp_path / "demo").mkdir()
    stack = '[targets.demo]\napi_url = "http://127.0.0.1:4000"\nhost = "local"\n'
    (tmp_path / "demo" / "opsnb.toml").write_text(stack)
    write('[targets.demo]\nhost = "ssh://ops@app-1"\n')
    demo = load_target("demo")
    assert Api.of(demo).url == "http://127.0.0.1:4000"
    assert HostSettings.of(demo).address == "ssh://ops@app-1"


def test_limits_of_the_target_go_before_the_files_and_the_handbooks(write: Write) -> None:
    write(
        "[thresholds.api_p95_ms]\nwarn = 10\ncrit = 30\n[targets.a]\n"
        "[targets.b.thresholds.api_p95_ms]\nwarn = 20\n"
    )
    assert load_target("a").threshold("api_p95_ms").warn == 10
    mixed = load_target("b").threshold("api_p95_ms")
    assert (mixed.warn, mixed.crit) == (20, 30)


def test_the_store_is_beside_the_file_or_a_url(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_config().store == str(tmp_path / "records")
    write('[records]\nstore = "s3://bucket/ops"\n')
    assert load_config().store == "s3://bucket/ops"
    monkeypatch.setenv("OPSNB_RECORDS", str(tmp_path / "elsewhere"))
    assert load_config().store == str(tmp_path / "elsewhere")


def test_a_relative_store_is_beside_what_names_it(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for path in ("kept", "../../kept"):
        for written in (path, f"file://{path}", f"local://{path}"):
            write(f'[records]\nstore = "{written}"\n')
            assert load_config().store == str((tmp_path / path).resolve())
    monkeypatch.setenv("OPSNB_RECORDS", "kept")
    assert load_config().store == str(tmp_path / "below" / "kept")


@pytest.mark.parametrize("store", ["", "a\\u0000b", "a\\nb"])
def test_a_store_that_is_no_path_is_refused(write: Write, store: str) -> None:
    write(f'[records]\nstore = "{store}"\n')
    with pytest.raises(ConfigError, match="store"):
        load_config()


def test_targets_are_meant_by_name_glob_or_all(write: Write) -> None:
    write("[targets.prod-a]\n[targets.prod-b]\n[targets.staging]\n")
    config = load_config()
    assert config.matching(["staging", "prod-*", "prod-a"]) == ["staging", "prod-a", "prod-b"]
    assert config.matching(["all"]) == ["prod-a", "prod-b", "staging"]
    for wrong in ("prd-*", "prod-c", "Prod-a"):
        with pytest.raises(UnknownTarget, match="Did you mean 'prod-"):
            config.matching(["staging", wrong])


def test_a_target_named_all_is_meant_by_its_name(write: Write) -> None:
    write("[targets.all]\n[targets.other]\n")
    assert load_config().matching(["all"]) == ["all"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ('Authorization = "Bearer ${TOKEN}"', "correct Authorization, or set its variable"),
        ('X-Tenant = ""', "neither be empty"),
        ('X-Tenant = "Z\u00fcrich"', "plain ASCII; X-Tenant is not"),
        ('"X Tenant" = "a"', "'X Tenant', which is no name of a header"),
    ],
)
def test_a_header_that_no_client_can_send_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch, header: str, said: str
) -> None:
    monkeypatch.setenv("TOKEN", "")
    path = write(f'[targets.t.api]\nurl = "http://h"\nheaders = {{ {header} }}\n')
    with pytest.raises(ConfigError, match=r"api\.headers") as refused:
        load_config(path).target("t")
    assert said in str(refused.value)


def test_a_file_is_parsed_once_and_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    loads = tomllib.loads

    def noted(text: str) -> dict[str, Any]:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", noted)
    path = tmp_path / "opsnb.toml"
    hour_ago = time.time() - 3600
    for number, api in enumerate(("one", "two")):
        path.write_text(f'[targets.a]\napi_url = "http://{api}"\n')
        os.utime(path, (hour_ago + number, hour_ago + number))
        for _ in range(3):
            assert read_toml(path)["targets"]["a"] == {"api_url": f"http://{api}"}
    assert len(parsed) == 2
    path.write_text('[targets.a]\napi_url = "http://new"\n')  # and may be written again at once
    for _ in range(3):
        assert read_toml(path)["targets"]["a"] == {"api_url": "http://new"}
    assert len(parsed) == 5
