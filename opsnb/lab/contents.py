"""How JupyterLab reads working copies: a copy that is opened again only plans."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Protocol

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from opsnb.lab import cells, copies


class Openings(Protocol):
    """The runs of the working copies."""

    async def goes_on(self, path: str) -> bool:
        """Whether the copy at `path` still has a kernel; without one, its run is over.

        A run that continues only plans from now on.
        """


class Contents(AsyncLargeFileManager):
    """The files of JupyterLab; a copy is disarmed before a page shows it again."""

    openings: Openings | None = None
    """Set by the extension when it is loaded."""

    async def get(
        self,
        path: str,
        content: bool = True,
        type: str | None = None,
        format: str | None = None,
        require_hash: bool = False,
    ) -> Any:
        """Return a file's model; a working copy that a page opens has been disarmed by then.

        Only a page that opens a notebook asks for the content and its hash at once. Exports,
        duplicates and whatever else reads a copy get it as it is, and leave it so.
        """
        is_opened = bool(content and require_hash) and type == "notebook"
        goes_on = False
        if is_opened and self.openings:
            goes_on = await self.openings.goes_on(path.strip("/"))
            if not goes_on:
                await asyncio.to_thread(self._disarm, path)
        model = await super().get(path, content, type, format, require_hash)  # type: ignore[no-untyped-call]
        if goes_on and copies.runbook_of(model["content"]):
            # Only in the model: an open page would report a change of the file.
            cells.disarm(model["content"])
        return model

    def _disarm(self, path: str) -> None:
        try:
            copies.opened(Path(self.root_dir, path.strip("/")), goes_on=False)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return  # not a notebook, or unreadable: the next reader reports it
