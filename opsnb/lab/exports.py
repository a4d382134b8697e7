"""What leaves JupyterLab as something that can be run only plans: downloads and scripts."""

from __future__ import annotations

import json
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import AuthenticatedFileHandler
from jupyter_server.utils import ensure_async
from nbconvert.preprocessors import Preprocessor
from tornado import web

from opsnb.lab import cells, copies


class Downloads(AuthenticatedFileHandler):
    """Serves files; a working copy is downloaded disarmed, and stays as it is."""

    @web.authenticated
    @authorized
    async def get(self, path: str, **kwargs: Any) -> None:  # type: ignore[override]
        """Get a file."""
        if path.endswith(".ipynb"):
            model = await self.contents_manager.get(path, type="notebook")  # type: ignore[no-untyped-call]
            if copies.runbook_of(model["content"]):
                self.check_xsrf_cookie()
                cells.disarm(model["content"])
                self.set_attachment_header(model["name"])
                self.set_header("Content-Type", "application/x-ipynb+json")
                await self.finish(json.dumps(model["content"], indent=1, ensure_ascii=False) + "\n")
                return
        await ensure_async(super().get(path, **kwargs))


class Disarm(Preprocessor):
    """Disarms the cells of a working copy that becomes a script or a notebook."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Return the notebook disarmed, and the resources as they are."""
        if copies.runbook_of(nb):
            cells.disarm(nb)
        return nb, resources
