"""Control characters from outside are shown at the terminal, and never obeyed."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.table import Table
from rich.text import Text

from opsnb.view import terminal

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b2J\x7f\r\u202e"
RAW = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]")


def test_each_is_legible_and_lines_and_tabs_stay() -> None:
    assert terminal.visible("a\n\tb\x1b[31m\x9b\x7f") == "a\n\tb\\x1b[31m\\u009b\\u007f"
    assert not RAW.search(terminal.visible(EVIL))


def test_json_stays_json() -> None:
    text = json.dumps({"reason": EVIL}, ensure_ascii=False)
    assert json.loads(terminal.visible(text)) == {"reason": EVIL}


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_colours_of_our_own_are_written(is_terminal: bool) -> None:
    written = io.StringIO()
    table = Table(title=EVIL)
    table.add_column("reason")
    table.add_row(Text(f"relay refused {EVIL} by peer", style="bold red"))
    console = terminal.console(file=written, force_terminal=is_terminal, width=200)
    console.print(table)
    console.print(f"in a text: {EVIL}", markup=False)
    said = written.getvalue()
    assert "relay refused" in said
    assert "\\x1b[2J" in said
    assert ("\x1b[1;31m" in said) == is_terminal
    assert not RAW.search(re.sub(r"\x1b\[[0-9;]*m", "", said))
