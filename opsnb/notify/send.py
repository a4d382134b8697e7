"""The process that sends one message with apprise; killing it ends a channel that hangs.

It reads `{url, where, title, body, status}` from stdin, so that no URL is an argument, and writes
`{ok, answer}` to stdout.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

from opsnb.errors import ConfigError
from opsnb.notify import address

_TYPES = {
    "crit": NotifyType.FAILURE,
    "warn": NotifyType.WARNING,
    "unknown": NotifyType.WARNING,
    "ok": NotifyType.SUCCESS,
}


def main() -> None:
    """Send the message on stdin and write the outcome."""
    order = json.load(sys.stdin)
    try:
        address.check(order["url"], order["where"])
        answer = _sent(order)
    except ConfigError as error:
        answer = {"ok": False, "answer": str(error)}
    json.dump(answer, sys.stdout)


def _sent(order: dict[str, Any]) -> dict[str, Any]:
    # The name is sent to the service; nothing is read from or written to a home folder.
    sender = Apprise(asset=AppriseAsset(app_id="opsnb", app_desc="opsnb", secure_logging=True))
    if not sender.add(order["url"]):
        return {"ok": False, "answer": "apprise cannot use the URL of this channel."}
    result = sender.notify(
        body=order["body"],
        title=order["title"],
        notify_type=_TYPES.get(order["status"], NotifyType.INFO),
        body_format=NotifyFormat.TEXT,
    )
    entries = [entry for sent in result.results for attempt in sent for entry in attempt]
    errors = [entry.message for entry in entries if entry.level in ("WARNING", "ERROR")]
    service = ", ".join(sent.name for sent in result.results) or "apprise"
    words = " ".join(dict.fromkeys(errors)) or ("accepted" if result else "it gave no reason")
    return {"ok": bool(result), "answer": f"{service}: {words}"}


if __name__ == "__main__":
    main()
