from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.receiver import Receiver, receiver


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found
