"""The words of a notification: one message for one cause, the command to type, no secret."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from opsnb.model import Status
from opsnb.notify.known import Event, Kind
from opsnb.notify.message import Message, compose
from opsnb.notify.observations import Observation, Observed
from opsnb.redaction import Redactor

AT = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
SECRET = "hunter2-" + "correct-horse"
ABOUT = "symptoms/no-response.html"
RUN = Observed("daily", "health/daily", "id-1", "/records/id-1/record.ipynb", [], frozenset())


def event(  # noqa: PLR0913 - all that an event has
    target: str = "shop",
    *,
    title: str = "API health",
    status: Status = Status.CRIT,
    message: str = "It does not respond.",
    kind: Kind = Kind.PROBLEM,
    was: Status = Status.OK,
) -> Event:
    command = f"opsnb run incidents/service_down -t {target}"
    return Event(
        kind,
        Observation(target, title, title, status, message, command, ABOUT),
        was,
        AT - timedelta(hours=3),
    )


def written(*events: Event, site: str = "") -> Message:
    return compose(events, RUN, AT, site=site, redact=Redactor([SECRET]).text)


@pytest.mark.parametrize("site", ["https://ops.example", "https://ops.example/"])
def test_a_message_has_the_sentence_the_command_the_pages_and_the_record(site: str) -> None:
    message = written(event(), site=site)
    assert message.title == "CRIT API health on shop"
    lines = message.body.splitlines()
    assert lines[:4] == [
        "CRIT API health on shop",
        "It does not respond.",
        "Next: opsnb run incidents/service_down -t shop",
        "About: https://ops.example/symptoms/no-response.html",
    ]
    assert lines[-2:] == [
        "Record: /records/id-1/record.ipynb",
        "Page: https://ops.example/records/id-1.html",
    ]
    assert message.link == "https://ops.example/records/id-1.html"
    assert Message.from_json(message.as_json()) == message
    assert message.as_json()["next"] == "opsnb run incidents/service_down -t shop"


def test_the_same_cause_on_many_targets_is_one() -> None:
    events = [event(f"shop-{number}", message=f"Down: {number}") for number in range(30)]
    message = written(*events, event(title="Disk", status=Status.WARN))
    assert message.title == "CRIT API health on 30 targets, and 1 more"
    assert len(message.causes) == 2
    assert message.body.count("Next: ") == 2
    assert "shop-0, shop-1, shop-10" in message.body
    assert "and 20 more" in message.body


def test_a_recovery_says_what_it_was_and_for_how_long() -> None:
    message = written(event(status=Status.OK, kind=Kind.RECOVERY, was=Status.CRIT))
    assert message.title == "Recovered: API health on shop"
    assert (message.event, message.status) == ("recovery", "ok")
    assert "It was crit for 3 h." in message.body
    assert "Next:" not in message.body
    assert "About:" not in message.body
    milder = written(event(status=Status.WARN, kind=Kind.RECOVERY, was=Status.CRIT))
    assert milder.title == "Now only WARN: API health on shop"


def test_secrets_and_control_characters_stay_out_even_at_the_cut() -> None:
    for length in range(560, 620):
        text = f"{'x' * length} {SECRET} \x1b[2J\x1b]0;title\x07 \u202e\nsecond line"
        stored = str(written(event(message=text), event(title=f"Queue {SECRET}\x1b[1m")).as_json())
        assert not any(SECRET[at : at + 6] in stored for at in range(len(SECRET) - 5))
        assert not any(sign in stored for sign in "\x1b\x07\u202e")
        assert "\\\\x1b[1m" in stored  # it is shown, not obeyed


def test_many_causes_are_counted() -> None:
    message = written(*(event(title=f"Check {number}") for number in range(20)))
    assert message.title.endswith("and 19 more")
    assert "And 12 more in the record." in message.body


@pytest.mark.parametrize(
    "text",
    [
        "@everyone wake up",
        "queue:@everyone",
        "x@here",
        "<!channel> <!here>",
        "<!subteam^S1>",
        "<@U123> <@&99> <@!5>",
        "@ops.lead (@bob)",
        "@All @CHANNEL",
    ],
)
def test_what_is_quoted_calls_nobody(text: str) -> None:
    message = written(event(title=text, message=text)).without_mentions()
    calls = re.compile(r"@\w|<[!@]")
    for words in (message.title, message.body, message.as_json()["message"]):
        assert not calls.search(words), words
        assert text in words.replace("\u200b", "")


def test_a_target_that_two_schedules_checked_is_named_once() -> None:
    closed = event(kind=Kind.CLOSED, status=Status.SKIPPED, was=Status.CRIT)
    assert written(closed, closed).title == "Closed: API health on shop"


def test_addresses_and_masked_urls_are_no_mentions() -> None:
    text = "ops@example.com redis://***@10.0.0.5 5 < 6 pkg@1.2"
    message = written(event(message=text)).without_mentions()
    assert text in message.body


def test_a_closed_alarm_does_not_claim_to_be_over() -> None:
    message = written(
        event(kind=Kind.CLOSED, status=Status.SKIPPED, was=Status.CRIT, message="No longer there.")
    )
    assert (message.event, message.status) == ("closed", "skipped")
    assert message.title == "Closed: API health on shop"
    assert "It was crit at its last check and may still be." in message.body
