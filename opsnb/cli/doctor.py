"""`doctor`: can this target be operated?"""

from __future__ import annotations

from opsnb.cli import output
from opsnb.cli.application import Json, TargetOption, app
from opsnb.cli.context import config_in_force


@app.command()
def doctor(target: TargetOption = None, as_json: Json = False) -> int:
    """Check whether a target is reachable, complete and safe to operate."""
    config = config_in_force()
    chosen = config.target(target or config.only)
    # Imported here: importing the drivers would slow down --help.
    from opsnb.doctor import examine, report
    from opsnb.model import worst

    diagnoses = examine(chosen, config)
    if as_json:
        output.json_document(
            [
                {**each.finding.model_dump(mode="json"), "tried": each.tried, "fix": each.fix}
                for each in diagnoses
            ]
        )
    else:
        output.render(report(diagnoses))
    return worst(each.finding.status for each in diagnoses).exit_code
