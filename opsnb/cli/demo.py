"""`demo` and `drill`: a real system to practise on."""

from __future__ import annotations

from typing import Annotated

import typer

from opsnb.cli import completion, output
from opsnb.cli.application import Json, app, demo_app
from opsnb.cli.context import config_in_force
from opsnb.errors import UsageError
from opsnb.machine import interrupts


@demo_app.command("up")
def demo_up() -> None:
    """Start the demo stack, or the parts of it that are down."""
    from opsnb.demo import stack

    status = stack.up(output.note)
    output.say(f"The demo stack is up: target 'demo', API {status.urls['api']}")


@demo_app.command("down")
def demo_down() -> None:
    """Stop the demo stack and remove its data."""
    from opsnb.demo import stack

    stack.down(output.note)


@demo_app.command("status")
def demo_status(as_json: Json = False) -> int:
    """Show which parts of the demo stack are running; exit 0 when all are."""
    from opsnb.demo import stack

    status = stack.status()
    if as_json:
        output.json_document(status.to_dict())
    else:
        output.say(f"The demo stack is {status.state}.")
        for part in status.parts:
            pids = " ".join(map(str, part.pids))
            output.say(f"  {part.name:<12}{part.state:<6}{part.url or '-':<36}{pids}")
        for name in status.faults:
            output.say(f"  fault '{name}' is active. Clear it: opsnb demo fault {name} --clear")
    return {"up": 0, "degraded": 1}.get(status.state, 2)


@demo_app.command("fault")
def demo_fault(
    name: Annotated[
        str | None, typer.Argument(help="The name of a fault.", autocompletion=completion.faults)
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove the fault.")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="List the faults.")] = False,
) -> None:
    """Inject a real fault into the demo stack, or remove it."""
    from opsnb.demo import faults

    if clear and name is None:
        raise UsageError("Name the fault to clear: opsnb demo fault NAME --clear")
    if list_them or name is None:
        for fault in faults.all_faults().values():
            output.say(f"{fault.name:<18}{fault.description}")
    elif clear:
        faults.clear(name)
        output.say(f"The fault '{name}' is cleared.")
    else:
        faults.inject(name)
        output.say(f"The fault '{name}' is active. To clear it:\n  opsnb demo fault {name} --clear")


@app.command("drill")
def hold_drill(
    name: Annotated[
        str,
        typer.Argument(
            help="The name of a drill, `any`, or `list`.", autocompletion=completion.drills
        ),
    ],
    hint: Annotated[
        bool, typer.Option("--hint", help="Also show the runbook that an alert would name.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="Give up after this time.")
    ] = 3600,
    as_json: Json = False,
) -> int:
    """Practise on a fault of the demo stack until you have fixed it.

    You see only the symptom. Work in another terminal; Ctrl-C gives up. The drill clears the fault
    in any case.
    """
    from opsnb.demo.faults.known import drill

    if name == "list":
        _list_drills(as_json)
        return 0
    chosen = drill(name)
    config = config_in_force()
    with interrupts.noted() as stopped:
        from opsnb.demo.practice import practise

        with output.progress() as (say, progress):
            result = practise(
                chosen, config, stopped, limit_s=timeout, hint=hint, say=say, progress=progress
            )
    return output.run_result(result, config, as_json)


def _list_drills(as_json: bool) -> None:
    from opsnb.demo.faults.known import all_drills

    drills = all_drills().values()

    if as_json:
        output.json_document([{"name": each.name, "symptom": each.symptom} for each in drills])
    else:
        for each in drills:
            output.say(f"{each.name:<18}{each.symptom}")
