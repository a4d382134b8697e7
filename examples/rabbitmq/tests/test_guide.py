"""The guide "Write a system": its code is this package's own, and its commands work as written."""

from __future__ import annotations

import re

import pytest
from broker import Broker
from installed import EXAMPLE, OPSNB, Site

GUIDE = (OPSNB / "docs" / "extend" / "systems.md").read_text()
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
BLOCKS = [match.groups() for match in _BLOCK.finditer(GUIDE)]
CODE = [(file, text) for _, file, text in BLOCKS if file and file != "opsnb.toml"]
COMMANDS = [line for kind, _, text in BLOCKS if kind == "bash" for line in text.splitlines()]
CONFIG = "\n".join(text for _, file, text in BLOCKS if file == "opsnb.toml")


def test_every_block_is_code_of_a_file_or_commands() -> None:
    assert len(BLOCKS) == len(CODE) + 4  # of the configuration two, of commands two
    assert COMMANDS


@pytest.mark.parametrize(("file", "text"), CODE)
def test_the_code_stands_in_the_file_that_it_names(file: str, text: str) -> None:
    assert text.strip() in (EXAMPLE / file).read_text()


def test_the_files_that_it_lists_are_there() -> None:
    named = re.findall(r"`(opsnb_rabbitmq/[\w./*]+)`", GUIDE)
    assert named
    assert all(list(EXAMPLE.glob(name)) for name in named)


def test_its_commands_work(site: Site, broker: Broker) -> None:
    (site.folder / "opsnb.toml").write_text(CONFIG)
    for line in COMMANDS:
        program, *words = line.split()
        if program == "python":  # as a user does it, but without a network
            offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
            ended = site.call(program, *words, folder=EXAMPLE, **offline)
        else:
            ended = site.call(program, *words, RABBITMQ_URL=broker.url())
        # A broker without queues is ok; the doctor warns of what this machine has not.
        assert ended.returncode <= 3, f"{line}\n{ended.stdout}{ended.stderr}"
    assert "rabbitmq.ping" in ended.stdout
