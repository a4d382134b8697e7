"""How JupyterLab reads working copies: whatever is opened again only plans."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Protocol

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from opsnb.lab import copies


class Openings(Protocol):
    """Knows the runs of the working copies."""

    async def goes_on(self, path: str) -> bool:
        """Whether a kernel still runs for the copy at `path`; if none does, its run is over."""


class Contents(AsyncLargeFileManager):
    """The files of JupyterLab; a copy is disarmed before anybody gets to see it again."""

    openings: Openings | None = None
    """Set by the extension as it is loaded."""

    async def get(self, path: str, content: bool = True, *args: Any, **kwargs: Any) -> Any:
        """Return a file's model; a working copy that is opened has been disarmed by then."""
        if content and path.endswith(".ipynb") and self.openings:
            goes_on = await self.openings.goes_on(path.strip("/"))
            await asyncio.to_thread(self._disarm, path, goes_on)
        return await super().get(path, content, *args, **kwargs)  # type: ignore[no-untyped-call]

    def _disarm(self, path: str, goes_on: bool) -> None:
        try:
            place = Path(self.root_dir, path.strip("/"))
            copies.opened(place, goes_on=goes_on)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return  # it is no notebook, or cannot be read: what reads it next says why
