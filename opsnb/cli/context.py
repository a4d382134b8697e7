"""The configuration and the records that commands work on, and parameters as they were typed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from opsnb import catalog
from opsnb.cli import output
from opsnb.errors import ParameterError

if TYPE_CHECKING:
    from opsnb.config.file import Config
    from opsnb.records.store import Store


def config_in_force() -> Config:
    """Return the configuration in force."""
    from opsnb.config.file import load_config

    return load_config()


def store_in_force() -> Store:
    """Return the record store in force, with the records of runs that were killed meanwhile.

    What still waits for it, as it cannot be written, is told on stderr.
    """
    from opsnb.records import recovery
    from opsnb.records.store import Store

    store = Store(config_in_force().store)
    for run_id, why in recovery.recover(store).waiting.items():
        output.note(f"opsnb: The record of {run_id} is not in the store yet. {why}")
    return store


def given_parameters(
    info: catalog.RunbookInfo,
    options: Iterable[str],
    targets: Sequence[str],
    apply: bool,
    confirmed: Sequence[str],
) -> dict[str, Any]:
    """Return the parameters as given. Raises ParameterError on one not NAME=VALUE, or twice."""
    given: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise ParameterError(f"-p {option[:60]!r} is not NAME=VALUE; write it like -p hours=2.")
        if name in given:
            raise ParameterError(f"Parameter {name[:60]!r} is given twice; give it once.")
        given[name] = value
    if targets and given.setdefault("target", targets[0]) not in targets[:1]:
        raise ParameterError("The target is given twice, differently; give it by -t alone.")
    if (apply or confirmed) and not info.acts:
        raise ParameterError(f"{info.id} changes nothing; leave --apply and --confirm out.")
    by_option: dict[str, Any] = {"apply": True} if apply else {}
    if confirmed:
        by_option["confirm"] = confirmed[-1]
    for name in sorted(by_option.keys() & given.keys()):
        raise ParameterError(f"Parameter {name!r} is given twice; give it by --{name} alone.")
    return given | by_option
