"""No secret survives, and ordinary operational text does."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import nbformat
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opsnb.model import (
    ACTION_MIME,
    ActionRecord,
    ActionState,
    Finding,
    RunResult,
    Status,
    Threshold,
)
from opsnb.records.extract import rebuild, stamp
from opsnb.records.written import notebook
from opsnb.redaction import (
    MASK,
    Redactor,
    environment_secrets,
    header_secrets,
    safe_url,
    url_secrets,
)
from opsnb.view import findings as view
from opsnb.view.plans import action_html, action_text

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda s: quote(s, safe=""),
    "percent, path": quote,
    "percent, lower case": lambda s: quote(s, safe="").replace("%2F", "%2f").replace("%3A", "%3a"),
    "percent twice": lambda s: quote(quote(s, safe=""), safe=""),
    "form": quote_plus,
    "JSON": lambda s: json.dumps(s)[1:-1],
    "JSON, not ASCII": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda s: json.dumps(json.dumps(s))[3:-3],
    "HTML": html.escape,
    "HTML twice": lambda s: html.escape(html.escape(s)),
    "HTML, entities": lambda s: s.encode("ascii", "xmlcharrefreplace").decode(),
    "JSON in HTML": lambda s: html.escape(json.dumps(s)[1:-1]),
    "repr": lambda s: repr(s)[1:-1],
    "repr of bytes": lambda s: repr(s.encode())[2:-1],
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
}
# Secrets as people and generators make them: of any characters that can be typed or pasted, none at
# the ends that a form or an environment file would have taken off.
_TYPED = st.characters(exclude_categories=["Cs", "Cc", "Cf"], include_characters="\n\t")
SECRETS = st.text(_TYPED, min_size=6, max_size=40).filter(lambda s: s == s.strip() and len(s) >= 6)


@settings(deadline=None)
@given(SECRETS)
@example('a"b\\c/d&e')
@example("pässwörd €😀")
@example("it's <b>&amp;</b>")
@example("line one\nline two")
@example("0000\xa0%80")
def test_no_encoding_of_a_known_secret_survives(secret: str) -> None:
    redactor = Redactor([secret])
    for name, encode in ENCODINGS.items():
        coded = encode(secret)
        masked = redactor.text(f"X{coded}X")
        assert MASK in masked, name
        assert coded not in masked, name


@settings(deadline=None)
@given(SECRETS, st.binary(max_size=9), st.binary(max_size=9))
def test_no_base64_of_a_text_with_a_secret_gives_it_away(
    secret: str, before: bytes, after: bytes
) -> None:
    raw = before + secret.encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        masked = Redactor([secret]).text(encode(raw).decode())
        assert MASK in masked
        # What is left beside the mask are characters that share bits with the neighbours.
        assert len(masked) - len(MASK) <= len(base64.b64encode(before + after)) + 8


@settings(deadline=None)
@given(SECRETS)
def test_a_secret_in_every_place_of_a_tree_is_masked(secret: str) -> None:
    tree = {
        "outputs": [
            {"data": {"text/html": f"<td>{html.escape(secret)}</td>", "image/png": secret}},
            {"traceback": [f"line {part}" for part in (secret, "end")]},
            {"text": [*f"one {secret}\nthree\n".splitlines(keepends=True), "four"]},
        ],
        secret: [1, None, True, {"deep": [[secret]]}],
    }
    stored = json.dumps(Redactor([secret]).tree(tree), ensure_ascii=False)
    assert json.dumps(secret, ensure_ascii=False)[1:-1] not in stored


def test_a_private_key_is_masked_across_lines_and_traceback_entries() -> None:
    lines = ["-----BEGIN RSA PRIVATE KEY-----", "MIIEabc", "def", "-----END RSA PRIVATE KEY-----"]
    for tree in ({"text": [f"{line}\n" for line in lines]}, {"traceback": lines}):
        assert "MIIE" not in json.dumps(Redactor().tree(tree))


def test_what_stands_under_a_telling_key_is_masked() -> None:
    tree = {"password": "a", "apiKey": "b", "db_password": 12345678, "tokens": ["c"], "apply": True}
    masked = Redactor().tree(tree)
    assert masked == {**dict.fromkeys(tree, MASK), "apply": True}


def test_a_flag_or_nothing_under_a_telling_key_stays() -> None:
    tree = {"password": None, "token": False, "secret": "", "cache_key": "scene:1"}
    assert Redactor().tree(tree) == tree


def test_lists_of_lines_stay_lists_of_lines() -> None:
    assert Redactor().tree(["a\n", "b\n", "c"]) == ["a\n", "b\n", "c"]
    assert Redactor().tree(["a", "b"]) == ["a", "b"]
    assert Redactor().tree([]) == []


ORDINARY = [
    "20261123T071500Z-health.daily-demo-7f3a",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "commit 68c54d8, image sha256:9f86d081884c7d659a2feaa0c55ad015",
    "550e8400-e29b-41d4-a716-446655440000",
    "ai-analysis waiting 1284, active 3, failed 17 (2.4%)",
    "job 48213 of task-queue-processing-long-name-0001 stalled",
    "the token bucket refills at 10/s; token_count=1234567, tokens: 4096",
    'FATAL:  password authentication failed for user "x"',
    "invalid token: expired",
    "SyntaxError: Unexpected token } in JSON at position 4",
    "Basic operations are fine; bearer authentication is required",
    "http://localhost:3001/users/a@b.c?page=2",
    "postgresql://app@db.internal:5432/app",
    "git@github.com:team/service.git  ssh://deploy@web1:22",
    "gemini:analysis:scene:42 TTL 3600, key=idx_scenes_project_id",
    "primary key: id; foreign key: project_id",
    "2026-11-23T07:15:00.123Z ERROR GET /api/projects 500 in 1043 ms",
    'password = None, secret=null, "token": true',
    "QUERY PLAN: Index Scan using idx_scenes_project_id (cost=0.29..8.30 rows=1 width=64)",
    "redis_version:9.0.1 used_memory:1048576 used_memory_human:1.00M",
    "C:\\Users\\ops\\x.log \\d+ \\u2713",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_readable(text: str) -> None:
    redactor = Redactor(["hunter2hunter2", "p@ss/word 1"])
    assert redactor.text(text) == text
    assert redactor.tree([text, {"message": text}]) == [text, {"message": text}]


SHAPES = [
    ("psql failed: PGPASSWORD={} psql", "hunter2x"),
    ("password: {}", "hunter2"),
    ('{{"password": "{}"}}', "corr ect;horse"),
    ('{{\\"password\\": \\"{}\\"}}', "correct horse"),
    ("connect(host='h', password='{}', port=1)", "a b;c"),
    ("password\x1b[39m \x1b[38;5;241m=\x1b[39m \x1b[33m'{}'\x1b[39m", "abc def"),
    ("host=h user=u password={} dbname=d", "hunter2"),
    ("Authorization: Bearer {}", "abcdefgh"),
    ("Authorization: Basic {}", "dXNlcjpwYXNz"),
    ("{{'Authorization': 'Basic {}'}}", "dXNlcjpwYXNz"),
    ("{}", "ghp_" + "a1" * 18),
    ("{}", "AKIA" + "A1" * 8),
    ("{}", "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl"),
    ("redis://:{}@h:6379/0", "pw"),
    ("postgres://u:{}@h/db,postgres://u:p@h2", "p@ss"),
    ("postgres://u:{}@h/db", "a/b#c"),
]


@pytest.mark.parametrize(("text", "secret"), SHAPES)
def test_secret_shapes_are_masked_without_being_known(text: str, secret: str) -> None:
    masked = Redactor().text(text.format(secret))
    assert secret not in masked
    assert MASK in masked


@pytest.mark.parametrize("text", [*ORDINARY, *(text.format(secret) for text, secret in SHAPES)])
def test_redacting_twice_is_redacting_once(text: str) -> None:
    redactor = Redactor(["hunter2hunter2"])
    assert redactor.text(redactor.text(text)) == redactor.text(text)


def test_safe_url_keeps_what_is_not_secret() -> None:
    assert safe_url("redis://user:pw@h:6379/0") == f"redis://user:{MASK}@h:6379/0"
    assert safe_url("two: a://x:1@h b://y:2@h") == f"two: a://x:{MASK}@h b://y:{MASK}@h"
    assert safe_url("/srv/records") == "/srv/records"


@pytest.mark.parametrize("key", ["password", "sslpassword", "token", "api_key", "x.secret"])
def test_secrets_in_the_query_of_a_url_are_masked(key: str) -> None:
    url = f"https://h/d?page=2&{key}=p%40#ss&sslmode=require"
    assert safe_url(url) == f"https://h/d?page=2&{key}={MASK}&sslmode=require"
    assert safe_url(safe_url(url)) == safe_url(url)
    assert url_secrets(url) >= {"p%40#ss", "p@#ss"}


@pytest.mark.parametrize("password", ["p@ss/w#rd?x", "12345/abc", "a:b@c?d@e", "//x/@y"])
def test_url_secrets_are_whole_however_they_are_written(password: str) -> None:
    assert password in url_secrets(f"redis://:{password}@localhost:1/0")
    assert password in url_secrets(f"postgresql://app:{quote(password)}@localhost:1/app")


def test_url_secrets_are_raw_and_decoded() -> None:
    assert url_secrets("redis://:p%40ss@h") == {"p%40ss", "p@ss"}
    assert url_secrets("postgresql://u@h/d?password=hunter2&sslmode=require") == {"hunter2"}
    assert url_secrets("http://localhost:3001") == set()
    assert url_secrets("no url") == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "host=db1 user=app password=kept4nobody dbname=shop"),
        ("DATABASE_URL", "host=db1 user=app password='kept4 nobody' dbname=shop"),
        ("ConnectionStrings__Default", "Server=db1;User Id=sa;Password=kept4nobody;"),
        ("STORAGE", "AccountName=x;AccountKey=kept4nobody;EndpointSuffix=example.net"),
        ("MYSQL", "app:kept4nobody@tcp(db1:3306)/shop"),
        ("SETTINGS", '{"database": {"user": "app", "password": "kept4nobody"}}'),
        ("DB_PW", "kept4nobody"),
        ("BASIC_AUTH", "ops:kept4nobody"),
        ("REGISTRY_AUTH", base64.b64encode(b"ops:kept4nobody").decode()),
        ("API_TOKENS", "first1token,kept4nobody"),
    ],
)
def test_what_a_setting_holds_is_known(name: str, value: str) -> None:
    secret = "kept4 nobody" if "kept4 nobody" in value else "kept4nobody"
    redactor = Redactor(environment_secrets({name: value}))
    assert redactor.text(f"user app said {secret} twice") == f"user app said {MASK} twice"


def test_ordinary_settings_hold_no_secret() -> None:
    environ = {
        "DATABASE_URL": "host=db1 user=app dbname=shop",
        "PATH": "/usr/bin:/bin",
        "OPTIONS": "--max-old-space-size=4096",
        "CACHE_KEY": "scenes",
        "SSH_ASKPASS": "/usr/bin/askpass",
        "LS_COLORS": "di=01;34:ln=01;36:*.tar=01;31",
        "APP": '{"name": "shop", "port": 5432, "keys": ["a", "b"]}',
    }
    assert not environment_secrets(environ)


def test_a_header_tells_its_secret_and_no_other_word() -> None:
    coded = base64.b64encode(b"ops:kept4nobody").decode()
    assert header_secrets("Authorization", f"Basic {coded}") == {coded, "kept4nobody"}
    assert "kept4nobody" in header_secrets("Cookie", "sid=kept4nobody; lang=en")
    assert "kept4nobody" in header_secrets("X-Api-Key", "kept4nobody")
    assert not header_secrets("Accept", "application/json")
    assert not header_secrets("Host", "api.example.com")


def test_the_passwords_of_libpq_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGPASSFILE", raising=False)
    lines = "# host:port:database:user:password\ndb1:5432:*:ops:Kq7-first\n*:*:*:me:a\\:b\\\\c9x\n"
    (tmp_path / ".pgpass").write_text(lines)
    assert {"Kq7-first", "a:b\\c9x"} <= environment_secrets()
    assert "password" not in environment_secrets()
    (tmp_path / "other").write_text("db1:5432:*:ops:Zx8-other\n")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "other"))
    found = environment_secrets()
    assert ("Zx8-other" in found, "Kq7-first" in found) == (True, False)


def test_a_host_that_is_secret_is_masked_in_small_letters_too() -> None:
    redactor = Redactor(["Team7-KqWzX", "Production"])
    assert redactor.text("POST https://team7-kqwzx.hooks.example/") == (
        "POST https://[redacted].hooks.example/"
    )
    assert redactor.text("production is up") == "production is up"


def test_environment_secrets_are_found_by_name_and_by_url() -> None:
    environ = {
        "PGPASSWORD": "/starts/like/a/path",
        "STRIPE_KEY": "abc123",
        "DATABASE_URL": "postgres://u:fromurl@h/d",
        "PWD": "/work",
        "OLDPWD": "/",
        "SSH_AUTH_SOCK": "/run/agent.1",
        "SECRET_FILE": "/run/secrets/x",
        "TOKEN_TTL": "3600",
        "HOME": "/root",
        "BROKEN": "http://[x:y@",
    }
    assert environment_secrets(environ) >= {"/starts/like/a/path", "abc123", "fromurl"}
    assert not environment_secrets(environ) & {"/work", "/", "/run/agent.1", "/run/secrets/x"}


OWN_WORDS = [
    "applied", "planned", "applying", "verified", "unknown", "findings", "actions", "status",
    "2026-11", "20261128", "health.daily", "health/daily", "vnd.opsnb", "opsnb.", "application",
    "text/plain", "stdout", "display_data", "cell_type", "metadata", "outputs", "redacted",
    "parameters", "cache.health", "Cache health", "python", "injected-parameters", "target",
    "background",
]  # fmt: skip
_WHEN = datetime(2026, 11, 28, 7, 15, tzinfo=UTC)


def own_record(outside: str) -> RunResult:
    """Return a result full of opsnb's own words, with `outside` in each text from outside."""
    finding = Finding(
        name="cache.health",
        title="Cache health",
        status=Status.UNKNOWN,
        message=f"It says {outside}",
        threshold=Threshold(metric="hit", label="Hit rate", unit="%", warn=70, source="5.2"),
        rows=[{"state": "applied", "reason": outside, "at": _WHEN.isoformat(), "planned": 3}],
        started=_WHEN,
    )
    action = ActionRecord(
        id="0a1b",
        name="queues.pause",
        title="Pause a queue",
        target="demo",
        arguments={"queue": outside},
        terms={"before": _WHEN.isoformat()},
        state=ActionState.APPLIED,
        applied=1,
        verified=True,
        summary=f"Pauses {outside}",
        sample=[{"job": outside}],
        started=_WHEN,
        finished=_WHEN,
    )
    return RunResult(
        run_id="20261128T071500Z-health.daily-demo-7f3a",
        runbook="health/daily",
        runbook_sha256="ab" * 32,
        target="demo",
        operator="ops",
        host="web1",
        parameters={"target": "demo", "queue": outside},
        status=Status.UNKNOWN,
        exit_code=3,
        error=f"It broke on {outside}",
        findings=[finding],
        actions=[action],
        started=_WHEN,
        finished=_WHEN,
        seconds=1,
        opsnb_version="1.0",
    )


