"""The commands that are imported alone."""

from __future__ import annotations

import pytest

from opsnb.cli import entry
from opsnb.cli.commands import app


def modules_of(word: str) -> set[str]:
    """Return the modules that the command or the group `word` of the help stands in."""
    group = next((each for each in app.registered_groups if each.name == word), None)
    if group:
        assert group.typer_instance
        commands = group.typer_instance.registered_commands
    else:
        commands = [
            each
            for each in app.registered_commands
            if word in (each.name, each.callback and each.callback.__name__)
        ]
    return {each.callback.__module__ for each in commands if each.callback}


@pytest.mark.parametrize(("word", "module"), entry._MODULES.items())
def test_a_command_that_is_imported_alone_stands_in_one_module(word: str, module: str) -> None:
    assert modules_of(word) == {f"opsnb.cli.{module}"}
