"""What the API is asked to change, and what it says when it cannot."""

from __future__ import annotations

import pytest

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Refused
from opsnb.systems import api


def test_the_api_tells_its_queues(demo: Target) -> None:
    assert api.queue_names(demo) == ["ai-analysis", "exports", "notifications"]


def test_nothing_is_posted_without_a_permit(demo: Target) -> None:
    with pytest.raises(Refused):
        api.post(demo, "/api/queue/exports/pause", None)  # type: ignore[arg-type]


def test_what_the_api_refuses_is_told_in_its_words(demo: Target) -> None:
    permit = object.__new__(Permit)
    permit._valid = True
    with pytest.raises(BadAnswer, match=r"answered 404: .*no such queue"):
        api.post(demo, "/api/queue/none/clean", permit)
    with pytest.raises(BadAnswer, match=r"answered 400: .*grace"):
        api.post(demo, "/api/queue/exports/clean", permit, grace=-1)
    assert api.post(demo, "/api/queue/exports/clean", permit, grace=10**12)["removed"] == 0