def own_notebook(result: RunResult) -> dict[str, Any]:
    """Return the notebook that leaves `result`."""
    shown = [
        view.finding_data(result.findings[0]),
        {
            ACTION_MIME: result.actions[0].model_dump(mode="json"),
            "text/html": action_html(result.actions[0]),
            "text/plain": action_text(result.actions[0]),
        },
    ]
    made = notebook("Drill", "Remark", shown)
    made["cells"][1]["metadata"] = {"tags": ["parameters"], "papermill": {"status": "completed"}}
    made["cells"][1]["outputs"].append(
        {"output_type": "stream", "name": "stdout", "text": f"{result.error}\n"}
    )
    stamp(made, result)
    return made


@pytest.mark.parametrize("word", OWN_WORDS)
def test_a_secret_that_is_a_word_of_opsnbs_own_changes_nothing_of_it(word: str) -> None:
    redactor = Redactor([word])
    assert redactor.result(own_record("words")) == own_record("words")
    assert redactor.result(own_record(f"a {word} b")) == own_record(f"a {MASK} b")


@pytest.mark.parametrize("word", OWN_WORDS)
def test_a_notebook_keeps_its_structure_whatever_the_secrets_are(word: str) -> None:
    kept = Redactor([word]).tree(own_notebook(own_record(f"a {word} b")))
    nbformat.validate(kept)
    assert rebuild(kept) == own_record(f"a {MASK} b")
    outputs = kept["cells"][1]["outputs"]
    assert outputs[2]["text"] == f"It broke on a {MASK} b\n"
    for output in outputs[:2]:
        assert f"a {word} b" not in output["data"]["text/html"] + output["data"]["text/plain"]


