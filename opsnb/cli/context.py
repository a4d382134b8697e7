"""The configuration, the record store and the parameters that a command works with."""

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
    """Return the record store in force, after writing the records of killed runs.

    Records that still cannot be written are reported on stderr.
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
    """Return the parameters from the command line.

    Raises ParameterError on one that is not NAME=VALUE or is set twice.
    """
    given: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise ParameterError(f"-p {option[:60]!r} is not NAME=VALUE. Write it like -p hours=2.")
        if name in given:
            raise ParameterError(f"Parameter {name[:60]!r} is set twice. Set it once.")
        given[name] = value
    if targets and given.setdefault("target", targets[0]) not in targets[:1]:
        raise ParameterError("Two different targets are set. Set the target with -t alone.")
    if (apply or confirmed) and not info.acts:
        raise ParameterError(f"{info.id} changes nothing. Leave out --apply and --confirm.")
    by_option: dict[str, Any] = {"apply": True} if apply else {}
    if confirmed:
        by_option["confirm"] = confirmed[-1]
    for name in sorted(by_option.keys() & given.keys()):
        raise ParameterError(f"Parameter {name!r} is set twice. Set it with --{name} alone.")
    return given | by_option
