"""What the pages of JupyterLab ask of opsnb: the targets, a fresh copy, the end of one."""

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
    """Answers with JSON; an error is one sentence under `message`."""

    def initialize(self, records: Records) -> None:
        """Take the extension, which knows what is open."""
        self.records = records

    def refuse(self, why: Exception | str) -> None:
        """Answer that it was not done, and why."""
        self.set_status(400)
        self.finish(json.dumps({"message": str(why)}))

    def body(self) -> dict[str, Any]:
        """Return what was sent; empty when it was no table."""
        sent = self.get_json_body()
        return sent if isinstance(sent, dict) else {}


class Targets(_Handler):
    """The targets to choose from, and the runbooks that links lead to."""

    @web.authenticated
    async def get(self) -> None:
        """Answer with both. The target that is meant when none is named is marked as `only`."""
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
    """A fresh working copy."""

    @web.authenticated
    async def post(self) -> None:
        """Make one for a link that was followed; answer with its path."""
        sent = self.body()
        asked = [sent.get(key) for key in ("runbook", "link", "source", "target")]
        runbook, link, source, target = (each if isinstance(each, str) else "" for each in asked)
        try:
            path = await asyncio.to_thread(self.records.fresh, runbook, link, source, target)
        except OpsnbError as error:
            self.refuse(error)
            return
        self.finish(json.dumps({"path": path}))


class Close(_Handler):
    """The end of a working copy whose page was closed."""

    @web.authenticated
    async def post(self) -> None:
        """End its kernel as soon as that has nothing to do, and disarm it."""
        path = self.body().get("path")
        if isinstance(path, str):
            self.records.closed(path)
        self.finish("{}")


def listed(config: Config) -> list[dict[str, Any]]:
    """Return the targets to choose from: those of opsnb.toml, else what is meant without one.

    The demo stack comes last while it is up, to practise on.
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