def test_what_a_page_is_made_of_is_no_secret() -> None:
    shown = {"text/html": '<div style="opacity:.75" title="opacity">opacity <b>1</b></div>'}
    masked = f'<div style="opacity:.75" title="{MASK}">{MASK} <b>1</b></div>'
    assert Redactor(["opacity"]).bundle(shown) == {"text/html": masked}


@pytest.mark.parametrize(
    "page",
    [
        "<svg><!-- {} --><g/></svg>",
        "<![CDATA[{}]]>",
        "<?xml {}?>",
        "<p class='{}'>x</p>",
        '<p class="a {} b">x</p>',
        "<P CLASS = '{}'>x</P>",
        '<p style="background:url({})">x</p>',
        "<a href={}>x</a>",
        "<p {}='1'>x</p>",
        '<a "{}">x</a>',
        "<x{}>x</x>",
        "<script>token = '{}'</script>",
        '<p title="a" data-x="{}">x</p>',
    ],
)
def test_a_secret_anywhere_in_a_page_or_picture_is_masked(page: str) -> None:
    secret = "Kq7vXwZr9TbLmPd3HsN"
    for mime in ("text/html", "image/svg+xml"):
        shown = Redactor([secret]).bundle({mime: page.format(secret)})[mime]
        assert shown == page.format(MASK)


