"""`list` and `show`: the runbooks and their parameters."""

from __future__ import annotations

import json
from typing import Any

from opsnb import catalog
from opsnb.cli import output
from opsnb.cli.application import Json, RunbookArgument, app
from opsnb.errors import ConfigError


@app.command("list")
def list_runbooks(as_json: Json = False) -> None:
    """List the runbooks."""
    known = []
    runbooks = catalog.runbooks()
    width = max((len(info.id) for info in runbooks), default=0) + 2
    for info in runbooks:
        try:
            known.append(_runbook_json(info) if as_json else _runbook_line(info, width))
        except ConfigError as error:  # one broken file must not hide the others
            output.note(f"opsnb: {error}")
    if as_json:
        output.json_document(known)
    else:
        output.say("\n".join(map(str, known)))


@app.command()
def show(runbook: RunbookArgument, as_json: Json = False) -> None:
    """Show the purpose and the parameters of a runbook."""
    info = catalog.runbook(runbook)
    if as_json:
        output.json_document(_runbook_json(info))
        return
    output.say(info.cells[0]["source"])
    output.say("\nParameters:")
    for parameter in info.parameters:
        default = "required" if parameter.required else json.dumps(parameter.default)
        words = f"{parameter.type}, {parameter.description}".rstrip(", ")
        output.say(f"  {parameter.name:<20} {default:<16} {words}")


def _runbook_line(info: catalog.RunbookInfo, width: int) -> str:
    return f"{info.id:<{width}}{info.title}{' (acts)' if info.acts else ''}"


def _runbook_json(info: catalog.RunbookInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "title": info.title,
        "section": info.section,
        "acts": info.acts,
        "parameters": [
            {
                "name": parameter.name,
                "type": parameter.type,
                "default": parameter.default,
                "required": parameter.required,
                "description": parameter.description,
            }
            for parameter in info.parameters
        ],
    }
