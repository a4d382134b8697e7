"""How JupyterLab reads working copies: a copy that is opened again only plans."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from opsnb.lab import cells, copies
from opsnb.lab.exports import Downloads

# Not a notebook, or unreadable: the next reader reports it.
_NO_NOTEBOOK = (OSError, ValueError, KeyError, TypeError, AttributeError)


class Openings(Protocol):
    """The runs of the working copies."""

    async def goes_on(self, path: str) -> bool:
        """Whether the copy at `path` still has a kernel; without one, its run is over.

        A run that continues only plans from now on.
        """


class Contents(AsyncLargeFileManager):
    """The files of JupyterLab; a copy is disarmed before a page shows it again."""

    files_handler_class = Downloads
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

        Only a page that opens a notebook asks for the content and its hash at once. Whatever else
        reads a copy gets it as it is, and leaves it so.
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

    async def copy(self, from_path: str, to_path: str | None = None) -> Any:
        """Duplicate a file or a folder; duplicates of working copies are disarmed."""
        model = await super().copy(from_path, to_path)  # type: ignore[no-untyped-call]
        made = Path(self.root_dir, model["path"].strip("/"))
        await asyncio.to_thread(self._disarm_duplicates, made)
        return await self.get(model["path"], content=False)

    def _disarm_duplicates(self, made: Path) -> None:
        for path in made.rglob("*.ipynb") if made.is_dir() else [made]:
            with suppress(*_NO_NOTEBOOK):
                copies.disarm(path)

    def _disarm(self, path: str) -> None:
        with suppress(*_NO_NOTEBOOK):
            copies.opened(Path(self.root_dir, path.strip("/")), goes_on=False)