@pytest.mark.parametrize("word", ["opacity", "class", "style", "12.75em", "border", "#aabbcc"])
def test_what_a_page_looks_like_stays_whatever_the_secrets_are(word: str) -> None:
    page = '<p class="border opacity" style="opacity:.75; border: 12.75em #aabbcc">x</p>'
    assert Redactor([word]).bundle({"text/html": page}) == {"text/html": page}


def test_a_secret_in_pieces_over_streams_is_masked() -> None:
    def printed(*pieces: tuple[str, str]) -> list[dict[str, Any]]:
        return [{"output_type": "stream", "name": name, "text": [text]} for name, text in pieces]

    redactor = Redactor(["hunter2-correct-horse"])
    half = printed(("stdout", "a hunter2-corr"), ("stderr", "ect-horse b"))
    assert redactor.tree(half) == printed(("stdout", f"a {MASK}"), ("stderr", " b"))
    apart = printed(("stdout", "hunter2-"), ("stderr", "warning\n"), ("stdout", "correct-horse"))
    assert redactor.tree(apart) == [
        {"output_type": "stream", "name": "stdout", "text": [MASK]},
        *printed(("stderr", "warning\n")),
        {"output_type": "stream", "name": "stdout", "text": []},
    ]


def test_a_secret_that_is_a_number_is_masked_as_a_number() -> None:
    redactor = Redactor(["417250938164"])
    assert redactor.tree({"pin": 417250938164, "rows": [417250938164.0, 41725]}) == {
        "pin": MASK,
        "rows": [MASK, 41725],
    }


