"""The requests of JupyterLab's pages: list the targets, open a copy, close a copy."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import APIHandler
from tornado import web

from opsnb import catalog
from opsnb.config.file import DEMO, Config, load_config
from opsnb.errors import OpsnbError, UsageError

if TYPE_CHECKING:
    from opsnb.lab.extension import Records


class _Handler(APIHandler):
    """Responds with JSON; an error is one sentence under `message`."""

    def initialize(self, records: Records) -> None:
        """Store the extension, which knows the open copies."""
        self.records = records

    def refuse(self, why: Exception | str) -> None:
        """Respond that it was not done, and why."""
        self.set_status(400)
        self.finish(json.dumps({"message": str(why)}))

    def body(self) -> dict[str, Any]:
        """Return the JSON object that was sent; empty if it is none."""
        sent = self.get_json_body()
        return sent if isinstance(sent, dict) else {}


class Targets(_Handler):
    """The targets to choose from, and the runbooks."""

    @web.authenticated
    async def get(self) -> None:
        """Respond with both; `only` is the default target."""
        try:
            config = load_config()
        except OpsnbError as error:
            self.refuse(error)
            return
        self.finish(
            json.dumps(
                {
                    "targets": listed(config),
                    "only": _only(config),
                    "runbooks": [info.id for info in catalog.runbooks()],
                }
            )
        )


class Open(_Handler):
    """A new working copy."""

    @web.authenticated
    async def post(self) -> None:
        """Create one for a link that was clicked; respond with its path."""
        sent = self.body()
        fields = [sent.get(key) for key in ("runbook", "link", "source", "target")]
        runbook, link, source, target = (
            field if isinstance(field, str) else "" for field in fields
        )
        try:
            path = await asyncio.to_thread(self.records.fresh, runbook, link, source, target)
        except OpsnbError as error:
            self.refuse(error)
            return
        self.finish(json.dumps({"path": path}))


class Close(_Handler):
    """A working copy whose page was closed."""

    @web.authenticated
    async def post(self) -> None:
        """End its kernel as soon as it is idle, and disarm it."""
        path = self.body().get("path")
        if isinstance(path, str):
            self.records.closed(path)
        self.finish("{}")


def listed(config: Config) -> list[dict[str, Any]]:
    """Return the targets to choose from: those of opsnb.toml, else the default.

    The demo stack is last, while it is up.
    """
    names = [name for name in config.names if name != DEMO and config.files.get(name)]
    if not names and _only(config):
        names = [config.only]
    if DEMO in config.tables and DEMO not in names:
        names.append(DEMO)
    return [
        {
            "name": name,
            "protected": bool(config.tables.get(name, {}).get("protected", False)),
            "practice": name == DEMO,
        }
        for name in names
    ]


def _only(config: Config) -> str:
    try:
        return config.only
    except UsageError:
        return ""