@pytest.mark.parametrize(
    "unit", ["a", "a.", "a-", "://a:", "password=", "password='", "\\", "%25", "&amp;", "bearer ",
             "-----BEGIN PRIVATE KEY-----", "eyJabcdefgh.", "password\x1b[0m ", "token: ", "\n",
             " ", "cookie: a=b;", "mysql -", "redis-cli ", "authorization: ", "\\u00", "<a '",
             "%c2"],
)  # fmt: skip
def test_long_runs_of_anything_are_read_in_one_go(unit: str) -> None:
    # Quadratic time would be an hour here, so that it needs no clock to be seen.
    text = unit * (1_000_000 // len(unit))
    assert Redactor(["hunter2hunter2", "\\\\\\\\a%&<b"]).text(text)


def test_a_large_output_is_read_with_many_known_secrets() -> None:
    lines = "2026-11-23T07:15:00Z ERROR GET /api/projects 500 in 1043 ms, token bucket empty\n"
    text = lines * (5_000_000 // len(lines))
    assert Redactor([f"secret/{number}&value" for number in range(20)]).text(text) == text


def test_a_secret_that_tags_interrupt_is_masked_and_the_tags_stay() -> None:
    shown = {"text/html": "<p>hunter2<b>hunter2</b></p>"}
    assert Redactor(["hunter2hunter2"]).bundle(shown) == {"text/html": f"<p>{MASK}<b></b></p>"}


def test_a_secret_over_two_elements_of_a_list_is_masked() -> None:
    redactor = Redactor(["hunter2-correct-horse"])
    assert redactor.tree(["a hunter2-corr", "ect-horse b"]) == [f"a {MASK}", " b"]


def test_half_a_character_from_outside_can_be_written() -> None:
    said = json.loads('"down \\ud800 \\udcff \\ud83d\\ude00"')
    finding = Finding(name="api.health", status=Status.CRIT, message=said)
    for text in (Redactor().text(said), Redactor().result(finding).message):
        assert text.encode() == "down \ufffd \ufffd \U0001f600".encode()
